"""The options of ``warm-cache``, checked: from the command line, from a YAML file, or from both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from poc_aug.cache import Codec
from poc_aug.cli.arguments import config_value
from poc_aug.cli.backends import BackendOptions, check_options
from poc_aug.cli.object_choice import ObjectSource
from poc_aug.errors import SettingError
from poc_aug.generation.warm_report import OnError
from poc_aug.presets.object_sizes import RealSizes
from poc_aug.presets.size_choice import parse_sizes
from poc_aug.recipe import read_yaml

ANYWHERE = "anywhere"
_FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True)


class DatasetConfig(BaseModel):
    """The dataset: a callable's name and its keyword arguments."""

    model_config = _FROZEN

    type: str
    args: dict[str, Any] = {}

    @field_validator("args", mode="before")
    @classmethod
    def _values(cls, args: Any) -> Any:
        if isinstance(args, Mapping):
            return {name: config_value(value) for name, value in args.items()}
        return {} if args is None else args


class WarmConfig(BackendOptions):
    """What ``warm-cache`` is to do; each description says what the field takes, as errors tell it."""

    dataset: DatasetConfig | None = Field(
        default=None, description="'package.module:callable' or {type: 'package.module:callable', args: {key: value}}"
    )
    objects: str | None = Field(default=None, description="a preset's name or a path")
    images: str | None = Field(default=None, description="the folder of a COCO file's images")
    paper_sizes: bool = Field(default=False, description="true or false")
    sizes: str | None = Field(
        default=None, description="40:120px (pixels), 0.05:0.2 (parts of the frame's longer side) or metres"
    )
    sizes_file: str | None = Field(default=None, description="a YAML file's path: real sizes by name, {mug: 0.1}")
    include: str | list[str] | None = Field(default=None, description="class names: 'dog,cat' or a list")
    exclude: str | list[str] | None = Field(default=None, description="class names: 'dog,cat' or a list")
    changes: dict[str, Any] = Field(default={}, alias="set", description="fields of the recipe: {attempts: 5}")
    out: str | None = Field(default=None, description="the path of the cache")
    num_variants: int = Field(default=3, ge=1, description="a whole number, 1 or more")
    limit: int | None = Field(default=None, ge=1, description="a whole number, 1 or more, or null for all samples")
    seed: int | None = Field(default=None, description="a whole number")
    # Pydantic's base class has a ``schema`` of its own.
    label_schema: str | None = Field(default=None, alias="schema", description="a known name or a YAML file's path")
    keys: str | None = Field(default=None, description="the name of a column, field or attribute of the dataset")
    camera: str | None = Field(default=None, description="a camera's name")
    location: str | list[str] | None = Field(
        default=None, description="class names, 'road,sidewalk' or a list; or 'anywhere'"
    )
    per_variant: str | int | list[int] | None = Field(default=None, description="a number, or two: '1,3' or [1, 3]")
    workers: int = Field(default=2, ge=0, description="a whole number, 0 or more")
    codec: Codec = Field(default="delta-zstd", description="delta-zstd, webp, webp-lossy, zstd or raw")
    on_error: OnError = Field(default="raise", description="raise or skip")

    @field_validator("changes", mode="before")
    @classmethod
    def _fields(cls, given: Any) -> Any:
        return {} if given is None else given

    @field_validator("dataset", mode="before")
    @classmethod
    def _named(cls, dataset: Any) -> Any:
        return {"type": dataset} if isinstance(dataset, str) else dataset

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class names of ``location``, none of them for anywhere; ``None``: the recipe's.

        Raises:
            SettingError: no name, or "anywhere" beside names.
        """
        if self.location is None:
            return None
        names = class_names("location", self.location)
        if ANYWHERE not in (name.lower() for name in names):
            return names
        if len(names) > 1:
            raise SettingError(f"location = {self.location!r}", expected=f"class names, or {ANYWHERE} alone")
        return ()

    def source(self) -> ObjectSource:
        """Which objects, and what is changed in their recipe.

        Raises:
            SettingError: sizes, names or numbers that cannot be read.
        """
        return ObjectSource(
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

    @property
    def objects_range(self) -> tuple[int, int] | None:
        """Least and most objects in one variant; ``None``: the recipe's.

        Raises:
            SettingError: neither one nor two numbers.
        """
        if self.per_variant is None:
            return None
        parts = [part.strip() for part in str(self.per_variant).strip("[]() ").split(",") if part.strip()]
        if len(parts) not in (1, 2) or not all(part.isdecimal() for part in parts):
            raise SettingError(f"per_variant = {self.per_variant!r}", expected="one number, or two as in 1,3")
        return int(parts[0]), int(parts[-1])


def class_names(option: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Class names, as text with commas or as a list.

    Raises:
        SettingError: there is none; names the option.
    """
    names = given.split(",") if isinstance(given, str) else given
    found = tuple(name.strip() for name in names if name.strip())
    if not found:
        raise SettingError(f"{option} = {given!r}", expected="one name or more: dog,cat")
    return found


def check_config(values: Mapping[str, Any], where: str) -> WarmConfig:
    """Check options by their names in YAML; ``where`` names their source in errors.

    Raises:
        SettingError: an unknown field, or a value that does not fit; names field, value and expectation.
    """
    return check_options(WarmConfig, values, where)


def read_config(path: Path) -> dict[str, Any]:
    """Read the YAML form of the options, and check it; the dataset is ``{type: ..., args: {...}}`` or its name.

    Raises:
        SettingError: not a readable YAML file, or as in `check_config`.
    """
    values = read_yaml(path)
    check_config(values, str(path))
    return values
