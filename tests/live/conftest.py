"""A cache that is warmed beforehand, which items made while training are compared with; generation that starts fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import Frames
from tests.helpers.live_cases import LENGTH, pipeline


@pytest.fixture(scope="session")
def prebuilt_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "prebuilt.cache"
    warm_cache(Frames(LENGTH), path, pipeline(), num_variants=3, workers=0)
    return path


@pytest.fixture
def prebuilt(prebuilt_once: Path) -> Path:
    return prebuilt_once


@pytest.fixture
def real_start() -> None:
    """Asks for a generation process that is spawned, as outside of the tests."""


@pytest.fixture(autouse=True)
def _quick_start(request: pytest.FixtureRequest) -> None:
    if "real_start" not in request.fixturenames:
        request.getfixturevalue("quick_live")
