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
from poc_aug.scenes.weather.column_runs import ColumnRuns, RunFloats, RunInts, column_runs
from poc_aug.scenes.weather.feet import foot_rows, is_level
from poc_aug.scenes.weather.surface_kinds import SurfaceKind, check_surfaces, kind_by_id, mapped_ids

DEPTH_VERSION = 1
"""Raised whenever the same labels and camera give another depth; part of a cache's fingerprint."""
FARTHEST_M = 300.0
"""Depth of ground at the horizon or above it: only the sky is farther."""
FARTHEST_FOOT_M = 200.0
"""Greatest depth of what stands: a foot near the horizon says little, and streets are rarely longer."""
EGO_M = 1.0
"""Depth of the camera's own car."""
_UNDER_THE_SKYLINE = 0.42
# At a border of the frame, columns that are not labelled are the rectification's, not a thing's.
_UNLABELLED = 0.95
_SPECK = 1e-4


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
        depth_m: float32 ``[H, W]``, a known depth in metres, infinite on the sky; takes the estimate's place.
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
    known = _Feet.of(labels, schema, camera, kinds)
    if depth_m is None:
        depth_m = known.depth()
    else:
        check_depth_map(depth_m, (labels.shape[0], labels.shape[1]))
    kind_map = torch.from_numpy(known.kind_of_code.take(known.coded.cpu().numpy()))
    device = labels.device
    return SceneGeometry(kind_map.to(device), depth_m.to(device, torch.float32), known.rows().to(device), camera)


def scene_depth(
    labels: torch.Tensor, schema: LabelSchema, camera: Camera, *, kinds: Mapping[str, SurfaceKind] | None = None
) -> torch.Tensor:
    """The depth alone, as `scene_geometry` has it: float32 ``[H, W]``, on the labels' device.

    Raises:
        SchemaError: no class of the ground.

    Example:
        >>> schema = LabelSchema("street", {"road": 0, "sky": 2}, ground=("road",))
        >>> camera = Camera(horizon_row=0.0, camera_height_m=1.5, focal_px=10.0, centre_col=1.0)
        >>> scene_depth(torch.tensor([[2], [0], [0]]), schema, camera).T
        tensor([[    inf, 15.0000,  7.5000]])
    """
    return _Feet.of(labels, schema, camera, kinds).depth().to(labels.device)


@dataclass(frozen=True, slots=True)
class _Feet:
    """Where all that a frame shows meets the ground; on the CPU, by runs."""

    coded: torch.Tensor
    kind_of_code: npt.NDArray[np.uint8]
    runs: ColumnRuns
    kinds: RunInts
    feet: RunFloats
    camera: Camera

    @classmethod
    def of(
        cls,
        labels: torch.Tensor,
        schema: LabelSchema,
        camera: Camera,
        kinds: Mapping[str, SurfaceKind] | None,
    ) -> _Feet:
        check_surfaces(schema, kinds)
        codes, kind_of_code = _codes(schema, kinds)
        coded = mapped_ids(labels, codes, len(kind_of_code) - 1)
        transposed = coded.cpu().t().contiguous().numpy()  # NumPy's own copy takes 4 times as long
        runs = column_runs(_without_border(transposed, kind_of_code))
        run_kinds = _without_specks(runs, kind_of_code[runs.values].astype(np.int64))
        return cls(coded, kind_of_code, runs, run_kinds, foot_rows(runs, run_kinds, camera), camera)

    def rows(self) -> torch.Tensor:
        """Foot row of each pixel."""
        return self._painted(self.feet, np.arange(self.runs.size_hw[0], dtype=np.float32))

    def depth(self) -> torch.Tensor:
        """Depth of each pixel."""
        depths = np.minimum(depth_of_feet(self.feet, self.camera), FARTHEST_FOOT_M)
        depths[np.isinf(self.feet)] = np.inf
        depths[self.kinds == SurfaceKind.EGO] = EGO_M
        rows = np.arange(self.runs.size_hw[0], dtype=np.float32)
        return self._painted(depths, depth_of_feet(rows, self.camera))

    def _painted(self, of_runs: RunFloats, of_rows: RunFloats) -> torch.Tensor:
        """A number per pixel ``[H, W]``: that of its row on the ground, otherwise that of its run."""
        height, width = self.runs.size_hw
        lengths = self.runs.stops - self.runs.tops
        level = is_level(self.runs, self.kinds)
        values = np.repeat(of_runs, lengths).reshape(width, height)
        np.copyto(values, of_rows, where=np.repeat(level, lengths).reshape(width, height))
        return torch.from_numpy(values).t().contiguous()


def depth_of_feet(foot_row: RunFloats, camera: Camera) -> RunFloats:
    """Depth in metres of ground seen at these rows: `FARTHEST_M` at the horizon and above it, infinite at infinity.

    Example:
        >>> camera = Camera(horizon_row=100.0, camera_height_m=1.5, focal_px=1000.0, centre_col=200.0)
        >>> depth_of_feet(np.array([250, 101, 90, np.inf], np.float32), camera)
        array([ 10., 300., 300.,  inf], dtype=float32)
    """
    scale = camera.focal_px * camera.camera_height_m
    depth = scale / np.maximum(foot_row - camera.horizon_row, scale / FARTHEST_M)
    return np.where(np.isinf(foot_row), np.inf, depth).astype(np.float32)


def check_depth_map(depth_m: torch.Tensor, size_hw: tuple[int, int]) -> None:
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
        >>> camera, source = assumed_camera((100, 200))
        >>> camera.horizon_row, camera.focal_px, source
        (42.0, 200.0, 'assumed')
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


def _without_specks(runs: ColumnRuns, kinds: RunInts) -> RunInts:
    """Kinds of the runs, specks of sky on the ground, as at the seams of polygons, being unknown instead."""
    areas = np.bincount(runs.components, runs.stops - runs.tops, runs.count)
    on_ground = np.zeros(runs.count, dtype=np.bool_)
    on_ground[runs.components[:-1][is_level(runs, kinds)[1:] & ~runs.at_bottom[:-1]]] = True
    on_ground[runs.components[runs.tops == 0]] = False
    speck = on_ground & (areas <= max(4.0, _SPECK * runs.size_hw[0] * runs.size_hw[1]))
    sky = kinds == SurfaceKind.SKY
    return np.where(sky & speck[runs.components], int(SurfaceKind.UNKNOWN), kinds)


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
