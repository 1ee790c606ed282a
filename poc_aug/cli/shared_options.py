"""The options that several commands take alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poc_aug.cli.command_options import CliOption

DATASET = CliOption(
    help="The dataset, as package.module:callable.",
    takes="'package.module:callable' or {type: 'package.module:callable', args: {key: value}}",
)
SCHEMA = CliOption(
    help="Label schema: a known name or a YAML file.", takes="a known name or a YAML file's path", default="detected"
)
KEYS = CliOption(
    help="What names the samples: a column, field or attribute of the dataset.",
    takes="the name of a column, field or attribute of the dataset",
    default="detected, otherwise their numbers",
)

MOST_WORKERS = 512
"""More loader processes than that are a slip of the keyboard, and would take the machine down."""

CachePath = Annotated[Path, typer.Argument(help="Path of the cache.")]
CachePaths = Annotated[list[Path], typer.Argument(metavar="CACHE...", help="Paths of the caches.")]
DatasetArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Arguments of the dataset: root=data split=train size=96,160"),
]
RecipeNames = Annotated[
    list[str] | None,
    typer.Option(
        "--recipe", metavar="FINGERPRINT", help="Only this recipe of a cache of several; its first characters will do."
    ),
]
DatasetName = Annotated[str | None, typer.Option("--dataset", help=DATASET.help)]
KeysName = Annotated[str | None, typer.Option("--keys", help=KEYS.help_text())]
SchemaName = Annotated[str | None, typer.Option("--schema", help=SCHEMA.help_text())]
Workers = Annotated[int, typer.Option("--workers", min=0, max=MOST_WORKERS, help="Loader processes.")]
