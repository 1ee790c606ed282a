"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DatasetArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Arguments of the dataset: root=data split=train size=96,160"),
]
DatasetName = Annotated[str | None, typer.Option("--dataset", help="The dataset, as package.module:callable.")]
Objects = Annotated[
    str | None,
    typer.Option(
        "--objects",
        help="What is inserted: 'rendered', a preset, a recipe .yaml, a folder of RGBA cut-outs, a COCO .json.",
    ),
]
SchemaName = Annotated[
    str | None, typer.Option("--schema", help="Label schema: a known name or a YAML file. Default: found.")
]
CachePath = Annotated[Path, typer.Argument(help="Path of the cache.")]
Workers = Annotated[int, typer.Option("--workers", min=0, help="Loader processes.")]
