"""Options are declared once: the command line, ``--help``, YAML and the checks follow from the declaration."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from poc_aug.cli.command_options import CliOption, CommandOptions, with_options
from poc_aug.cli.try_options import TryOptions
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.errors import SettingError
from poc_aug.recipe import Recipe
from tests.helpers.command_line import run

BOTH = pytest.mark.parametrize(("command", "options"), [("warm-cache", WarmCacheOptions), ("try", TryOptions)])


class Baked(CommandOptions):
    """Options of every kind."""

    name: Annotated[str, CliOption(help="What.", takes="a name", positional=True)]
    minutes: Annotated[
        int, Field(ge=1), CliOption(help="How long.", takes="1 or more", names=("--minutes", "--mins"))
    ] = 40
    hot: Annotated[bool, CliOption(help="Warm plates.", takes="true or false")] = False
    oven: Annotated[Path | None, Field(strict=False), CliOption(help="Which.", takes="a path", default="any")] = None
    level: Annotated[float | None, CliOption(help="Where.", takes="a number")] = None
    toppings: Annotated[str | list[str] | None, CliOption(help="On it.", takes="names")] = None
    set_: Annotated[dict[str, Any], Field(alias="set"), CliOption(help="More.", takes="pairs", panel="More")] = Field(
        default_factory=dict
    )


def baked(*arguments: str) -> tuple[Baked, dict[str, Any]]:
    """The options that a command gets, and what was given."""
    application, results = typer.Typer(), []

    @with_options(Baked)
    def bake(*, twice: Annotated[bool, typer.Option("--twice")] = False, **given: Any) -> None:
        values = Baked.given_values(given)
        results.append((Baked.from_values(values, "options"), values | {"twice": twice}))

    application.command()(bake)
    done = CliRunner().invoke(application, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return results[0]


def test_the_command_line_fills_the_fields() -> None:
    text = "bread --mins 3 --hot --oven big/oven --level 2 --toppings a,b --set a=1,2 --set b=x --twice"
    options, given = baked(*text.split())
    assert options == Baked.from_values(
        {
            "name": "bread",
            "minutes": 3,
            "hot": True,
            "oven": "big/oven",
            "level": 2.0,
            "toppings": "a,b",
            "set": {"a": (1, 2), "b": "x"},
        },
        "YAML",
    )
    assert options.oven == Path("big/oven")
    assert given["twice"] is True


def test_what_is_not_given_is_left_to_the_defaults() -> None:
    options, given = baked("bread")
    assert given == {"name": "bread", "twice": False}
    assert (options.minutes, options.hot, options.oven, options.set_) == (40, False, None, {})
    assert not any(options.is_given(name) for name in ("minutes", "hot", "oven", "toppings", "set_"))
    changed, _ = baked("bread", "--minutes", "1", "--set", "a=0", "--level", "0")
    assert [name for name in Baked.model_fields if changed.is_given(name)] == ["name", "minutes", "level", "set_"]


def test_help_says_names_texts_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    application = typer.Typer()
    application.command()(with_options(Baked)(lambda **given: None))
    shown = CliRunner().invoke(application, ["--help"]).output
    for text in (
        "--minutes",
        "--mins",
        "How long. [default: 40]",
        "Which. [default: any]",
        "Warm plates.",
        "--set",
        "More",
    ):
        assert text in shown
    assert "[default: False]" not in shown
    assert CliRunner().invoke(application, []).exit_code == 2  # the name is required


def test_values_that_do_not_fit_name_field_value_and_expectation() -> None:
    with pytest.raises(SettingError, match=r"here: minutes = 0\s+Expected: minutes: 1 or more"):
        Baked.from_values({"name": "bread", "minutes": 0}, "here")
    with pytest.raises(SettingError, match=r"here: unknown fields \['set_'\]"):
        Baked.from_values({"name": "bread", "set_": {}}, "here")


@BOTH
def test_help_lists_every_field(command: str, options: type[CommandOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = run(command, "--help")
    for name in options.model_fields:
        declared = options.cli_option(name)
        assert declared.help.split(":")[0][:60] in " ".join(shown.split())
        assert declared.takes
        if not declared.positional:
            assert f"{options.option_name(name)} " in shown.replace(",", " ")


@BOTH
def test_recipe_fields_of_options_exist(command: str, options: type[CommandOptions]) -> None:
    fields = {options.cli_option(name).recipe_field for name in options.model_fields} - {""}
    assert "seed" in fields
    assert fields <= set(Recipe.model_fields)


def test_parameters_are_named_as_in_yaml() -> None:
    names = [parameter.name for parameter in WarmCacheOptions.parameters()]
    assert names[0] == "dataset"  # options of the command itself come before those that it shares
    assert set(names) == {field.alias or name for name, field in WarmCacheOptions.model_fields.items()}
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in WarmCacheOptions.parameters())
