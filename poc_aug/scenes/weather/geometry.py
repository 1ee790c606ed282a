"""`SceneGeometry`: depth and kind of every pixel, from labels and camera alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.camera.horizon import find_camera
from poc_aug.camera_model import Camera
from poc_aug.camera_spec import CameraSpec
from poc_aug.errors import SettingError
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.weather.column_runs import Ints, column_runs
from poc_aug.scenes.weather.feet import foot_rows
from poc_aug.scenes.weather.surface_kinds import SurfaceKind, check_surfaces, kind_by_id, mapped_ids

FARTHEST_M = 300.0
"""Depth of ground at the horizon or above it, and the greatest depth of what stands: only the sky is farther."""
EGO_M = 1.0
"""Depth of the camera's own car."""
_UNDER_THE_SKYLINE = 0.42
# At a border of the frame, columns that are not labelled are the rectification's, not a thing's.
_UNLABELLED = 0.95


@dataclass(frozen=True, slots=True)
class SceneGeometry:
    """What weather needs to know of a frame.

    Attributes:
        kinds: uint8 ``[H, W]``, values of `SurfaceKind`.
        depth_m: float32 ``[H, W]``, metres along the optical axis, infinite on the sky.
        foot_row: float32 ``[H, W]``, the row at which what a pixel shows meets the ground: its own row on the ground;
            infinite on the sky.
        camera: the frame's camera.
    """

    kinds: torch.Tensor
    depth_m: torch.Tensor
    foot_row: torch.Tensor
    camera: Camera

    def of_kind(self, *kinds: SurfaceKind) -> torch.Tensor:
        """The pixels of some kinds: bool ``[H, W]``."""
        mask = torch.zeros_like(self.kinds, dtype=torch.bool)
        for kind in kinds:
            mask |= self.kinds == int(kind)
        return mask


def scene_geometry(
    labels: torch.Tensor,
    schema: LabelSchema,
    camera: Camera,
    *,
    depth_m: torch.Tensor | None = None,
    kinds: Mapping[str, SurfaceKind] | None = None,
) -> SceneGeometry:
    """Depth and kind of every pixel.

    Ground has the depth of its row, what stands on it that of its foot: things the lowest foot within 2.5 m to either
    side, structures and vegetation that of each column, interpolated where something hides it, and never nearer than
    what hides it. What is not labelled takes what is around it.

    Args:
        labels: integer ``[H, W]``.
        schema: names their classes.
        camera: the frame's camera.
        depth_m: float32 ``[H, W]``, a known depth in metres, infinite on the sky, which takes the place of the estimate.
        kinds: kinds of class names, in place of or besides those of `KIND_OF_CLASS`.

    Raises:
        SchemaError: no class of the ground.
        SettingError: a depth map of another size, or with values that are no depth.

    Example:
        >>> labels = torch.tensor([[2, 2, 2], [2, 1, 2], [0, 1, 0], [0, 0, 0]])  # sky, a car, road
        >>> schema = LabelSchema("street", {"road": 0, "car": 1, "sky": 2}, ground=("road",))
        >>> camera = Camera(horizon_row=1.0, camera_height_m=1.5, focal_px=10.0, centre_col=1.0)
        >>> scene_geometry(labels, schema, camera).depth_m
        tensor([[   inf,    inf,    inf],
                [   inf, 15.0000,    inf],
                [15.0000, 15.0000, 15.0000],
                [ 7.5000,  7.5000,  7.5000]])
    """
    check_surfaces(schema, kinds)
    height, width = labels.shape
    device = labels.device
    if depth_m is not None:
        check_depth(depth_m, (height, width))
    codes, kind_of_code = _codes(schema, kinds)
    coded = mapped_ids(labels, codes, len(kind_of_code) - 1)
    table = torch.from_numpy(kind_of_code)
    kind_map = table[coded.long()] if device.type != "cpu" else torch.from_numpy(kind_of_code[coded.numpy()])
    transposed = _without_border(np.ascontiguousarray(coded.cpu().numpy().T), kind_of_code)
    runs = column_runs(transposed)
    run_kinds: Ints = kind_of_code[runs.values].astype(np.int64)
    feet = foot_rows(runs, run_kinds, camera)
    level = np.isin(run_kinds, (SurfaceKind.GROUND, SurfaceKind.TERRAIN))
    level |= (run_kinds == SurfaceKind.UNKNOWN) & runs.at_bottom
    painted = torch.from_numpy(runs.paint(np.where(level, np.float32(-np.inf), feet))).t().contiguous()
    rows = torch.arange(height, dtype=torch.float32)[:, None]
    foot_row = torch.maximum(painted, torch.where(torch.isneginf(painted), rows, painted))
    foot_row = foot_row.to(device)
    if depth_m is None:
        depth_m = depth_of_feet(foot_row, camera)
        depth_m[kind_map.to(device) == int(SurfaceKind.EGO)] = EGO_M
    return SceneGeometry(kind_map.to(device), depth_m.to(device, torch.float32), foot_row, camera)


def depth_of_feet(foot_row: torch.Tensor, camera: Camera) -> torch.Tensor:
    """Depth in metres of ground seen at these rows: `FARTHEST_M` at the horizon and above it, infinite at infinity."""
    scale = camera.focal_px * camera.camera_height_m
    depth = scale / (foot_row - camera.horizon_row).clamp(min=scale / FARTHEST_M)
    return torch.where(torch.isinf(foot_row), torch.inf, depth)


def check_depth(depth_m: torch.Tensor, size_hw: tuple[int, int]) -> None:
    """Check a depth map that was given.

    Raises:
        SettingError: another size, no numbers, or values that are not positive.
    """
    if tuple(depth_m.shape) != size_hw:
        raise SettingError(
            f"a depth map of shape {list(depth_m.shape)} for a frame of {size_hw[0]}x{size_hw[1]} pixels (h x w)",
            expected=f"[{size_hw[0]}, {size_hw[1]}]: the depth of each pixel in metres",
            hint="resize it as the image is (nearest, so that edges stay), or leave it out: depth_m=None",
        )
    if not depth_m.is_floating_point():
        raise SettingError(
            f"a depth map of dtype {depth_m.dtype}",
            expected="floating-point metres",
            hint="convert it to metres: depth_m=(raw.float() / scale)",
        )
    wrong = ~(depth_m > 0)  # also NaN
    if bool(wrong.any()):
        raise SettingError(
            f"a depth map with {int(wrong.sum())} values such as {float(depth_m[wrong][0]):g}",
            expected="positive metres, infinite on the sky",
            hint="fill what was not measured, for example with torch.inf on the sky, before passing it",
        )


def assumed_camera(
    size_hw: tuple[int, int], labels: torch.Tensor | None = None, schema: LabelSchema | None = None
) -> tuple[Camera, str]:
    """A camera for a frame of which nothing is known, and what its horizon is known from.

    Args:
        size_hw: the frame's size.
        labels: integer ``[H, W]``; with ``schema``, the horizon comes from objects and from where the ground ends.
        schema: names their classes.

    Returns:
        The camera, and "objects" or "ground" as `Camera.horizon_from`, otherwise "assumed": 42% of the way down.

    Example:
        >>> assumed_camera((100, 200))
        (Camera(horizon_row=42.0, camera_height_m=1.4, focal_px=200.0, centre_col=99.5, horizon_from='given'), 'assumed')
    """
    if labels is not None and schema is not None:
        camera = find_camera(CameraSpec(), labels, schema)
        if camera is not None:
            return camera, camera.horizon_from
    camera = find_camera(CameraSpec(horizon=_UNDER_THE_SKYLINE), torch.zeros(size_hw, dtype=torch.uint8))
    assert camera is not None  # its horizon is given
    return camera, "assumed"


def _codes(
    schema: LabelSchema, kinds: Mapping[str, SurfaceKind] | None
) -> tuple[dict[int, int], npt.NDArray[np.uint8]]:
    """A small number for each id, and the kind of each number; the last one is that of ids that are not known.

    Kinds whose classes are parts of one thing have one number: ground, and signs with their poles.
    """
    shared = (SurfaceKind.GROUND, SurfaceKind.TERRAIN, SurfaceKind.POST, SurfaceKind.SKY, SurfaceKind.EGO)
    numbers: dict[object, int] = {}
    of_number: list[int] = []
    codes: dict[int, int] = {}
    for label_id, kind in kind_by_id(schema, kinds).items():
        # 255 numbers are enough for 150 classes; beyond them, classes of one kind share one.
        own = kind not in (*shared, SurfaceKind.UNKNOWN) and len(of_number) < 240
        name = ("id", label_id) if own else ("kind", int(kind))
        if name not in numbers:
            numbers[name] = len(of_number)
            of_number.append(int(kind))
        codes[label_id] = numbers[name]
    of_number.append(int(SurfaceKind.OBJECT))
    return codes, np.array(of_number, dtype=np.uint8)


def _without_border(codes: npt.NDArray[np.uint8], kind_of_code: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The map ``[W, H]``, its unlabelled columns at both sides filled with the nearest labelled one."""
    unknown = kind_of_code == int(SurfaceKind.UNKNOWN)
    width = codes.shape[0]
    for columns in (range(width), range(width - 1, -1, -1)):
        labelled = next((c for c in columns if unknown[codes[c]].mean() < _UNLABELLED), None)
        if labelled is None:
            return codes
        if labelled != columns[0]:
            edge = slice(0, labelled) if columns.step > 0 else slice(labelled + 1, None)
            codes[edge] = codes[labelled]
    return codes
