"""Copy-paste of real cut-out objects: an inserter that needs no weights.

This is the "COCO stitching" that anomaly-segmentation papers fine-tune on, plus what it usually lacks: edges without
a halo, the scene's light, colour, sharpness and grain, and a contact shadow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_cutouts import Cutout, is_resource_error
from poc_aug.backends.paste.contact_shadow import contact_shadow, draw_shadow, flatness, opaque_box
from poc_aug.backends.paste.harmonise import add_grain, darken_foot, draw_harmonise, match_colours, match_sharpness
from poc_aug.backends.paste.resample import BAND_PX, PlacedCutout, fit_to_box, flip_and_rotate
from poc_aug.errors import ObjectBankError, RecipeError, SettingError
from poc_aug.masks import dilate
from poc_aug.seeding import generator, integer, uniform
from poc_aug.types import Annotation, Crop, Extent, Filled, Json, Part, Rejection

PASTE_VERSION = 1
"""Incremented whenever equal settings would draw other pixels."""

_logger = logging.getLogger("poc_aug")

MIN_ALPHA_LEVEL = 4
"""Weaker alpha of a soft matte is set to 0."""


@dataclass(frozen=True, slots=True)
class CutoutDraw:
    """Which cut-out a seed draws, and how it is transformed."""

    index: int
    flip: bool
    rotate_deg: float


class PasteInserter:
    """Pastes cut-outs of an `ObjectBank`; an object's name is its class in the bank.

    An attempt that draws an unreadable cut-out is rejected ("unreadable cut-out"); each such cut-out is logged once.

    Args:
        bank: the cut-outs.
        flip: mirror half of them.
        rotate_deg: rotate each by up to this many degrees either way, at most 180 (for views from above).
        harmonise: how far light and colour move towards the scene's, from 0 (not at all) to 1.
        shadow: draw a soft contact shadow, and darken the object towards its foot.
        sharpness: blur objects that are sharper than the scene.
        grain: add the scene's noise.
        edge: ``"antialias"``: hard cut-outs use the alpha of their own resampling, whatever feather is chosen for
            reading; ``"feather"``: they are feathered when composed (POC section 3.1), which leaves stair steps on
            outlines of high contrast. Soft mattes always use their own alpha.
        max_upscale: cut-outs that would be enlarged more than this are rejected, because they would look blurred.

    Raises:
        SettingError: a setting outside its limits.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> from poc_aug.masks import bounds
        >>> image = torch.full((3, 64, 96), 90, dtype=torch.uint8)
        >>> labels = torch.zeros(64, 96, dtype=torch.uint8)  # all road
        >>> labels[12:52, 24:72] = 13  # a car
        >>> bank = ObjectBank.from_dataset([(image, labels)], SCHEMAS["cityscapes-trainIds"], ["car"])
        >>> frame = torch.full((3, 80, 90), 120, dtype=torch.uint8)
        >>> crop = Crop(frame, (30, 20, 40, 50), object_name="car", prompt="a car", parts=("car",), seed=0)
        >>> (filled,) = PasteInserter(bank, shadow=False).insert([crop])
        >>> bounds(filled.annotation.parts[0].mask)  # as large as the box allows, standing on its bottom row
        (30, 20, 40, 49)
    """

    def __init__(
        self,
        bank: ObjectBank,
        *,
        flip: bool = True,
        rotate_deg: float = 0.0,
        harmonise: float = 0.6,
        shadow: bool = True,
        sharpness: bool = True,
        grain: bool = True,
        edge: Literal["feather", "antialias"] = "antialias",
        max_upscale: float = 2.0,
    ) -> None:
        limits = (
            ("rotate_deg", rotate_deg, 0, 180),
            ("harmonise", harmonise, 0, 1),
            ("max_upscale", max_upscale, 1, 8),
        )
        for name, value, low, high in limits:
            if not low <= value <= high:
                raise SettingError(f"PasteInserter: {name}={value}", expected=f"{low} to {high}")
        if edge not in ("feather", "antialias"):
            raise SettingError(f"PasteInserter: edge={edge!r}", expected="'feather' or 'antialias'")
        self.bank = bank
        self.flip = flip
        self.rotate_deg = rotate_deg
        self.harmonise = harmonise
        self.shadow = shadow
        self.sharpness = sharpness
        self.grain = grain
        self.edge = edge
        self.max_upscale = max_upscale
        self._logged: set[str] = set()

    needs_camera = False

    def __repr__(self) -> str:
        return f"PasteInserter({self.bank!r})"

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is drawn."""
        settings = {name: value for name, value in vars(self).items() if name not in ("bank", "_logged")}
        return {"inserter": "paste", "version": PASTE_VERSION, **settings, "bank": self.bank.describe()}

    def left_out(self) -> Mapping[str, int]:
        """How many candidates the bank left out when it was built, by reason."""
        return self.bank.dropped

    def unreadable(self) -> Mapping[str, str]:
        """Why a cut-out could not be read when it was drawn, by name."""
        return self.bank.unreadable

    def extent(self, object_name: str, seed: int) -> Extent | Rejection:
        """Aspect ratio of the silhouette that ``insert`` draws for this seed, and how far it may be enlarged.

        Returns a `Rejection` if its cut-out cannot be read.

        Raises:
            RecipeError: a class that the bank does not have.
        """
        drawn = self._draw_cutout(object_name, seed)
        cutout = self._read(drawn, object_name)
        if isinstance(cutout, Rejection):
            return cutout
        _, opacity = _transformed(cutout, drawn)
        _, _, h, w = opaque_box(opacity)
        return Extent(aspect=w / h, max_height_px=max(1, int(h * self.max_upscale)))

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """Paste one object into each crop, as large as its box allows, standing on the box's bottom row.

        Raises:
            RecipeError: a class that the bank does not have, or an object of several parts.
        """
        return [self._insert(crop) for crop in crops]

    def _insert(self, crop: Crop) -> Filled | Rejection:
        if len(crop.parts) != 1:
            raise RecipeError(
                f"object {crop.object_name!r} has the parts {list(crop.parts)}, but a cut-out shows one part",
                expected="objects of one part for PasteInserter",
                hint="give the object one part in the recipe, or use an inserter whose annotator distinguishes parts",
            )
        drawn = self._draw_cutout(crop.object_name, crop.seed)
        cutout = self._read(drawn, crop.object_name)
        if isinstance(cutout, Rejection):
            return cutout
        colours, opacity = _transformed(cutout, drawn)
        _, _, h, w = opaque_box(opacity)
        _, _, box_h, box_w = crop.box_yxhw
        scale = min(box_h / h, box_w / w)
        if scale > self.max_upscale:
            detail = f"{cutout.source} would be enlarged {scale:.1f} times, at most {self.max_upscale:g} is allowed"
            return Rejection("not drawable", crop.object_name, detail=detail)
        placed = fit_to_box(colours, opacity, crop.box_yxhw, soft=cutout.soft)
        if placed is None:
            return Rejection("too small", crop.object_name, detail=f"{cutout.source} vanishes in {box_h}x{box_w} px")
        placed, done = self._harmonised(crop, placed)
        provenance: dict[str, Json] = {
            "inserter": "paste",
            "category": cutout.category,
            "source": cutout.source,
            **cutout.licence.provenance(),
            "scale": round(scale, 4),
            "flip": drawn.flip,
            "rotate_deg": round(drawn.rotate_deg, 2),
            "harmonise": done,
        }
        return self._compose(crop, placed, cutout, provenance)

    def _draw_cutout(self, object_name: str, seed: int) -> CutoutDraw:
        choices = self.bank.by_class(object_name)
        rng = generator(seed, "paste", object_name)
        index = choices[integer(rng, 0, len(choices))]
        flip = uniform(rng, 0, 1) < 0.5 and self.flip
        return CutoutDraw(index, flip, uniform(rng, -1, 1) * self.rotate_deg)

    def _read(self, drawn: CutoutDraw, object_name: str) -> Cutout | Rejection:
        try:
            return self.bank.cutout(drawn.index)
        except ObjectBankError as error:
            if is_resource_error(error):  # the same cut-out may be readable another time
                raise
            name = self.bank.name(drawn.index)
            if name not in self._logged:
                self._logged.add(name)
                _logger.warning("Attempts that draw the cut-out %s are rejected: %s", name, error.problem)
            # Without the reason, which contains the bank's path: equal attempts have equal records.
            return Rejection("unreadable cut-out", object_name, detail=name)

    def _harmonised(self, crop: Crop, placed: PlacedCutout) -> tuple[PlacedCutout, dict[str, Json]]:
        rng = generator(crop.seed, "paste", crop.object_name, "light")
        draw = draw_harmonise(rng, self.harmonise)
        scene = crop.image.float() / 255
        colours, mask, alpha = placed.colours, placed.mask, placed.opacity
        done: dict[str, Json] = {}
        if self.harmonise > 0:
            y, _, h, _ = crop.box_yxhw
            camera = crop.camera
            distance = None if camera is None or y + h <= camera.horizon_row else camera.distance_m(y + h)
            colours, correction = match_colours(colours, mask, scene, crop.box_yxhw, distance, draw)
            done |= correction
        if self.shadow:
            colours = darken_foot(colours, mask, draw)
        if self.sharpness:
            colours, alpha, correction = match_sharpness(colours, alpha, scene)
            done |= correction
        if self.grain:
            noise = generator(crop.seed, "paste", crop.object_name, "grain")
            colours, correction = add_grain(colours, mask, scene, draw, noise)
            done |= correction
        return replace(placed, colours=colours, alpha=alpha), done

    def _compose(self, crop: Crop, placed: PlacedCutout, cutout: Cutout, provenance: dict[str, Json]) -> Filled:
        height, width = crop.image.shape[1:]
        inner, outer = placed.windows(height, width)
        opacity, alpha = torch.zeros((2, height, width), dtype=torch.float64)
        opacity[outer], alpha[outer] = placed.opacity[inner], placed.alpha[inner]
        mask = opacity >= 0.5
        image = crop.image.clone()
        levels = (placed.colours[:, *inner] * 255).round().clamp(0, 255).to(torch.uint8)
        # A feather needs object colours next to the mask; further out, the crop is unchanged.
        image[:, *outer] = torch.where(dilate(mask, BAND_PX)[outer], levels, image[:, *outer])
        matte = None
        if cutout.soft or self.edge == "antialias":
            matte = (alpha * 255).round().to(torch.uint8)
            # Stray haze of a matte is not visible, but would make the patch large.
            matte[matte < MIN_ALPHA_LEVEL] = 0
        shade = None
        if self.shadow:
            rng = generator(crop.seed, "paste", crop.object_name, "shadow")
            draw = draw_shadow(rng)
            y, _, h, _ = crop.box_yxhw
            shade = contact_shadow(opacity, flatness(crop.camera, y + h), draw)
            provenance["shadow"] = {name: round(value, 3) for name, value in asdict(draw).items()}
        return Filled(
            image=image,
            annotation=Annotation((Part(crop.parts[0], mask),)),
            alpha=matte,
            shade=shade,
            provenance=provenance,
        )


def _transformed(cutout: Cutout, drawn: CutoutDraw) -> tuple[torch.Tensor, torch.Tensor]:
    return flip_and_rotate(cutout.image, cutout.alpha, flip=drawn.flip, rotate_deg=drawn.rotate_deg)
