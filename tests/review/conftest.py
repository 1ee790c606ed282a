"""One browser, and the caches that its pages show, for all tests of the review page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.killed_server import KilledServer
from tests.helpers.review_browser import (
    CLASSES,
    OpenedPage,
    base_of_reviews,
    browser_of_tests,
    copied,
    opened_review,
    review_cache,
)

COUNT_OF_KILLS = 300


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """A browser; each test opens windows of its own, which share nothing."""
    with browser_of_tests() as browser:
        yield browser


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of 24 insertions that nobody decides about."""
    return review_cache(tmp_path_factory.mktemp("made") / "gnus.cache", 24)


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """A copy of it, with a journal of its own."""
    return copied(made, tmp_path)


@pytest.fixture
def opened(browser: Any, cache: Path) -> Iterator[OpenedPage]:
    """A page of it that shows one insertion."""
    with opened_review(browser, cache, dataset=base_of_reviews()) as opened:
        yield opened


@pytest.fixture(scope="package")
def made_for_kills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of 300 insertions of three classes that nobody decides about."""
    return review_cache(tmp_path_factory.mktemp("made") / "gnus.cache", COUNT_OF_KILLS, names=CLASSES[:3])


@pytest.fixture
def server(made_for_kills: Path, tmp_path: Path) -> Iterator[KilledServer]:
    """A server of a copy of it, which can be killed and started again."""
    server = KilledServer(copied(made_for_kills, tmp_path))
    server.start()
    yield server
    server.kill()
