"""The camera of one frame, by the order of evidence of `poc_aug.camera`."""

from __future__ import annotations

import math

import torch

from poc_aug.camera.ground_end import ground_end, top_of_ground
from poc_aug.camera.horizon_fit import Guess, combine, robust_row
from poc_aug.camera.known_heights import find_sightings
from poc_aug.camera_model import Calibration, Camera, HorizonSource
from poc_aug.camera_spec import CameraSpec
from poc_aug.errors import CalibrationError
from poc_aug.labels.schema import LabelSchema

ESTIMATOR = 2
"""Grows whenever the same labels give another horizon; part of the fingerprint of caches whose horizon is estimated."""

# In rad, as all angles here. A mounted camera's pose, while the car pitches with load, braking and the road.
_POSE = 0.01
# What objects say together is off by the slope of the road that they stand on, which is as often not the plane of
# the car's own wheels: about 1%.
_ROAD = 0.008
# What a single one adds: it stands on a kerb, or the road rises towards it.
_BUMPS = 0.008
# Without a pose, objects count that together tell the horizon to this; one car near by does not.
_ENOUGH = 0.0125
# An object that seems to be this far below the far end of the ground stands on no road.
_BELOW_GROUND_END = 0.015
# Widths over heights that differ by more are of other frames than the preset's.
_ASPECT = 0.03


def has_pose(spec: CameraSpec, size_hw: tuple[int, int]) -> bool:
    """Whether the spec names a pose, and for frames of this shape: a crop's horizon is elsewhere."""
    return spec.pitch is not None and _of_these_frames(spec, size_hw)


def _of_these_frames(spec: CameraSpec, size_hw: tuple[int, int]) -> bool:
    return spec.aspect is None or abs(size_hw[1] / size_hw[0] / spec.aspect - 1) <= _ASPECT


def find_camera(
    spec: CameraSpec,
    labels: torch.Tensor,
    schema: LabelSchema | None = None,
    calibration: Calibration | None = None,
) -> Camera | None:
    """The camera of one frame.

    Args:
        spec: the recipe's camera. Its horizon is used where it is given.
        labels: integer ``[H, W]``.
        schema: names the classes of the ground and of objects of known height.
        calibration: the frame's own, for specs of ``calibration="file"``.

    Returns:
        The camera, with what its horizon is known from; ``None`` where nothing tells: no horizon given, no pose, no
        ground in sight, or a schema without ground classes.

    Raises:
        CalibrationError: the spec asks for the calibration file, and there is none, or it is of other frames.
    """
    height, width = labels.shape
    if spec.calibration == "file":
        return _calibrated(calibration, (height, width))
    focal_px = spec.focal * width
    found = _horizon(spec, labels, schema, focal_px)
    if found is None:
        return None
    row, source = found
    centre_col = (width - 1) / 2
    if spec.centre_yx is not None and _of_these_frames(spec, (height, width)):
        centre_col = spec.centre_yx[1] * width
    return Camera(row, spec.height_m, focal_px, centre_col, source)


def _calibrated(calibration: Calibration | None, size_hw: tuple[int, int]) -> Camera:
    if calibration is None:
        raise CalibrationError(
            "camera 'file', and the sample has no calibration",
            expected="Sample(..., calibration=...), as warm_cache and POCAugmentedDataset fill it in",
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
        pose = Guess(_nominal_row(spec, height, focal_px), _POSE * focal_px)
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
) -> Guess | None:
    """What the objects of known height say together; ``None`` where there are none."""
    lowest = top + _BELOW_GROUND_END * focal_px
    sightings = [each for each in find_sightings(labels, schema, camera_height_m) if each.horizon_row <= lowest]
    if not sightings:
        return None
    sigmas = [math.hypot(each.sigma_px, _BUMPS * focal_px) for each in sightings]
    guess = robust_row([each.horizon_row for each in sightings], sigmas)
    return Guess(guess.row, math.hypot(guess.sigma_px, _ROAD * focal_px))
