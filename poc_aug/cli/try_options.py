"""The options of ``try``, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from poc_aug.cli.command_options import CliOption
from poc_aug.cli.generation_options import GenerationOptions


class TryOptions(GenerationOptions):
    """What ``try`` inserts, and where."""

    image: Annotated[Path, CliOption(help="A picture.", takes="the path of a picture", positional=True)]
    object: Annotated[str, CliOption(help="What to insert: 'a sheep'.", takes="what to insert: 'a sheep'")]
    on: Annotated[
        str,
        CliOption(
            help="What it stands on; 'anywhere' for any place.", takes="what it stands on: 'the road'; or 'anywhere'"
        ),
    ] = "the road"
    out: Annotated[Path, CliOption(help="Folder for the pictures.", takes="a folder for the pictures")] = Path(
        "poc-aug-try"
    )
    detect: Annotated[
        str | None,
        CliOption(
            help="What the annotator looks for.",
            takes="what the annotator looks for: 'sheep'",
            default="the object, without its article",
        ),
    ] = None
    labels: Annotated[
        Path | None, CliOption(help="A label map of the picture.", takes="the path of a label map of the picture")
    ] = None
    label_schema: Annotated[
        str | None,
        Field(alias="schema"),
        CliOption(
            help="Schema of the label map: a known name or a YAML file.", takes="a known name or a YAML file's path"
        ),
    ] = None
    size_m: Annotated[
        float | None,
        CliOption(
            help="The object's height in metres.",
            takes="a number of metres",
            default="its known size, if a horizon is known too",
        ),
    ] = None
    sizes: Annotated[
        str | None,
        CliOption(
            help="The object's size: 40:120px, 0.05:0.2 (parts of the picture's longer side), or metres.",
            takes="40:120px (pixels), 0.05:0.2 (parts of the picture's longer side) or metres",
            default="metres if a horizon is known, otherwise 0.1:0.3",
        ),
    ] = None
    horizon: Annotated[
        float | None,
        CliOption(
            help="Row of the horizon, over the picture's height: 0.42.",
            takes="a row over the picture's height: 0.42",
            default="estimated from the labels",
        ),
    ] = None
    camera: Annotated[
        str | None, CliOption(help="cityscapes, kitti, generic, or file.", takes="a camera's name, or file")
    ] = None
    backend: Annotated[str, GenerationOptions.cli_option("backend")] = "diffusion"
