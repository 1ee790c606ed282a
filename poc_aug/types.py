"""The data that all stages share, as frozen dataclasses; the protocols of backends are in `poc_aug.protocols`.

Boxes are ``(y, x, h, w)`` integers in pixels, named ``*_yxhw``; sizes are ``(h, w)``, named ``*_hw``.
A ``mask`` is boolean; a map of label ids is ``labels``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch

from poc_aug.camera_model import Calibration, Camera
from poc_aug.notebook import WIDTH_PX, ShownAsPicture
from poc_aug.recipe import IGNORED, InpaintPass

if TYPE_CHECKING:
    from PIL import Image

Box: TypeAlias = tuple[int, int, int, int]
"""``(y, x, h, w)`` in pixels."""


MAX_SEVERITY = 5
"""Highest severity of a scene shift, as in ImageNet-C; the lowest is 1."""

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Sample(ShownAsPicture):
    """One item of the base dataset in the library's own form.

    Attributes:
        image: uint8 ``[3, H, W]``, RGB.
        labels: integer ``[H, W]``, label ids.
        key: stable name of the item, unique in its dataset.
        calibration: the frame's camera as its calibration file has it, for recipes with ``camera: file``.
        depth_m: float32 ``[H, W]``, depth of each pixel in metres, infinite on the sky, if the dataset has it and scene
            shifts are to use it.

    Example:
        >>> image, labels = torch.zeros(3, 4, 8, dtype=torch.uint8), torch.zeros(4, 8, dtype=torch.uint8)
        >>> Sample(image, labels, key="aachen/000000.png").size_hw
        (4, 8)
    """

    image: torch.Tensor
    labels: torch.Tensor
    key: str
    calibration: Calibration | None = None
    depth_m: torch.Tensor | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[-2], self.image.shape[-1]

    def show(self, schema: Any = None, *, width_px: int = WIDTH_PX) -> Image.Image:
        """Image and labels, to look at; a notebook displays them, ``.save(path)`` keeps them.

        Args:
            schema: names the label ids: a `LabelSchema`, its name, or a YAML file.
            width_px: width of the picture at most.

        Raises:
            SchemaError: no such schema.
            SettingError: a width that is not an integer from 64 to 8192.
        """
        return self._notebook_picture(width_px, schema=schema)


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of the object that an inserter would draw for a seed, for the search for a region.

    Attributes:
        aspect: width / height of the object's upright silhouette.
        height_m: its real height in metres; ``None`` if the recipe's size rule has to give it.
        depth_m: its length away from the camera in metres, which makes flat objects look higher, seen from above.
        max_height_px: largest height that it can be drawn at (a small cut-out would be blurred); ``None``: any.
    """

    aspect: float
    height_m: float | None = None
    depth_m: float = 0.0
    max_height_px: int | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """Where an object goes, in base-image pixels.

    Attributes:
        box_yxhw: the box to fill.
        crop_yxhw: the square around it that an inserter sees (less than a square only if the frame is smaller).
        rung: the rung of the recipe's fallback ladder that found the place; 0 is the first.
        camera: the frame's camera, if it is known.
    """

    box_yxhw: Box
    crop_yxhw: Box
    rung: int = 0
    camera: Camera | None = None


@dataclass(frozen=True, slots=True)
class Crop:
    """What an inserter receives.

    Attributes:
        image: uint8 ``[3, h, w]``, the crop's pixels in base resolution; never modified.
        box_yxhw: the box to fill, in crop coordinates.
        object_name: name of the `ObjectSpec`.
        prompt: the prompt drawn for this attempt, in the recipe's template.
        parts: class names of the object's parts; most objects have one, their own name.
        seed: the attempt's seed: equal seeds give equal insertions.
        camera: the frame's camera in crop coordinates, if it is known.
        detect: what an annotator is asked to find, one text per part.
        passes: the recipe's inpainting passes, for inserters that paint.
        object_prompt: the drawn prompt without the template, for passes with a template of their own.
    """

    image: torch.Tensor
    box_yxhw: Box
    object_name: str
    prompt: str
    parts: tuple[str, ...]
    seed: int
    camera: Camera | None = None
    detect: tuple[str, ...] = ()
    passes: tuple[InpaintPass, ...] = ()
    object_prompt: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One labelled part of an inserted object.

    Attributes:
        name: class name, or `IGNORED`; a `LabelPolicy` turns it into a label id when reading.
        mask: bool ``[h, w]``.
        score: confidence of the annotator in [0, 1]; 1 if the mask is exact.
    """

    name: str
    mask: torch.Tensor
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Annotation:
    """The part masks found in a filled crop, bool ``[h, w]`` of the crop's size, in order of precedence."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """What an inserter returns for a `Crop`.

    Attributes:
        image: uint8 ``[3, h, w]``, the crop with the object in it.
        annotation: exact masks, if the inserter knows them; ``None`` requires an annotator.
        alpha: uint8 ``[h, w]``, the object's own soft matte (255 opaque); ``None``: the mask is feathered.
        shade: uint8 ``[h, w]``: how much the object darkens the base, ``base * (255 - shade) / 255``.
        provenance: JSON values that describe how it was made.
        unlabelled: its visible pixels (``alpha``) outside the object's parts get an ignore label: pasted background
            whose class is not known.
    """

    image: torch.Tensor
    annotation: Annotation | None = None
    alpha: torch.Tensor | None = None
    shade: torch.Tensor | None = None
    provenance: Mapping[str, Json] = field(default_factory=dict)
    unlabelled: bool = False


RejectionReason: TypeAlias = Literal[
    "no room",
    "not detected",
    "outside the box",
    "too small",
    "not finite",
    "black",
    "unsafe",
    "not drawable",
    "unreadable cut-out",
    "labels do not hold",
    "dropped",
]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an attempt was rejected: a value that is counted, never an exception.

    Attributes:
        reason: one of the known reasons.
        object_name: the object that was tried.
        attempt: number of the attempt, from 0.
        detail: figures that explain it ("mask 61% inside the box, at least 95% needed").
    """

    reason: RejectionReason
    object_name: str = ""
    attempt: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Insertion(ShownAsPicture):
    """The delta: everything needed to insert one object into its base sample again.

    Attributes:
        box_yxhw: the patch's rectangle in base-image pixels, wholly inside the frame.
        patch: uint8 ``[3, h, w]``; zero outside the object's feathered support.
        parts: labelled parts, masks bool ``[h, w]``, disjoint; `IGNORED`, if there is such a part, comes last.
        alpha: uint8 ``[h, w]``, the object's own matte; ``None``: the union of the masks is feathered.
        shade: uint8 ``[h, w]``, the object's shadow on the base: ``base * (255 - shade) / 255``.
        object_name: name of the `ObjectSpec`.
        max_sigma_px: largest feather the patch holds pixels for.
        provenance: JSON values: prompt, seed, attempt, rung, region and what the inserter reported.

    Example:
        >>> parts = (Part("rider", torch.tensor([[True, False]])), Part("bicycle", torch.tensor([[False, True]])))
        >>> patch = torch.zeros(3, 1, 2, dtype=torch.uint8)
        >>> Insertion((8, 4, 1, 2), patch, parts, None, None, object_name="cyclist", max_sigma_px=3.0).mask
        tensor([[True, True]])
    """

    box_yxhw: Box
    patch: torch.Tensor
    parts: tuple[Part, ...]
    alpha: torch.Tensor | None
    shade: torch.Tensor | None
    object_name: str
    max_sigma_px: float
    provenance: Mapping[str, Json] = field(default_factory=dict)

    @property
    def mask(self) -> torch.Tensor:
        """The object: union of the part masks without `IGNORED`, bool ``[h, w]``."""
        if not self.parts:
            return torch.zeros(self.box_yxhw[2:], dtype=torch.bool)
        union = self.parts[0].mask
        for part in self.parts[1:]:
            if part.name != IGNORED:
                union = union | part.mask
        return union

    def show(self, frame: Sample | None = None, *, width_px: int = WIDTH_PX) -> Image.Image:
        """The object and its masks, to look at.

        Args:
            frame: the frame that it was made for; ``None``: it is shown on grey.
            width_px: width of the picture at most.

        Raises:
            SettingError: the object lies outside of the frame; a width that is not an integer from 64 to 8192.
        """
        return self._notebook_picture(width_px, frame=frame)


@dataclass(frozen=True, slots=True)
class ShiftedFrame(ShownAsPicture):
    """A whole frame in another domain; its labels are those of the base frame.

    Attributes:
        image: uint8 ``[3, H, W]``, of the base image's size.
        domain: the domain, such as "fog".
        severity: 1 to 5.
        provenance: JSON values: seed, attempt, prompt, agreement of the labels, and what the shifter reported.

    Example:
        >>> ShiftedFrame(torch.zeros(3, 4, 8, dtype=torch.uint8), "fog", 3).domain
        'fog'
    """

    image: torch.Tensor
    domain: str
    severity: int
    provenance: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variant(ShownAsPicture):
    """The k-th augmentation of one sample: what a cache stores under ``(key, index)``.

    Attributes:
        key: the sample's key.
        index: k, from 0.
        digest: cheap digest of the base image, see `poc_aug.items.image_digest`.
        insertions: the accepted insertions; empty if every attempt was rejected.
        rejections: the rejected attempts, with reasons.
        label_digest: cheap digest of the base labels by class name, see `poc_aug.labels.label_digest`; empty if no
            schema was known, or if the cache was made before there were label digests.
        frame: the frame in another domain, in caches of scene shifts; ``None`` in those of insertions, and if every
            attempt was rejected.
    """

    key: str
    index: int
    digest: bytes
    insertions: tuple[Insertion, ...]
    rejections: tuple[Rejection, ...] = ()
    label_digest: bytes = b""
    frame: ShiftedFrame | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show: every attempt was rejected."""
        return not self.insertions and self.frame is None

    def show(self, frame: Sample | None = None, *, width_px: int = WIDTH_PX) -> Image.Image:
        """The objects, or the shifted frame, to look at.

        Args:
            frame: the frame that it was made for, which is shown before and after; ``None``: objects on grey.
            width_px: width of the picture at most.

        Raises:
            SettingError: an object lies outside of the frame; a width that is not an integer from 64 to 8192.
        """
        return self._notebook_picture(width_px, frame=frame)
