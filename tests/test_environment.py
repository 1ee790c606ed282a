"""The environment of a measurement, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from poc_aug.environment import environment, write_json


def test_environment_is_json(tmp_path: Path) -> None:
    write_json(tmp_path / "environment.json", environment())
    assert json.loads((tmp_path / "environment.json").read_text())["torch"]
