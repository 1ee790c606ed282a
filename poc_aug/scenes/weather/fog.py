"""Fog: light that is scattered away on its way to the camera, and daylight that is scattered into it (Koschmieder)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from poc_aug.camera_model import Camera
from poc_aug.errors import SettingError
from poc_aug.labels.schema import LabelSchema
from poc_aug.noise import fbm_2d
from poc_aug.scenes.weather.geometry import check_depth_map, scene_depth
from poc_aug.scenes.weather.surface_kinds import SurfaceKind, check_surfaces, surface_kinds

VISIBILITIES_M = (600.0, 300.0, 150.0, 75.0, 40.0)
"""Meteorological visibility by severity, 1 to 5; the first three are those of Foggy Cityscapes."""

# Banks of fog: their size, and how far their density is from the mean at most.
_BANK_M = 35.0
_UNEVENNESS = 0.5
_TOP_M = 120.0
# Depth by steps of 1 / (depth + _NEAR_M), which are fine where fog changes; distances along rays for the sums.
_NEAR_M = 8.0
_LEVELS = 1024
_RAY_M = 400.0
_RAY_STEPS = 64
_COLUMN_PX = 8
# The pattern leans over: constant along lines that go this far aside per row, so that it varies over upright surfaces.
_LEAN = 0.4
_BAND_ROWS = 64
_AIRLIGHT_COLUMNS = 256
_OPAQUE = 256
# Less sky than this is a hole in a tree, which tells little about the light.
_SKY_SHARE = 0.003
_BRIGHTEST_SKY = 0.75
_BRIGHTEST_THING = 0.99
# An overcast sky is about 7 times as bright as asphalt under it: 2.4 times in sRGB values.
_SKY_OVER_GROUND = 2.4
_HUE = 0.35
# The sky of a clear picture is often blown out; fog never is.
_WHITEST = 216.0


@dataclass(frozen=True, slots=True)
class Fog:
    """Fog of one frame, all that is random in it drawn.

    Attributes:
        beta: extinction per metre; 3 / visibility (5% of the contrast is left at that distance).
        airlight: colour of fog that nothing is seen through, 0 to 255 each.
        seed: pattern of the banks.
        unevenness: greatest deviation of the density from its mean, as a fraction; 0: the same everywhere.
        top_m: how high over the road it reaches: in light fog the sky is seen, faintly, when looking up.

    Example:
        >>> fog = Fog.of_visibility(150.0, (200, 205, 205), seed=1)
        >>> fog.beta
        0.02
    """

    beta: float
    airlight: tuple[int, int, int]
    seed: int
    unevenness: float = _UNEVENNESS
    top_m: float = _TOP_M

    @classmethod
    def of_visibility(cls, visibility_m: float, airlight: tuple[int, int, int], seed: int) -> Fog:
        """Fog in which this is the farthest that dark things are seen."""
        return cls(3.0 / visibility_m, airlight, seed)


def fog(
    image: torch.Tensor,
    labels: torch.Tensor,
    camera: Camera,
    severity: int,
    generator: torch.Generator,
    *,
    schema: LabelSchema,
    depth_m: torch.Tensor | None = None,
    kinds: Mapping[str, SurfaceKind] | None = None,
) -> torch.Tensor:
    """A frame in fog: ``I = J t + A (1 - t)``, ``t = exp(-beta d)``, with banks that lie in the world.

    After Sakaridis et al., "Semantic Foggy Scene Understanding with Synthetic Data" (IJCV 2018): mixed in sRGB values,
    as they do, so that the visibilities of Foggy Cityscapes mean the same here. In linear light dark things would be
    veiled about twice as far near by; the airlight is theirs as well (dark channel of He et al.).

    Args:
        image: uint8 ``[3, H, W]``.
        labels: integer ``[H, W]``.
        camera: the frame's.
        severity: 1 to 5; see `VISIBILITIES_M`.
        generator: on the CPU.
        schema: names the labels' classes.
        depth_m: see `scene_geometry`.
        kinds: see `scene_geometry`.

    Returns:
        uint8 ``[3, H, W]``, on the image's device.

    Example:
        >>> from poc_aug.datasets.synthetic import SyntheticStreet
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> street = SyntheticStreet(size=(64, 128), length=1)
        >>> image, labels = (torch.from_numpy(np.array(picture)) for picture in street[0])
        >>> schema = SCHEMAS["cityscapes-trainIds"]
        >>> generator = torch.Generator().manual_seed(0)
        >>> foggy = fog(image.permute(2, 0, 1), labels, street.camera(0), 3, generator, schema=schema)
        >>> foggy.shape, foggy.dtype
        (torch.Size([3, 64, 128]), torch.uint8)
    """
    seed = int(torch.randint(2**31, (), generator=generator))
    visibility = visibility_m(severity)
    if depth_m is None:
        depth_m = scene_depth(labels, schema, camera, kinds=kinds)
    else:
        check_surfaces(schema, kinds)
        check_depth_map(depth_m, (labels.shape[0], labels.shape[1]))
    light = fog_colour(image, labels, schema, kinds)
    return in_fog(image, depth_m, camera, Fog.of_visibility(visibility, light, seed))


def visibility_m(severity: int) -> float:
    """Visibility in metres of a severity.

    Raises:
        SettingError: not 1 to 5.

    Example:
        >>> visibility_m(3)
        150.0
    """
    if isinstance(severity, bool) or severity not in range(1, len(VISIBILITIES_M) + 1):
        raise SettingError(
            f"severity {severity!r}",
            expected=f"1 to {len(VISIBILITIES_M)}: visibilities of {', '.join(f'{v:g}' for v in VISIBILITIES_M)} m",
            hint="pass severity=3, the default",
            command="--severity 3",
        )
    return VISIBILITIES_M[severity - 1]


def fog_colour(
    image: torch.Tensor,
    labels: torch.Tensor,
    schema: LabelSchema,
    kinds: Mapping[str, SurfaceKind] | None = None,
) -> tuple[int, int, int]:
    """`airlight` of a frame, from every n-th of its pixels.

    Args:
        image: uint8 ``[3, H, W]``.
        labels: integer ``[H, W]``.
        schema: names their classes.
        kinds: see `scene_geometry`.

    Example:
        >>> schema = LabelSchema("street", {"road": 0, "sky": 1}, ground=("road",))
        >>> fog_colour(torch.full((3, 2, 2), 150, dtype=torch.uint8), torch.ones(2, 2, dtype=torch.uint8), schema)
        (150, 150, 150)
    """
    step = max(1, labels.shape[-1] // _AIRLIGHT_COLUMNS)
    return airlight(image[:, ::step, ::step], surface_kinds(labels[::step, ::step], schema, kinds))


def airlight(image: torch.Tensor, kinds: torch.Tensor) -> tuple[int, int, int]:
    """Colour of the fog: the brightest haze-opaque region, by the dark channel of He et al. (CVPR 2009).

    Of the sky if there is any, otherwise of what is not the ground; nearly without its hue, because fog mixes the light
    of all directions.

    Args:
        image: uint8 ``[3, H, W]``, at most some 300 columns.
        kinds: `SurfaceKind` of each pixel, uint8 ``[H, W]``.

    Example:
        >>> image = torch.full((3, 16, 16), 60, dtype=torch.uint8)
        >>> image[:, :8] = torch.tensor([180, 190, 200], dtype=torch.uint8)[:, None, None]
        >>> kinds = torch.full((16, 16), int(SurfaceKind.GROUND), dtype=torch.uint8)
        >>> kinds[:8] = int(SurfaceKind.SKY)
        >>> airlight(image, kinds)
        (186, 190, 194)
    """
    small, of = image.cpu().float(), kinds.cpu()
    dark = -F.max_pool2d(-small.amin(dim=0)[None, None], 3, stride=1, padding=1)[0, 0]
    ground = (of == int(SurfaceKind.GROUND)) | (of == int(SurfaceKind.TERRAIN))
    sky = of == int(SurfaceKind.SKY)
    seen = int(sky.sum()) >= _SKY_SHARE * sky.numel()
    opaque = sky if seen else ~(ground | (of == int(SurfaceKind.EGO)))
    if not bool(opaque.any()):
        opaque = torch.ones_like(opaque)
    bright = dark[opaque] >= torch.quantile(dark[opaque], _BRIGHTEST_SKY if seen else _BRIGHTEST_THING)
    colour = small[:, opaque][:, bright].median(dim=1).values
    grey = float(colour.mean())
    colour = grey + (colour - grey) * _HUE
    if not seen and bool(ground.any()):
        grey = max(grey, _SKY_OVER_GROUND * float(small[:, ground].mean(dim=0).median()))
    red, green, blue = (round(min(grey, _WHITEST) + value) for value in (colour - colour.mean()).tolist())
    return red, green, blue


def in_fog(image: torch.Tensor, depth_m: torch.Tensor, camera: Camera, fog: Fog) -> torch.Tensor:
    """A frame whose depth is known, in fog.

    Args:
        image: uint8 ``[3, H, W]``.
        depth_m: float ``[H, W]``, metres; infinite on the sky, which is seen through fog up to its top; what
            is at 0 m stays as it is.
        camera: where rays go.
        fog: how much of it.

    Returns:
        uint8 ``[3, H, W]``, new, on the image's device.

    Example:
        >>> image = torch.full((3, 1, 3), 40, dtype=torch.uint8)
        >>> camera = Camera(horizon_row=0.0, camera_height_m=1.5, focal_px=10.0, centre_col=1.0)
        >>> fog = Fog(0.02, (200, 200, 200), seed=0, unevenness=0.0)
        >>> in_fog(image, torch.tensor([[0.0, 50.0, torch.inf]]), camera, fog)[0]
        tensor([[ 40, 141, 200]], dtype=torch.uint8)
    """
    height, width = depth_m.shape
    device = image.device
    values, shift = _table(camera, fog, (height, width))
    table = torch.from_numpy(values).to(device)
    rows = shift + np.round(_LEAN * (camera.horizon_row - np.arange(height)) / _COLUMN_PX)
    row = torch.from_numpy(rows.astype(np.int32)).to(device)[:, None]
    column = torch.arange(width, dtype=torch.int32, device=device) // _COLUMN_PX
    up = (camera.horizon_row - torch.arange(height, device=device)).clamp(min=0)[:, None]
    through = (fog.top_m - camera.camera_height_m) * camera.focal_px / up
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    light = torch.tensor(fog.airlight, dtype=torch.int16, device=device)[:, None, None]
    step = _BAND_ROWS if device.type == "cpu" else height  # bands that fit into the processor's cache
    for top in range(0, height, step):
        band = slice(top, top + step)
        depth = torch.minimum(depth_m[band].to(device, torch.float32), through[band])
        level = depth.add_(_NEAR_M).reciprocal_().mul_(_LEVELS * _NEAR_M).add_(0.5).to(torch.int32)
        index = level.mul_(table.shape[1]).add_(row[band]).add_(column)
        # In 256ths. Products wrap around in 16 bits, and the sum fits into them again.
        share = looked_up(table, index)
        mixed = image[:, band].to(torch.int16).mul_(share)
        mixed.add_((_OPAQUE - share) * light).add_(_OPAQUE // 2)
        out[:, band] = mixed.bitwise_right_shift_(8).to(torch.uint8)
    return out


def looked_up(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Values of a table at int32 places, on its device.

    Example:
        >>> looked_up(torch.tensor([[5, 6], [7, 8]], dtype=torch.int16), torch.tensor([3, 0], dtype=torch.int32))
        tensor([8, 5], dtype=torch.int16)
    """
    if table.device.type == "cpu":  # NumPy takes 32-bit places as they are: half the time of torch's 64-bit ones
        return torch.from_numpy(table.numpy().ravel().take(index.numpy(), mode="clip"))
    return table.take(index.long())


def _table(camera: Camera, fog: Fog, size_hw: tuple[int, int]) -> tuple[np.ndarray, int]:
    """What is left of the light, in 256ths, by level of depth and by column; and the column's number at the left."""
    height, width = size_hw
    leans = [_LEAN * (camera.horizon_row - row) / _COLUMN_PX for row in (height - 1, 0)]
    first, last = math.floor(min(leans)) - 1, math.ceil(max(leans)) + width // _COLUMN_PX + 1
    columns = (np.arange(first, last + 1) + 0.5) * _COLUMN_PX
    # Sums of the density along a few rays, then at every level and column.
    span = math.log(1 + _RAY_M / _NEAR_M)
    along = _NEAR_M * np.expm1(np.linspace(0, span, _RAY_STEPS))
    aside = (columns - camera.centre_col) / camera.focal_px
    x = np.outer(along, aside) / _BANK_M
    z = np.broadcast_to(along[:, None] / _BANK_M, x.shape)
    density = 1 + fog.unevenness * (2 * fbm_2d(z, x, fog.seed, octaves=2) - 1)
    steps = np.diff(along)[:, None]
    sums = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum((density[1:] + density[:-1]) / 2 * steps, axis=0)])
    depths = _NEAR_M * _LEVELS / np.arange(1, _LEVELS + 1) - _NEAR_M
    place = np.minimum(np.log1p(depths / _NEAR_M) / span, 1) * (_RAY_STEPS - 1)
    low = np.minimum(place.astype(np.int64), _RAY_STEPS - 2)
    share = (place - low)[:, None]
    path = sums[low] * (1 - share) + sums[low + 1] * share + np.maximum(depths - _RAY_M, 0)[:, None]
    left = np.concatenate([np.zeros((1, x.shape[1])), np.exp(-fog.beta * path)])
    return np.round(_OPAQUE * left).astype(np.int16), -first
