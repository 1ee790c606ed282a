"""What is generated: objects, sizes, places, thresholds, retries, seed.

A recipe is frozen, validates itself, and converts to and from dicts and YAML. Its `Recipe.fingerprint` is the hash of
its canonical JSON; a cache stores it and cannot be continued with another recipe.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import xxhash
import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from poc_aug.camera_spec import CAMERAS as CAMERAS
from poc_aug.camera_spec import CameraSpec as CameraSpec
from poc_aug.errors import RecipeError
from poc_aug.files.yaml_files import read_yaml
from poc_aug.notebook import ShownAsHtml

IGNORED = "(ignored)"
"""Reserved part name: pixels that an insertion covers without an object on them. Not a class; gets an ignore id."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PixelSize(_Frozen):
    """Box height uniform in ``[min_px, max_px)``, as in the paper (POC, public parameters).

    Width is uniform in ``[aspect_min * height, aspect_max * height]`` within the same limits, or follows the
    inserter's own aspect if it has one.

    Example:
        >>> Recipe(objects=["dog"], size=PixelSize(min_px=40, max_px=120)).size
        PixelSize(kind='pixels', min_px=40, max_px=120)
    """

    kind: Literal["pixels"] = "pixels"
    min_px: int = Field(ge=4)
    max_px: int = Field(ge=5)

    @model_validator(mode="after")
    def _ordered(self) -> PixelSize:
        if self.max_px <= self.min_px:
            raise ValueError(f"max_px={self.max_px} must be greater than min_px={self.min_px}")
        return self


class FrameSize(_Frozen):
    """As `PixelSize`, in fractions of the frame's longer side; POC's default limits are 0.1 and 0.3.

    Example:
        >>> Recipe(objects=["dog"]).size
        FrameSize(kind='frame', min_fraction=0.1, max_fraction=0.3)
    """

    kind: Literal["frame"] = "frame"
    min_fraction: float = Field(default=0.1, gt=0, lt=1)
    max_fraction: float = Field(default=0.3, gt=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> FrameSize:
        if self.max_fraction <= self.min_fraction:
            raise ValueError(f"max_fraction={self.max_fraction} must be greater than min_fraction={self.min_fraction}")
        return self


class PerspectiveSize(_Frozen):
    """Size in metres: the height in pixels follows from the foot's row, the horizon and the camera's height.

    Attributes:
        size_m: real size in metres; ``None`` takes the inserter's own (rendered objects know theirs).
        measure: whether ``size_m`` is the object's height, or its longest side (for things that lie on the ground).
        jitter: the size is multiplied by a factor uniform in ``[1 - jitter, 1 + jitter]``.
        min_px: places where the longer side of the box would be smaller than this are not used.
        max_fraction: nor are places where the box would be higher than this fraction of the frame's height.

    Example:
        >>> Recipe(objects=[{"name": "mug", "size": PerspectiveSize(size_m=0.1)}]).spec("mug").size.measure
        'height'
    """

    kind: Literal["perspective"] = "perspective"
    size_m: float | None = Field(default=None, gt=0)
    measure: Literal["height", "longest"] = "height"
    jitter: float = Field(default=0.1, ge=0, lt=1)
    min_px: int = Field(default=16, ge=4)
    max_fraction: float = Field(default=0.6, gt=0, le=1)


SizeRule = Annotated[PixelSize | FrameSize | PerspectiveSize, Field(discriminator="kind")]


class Rung(_Frozen):
    """One rung of the fallback ladder, the places to try in turn (POC's fallbacks, made explicit and recorded).

    Attributes:
        size_scale: the size limits are multiplied by this (pixel and frame sizes only; sizes in metres do not change).
        min_overlap: smallest fraction of the box (or of its foot) on the valid area; 0 means anywhere.
    """

    size_scale: float = Field(default=1.0, gt=0, le=1)
    min_overlap: float = Field(default=0.5, ge=0, le=1)


PAPER_LADDER = (
    Rung(size_scale=1.0, min_overlap=0.5),
    Rung(size_scale=0.7, min_overlap=0.3),
    Rung(size_scale=0.7, min_overlap=0.0),
)
"""POC's fallbacks: box limits x 0.7 and overlap 0.3, then anywhere."""


class InpaintPass(_Frozen):
    """One pass of an inpainting model over a crop; several run in sequence, each on the result of the one before.

    ``None`` means the inserter's own setting, or otherwise the model family's default.

    Attributes:
        steps: denoising steps (paper: 50).
        guidance: classifier-free guidance scale (paper: 7.5; GenVal: 15).
        strength: how much noise is added to the box's pixels first; 1 replaces them, 0.65 refines them (GenVal).
        negative_prompt: what to avoid.
        prompt: another text for this pass, with ``{object}`` for the object's prompt; ``None``: the crop's own.
        mask_blur_px: width of the box filter over the box mask, in pixels of the model's input (GenVal: 128 at 512).
        grow: the mask's box is the region's, enlarged by this factor (and clipped to the crop).

    Example:
        >>> refine = InpaintPass(strength=0.65, prompt="A good photo of {object}")
        >>> len(Recipe(objects=["dog"], passes=(InpaintPass(), refine)).passes)
        2
    """

    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=100)
    strength: float = Field(default=1.0, gt=0, le=1)
    negative_prompt: str | None = None
    prompt: str | None = None
    mask_blur_px: int = Field(default=0, ge=0, le=1024)
    grow: float = Field(default=1.0, ge=1, le=4)


class ObjectSpec(_Frozen):
    """An object that may be inserted.

    Attributes:
        name: unique in its recipe; also the class name if the object has one part.
        prompts: texts that ask an inserter for the object; one is drawn per attempt. Default: the name.
        parts: class names of its parts, in order of precedence ("rider", "bicycle"). Default: the name.
        size: its own size rule; ``None``: the recipe's.
        location: names of the classes it may stand on; ``None``: the recipe's; ``()``: anywhere.
        detect: what an annotator looks for, one text per part. Default: the parts' names.
        crop_px: side of the crop in base pixels (paper: 512 for "person"); ``None``: by the recipe's ``crop_scale``.
        aspect: smallest and largest width / height of its box; ``None``: the recipe's. An inserter that knows what it
            will draw decides itself.

    Example:
        >>> ObjectSpec(name="dog", prompts=("a sitting dog", "a running dog"), location=("sidewalk",)).parts
        ('dog',)
        >>> ObjectSpec(name="cyclist", parts=("rider", "bicycle")).detect
        ('rider', 'bicycle')
    """

    name: str = Field(min_length=1)
    prompts: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    size: SizeRule | None = None
    location: tuple[str, ...] | None = None
    detect: tuple[str, ...] = ()
    crop_px: int | None = Field(default=None, ge=16)
    aspect: tuple[PositiveFloat, PositiveFloat] | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"name": data}
        if isinstance(data, dict):
            data = {**data}
            for field in ("prompts", "parts"):
                given = data.get(field) or data.get("name")
                data[field] = (given,) if isinstance(given, str) else given
            if not data.get("detect"):
                data["detect"] = data["parts"]
            elif isinstance(data["detect"], str):
                data["detect"] = (data["detect"],)
        return data

    @model_validator(mode="after")
    def _complete(self) -> ObjectSpec:
        if not all(text.strip() for text in (*self.prompts, *self.parts, *self.detect)):
            texts = f"prompts={self.prompts}, parts={self.parts} and detect={self.detect}"
            raise ValueError(f"{texts} must not hold an empty text")
        if len(self.detect) != len(self.parts):
            raise ValueError(f"detect={self.detect} must hold one text per part, parts={self.parts}")
        if self.aspect is not None and self.aspect[1] < self.aspect[0]:
            raise ValueError(f"aspect={self.aspect} must hold the smallest, then the largest")
        if len(set(self.parts)) < len(self.parts):
            raise ValueError(f"parts={self.parts} must be different")
        if IGNORED in self.parts:
            raise ValueError(f"parts={self.parts} must not hold the reserved name {IGNORED!r}")
        return self


class Recipe(ShownAsHtml, _Frozen):
    """Everything that decides *what* is generated.

    Attributes:
        objects: what may be inserted.
        objects_per_variant: fewest and most objects in one variant. Objects are drawn without replacement over
            the variants of a sample, as in the paper (POC §3.2).
        location: class names that objects stand on; ``()`` means anywhere.
        size: the size rule of objects that have none of their own.
        camera: the frames' camera.
        ladder: the fallback ladder: places to try, strictest first. If the last rung finds none, the attempt is
            rejected.
        overlap_on: measure the overlap on the whole ``"box"`` (paper) or on its ``"foot"``, the lowest part.
        foot_fraction: height of that lowest part, as a fraction of the box.
        margin_px: distance of boxes to the frame's border.
        aspect_min: smallest width / height of a box, if the inserter does not decide it (paper: 0.8).
        aspect_max: largest (paper: 1.2).
        crop_scale: side of the crop over the longer side of the box (paper: 1.2).
        gap_px: distance kept between the boxes of one variant.
        min_inside_box: smallest fraction of the mask inside the box (paper: 0.95).
        min_area_of_crop: smallest mask area over the crop's area (paper: 0.01).
        attempts: how often an object is tried, each time with a new seed.
        max_sigma_px: largest feather that can be chosen on reading.
        seed: the base seed.
        prompt_template: text around each object's prompt, with ``{object}`` (paper: "A good photo of {object}").
        passes: inpainting passes, for inserters that paint.
        locate_by: where valid areas come from: ``"labels"``, the ``"locator"``, or ``"auto"``: the labels if the
            schema knows every class of the location, otherwise the locator.
        recover_shade: take the darkening that an inserter painted around the object for its shadow, and darken the
            base by it (`poc_aug.generation.shade`), unless the inserter itself reports how the object darkens the base.

    Example:
        >>> recipe = Recipe(objects=["dog", {"name": "cat", "size": {"kind": "pixels", "min_px": 40, "max_px": 80}}])
        >>> recipe.spec("cat").size
        PixelSize(kind='pixels', min_px=40, max_px=80)
        >>> Recipe.from_dict(recipe.to_dict()) == recipe
        True
        >>> recipe.with_changes(seed=-0.5)
        Traceback (most recent call last):
        ...
        poc_aug.errors.RecipeError: the recipe is not valid:
          seed = -0.5: Input should be a valid integer, got a number with a fractional part
        Expected: the fields of poc_aug.Recipe
        Next step: correct the named fields
    """

    objects: tuple[ObjectSpec, ...] = Field(min_length=1)
    objects_per_variant: tuple[int, int] = (1, 1)
    location: tuple[str, ...] = ("road",)
    size: SizeRule = FrameSize()
    camera: CameraSpec = CameraSpec()
    ladder: tuple[Rung, ...] = Field(default=PAPER_LADDER[:2], min_length=1)
    overlap_on: Literal["box", "foot"] = "box"
    foot_fraction: float = Field(default=0.15, gt=0, le=1)
    margin_px: int = Field(default=0, ge=0)
    aspect_min: float = Field(default=0.8, gt=0)
    aspect_max: float = Field(default=1.2, gt=0)
    crop_scale: float = Field(default=1.2, ge=1)
    gap_px: int = Field(default=4, ge=0)
    min_inside_box: float = Field(default=0.95, ge=0, le=1)
    min_area_of_crop: float = Field(default=0.01, ge=0, le=1)
    attempts: int = Field(default=3, ge=1)
    max_sigma_px: float = Field(default=3.0, ge=0, le=50)
    seed: int = 0
    prompt_template: str = "{object}"
    passes: tuple[InpaintPass, ...] = Field(default=(InpaintPass(),), min_length=1)
    locate_by: Literal["auto", "labels", "locator"] = "auto"
    recover_shade: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        names = [spec.name for spec in self.objects]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"object names must be unique, these occur twice: {twice}")
        low, high = self.objects_per_variant
        if not (0 <= low <= high and high >= 1):
            raise ValueError(f"objects_per_variant={self.objects_per_variant} must be 0 <= fewest <= most, most >= 1")
        for text in (self.prompt_template, *(step.prompt for step in self.passes if step.prompt is not None)):
            if text.count("{object}") != 1:
                raise ValueError(f"prompt template {text!r} must hold {{object}} once")
        if self.aspect_max < self.aspect_min:
            raise ValueError(f"aspect_max={self.aspect_max} must not be less than aspect_min={self.aspect_min}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """JSON values; ``Recipe.from_dict(recipe.to_dict()) == recipe``."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recipe:
        """Build from JSON values.

        Raises:
            RecipeError: names each wrong field, its value and what is expected.
        """
        try:
            return cls.model_validate(data)
        except pydantic.ValidationError as error:
            raise _recipe_error(error) from error

    @classmethod
    def from_yaml(cls, path: str | Path) -> Recipe:
        """Read a recipe from a YAML file.

        Raises:
            RecipeError: no such file, not YAML, or not a valid recipe.
        """
        return cls.from_dict(read_yaml(path))

    def to_yaml(self, path: str | Path) -> None:
        """Write the recipe as YAML."""
        Path(path).write_text(yaml.safe_dump(self.to_dict(), sort_keys=False), encoding="utf-8")

    @property
    def fingerprint(self) -> str:
        """Hash of the canonical JSON: 32 hex digits; equal recipes have equal fingerprints."""
        return fingerprint(self.to_dict())

    def spec(self, name: str) -> ObjectSpec:
        """The object of that name.

        Raises:
            RecipeError: no such object; the message lists the known ones.
        """
        for spec in self.objects:
            if spec.name == name:
                return spec
        known = ", ".join(spec.name for spec in self.objects)
        raise RecipeError(f"no object {name!r} in the recipe", expected=f"one of: {known}")

    def with_changes(self, **changes: Any) -> Recipe:
        """A validated copy with some fields replaced."""
        return Recipe.from_dict({**self.model_dump(), **changes})


def fingerprint(value: Any) -> str:
    """Hash of a JSON value's canonical form (sorted keys, no spaces): 32 hex digits.

    Example:
        >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return xxhash.xxh3_128_hexdigest(text.encode())


def _recipe_error(error: pydantic.ValidationError) -> RecipeError:
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "recipe"
        lines.append(f"{where} = {item['input']!r}: {item['msg']}")
    return RecipeError(
        "the recipe is not valid:\n  " + "\n  ".join(lines),
        expected="the fields of poc_aug.Recipe",
        hint="correct the named fields",
    )
