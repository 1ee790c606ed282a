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
Sizes = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        help="Sizes of the objects: 40:120px (pixels), 0.05:0.2 (parts of the frame's longer side), or metres (real "
        "sizes, by perspective; needs a horizon). Default: the recipe's; metres for cut-outs.",
    ),
]
SizesFile = Annotated[
    Path | None, typer.Option("--sizes-file", help="Real sizes by name, as YAML: 'mug: 0.10', in metres.")
]
ImagesFolder = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of the images of a COCO .json. Default: found near it."),
]
SchemaName = Annotated[
    str | None, typer.Option("--schema", help="Label schema: a known name or a YAML file. Default: found.")
]
KeysName = Annotated[
    str | None,
    typer.Option(
        "--keys",
        help="What names the samples: a column, field or attribute of the dataset. Default: found, else their numbers.",
    ),
]
CachePath = Annotated[Path, typer.Argument(help="Path of the cache.")]
Workers = Annotated[int, typer.Option("--workers", min=0, help="Loader processes.")]

# What generates, shared by warm-cache and try.
Backend = Annotated[
    str | None, typer.Option("--backend", help="What paints: diffusion, text-to-image, or package.module:callable.")
]
ModelName = Annotated[str | None, typer.Option("--model", help="Its model: a hub id or a folder. See poc-aug models.")]
AnnotatorName = Annotated[
    str | None,
    typer.Option(
        "--annotator",
        help="What labels: transformers (default), grounded-sam, sam3, none, or package.module:callable.",
    ),
]
DetectorName = Annotated[str | None, typer.Option("--detector", help="The annotator's detector: id, folder or file.")]
SegmenterName = Annotated[
    str | None, typer.Option("--segmenter", help="The annotator's segmenter (or SAM 3): id, folder or file.")
]
LocatorName = Annotated[
    str | None,
    typer.Option(
        "--locator",
        help="Where objects may stand: labels, prompt (the annotator's models look for it), or auto: the labels where "
        "they know the place, else by prompt. Default: auto.",
    ),
]
DeviceName = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:0. Default: CUDA if there is one.")]
DtypeName = Annotated[
    str | None, typer.Option("--dtype", help="float16, bfloat16 or float32. Default: float16 on CUDA.")
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Crops in one run of a model. Default: 8.")]
BackendArguments = Annotated[
    list[str] | None,
    typer.Option("--backend-arg", metavar="KEY=VALUE", help="Further arguments of the backend: steps=30, repeatable."),
]
AnnotatorArguments = Annotated[
    list[str] | None,
    typer.Option("--annotator-arg", metavar="KEY=VALUE", help="And of the annotator: box_threshold=0.35, repeatable."),
]
RecipeChanges = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe: attempts=5, repeatable."),
]
