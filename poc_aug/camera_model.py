"""`Camera`: the camera of one frame; `Calibration`: a camera as its calibration file describes it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from poc_aug.errors import CalibrationError

# Sides in pixels are rounded when a frame is resized: a half-size 1242x375 is 621x188.
_ROUNDING_PX = 1.0
_LARGEST_PITCH = 0.5
_LARGEST_HEIGHT_M = 20.0


HorizonSource: TypeAlias = Literal["given", "calibration file", "preset and objects", "preset", "objects", "ground"]
"""The evidence that a horizon is known from, best first; see `poc_aug.camera`."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera over a flat ground, looking along it: enough to turn metres into pixels.

    A point of the ground at distance ``z`` is seen at row ``horizon_row + focal_px * camera_height_m / z``;
    hence one metre upright at foot row ``r`` is ``(r - horizon_row) / camera_height_m`` pixels high, whatever
    the focal length.

    Attributes:
        horizon_row: row of the horizon in pixels (may lie outside the picture).
        camera_height_m: height of the camera over the ground.
        focal_px: focal length in pixels.
        centre_col: column of the optical axis.
        horizon_from: the evidence that the horizon is known from.

    Example:
        >>> camera = Camera(horizon_row=200.0, camera_height_m=1.5, focal_px=1000.0, centre_col=512.0)
        >>> camera.row_of(distance_m=10.0)  # the ground 10 m ahead
        350.0
        >>> camera.px_per_m(350.0)  # pixels of an upright metre there
        100.0
    """

    horizon_row: float
    camera_height_m: float
    focal_px: float
    centre_col: float
    horizon_from: HorizonSource = "given"

    def px_per_m(self, foot_row: float) -> float:
        """Pixels of one upright metre whose foot is seen at ``foot_row`` (negative above the horizon)."""
        return (foot_row - self.horizon_row) / self.camera_height_m

    def distance_m(self, foot_row: float) -> float:
        """Distance along the ground, in metres, of a point seen at ``foot_row`` (below the horizon)."""
        return self.focal_px * self.camera_height_m / max(foot_row - self.horizon_row, 1e-6)

    def row_of(self, distance_m: float, height_m: float = 0.0) -> float:
        """Row at which a point ``height_m`` over the ground, ``distance_m`` away, is seen."""
        return self.horizon_row + self.focal_px * (self.camera_height_m - height_m) / distance_m

    def shifted(self, y: int, x: int) -> Camera:
        """The same camera in the coordinates of a crop whose corner is at ``(y, x)``."""
        return replace(self, horizon_row=self.horizon_row - y, centre_col=self.centre_col - x)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A pinhole camera over a flat ground, in the pixels of the frames that it was calibrated for.

    Attributes:
        focal_xy: focal lengths ``(fx, fy)`` in pixels.
        centre_xy: principal point ``(u0, v0)``: column and row of the optical axis, the first pixel's centre at 0.
        height_m: height of the camera over the road.
        pitch: how far the camera looks down, in rad.
        size_hw: size of those frames in pixels; ``None``: that of the frame at hand.
        source: where it was read from; named in errors.

    Raises:
        CalibrationError: a number that is not finite, or not plausible for a street camera.

    Example:
        >>> calibration = Calibration((1000.0, 1000.0), (512.0, 256.0), height_m=1.5, size_hw=(512, 1024))
        >>> calibration.camera((256, 512)).focal_px  # a frame of half the size
        500.0
    """

    focal_xy: tuple[float, float]
    centre_xy: tuple[float, float]
    height_m: float
    pitch: float = 0.0
    size_hw: tuple[int, int] | None = None
    source: str = "a calibration"

    def __post_init__(self) -> None:
        self._within("focal length fx", self.focal_xy[0], 1, 1e5, "px")
        self._within("focal length fy", self.focal_xy[1], 1, 1e5, "px")
        self._within("camera height", self.height_m, 0.1, _LARGEST_HEIGHT_M, "m")
        self._within("pitch", self.pitch, -_LARGEST_PITCH, _LARGEST_PITCH, "rad")
        if self.size_hw is not None:
            self._check_centre(self.size_hw)

    def camera(self, size_hw: tuple[int, int]) -> Camera:
        """The camera of a frame of ``(h, w)`` pixels: as calibrated, or resized as a whole.

        The horizon lies at ``v0 - fy * tan(pitch)``. Below it, `Camera` assumes that the camera looks along the ground;
        for a camera that looks down by 0.038 rad, rows are then off by 4 px of 1024 at 5 m, and less farther away, and
        an upright object's height by 0.4%.

        Raises:
            CalibrationError: the frame is of another shape: a crop from an unknown place.
        """
        height, width = self.size_hw or size_hw
        self._check_centre((height, width))
        scale_y, scale_x = size_hw[0] / height, size_hw[1] / width
        if not _same_shape((height, width), size_hw):
            raise CalibrationError(
                f"{self.source} is for frames of {height}x{width} pixels (h x w), this frame is "
                f"{size_hw[0]}x{size_hw[1]}: a crop from an unknown place",
                expected="whole frames, resized or not",
                hint="crop after composing (transforms=), give the crop's own camera (camera: {horizon: 0.42, "
                "height_m: 1.22, focal: 1.1}), or a calibration(index) of the dataset; see docs/camera.md",
            )
        horizon = self.centre_xy[1] - self.focal_xy[1] * math.tan(self.pitch)
        return Camera(
            horizon_row=(horizon + 0.5) * scale_y - 0.5,
            camera_height_m=self.height_m,
            focal_px=self.focal_xy[0] * scale_x,
            centre_col=(self.centre_xy[0] + 0.5) * scale_x - 0.5,
            horizon_from="calibration file",
        )

    def _check_centre(self, size_hw: tuple[int, int]) -> None:
        # If the principal point is far from the middle, the file belongs to frames of another size.
        for what, value, side in zip(("column u0", "row v0"), self.centre_xy, reversed(size_hw), strict=True):
            unit = f"px, in frames of {size_hw[0]}x{size_hw[1]}"
            self._within(f"principal point's {what}", value, side / 4, side * 3 / 4, unit)

    def _within(self, what: str, value: float, low: float, high: float, unit: str) -> None:
        if not low <= value <= high:  # also if it is NaN
            raise CalibrationError(
                f"{self.source}: {what} {value:g}",
                expected=f"a number from {low:g} to {high:g} {unit}",
                hint="restore the file from the dataset's archive, or give the camera: camera: {horizon: 0.42}",
            )


def _same_shape(first_hw: tuple[int, int], other_hw: tuple[int, int]) -> bool:
    """Whether one size is the other's, resized: one scale gives both its sides, up to the pixel of rounding."""
    least = max((other - _ROUNDING_PX) / first for first, other in zip(first_hw, other_hw, strict=True))
    most = min((other + _ROUNDING_PX) / first for first, other in zip(first_hw, other_hw, strict=True))
    return least <= most
