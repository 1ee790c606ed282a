"""A cache that is warmed beforehand, which items made while training are compared with; generation that starts fast."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import pytest

from poc_aug.generation.warming import warm_cache
from poc_aug.live import process_supervisor
from tests.helpers.fakes import Frames
from tests.helpers.live_cases import LENGTH, pipeline
from tests.helpers.quick_start import live_context


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
def _quick_start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_start" not in request.fixturenames:
        functions = SimpleNamespace(get_context=live_context, parent_process=multiprocessing.parent_process)
        monkeypatch.setattr(process_supervisor, "multiprocessing", functions)
