"""The one way to import an optional package: what is missing, what needs it, and the install line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from poc_aug.errors import MissingDependencyError
from poc_aug.optional_imports import require


def test_an_installed_module_is_returned() -> None:
    assert require("json.decoder", extra="metrics", purpose="a test") is json.decoder


@pytest.mark.parametrize("module", ["sklearn", "sklearn.cluster"])
def test_a_missing_package_is_named_with_its_purpose_and_install_line(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as caught:
        require(module, extra="metrics", purpose="clustering")
    line = "pip install 'poc_aug[metrics]'"
    assert "'sklearn' is not installed; clustering needs it" in str(caught.value)
    assert str(caught.value).endswith(line)
    assert caught.value.on_command_line().endswith(line)
    assert isinstance(caught.value, ImportError)


def test_a_package_that_an_optional_one_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_with_needs.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match="'a_package_that_is_not_there' is not installed"):
        require("package_with_needs", extra="generate", purpose="a test")


def test_a_broken_package_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("from json import no_such_function\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"'broken_package' cannot be imported .*no_such_function"):
        require("broken_package", extra="generate", purpose="a test")
