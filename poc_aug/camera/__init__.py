"""Cameras: what turns metres into pixels, and the evidence that it is known from.

In it: calibration files, the horizon from pose and labels, and posts to judge it by eye.
May import: camera_model, camera_spec, errors, keys, labels, masks, presets, protocols, recipe, types.
Gives: `find_camera`, `FrameCalibrations`, `read_calibration`.

The order of evidence for the horizon, recorded in each insertion as ``horizon_from``:

========================  ================================================================================
"given"                   ``camera.horizon`` in the recipe
"calibration file"        ``camera: file``: Cityscapes' or KITTI's calibration of this frame
"preset and objects"      the pose that a preset such as "cityscapes" names, corrected by objects of known
                          height in the labels
"preset"                  that pose alone: no such object is in sight, or they contradict it
"objects"                 objects of known height alone: no pose is named, or it is that of other frames
"ground"                  where the visible ground ends
========================  ================================================================================
"""

from __future__ import annotations

from poc_aug.camera.calibration_files import read_calibration
from poc_aug.camera.camera_check import check_known, check_shape
from poc_aug.camera.frame_calibrations import FrameCalibrations, calibration_file
from poc_aug.camera.horizon import ESTIMATOR, find_camera, has_pose
from poc_aug.camera_model import Calibration

__all__ = [
    "ESTIMATOR",
    "Calibration",
    "FrameCalibrations",
    "calibration_file",
    "check_known",
    "check_shape",
    "find_camera",
    "has_pose",
    "read_calibration",
]
