"""One cache for the tests of all clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.client_cases import LENGTH
from tests.helpers.fakes import Frames
from tests.helpers.key_cases import warm


@pytest.fixture(scope="session")
def frames_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants of each of `Frames`, whose keys are "frame-000" and so on."""
    return warm(Frames(LENGTH), tmp_path_factory.mktemp("clients") / "frames.cache")
