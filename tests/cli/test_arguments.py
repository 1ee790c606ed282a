"""Arguments of datasets as they are typed, and datasets that cannot be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from poc_aug.cli.arguments import load_dataset, parse_arguments, parse_value
from poc_aug.errors import DatasetError, MissingDependencyError, SchemaError, SettingError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("96,160", (96, 160)),
        ("0.5,1", (0.5, 1)),
        ("1, -2", (1, -2)),
        ("3", 3),
        ("-1", -1),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("false", False),
        ("null", None),
        ("[a, b]", ["a", "b"]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_plain_values_are_read(text: str, value: object) -> None:
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


_TEXTS = "train;a,b;0016;1,016;-007;12:30;2024-01-05;/data/my #1 set;no;on;'7';;[1;a: b;1_000;0x10;nan;.inf;1.2.3;1,;1٣"


@pytest.mark.parametrize("text", _TEXTS.split(";"))
def test_everything_else_stays_text(text: str) -> None:
    assert parse_value(text) == text


def test_bad_arguments_are_named() -> None:
    assert parse_arguments(["split=train", "size=1,2"]) == {"split": "train", "size": (1, 2)}
    with pytest.raises(SettingError, match="'train'"):
        parse_arguments(["train"])
    with pytest.raises(SettingError, match="twice"):
        parse_arguments(["a=1", "a=2"])
    with pytest.raises(SettingError, match="cannot read"):
        parse_arguments(["a=[1: 2: 3]"])


@pytest.mark.parametrize("error", [KeyError, AssertionError, ZeroDivisionError, TypeError])
def test_any_error_of_a_dataset_is_reported(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def factory(**arguments: object) -> None:
        raise error("no such split")

    monkeypatch.setattr("tests.helpers.fakes.Frames", factory)
    with pytest.raises(DatasetError, match=rf"split='x'.*{error.__name__}.*no such split"):
        load_dataset("tests.helpers.fakes:Frames", {"split": "x"})


def test_a_dataset_may_raise_errors_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def factory() -> None:
        raise SchemaError("no class 'unicorn'")

    monkeypatch.setattr("tests.helpers.fakes.Frames", factory)
    with pytest.raises(SchemaError, match="unicorn"):
        load_dataset("tests.helpers.fakes:Frames", {})


def test_a_module_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DatasetError, match=r"failing_module.*ZeroDivisionError"):
        load_dataset("failing_module:Thing", {})


def test_bad_datasets_are_named() -> None:
    with pytest.raises(DatasetError, match=r"package.module:callable"):
        load_dataset("cityscapes", {})
    with pytest.raises(DatasetError, match="':x'"):
        load_dataset(":x", {})
    with pytest.raises(MissingDependencyError, match="no_such_package"):
        load_dataset("no_such_package:Thing", {})
    with pytest.raises(DatasetError, match="no callable 'Nothing'"):
        load_dataset("tests.helpers.fakes:Nothing", {})
    with pytest.raises(DatasetError, match="colour"):
        load_dataset("tests.helpers.fakes:Frames", {"colour": 1})
    with pytest.raises(DatasetError, match="gave a object"):
        load_dataset("builtins:object", {})
