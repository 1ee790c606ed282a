"""Lost cargo, ray-cast into the scene: nothing to download, exact masks, true contact shadows.

Light: a crop does not know the other objects of its frame, so if each object drew its own direction of light, shadows
would contradict each other. The direction is therefore a setting of the inserter (``sun_azimuth_deg`` and
``sun_elevation_deg``), the same for all objects; an insertion's seed only varies it by a few degrees and decides how
much of the light comes from the whole sky. Brightness and colour cast are estimated from the ground at the object's
foot, softness and noise from the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from poc_aug import seeding
from poc_aug.backends.rendered.catalogue import CATALOGUE, build_object
from poc_aug.backends.rendered.draw import Picture, draw_object
from poc_aug.backends.rendered.exposure import estimate_exposure, to_srgb
from poc_aug.backends.rendered.light import SceneLight
from poc_aug.backends.rendered.model import Model
from poc_aug.backends.rendered.render_camera import hull_extent, stand_in_box
from poc_aug.backends.rendered.shadow import ground_shade
from poc_aug.backends.rendered.stage import Stage
from poc_aug.errors import RecipeError, SettingError
from poc_aug.presets import load_preset
from poc_aug.recipe import Recipe
from poc_aug.types import Annotation, Crop, Extent, Filled, Part, Rejection

RENDERER_VERSION = 1
"""Incremented whenever equal seeds would draw other pixels; part of every cache's fingerprint."""

_LEAST_AREA_PX = 12


class RenderedInserter:
    """Draws catalogue objects in the scene's own perspective; an `Inserter`.

    An object's name in the recipe is its kind (`poc_aug.backends.rendered.catalogue.CATALOGUE`). Each crop needs a
    camera. The result comes with its exact mask, a matte and the shade of the object's shadow.

    Args:
        kinds: names of the kinds it may draw; ``None``: all.
        supersample: rays along a pixel's side if one ray is not enough.
        shadow_strength: range of the factor on the shadow's darkness, drawn per insertion.
        sun_azimuth_deg: direction of the light: 0 ahead of the camera, 90 right, -90 left.
        sun_elevation_deg: height of the light above the horizon.
        sun_share: range of the fraction of light that has a direction; the rest comes from the whole sky.

    Raises:
        SettingError: an unknown kind, or a number out of its range.

    Example:
        >>> from poc_aug.camera_model import Camera
        >>> inserter = RenderedInserter(["ball"], supersample=1)
        >>> camera = Camera(horizon_row=20.0, camera_height_m=1.3, focal_px=300.0, centre_col=40.0)
        >>> frame = torch.full((3, 90, 80), 110, dtype=torch.uint8)
        >>> crop = Crop(frame, (65, 34, 12, 12), "ball", prompt="a ball", parts=("ball",), seed=3, camera=camera)
        >>> (filled,) = inserter.insert([crop])
        >>> filled.provenance["kind"], int(filled.annotation.parts[0].mask.sum())
        ('ball', 107)
    """

    def __init__(
        self,
        kinds: Sequence[str] | None = None,
        *,
        supersample: int = 3,
        shadow_strength: tuple[float, float] = (0.9, 1.0),
        sun_azimuth_deg: float = -105.0,
        sun_elevation_deg: float = 48.0,
        sun_share: tuple[float, float] = (0.3, 0.5),
    ) -> None:
        self.kinds = tuple(sorted(CATALOGUE)) if kinds is None else tuple(kinds)
        unknown = sorted(set(self.kinds) - set(CATALOGUE))
        if unknown or not self.kinds:
            raise SettingError(
                f"unknown kinds of rendered objects: {unknown}" if unknown else "kinds is empty",
                expected=f"some of: {', '.join(sorted(CATALOGUE))}",
            )
        if not 1 <= supersample <= 8:
            raise SettingError(f"supersample={supersample}", expected="1 to 8")
        for name, (low, high), top in (("shadow_strength", shadow_strength, 1.0), ("sun_share", sun_share, 0.9)):
            if not 0 <= low <= high <= top:
                raise SettingError(f"{name}={(low, high)}", expected=f"0 <= low <= high <= {top}")
        if not 15 <= sun_elevation_deg <= 85:
            raise SettingError(f"sun_elevation_deg={sun_elevation_deg}", expected="15 to 85")
        self.supersample = supersample
        self.shadow_strength = shadow_strength
        self.sun_azimuth_deg = sun_azimuth_deg
        self.sun_elevation_deg = sun_elevation_deg
        self.sun_share = sun_share

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is drawn."""
        return {
            "inserter": "rendered",
            "version": RENDERER_VERSION,
            "kinds": list(self.kinds),
            "supersample": self.supersample,
            "shadow_strength": list(self.shadow_strength),
            "sun_azimuth_deg": self.sun_azimuth_deg,
            "sun_elevation_deg": self.sun_elevation_deg,
            "sun_share": list(self.sun_share),
        }

    needs_camera = True

    def extent(self, object_name: str, seed: int) -> Extent:
        """Size of the object that ``seed`` draws, including its yaw.

        Raises:
            RecipeError: unknown kind.
        """
        return hull_extent(self._build(object_name, seed)[0].points())

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """Draw an object into each crop.

        Raises:
            RecipeError: a crop of an unknown kind, or of an object of several parts.
        """
        return [self._insert(crop) for crop in crops]

    def _build(self, kind: str, seed: int) -> tuple[Model, float]:
        if kind not in self.kinds:
            raise RecipeError(
                f"no rendered object {kind!r}",
                expected=f"one of: {', '.join(self.kinds)}",
                hint="name the recipe's objects after these kinds, or use another inserter",
            )
        return build_object(kind, seed)

    def _insert(self, crop: Crop) -> Filled | Rejection:
        if len(crop.parts) != 1:
            raise RecipeError(
                f"object {crop.object_name!r} has the parts {list(crop.parts)}, but a rendered object is one part",
                expected="objects of one part for RenderedInserter",
                hint="give the object one part in the recipe",
            )
        if crop.camera is None:
            detail = "the frame's camera is not known: no ground in sight to estimate the horizon from"
            return Rejection("not drawable", crop.object_name, detail=detail)
        model, yaw = self._build(crop.object_name, crop.seed)
        rng = seeding.generator(crop.seed, "rendered light")
        light = SceneLight(
            azimuth_deg=self.sun_azimuth_deg + seeding.uniform(rng, -8, 8),
            elevation_deg=self.sun_elevation_deg + seeding.uniform(rng, -4, 4),
            sun=seeding.uniform(rng, *self.sun_share),
            width=seeding.uniform(rng, 0.10, 0.22),
        )
        strength = seeding.uniform(rng, *self.shadow_strength)
        grime_seed, noise_seed = seeding.integer(rng, 0, 2**31), seeding.derive_seed(crop.seed, "rendered noise")
        pose = stand_in_box(model.points(), crop.camera, crop.box_yxhw)
        if pose is None:
            detail = f"box {crop.box_yxhw} does not stand on the ground in front of the camera"
            return Rejection("not drawable", crop.object_name, detail=detail)
        scale = crop.camera.camera_height_m / pose.camera.camera_height_m
        image = crop.image.numpy()
        size_hw = (image.shape[1], image.shape[2])
        stage = Stage(model, pose, light, estimate_exposure(image, crop.box_yxhw), grime_seed)
        picture = draw_object(stage, size_hw, self.supersample)
        if picture is None or int((picture.alpha >= 0.5).sum()) < _LEAST_AREA_PX:
            return Rejection("too small", crop.object_name, detail="the object covers hardly a pixel")
        shade = np.rint(255 * ground_shade(stage, size_hw, strength)).astype(np.uint8)
        colours, alpha = _developed(picture, stage, noise_seed)
        filled, matte = _composed(image, picture, colours, alpha, shade)
        mask = torch.from_numpy(matte >= 128)
        return Filled(
            image=torch.from_numpy(filled),
            annotation=Annotation((_part(crop, mask),)),
            alpha=torch.from_numpy(matte),
            shade=torch.from_numpy(shade),
            provenance=_provenance(crop.object_name, model, yaw, light, scale, strength),
        )


def default_recipe(seed: int = 0) -> Recipe:
    """The preset "obstacles": every kind of the catalogue, at its real size, on the road.

    Example:
        >>> recipe = default_recipe(seed=7)
        >>> recipe.seed, len(recipe.objects)
        (7, 26)
    """
    return load_preset("obstacles").with_changes(seed=seed)


def _part(crop: Crop, mask: torch.Tensor) -> Part:
    return Part(name=crop.parts[0] if crop.parts else crop.object_name, mask=mask)


def _developed(picture: Picture, stage: Stage, noise_seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Colours as sRGB from 0 to 255 with the scene's noise, ``[3, h, w]``, and the matte, uint8 ``[h, w]``."""
    rng = torch.Generator(device="cpu").manual_seed(noise_seed)
    grain = torch.randn((3, *picture.alpha.shape), generator=rng).numpy()
    # Half of the noise is shared by the channels, as after demosaicing and JPEG.
    grain = (0.7 * grain.mean(axis=0, keepdims=True) * 3**0.5 + 0.5 * grain) * stage.exposure.noise
    colours = to_srgb(picture.rgb) * 255 + grain
    return colours, np.rint(picture.alpha * 255).astype(np.uint8)


def _composed(
    image: np.ndarray[Any, Any],
    picture: Picture,
    colours: np.ndarray[Any, Any],
    alpha: np.ndarray[Any, Any],
    shade: np.ndarray[Any, Any],
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The crop with the object's own colours wherever the matte is not zero, and the matte of the whole crop."""
    (top, left), (h, w) = picture.top_left, alpha.shape
    matte = np.zeros(image.shape[1:], dtype=np.uint8)
    matte[top : top + h, left : left + w] = alpha
    filled = image.copy()
    window = filled[:, top : top + h, left : left + w]
    np.copyto(window, np.clip(np.rint(colours), 0, 255).astype(np.uint8), where=alpha[None] > 0)
    shade[matte == 255] = 0
    return filled, matte


def _provenance(
    kind: str, model: Model, yaw: float, light: SceneLight, scale: float, strength: float
) -> dict[str, Any]:
    width, height, depth = np.ptp(model.points(), axis=1)
    return {
        "inserter": "rendered",
        "renderer_version": RENDERER_VERSION,
        "kind": kind,
        "size_m": {"width": round(float(width), 3), "height": round(float(height), 3), "depth": round(float(depth), 3)},
        "scale": round(scale, 4),
        "yaw_deg": round(yaw, 1),
        "light": light.facts(),
        "shadow_strength": round(strength, 3),
        "facts": dict(model.facts),
    }
