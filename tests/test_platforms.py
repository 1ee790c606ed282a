"""Linux and macOS are supported; elsewhere the import says so."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

import poc_aug
from poc_aug.errors import PocAugError, UnsupportedPlatformError
from poc_aug.platforms import check_platform

ROOT = Path(__file__).resolve().parents[1]


def import_again() -> None:
    """As the first `import poc_aug` of a process does: before anything of the package, such as what needs fcntl."""
    spec = importlib.util.spec_from_file_location("poc_aug_again", poc_aug.__file__)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.parametrize("platform", ["win32", "emscripten", "freebsd14"])
def test_importing_on_another_platform_is_one_error(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(ImportError, match=f"poc_aug runs on Linux and macOS; this is {platform}") as caught:
        import_again()
    assert isinstance(caught.value, UnsupportedPlatformError)
    assert isinstance(caught.value, PocAugError)
    assert "Next step" in str(caught.value)


@pytest.mark.parametrize("command", ["/usr/bin/poc-aug", "warm_cache", "poc-aug.exe"])
def test_a_command_on_another_platform_shows_no_traceback(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "argv", [command, "doctor"])
    with pytest.raises(SystemExit) as caught:  # with a text: printed to stderr, and exit code 1
        import_again()
    assert str(caught.value.code).startswith("error: poc_aug runs on Linux and macOS; this is win32\n")


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_linux_and_macos_are_supported_and_stated(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    check_platform()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [name for name in project["classifiers"] if name.startswith("Operating System")]
    assert stated == ["Operating System :: MacOS", "Operating System :: POSIX :: Linux"]
