"""What the examples in docstrings need; the tests have their own ``tests/conftest.py``."""

from __future__ import annotations

import importlib
import importlib.util

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Have yapf, which mmengine imports, write its grammar before several processes do so at once."""
    if not hasattr(config, "workerinput") and importlib.util.find_spec("yapf") is not None:
        importlib.import_module("yapf")


@pytest.fixture(autouse=True)
def _folder_of_an_example(request: pytest.FixtureRequest) -> None:
    """An example in a docstring runs in an empty folder, so that it may write a cache under a short name."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
