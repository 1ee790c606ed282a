"""Where the lamps of a scene are: street lamps on posts, tail lights and headlights, signals, windows.

All by labels, camera and the picture itself. They are found at a fraction of the frame's size, on the CPU: what is
decided is then equal for every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import LabelSchema, is_any
from poc_aug.scenes.weather.light_maps import box_blurred, luminance, reduced, sampled
from poc_aug.scenes.weather.light_points import COLD, HEADLIGHT, NEUTRAL, RED, WARM, PointLights, joined, point_lights
from poc_aug.scenes.weather.light_regions import Float64s, LightRegions, light_regions
from poc_aug.scenes.weather.surface_kinds import SurfaceKind

_MOTOR_VEHICLES = ("car", "truck", "bus", "caravan", "train", "vehicle", "van", "autorickshaw")
_POLES = ("pole", "column", "street light")
_FARTHEST_LAMP_M = 150.0


@dataclass(frozen=True, slots=True)
class LightScene:
    """What lamps are found in, at ``1 / step`` of the frame's size, on the CPU.

    Attributes:
        light: linear light ``[3, h, w]``.
        kinds: uint8 ``[h, w]``, values of `SurfaceKind`.
        labels: integer ``[h, w]``.
        depth_m: float32 ``[h, w]``.
        step: pixels of the frame per pixel of these maps.
        camera: the frame's camera.
        schema: names the classes of ``labels``.
        draws: float64 ``[m, 4]`` in [0, 1): all that is left to chance, by number of the region.
    """

    light: torch.Tensor
    kinds: torch.Tensor
    labels: torch.Tensor
    depth_m: torch.Tensor
    step: int
    camera: Camera
    schema: LabelSchema
    draws: Float64s

    def of_classes(self, *names: str) -> torch.Tensor:
        """The pixels of some classes, of those that the schema knows: bool ``[h, w]``."""
        ids = [self.schema.known_id(name) for name in names]
        return is_any(self.labels, [i for i in ids if i is not None])

    def drawn(self, count: int, use: int) -> Float64s:
        """``[count, 4]`` numbers for ``count`` regions; another ``use`` gets others."""
        return self.draws[(np.arange(count) * 7 + use * 131) % len(self.draws)]

    def in_frame(self, px: npt.ArrayLike) -> Float64s:
        """Rows or columns of these maps as those of the frame: the middle of the block."""
        return np.asarray(px, dtype=np.float64) * self.step + (self.step - 1) / 2


def street_lamps(scene: LightScene, lit: float) -> PointLights:
    """A lamp at the top of poles that are tall enough, at the end of the arm if they have one.

    Args:
        scene: where they are looked for.
        lit: share of the lamps that are on.
    """
    poles = scene.of_classes(*_POLES)
    regions = light_regions(poles)
    if len(regions) == 0:
        return _no_lamps()
    depth = _depth_of(regions, scene)
    px_per_m = scene.camera.focal_px / depth / scene.step
    height_m = regions.height / px_per_m
    top_m = scene.camera.camera_height_m - (scene.in_frame(regions.top) - scene.camera.horizon_row) * (
        depth / scene.camera.focal_px
    )
    draws = scene.drawn(len(regions), 1)
    tall = (height_m > 2.2) & (top_m > 3.6) & (top_m < 14) & (depth < _FARTHEST_LAMP_M)
    tall &= (regions.height > 2.5 * regions.width) | (top_m > 5)
    cut = regions.top <= 2
    chosen = np.flatnonzero(tall & ~_under_a_sign(regions, scene, poles) & (draws[:, 0] < lit))
    # The arm: of the topmost rows, the end that is farther from the shaft.
    rows, cols, number = regions.pixels
    high = rows <= regions.top[number] + np.maximum(1, 0.06 * regions.height[number])
    low = rows >= regions.top[number] + 0.4 * regions.height[number]
    shaft = _mean_by(number[low], cols[low], len(regions), (regions.left + regions.right) / 2)
    reach = np.where(high, np.abs(cols - shaft[number]), -1.0)
    order = np.lexsort((reach, number))
    last = np.searchsorted(number[order], np.arange(len(regions)), side="right") - 1
    end = order[last]
    # Of poles that the picture cuts, the lamp is above it.
    over = scene.camera.horizon_row - scene.camera.focal_px * (8.0 - scene.camera.camera_height_m) / depth
    row = np.where(cut, np.minimum(over, scene.in_frame(regions.top) - 12), scene.in_frame(rows[end] + 0.5))
    colour = np.where(draws[chosen, 1:2] < 0.7, np.asarray([WARM]), np.asarray([NEUTRAL]))
    return point_lights(
        row[chosen],
        scene.in_frame(cols[end])[chosen],
        depth[chosen],
        radius_m=0.13,
        radiance=9.0,
        power=18.0,
        colour=colour,
    )


def _under_a_sign(regions: LightRegions, scene: LightScene, poles: torch.Tensor) -> npt.NDArray[np.bool_]:
    """Poles that end in a sign or a traffic light: they carry no lamp."""
    signs = ((scene.kinds == int(SurfaceKind.POST)) & ~poles).numpy()
    rows, cols, number = regions.pixels
    top = rows <= regions.top[number] + 1
    found = np.zeros(len(regions), dtype=np.bool_)
    for above in (1, 2, 3):
        np.logical_or.at(found, number[top], signs[np.maximum(rows[top] - above, 0), cols[top]])
    return found


def lamps_out_of_sight(scene: LightScene, lit: float) -> PointLights:
    """Street lamps over the near road that are too high for the picture: only their light is in it."""
    draws = scene.drawn(2, 2)
    height_m = 8.0
    # The nearest distance at which a lamp of this height comes into the picture.
    sight = scene.camera.focal_px * (height_m - scene.camera.camera_height_m) / max(scene.camera.horizon_row, 1.0)
    depth = np.minimum(7.0 + 16.0 * draws[:, 0], 0.9 * sight)
    side = np.where(draws[:, 1] < 0.5, -1.0, 1.0) * (4.0 + 3.0 * draws[:, 2])
    row = scene.camera.horizon_row - scene.camera.focal_px * (height_m - scene.camera.camera_height_m) / depth
    col = scene.camera.centre_col + scene.camera.focal_px * side / depth
    on = draws[:, 3] < lit
    colour = np.repeat(np.asarray([WARM]), 2, axis=0)
    return point_lights(row, col, depth, radius_m=0.13, radiance=0.0, power=18.0, colour=colour).where(on)


@dataclass(frozen=True, slots=True)
class VehicleLights:
    """Lights of vehicles.

    Attributes:
        lamps: pairs of tail lights and headlights.
        red: float32 ``[h, w]``, how far a pixel is part of a tail light that the picture itself shows, in [0, 1].
    """

    lamps: PointLights
    red: torch.Tensor


def vehicle_lights(scene: LightScene, lit: float) -> VehicleLights:
    """Tail lights and headlights, at the height of lamps, on vehicles that are seen from behind or from the front.

    Red lamps that the picture shows are lit where they are. Without any, vehicles to the left of the camera's lane come
    towards us, others go ahead of us.
    """
    red = scene.light[0]
    others = torch.maximum(scene.light[1], scene.light[2])
    # Lamps are deep red: more so than brick, rust or the shade of skin.
    redness = ((red - 2.0 * others) / (red + 0.01)).clamp_(0, 0.3) / 0.3 * (red > 0.012)
    vehicles = scene.of_classes(*_MOTOR_VEHICLES)
    regions = light_regions(vehicles)
    if len(regions) == 0:
        return VehicleLights(_no_lamps(), torch.zeros_like(red))
    foot = scene.in_frame(regions.bottom)
    depth = np.maximum(_depth_of(regions, scene), 2.0)
    by_row = foot > scene.camera.horizon_row + 2
    focal, height_m = scene.camera.focal_px, scene.camera.camera_height_m
    depth[by_row] = focal * height_m / (foot[by_row] - scene.camera.horizon_row)
    width_m = regions.width * scene.step * depth / focal
    tall_m = regions.height * scene.step * depth / focal
    draws = scene.drawn(len(regions), 3)
    redness *= _of_lamp_size(redness > 0.3, vehicles, scene)
    share = regions.mean(redness.numpy())
    has_tail = share > 0.002
    on = draws[:, 0] < lit
    shown = np.where(on & has_tail, 1.0, 0.0)
    tail = torch.from_numpy(regions.spread(shown, 0.0)).float() * redness
    cut = (regions.left <= 1) | (regions.right >= scene.kinds.shape[1] - 2)
    facing = on & (width_m > 1.1) & (width_m < 2.9) & (tall_m > 0.8) & (regions.width > 0.55 * regions.height) & ~cut
    middle = scene.in_frame((regions.left + regions.right) / 2)
    right_m = (middle - scene.camera.centre_col) * depth / focal
    oncoming = facing & ~has_tail & (right_m < -1.5)
    ahead = facing & ~oncoming & ~(has_tail & (regions.area > 400))
    groups = [
        _pairs(scene, regions, depth, width_m, np.flatnonzero(chosen), kind)
        for chosen, kind in ((oncoming, "front"), (ahead, "tail"))
    ]
    return VehicleLights(joined(groups), tail)


def _of_lamp_size(red: torch.Tensor, vehicles: torch.Tensor, scene: LightScene) -> torch.Tensor:
    """The red regions of vehicles that are as large and as high up as lamps: red paint is no lamp."""
    regions = light_regions(red & vehicles)
    if len(regions) == 0:
        return torch.zeros_like(red)
    per_px = _depth_of(regions, scene) / scene.camera.focal_px
    middle = scene.in_frame((regions.top + regions.bottom) / 2)
    up_m = scene.camera.camera_height_m - (middle - scene.camera.horizon_row) * per_px
    small = (regions.width * scene.step * per_px < 0.5) & (regions.height * scene.step * per_px < 0.42)
    fits = small & (up_m > 0.3) & (up_m < 1.6) & (regions.area >= 2)
    return torch.from_numpy(regions.spread(fits, 0.0)) > 0


def _pairs(
    scene: LightScene,
    regions: LightRegions,
    depth: Float64s,
    width_m: Float64s,
    chosen: npt.NDArray[np.int64],
    kind: str,
) -> PointLights:
    centre = scene.in_frame((regions.left + regions.right) / 2)[chosen]
    half = 0.39 * (regions.width * scene.step)[chosen]
    up = 0.66 if kind == "front" else 0.85
    row = scene.in_frame(regions.bottom)[chosen] - up * scene.camera.focal_px / depth[chosen]
    front = kind == "front"
    return joined(
        [
            point_lights(
                row,
                centre + side * half,
                depth[chosen] * 0.995,
                radius_m=0.085 if front else 0.06,
                radiance=14.0 if front else 1.6,
                power=0.5 if front else 0.12,
                colour=np.repeat(np.asarray([HEADLIGHT if front else RED]), len(chosen), axis=0),
            )
            for side in (-1.0, 1.0)
        ]
    )


def signal_light(scene: LightScene) -> torch.Tensor:
    """How far a pixel is a lit lamp of a traffic light: float32 ``[h, w]`` in [0, 1].

    Lamps are what is bright and colourful on traffic lights. Schemas without that class have them among signs: there
    only green ones are known from a sign.
    """
    known = scene.schema.known_id("traffic light") is not None
    where = scene.of_classes("traffic light") if known else scene.of_classes("sign", "traffic sign")
    most, least = scene.light.amax(0), scene.light.amin(0)
    chroma = (most - least) / (most + 0.02)
    lit = ((most - 0.10) / 0.15).clamp_(0, 1) * ((chroma - 0.55) / 0.25).clamp_(0, 1)
    if not known:
        lit = lit * (scene.light[1] > 2.5 * scene.light[0])
    return lit * where


@dataclass(frozen=True, slots=True)
class LitWindows:
    """Windows that are lit.

    Attributes:
        light: float32 ``[3, h, w]``, linear light that comes out of them.
        threshold: float32 ``[h, w]``, luminance of the wall around: darker pixels are panes.
    """

    light: torch.Tensor
    threshold: torch.Tensor


def lit_windows(scene: LightScene, lit: float, brightness: float) -> LitWindows:
    """Panes of facades that are lit: dark rectangles of a window's size in the picture itself.

    Rows of windows that touch are cut into rooms, in metres along the facade.
    """
    value = luminance(scene.light)
    walls = scene.kinds == int(SurfaceKind.STRUCTURE)
    share = walls.float()
    radius = max(3, round(0.022 * scene.kinds.shape[1]))
    blurred = box_blurred(torch.stack([value * share, share]), radius)
    around = blurred[0] / blurred[1].clamp(min=1e-3)
    panes = walls & (value < 0.62 * around)
    per_px = scene.depth_m.clamp(max=300.0) * (scene.step / scene.camera.focal_px)
    cols = torch.arange(scene.kinds.shape[1], dtype=torch.float32)[None]
    rooms = torch.floor(cols * per_px / 2.6).long()
    whole = light_regions(panes)
    wide = torch.from_numpy(whole.spread(whole.width > 2.2 * whole.height, 0.0)) > 0
    regions = light_regions(panes, torch.where(wide, rooms, torch.full_like(rooms, -(1 << 20))))
    if len(regions) == 0:
        return LitWindows(torch.zeros_like(scene.light), around)
    depth = _depth_of(regions, scene)
    metre = scene.camera.focal_px / depth / scene.step
    width_m, height_m = regions.width / metre, regions.height / metre
    slant = _slant(regions)
    filled = regions.area / (regions.width * np.maximum(regions.height - np.abs(slant) * (regions.width - 1), 1.0))
    draws = scene.drawn(len(regions), 5)
    fits = (width_m > 0.3) & (width_m < 3.2) & (height_m > 0.5) & (height_m < 3.0) & (filled > 0.6)
    fits &= (regions.area >= 6) & (regions.height > 0.6 * regions.width) & (regions.height < 4 * regions.width)
    on = fits & (np.abs(slant) < 0.3) & (draws[:, 0] < lit)
    palette = np.asarray([WARM, NEUTRAL, NEUTRAL, COLD])
    colour = palette[(draws[:, 1] * 4).astype(np.int64)]
    strength = np.where(on, brightness * np.exp(1.6 * (draws[:, 2] - 0.6)), 0.0)
    light = torch.zeros_like(scene.light)
    for i in np.flatnonzero(on):
        _paint_window(light, regions, int(i), float(slant[i]), strength[i] * colour[i], float(draws[i, 3]))
    return LitWindows(light, around)


def _slant(regions: LightRegions) -> Float64s:
    """Rows per column by which regions rise or fall: facades seen at an angle have slanting sills."""
    rows, cols, number = regions.pixels
    count = len(regions)
    mean_row, mean_col = (np.bincount(number, v, count) / regions.area for v in (rows, cols))
    down, across = rows - mean_row[number], cols - mean_col[number]
    both, alone = np.bincount(number, down * across, count), np.bincount(number, across * across, count)
    slant: Float64s = np.where(regions.width >= 4, both / np.maximum(alone, 1.0), 0.0).clip(-0.35, 0.35)
    return slant


def _paint_window(
    light: torch.Tensor, regions: LightRegions, i: int, slant: float, colour: Float64s, lean: float
) -> None:
    """Add the light of a window, a parallelogram around its region, to ``light``."""
    top, bottom, left, right = (int(a[i]) for a in (regions.top, regions.bottom, regions.left, regions.right))
    rows = torch.arange(top, bottom + 1, dtype=torch.float32)[:, None] - (top + bottom) / 2
    cols = torch.arange(left, right + 1, dtype=torch.float32)[None] - (left + right) / 2
    half_width = (right - left + 1) / 2
    half_height = max((bottom - top + 1) / 2 - abs(slant) * (half_width - 0.5), 0.5)
    down, across = (rows - slant * cols) / half_height, cols / half_width
    inside = ((1 - down.abs()) * half_height + 0.5).clamp(0, 1)
    # The lamp hangs from the ceiling: the upper part is brighter, and one side more than the other.
    shade = (1 - 0.3 * down + (lean - 0.5) * 0.6 * across).clamp(min=0.15) * inside
    light[:, top : bottom + 1, left : right + 1] += torch.tensor(colour, dtype=torch.float32)[:, None, None] * shade


def light_scene(
    light: torch.Tensor,
    kinds: torch.Tensor,
    labels: torch.Tensor,
    depth_m: torch.Tensor,
    camera: Camera,
    schema: LabelSchema,
    draws: torch.Tensor,
    *,
    finest_step: int,
    step: int,
) -> LightScene:
    """What lamps are found in, from maps at ``1 / finest_step`` of the frame's size, ``step`` times smaller still."""
    return LightScene(
        reduced(light, step).cpu(),
        sampled(kinds, step).cpu(),
        sampled(labels, step).cpu(),
        sampled(depth_m, step).cpu(),
        finest_step * step,
        camera,
        schema,
        draws.numpy(),
    )


def _depth_of(regions: LightRegions, scene: LightScene) -> Float64s:
    return np.clip(regions.mean(scene.depth_m.clamp(max=500.0).numpy()), 2.0, 500.0)


def _mean_by(number: npt.NDArray[np.int64], values: npt.ArrayLike, count: int, otherwise: Float64s) -> Float64s:
    total = np.bincount(number, weights=np.asarray(values, dtype=np.float64), minlength=count)
    size = np.bincount(number, minlength=count)
    return np.where(size > 0, total / np.maximum(size, 1), otherwise)


def _no_lamps() -> PointLights:
    none = np.zeros(0)
    return point_lights(none, none, none, radius_m=0.1, radiance=0.0, power=0.0, colour=np.zeros((0, 3)))
