"""The options of ``warm-cache``, declared once: for the command line, for a YAML file, and for both together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from poc_aug.cache import Codec
from poc_aug.cli.command_options import CliOption
from poc_aug.cli.filling_fields import (
    AddRecipeField,
    DatasetField,
    KeepRejectedField,
    LimitField,
    OnErrorField,
    OutField,
    ReplaceDroppedField,
    WorkersField,
)
from poc_aug.cli.generation_options import LENIENT
from poc_aug.cli.machine_options import (
    ActorsField,
    AddressField,
    EngineField,
    GpusPerActorField,
    ShardField,
)
from poc_aug.cli.object_choice import ObjectChoice
from poc_aug.cli.set_options import SetOptions
from poc_aug.cli.shared_options import KEYS
from poc_aug.errors import SettingError
from poc_aug.presets.object_sizes import RealSizes
from poc_aug.presets.size_choice import parse_sizes

_ANYWHERE = "anywhere"
_IS_COUNT = re.compile("[0-9]{1,9}")
_CLASS_NAMES = "class names: 'dog,cat' or a list"


class WarmCacheOptions(SetOptions):
    """What ``warm-cache`` is to do."""

    dataset: DatasetField = None
    objects: Annotated[
        str | None,
        CliOption(
            help="What is inserted: 'rendered', a preset, a recipe .yaml, a folder of RGBA cut-outs, a COCO .json.",
            takes="a preset's name or a path",
        ),
    ] = None
    images: Annotated[
        Path | None,
        LENIENT,
        CliOption(
            help="Folder of the images of a COCO .json.",
            takes="the folder of a COCO file's images",
            default="found near it",
        ),
    ] = None
    out: OutField = None
    num_variants: Annotated[
        int,
        Field(ge=1, le=10_000),
        CliOption(
            help="Variants per sample.", takes="a whole number, 1 to 10000", names=("--num-variants", "--variants")
        ),
    ] = 3
    limit: LimitField = None
    keys: Annotated[str | None, KEYS] = None
    camera: Annotated[
        str | None,
        CliOption(
            help="cityscapes, kitti, generic; or file: the calibration files.",
            takes="a camera's name",
            recipe_field="camera",
        ),
    ] = None
    location: Annotated[
        str | list[str] | None,
        CliOption(
            help="Classes that objects stand on: road,sidewalk; or anywhere.",
            takes="class names, 'road,sidewalk' or a list; or 'anywhere'",
            default="the recipe's, or road",
            recipe_field="location",
        ),
    ] = None
    per_variant: Annotated[
        str | int | list[int] | None,
        CliOption(
            help="Objects in one variant: 2, or 1,3 for one to three.",
            takes="a number, or two: '1,3' or [1, 3]",
            default="the recipe's",
            recipe_field="objects_per_variant",
        ),
    ] = None
    workers: WorkersField = 2
    codec: Annotated[
        Codec,
        CliOption(
            help="delta-zstd or webp (lossless), webp-lossy, zstd, raw.",
            takes="delta-zstd, webp, webp-lossy, zstd or raw",
        ),
    ] = "delta-zstd"
    on_error: OnErrorField = "raise"
    add_recipe: AddRecipeField = False
    replace_dropped: ReplaceDroppedField = False
    keep_rejected: KeepRejectedField = 0
    shard: ShardField = None
    engine: EngineField = "local"
    address: AddressField = None
    actors: ActorsField = None
    gpus_per_actor: GpusPerActorField = None
    paper_sizes: Annotated[
        bool,
        CliOption(help="A preset's sizes in pixels, as in its paper, not in metres.", takes="true or false"),
    ] = False
    sizes: Annotated[
        str | None,
        CliOption(
            help="Sizes of the objects: 40:120px (pixels), 0.05:0.2 (parts of the frame's longer side), or metres "
            "(real sizes, by perspective; needs a horizon).",
            takes="40:120px (pixels), 0.05:0.2 (parts of the frame's longer side) or metres",
            default="the recipe's; metres for cut-outs",
            recipe_field="size",
        ),
    ] = None
    sizes_file: Annotated[
        Path | None,
        LENIENT,
        CliOption(
            help="Real sizes by name, as YAML: 'mug: 0.10', in metres.",
            takes="a YAML file's path: real sizes by name, {mug: 0.1}",
            recipe_field="size",
        ),
    ] = None
    include: Annotated[
        str | list[str] | None, CliOption(help="Only these objects (classes): dog,cat.", takes=_CLASS_NAMES)
    ] = None
    exclude: Annotated[
        str | list[str] | None,
        CliOption(
            help="Not these objects (classes). In a street dataset the classes of Cityscapes are always left out of a "
            "COCO file, unless --include names them.",
            takes=_CLASS_NAMES,
        ),
    ] = None
    batch_size: Annotated[
        int,
        Field(ge=1),
        CliOption(help="Crops in one run of a model.", takes="a whole number, 1 or more", panel="Models"),
    ] = 8

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class names of ``location``, none of them for anywhere; ``None``: the recipe's.

        Raises:
            SettingError: no name, or "anywhere" together with names.
        """
        if self.location is None:
            return None
        names = class_names("location", self.location)
        if _ANYWHERE not in (name.lower() for name in names):
            return names
        if len(names) > 1:
            raise SettingError(f"location = {self.location!r}", expected=f"class names, or {_ANYWHERE} alone")
        return ()

    @property
    def objects_range(self) -> tuple[int, int] | None:
        """Least and most objects in one variant; ``None``: the recipe's.

        Raises:
            SettingError: neither one nor two numbers.
        """
        if self.per_variant is None:
            return None
        parts = [part.strip() for part in str(self.per_variant).strip("[]() ").split(",") if part.strip()]
        if len(parts) not in (1, 2) or not all(_IS_COUNT.fullmatch(part) for part in parts):
            raise SettingError(f"per_variant = {self.per_variant!r}", expected="one number, or two as in 1,3")
        return int(parts[0]), int(parts[-1])

    def source(self) -> ObjectChoice:
        """Which objects, and what is changed in their recipe.

        Raises:
            SettingError: sizes, names or numbers that cannot be read.
        """
        return ObjectChoice(
            seed=self.seed,
            camera=self.camera,
            location=self.classes,
            per_variant=self.objects_range,
            extra=self.changes,
            sizes=None if self.sizes is None else parse_sizes(self.sizes),
            real_sizes=None if self.sizes_file is None else RealSizes.from_yaml(self.sizes_file),
            include=None if self.include is None else class_names("include", self.include),
            exclude=() if self.exclude is None else class_names("exclude", self.exclude),
            images=self.images,
        )


def class_names(option: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Class names, as text with commas or as a list.

    Raises:
        SettingError: there is none; names the option.
    """
    parts = given.split(",") if isinstance(given, str) else given
    names = tuple(part.strip() for part in parts if part.strip())
    if not names:
        raise SettingError(f"{option} = {given!r}", expected="one name or more: dog,cat")
    return names
