"""A cache that is warmed beforehand, which items made while training are compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import Frames
from tests.helpers.live_cases import LENGTH, pipeline


@pytest.fixture(scope="module")
def prebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "prebuilt.cache"
    warm_cache(Frames(LENGTH), path, pipeline(), num_variants=3, workers=0)
    return path
