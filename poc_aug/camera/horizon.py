"""The camera of one frame, its horizon first of all, by the order of evidence in `poc_aug.camera`."""

from __future__ import annotations

import math

import torch

from poc_aug.camera.ground_end import ground_end, top_of_ground
from poc_aug.camera.horizon_fit import RowEstimate, combine, robust_row
from poc_aug.camera.known_heights import find_sightings
from poc_aug.camera_model import Calibration, Camera, HorizonSource
from poc_aug.camera_spec import CameraSpec
from poc_aug.errors import CalibrationError
from poc_aug.labels.schema import LabelSchema

ESTIMATOR = 2
"""Version of the estimate: raised whenever the same labels give another horizon; part of a cache's fingerprint."""

# Standard deviations in rad. The pose of a mounted camera varies as the car pitches with load, braking and the road.
_POSE = 0.01
# The estimate from all objects is off by the slope of the road that they stand on, which is often not the plane of the
# car's own wheels: about 1%.
_ROAD = 0.008
# A single object adds this much: it stands on a kerb, or the road rises towards it.
_BUMPS = 0.008
# Without a pose, objects are used if together they give the horizon this precisely; one car near by does not.
_ENOUGH = 0.0125
# An object whose horizon is this far below the far end of the ground does not stand on the road.
_BELOW_GROUND_END = 0.015
# Frames whose width over height differs by more are not those of the preset.
_ASPECT = 0.03


def has_pose(spec: CameraSpec, size_hw: tuple[int, int]) -> bool:
    """Whether the spec has a pose that is valid for frames of this shape: the horizon of a crop is elsewhere."""
    return spec.pitch is not None and _of_these_frames(spec, size_hw)


def _of_these_frames(spec: CameraSpec, size_hw: tuple[int, int]) -> bool:
    height, width = size_hw
    return spec.aspect is None or (height > 0 and abs(width / height / spec.aspect - 1) <= _ASPECT)


def find_camera(
    spec: CameraSpec,
    labels: torch.Tensor,
    schema: LabelSchema | None = None,
    calibration: Calibration | None = None,
) -> Camera | None:
    """The camera of one frame.

    Args:
        spec: the recipe's camera. Its horizon is used if it is given.
        labels: integer ``[H, W]``.
        schema: names the classes of the ground and of objects of known height.
        calibration: the frame's own, for specs of ``calibration="file"``.

    Returns:
        The camera, with the evidence for its horizon; ``None`` without any: no horizon given, no pose, and no ground in
        sight or a schema without ground classes.

    Raises:
        CalibrationError: the spec asks for the calibration file, and there is none, or it is that of other frames.

    Example:
        >>> find_camera(CameraSpec(horizon=0.25), torch.zeros(64, 128, dtype=torch.uint8))
        Camera(horizon_row=16.0, camera_height_m=1.4, focal_px=128.0, centre_col=63.5, horizon_from='given')
    """
    height, width = labels.shape
    if spec.calibration == "file":
        return _calibrated(calibration, (height, width))
    focal_px = spec.focal * width
    horizon = _horizon(spec, labels, schema, focal_px)
    if horizon is None:
        return None
    row, source = horizon
    centre_col = (width - 1) / 2
    if spec.centre_yx is not None and _of_these_frames(spec, (height, width)):
        centre_col = spec.centre_yx[1] * width
    return Camera(row, spec.height_m, focal_px, centre_col, source)


def _calibrated(calibration: Calibration | None, size_hw: tuple[int, int]) -> Camera:
    if calibration is None:
        raise CalibrationError(
            "camera 'file', but the sample has no calibration",
            expected="Sample(..., calibration=...), which warm_cache and POCAugmentedDataset fill in",
            hint="poc_aug.camera.read_calibration(path) reads a file; or name a preset: camera: cityscapes",
        )
    return calibration.camera(size_hw)


def _horizon(
    spec: CameraSpec, labels: torch.Tensor, schema: LabelSchema | None, focal_px: float
) -> tuple[float, HorizonSource] | None:
    height, width = labels.shape
    if spec.horizon is not None:
        return spec.horizon * height, "given"
    top = None
    if schema is not None and schema.ground:
        # Every 4th column is enough to find a row.
        top = top_of_ground(schema.mask(labels[:, :: 4 if width >= 512 else 1], schema.ground))
    objects = None
    if schema is not None and top is not None:
        objects = _objects(labels, schema, spec.height_m, focal_px, top)
    if has_pose(spec, (height, width)):
        pose = RowEstimate(_nominal_row(spec, height, focal_px), _POSE * focal_px)
        corrected = None if objects is None else combine(pose, objects)
        return (pose.row, "preset") if corrected is None else (corrected.row, "preset and objects")
    if objects is not None and objects.sigma_px <= _ENOUGH * focal_px:
        return objects.row, "objects"
    return None if top is None else (ground_end(top, height, focal_px, spec.height_m), "ground")


def _nominal_row(spec: CameraSpec, frame_height: int, focal_px: float) -> float:
    assert spec.pitch is not None  # it has a pose
    centre = 0.5 if spec.centre_yx is None else spec.centre_yx[0]
    return centre * frame_height - focal_px * math.tan(spec.pitch)


def _objects(
    labels: torch.Tensor, schema: LabelSchema, camera_height_m: float, focal_px: float, top: int
) -> RowEstimate | None:
    """The horizon by all objects of known height; ``None`` if there are none."""
    lowest = top + _BELOW_GROUND_END * focal_px
    sightings = [
        sighting for sighting in find_sightings(labels, schema, camera_height_m) if sighting.horizon_row <= lowest
    ]
    if not sightings:
        return None
    sigmas = [math.hypot(sighting.sigma_px, _BUMPS * focal_px) for sighting in sightings]
    estimate = robust_row([sighting.horizon_row for sighting in sightings], sigmas)
    return RowEstimate(estimate.row, math.hypot(estimate.sigma_px, _ROAD * focal_px))
