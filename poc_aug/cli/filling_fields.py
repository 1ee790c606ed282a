"""The options that commands which fill a cache take alike, as types of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from poc_aug.cli.arguments import config_value
from poc_aug.cli.command_options import CliOption
from poc_aug.cli.generation_options import LENIENT
from poc_aug.cli.shared_options import DATASET, MOST_WORKERS
from poc_aug.generation.warm_report import OnError


class DatasetConfig(BaseModel):
    """The dataset: a callable's name and its keyword arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: str
    args: dict[str, Any] = {}

    @field_validator("args", mode="before")
    @classmethod
    def _argument_values(cls, args: Any) -> Any:
        if isinstance(args, Mapping):
            return {name: config_value(value) for name, value in args.items()}
        return {} if args is None else args


def _by_name(dataset: Any) -> Any:
    return {"type": dataset} if isinstance(dataset, str) else dataset


DatasetField: TypeAlias = Annotated[DatasetConfig | None, BeforeValidator(_by_name), DATASET]
OutField: TypeAlias = Annotated[
    Path | None, LENIENT, CliOption(help="Path of the cache.", takes="the path of the cache")
]
LimitField: TypeAlias = Annotated[
    int | None,
    Field(ge=1),
    CliOption(help="Only the first N samples.", takes="a whole number, 1 or more, or null for all samples"),
]
WorkersField: TypeAlias = Annotated[
    int,
    Field(ge=0, le=MOST_WORKERS),
    CliOption(help="Loader processes.", takes=f"a whole number, 0 to {MOST_WORKERS}"),
]
OnErrorField: TypeAlias = Annotated[
    OnError, CliOption(help="What to do with samples and variants that fail: raise or skip.", takes="raise or skip")
]
KeepRejectedField: TypeAlias = Annotated[
    int,
    Field(ge=0),
    CliOption(
        help="Keep N pictures of rejected attempts per reason, for poc-aug preview --rejected.",
        takes="a whole number, 0 or more",
    ),
]
AddRecipeField: TypeAlias = Annotated[
    bool,
    CliOption(
        help="A cache of another recipe takes this one in addition, instead of refusing it.", takes="true or false"
    ),
]
ReplaceDroppedField: TypeAlias = Annotated[
    bool,
    CliOption(
        help="Make further variants in place of those of which something was dropped (poc-aug drop, or a review).",
        takes="true or false",
    ),
]
ConfigFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="A YAML file of these options; those given here win.")
]
