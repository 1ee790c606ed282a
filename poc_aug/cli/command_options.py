"""Options of a command, declared once: fields of a frozen object, filled by the command line and by YAML."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

import pydantic
import typer
from pydantic import BaseModel, ConfigDict
from rich.markup import escape

from poc_aug.cli.arguments import parse_arguments
from poc_aug.errors import SettingError
from poc_aug.files.yaml_files import read_yaml

_Command = TypeVar("_Command", bound=Callable[..., None])


@dataclass(frozen=True)
class CliOption:
    """How the command line names and explains a field of `CommandOptions`.

    Attributes:
        help: what it does, for ``--help``; without the default.
        takes: which values the field takes, for errors: "a whole number, 1 or more".
        default: what applies if it is not given, for ``--help``; empty: the field's own default.
        names: its names on the command line; empty: the field's name with ``--`` in front.
        metavar: what ``--help`` shows as its value; empty: its type.
        panel: the group in which ``--help`` lists it; ``None``: the general one.
        positional: whether it is an argument rather than an option.
        recipe_field: the field of the recipe that it sets, if it sets one.
        needs_backend: whether it is about models, and so without effect unless a backend loads one.
    """

    help: str
    takes: str
    default: str = ""
    names: tuple[str, ...] = ()
    metavar: str = ""
    panel: str | None = None
    positional: bool = False
    recipe_field: str = ""
    needs_backend: bool = False

    def help_text(self, field_default: object = None) -> str:
        """The text for ``--help``: what the option does, and what applies if it is not given."""
        shown = isinstance(field_default, str | int | float | Path) and not isinstance(field_default, bool)
        text = self.default or (str(field_default) if shown else "")
        return f"{self.help} {shown_default(text)}" if text else self.help


def shown_default(text: str) -> str:
    r"""How ``--help`` shows what applies if an option is not given; escaped, since the help is read as rich's markup.

    Example:
        >>> shown_default("detected")
        '\\[default: detected]'
    """
    return escape(f"[default: {text}]")


class CommandOptions(BaseModel):
    """The options of a command; each field carries a `CliOption` in its ``Annotated`` type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str) -> Self:
        """Check options by their names in YAML.

        Args:
            values: the options that are given.
            where: their source, for errors.

        Raises:
            SettingError: an unknown field, or a value that does not fit; names field, value and expectation.
        """
        expected = {_yaml_name(cls, name): cls.cli_option(name).takes for name in cls.model_fields}
        unknown = sorted(str(name) for name in values if name not in expected)
        if unknown:
            raise SettingError(f"{where}: unknown fields {unknown}", expected=f"some of: {', '.join(expected)}")
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            wrong = list(dict.fromkeys(str(item["loc"][0]) for item in error.errors()))
            raise SettingError(
                f"{where}: " + "; ".join(f"{name} = {values.get(name)!r}" for name in wrong),
                expected="; ".join(f"{name}: {expected[name]}" for name in wrong),
            ) from error

    @classmethod
    def from_yaml(cls, path: Path) -> dict[str, Any]:
        """Read and check a YAML file of options; the dataset is ``{type: ..., args: {...}}`` or its name.

        Raises:
            SettingError: not a readable YAML file, or as in `from_values`.
        """
        values = read_yaml(path, SettingError)
        cls.from_values(values, str(path))
        return values

    @classmethod
    def given_values(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The options that were given on the command line, by their names in YAML.

        Args:
            arguments: what Typer passes to a command that has these options.

        Raises:
            SettingError: a ``KEY=VALUE`` that cannot be read.
        """
        values: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            value = arguments.get(_yaml_name(cls, name))
            if value is not None and value != []:
                values[_yaml_name(cls, name)] = parse_arguments(value) if _holds_pairs(field.annotation) else value
        return values

    @classmethod
    def cli_option(cls, name: str) -> CliOption:
        """The declaration of a field, by its name in Python."""
        return next(item for item in cls.model_fields[name].metadata if isinstance(item, CliOption))

    @classmethod
    def option_name(cls, name: str) -> str:
        """How the command line spells a field: ``--num-variants``."""
        return (cls.cli_option(name).names or (f"--{_yaml_name(cls, name).replace('_', '-')}",))[0]

    def is_given(self, name: str) -> bool:
        """Whether a field has another value than its default."""
        return bool(getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True))

    @classmethod
    def parameters(cls) -> list[inspect.Parameter]:
        """The parameters of a Typer command that has these options; the inherited ones come last."""
        bases = [base for base in cls.__mro__[1:] if issubclass(base, CommandOptions)]
        inherited = {name for base in bases for name in base.model_fields}
        return [_parameter(cls, name) for name in sorted(cls.model_fields, key=lambda name: name in inherited)]


def with_options(options: type[CommandOptions]) -> Callable[[_Command], _Command]:
    """Give a Typer command the options that a class declares, in the place of its ``**given``.

    Typer passes them by their names in YAML, ``None`` for each that is not given; see
    `CommandOptions.given_values`.
    """

    def declare(command: _Command) -> _Command:
        signature = inspect.signature(command, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
        merged = signature.replace(parameters=[*options.parameters(), *own])
        command.__signature__ = merged  # type: ignore[attr-defined]
        return command

    return declare


def _parameter(options: type[CommandOptions], name: str) -> inspect.Parameter:
    field, declared = options.model_fields[name], options.cli_option(name)
    kind = list[str] if _holds_pairs(field.annotation) else _typed_as(field.annotation)
    help_text, metavar = declared.help_text(field.get_default(call_default_factory=True)), declared.metavar or None
    info = (
        typer.Argument(metavar=metavar, help=help_text, rich_help_panel=declared.panel)
        if declared.positional
        else typer.Option(
            *(declared.names or (options.option_name(name),)),
            metavar=metavar,
            help=help_text,
            rich_help_panel=declared.panel,
        )
    )
    required = field.is_required()
    return inspect.Parameter(
        _yaml_name(options, name),
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else None,
        annotation=Annotated[kind if required else kind | None, info],
    )


def _yaml_name(options: type[CommandOptions], name: str) -> str:
    return options.model_fields[name].alias or name


def _kinds(annotation: Any) -> set[Any]:
    """The types that a field takes, without ``None`` and parameters: ``list[str] | None`` is ``{list}``."""
    if get_origin(annotation) in (None, Literal, dict, list):
        return {get_origin(annotation) or annotation}
    return {kind for part in get_args(annotation) if part is not NoneType for kind in _kinds(part)}


def _holds_pairs(annotation: Any) -> bool:
    """Whether a field holds names with values, given as ``KEY=VALUE`` any number of times."""
    return dict in _kinds(annotation)


def _typed_as(annotation: Any) -> Any:
    """The type as which Typer reads a field: text, unless only one other plain type, or a list, fits."""
    kinds = _kinds(annotation)
    if kinds == {list}:
        return list[str]  # given as often as needed
    return next((kind for kind in (Path, bool, int, float) if kinds == {kind}), str)
