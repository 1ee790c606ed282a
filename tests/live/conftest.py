"""A cache that is warmed beforehand, which items made while training are compared with; generation that starts fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.kinds import INSERTIONS, KINDS, Kind
from tests.helpers.live_cases import LENGTH


@pytest.fixture(scope="session", params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="session")
def prebuilt_of(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The cache of each kind, once it is asked for."""
    return {}


@pytest.fixture
def prebuilt(
    request: pytest.FixtureRequest, prebuilt_of: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    kind = request.getfixturevalue("kind") if "kind" in request.fixturenames else INSERTIONS
    if kind.name not in prebuilt_of:
        prebuilt_of[kind.name] = tmp_path_factory.mktemp("live") / "prebuilt.cache"
        kind.warm(prebuilt_of[kind.name], LENGTH, codec="delta-zstd")
    return prebuilt_of[kind.name]


@pytest.fixture
def real_start() -> None:
    """Asks for a generation process that is spawned, as outside of the tests."""


@pytest.fixture(autouse=True)
def _quick_start(request: pytest.FixtureRequest) -> None:
    if "real_start" not in request.fixturenames:
        request.getfixturevalue("quick_live")
