"""What the examples in docstrings need; the tests have their own ``tests/conftest.py``."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _folder_of_an_example(request: pytest.FixtureRequest) -> None:
    """An example in a docstring runs in an empty folder, so that it may write a cache under a short name."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
