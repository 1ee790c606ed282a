from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.export_cases import LENGTH, warm_halos
from tests.helpers.kinds import FRAMES


@pytest.fixture(scope="session")
def halos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of insertions, only read."""
    return warm_halos(tmp_path_factory.mktemp("halos") / "halos.cache")


@pytest.fixture(scope="session")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of shifted frames, only read."""
    path = tmp_path_factory.mktemp("shifted") / "shifted.cache"
    FRAMES.warm(path, LENGTH, num_variants=2, pipeline=FRAMES.pipeline(0.6))
    return path
