"""Calibration files: Cityscapes' ``camera/*.json`` and KITTI's text files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poc_aug.camera_model import Calibration
from poc_aug.errors import CalibrationError

# Cordts et al., "The Cityscapes Dataset" (CVPR 2016): the JSON files do not say their frames' size.
_CITYSCAPES_HW = (1024, 2048)
# Geiger et al., "Vision meets Robotics" (IJRR 2013), figure 3: no file holds the cameras' height over the road.
_KITTI_HEIGHT_M = 1.65

_HINT = "restore the file from the dataset's archive, or give the camera in the recipe: camera: {horizon: 0.42}"


def read_calibration(path: str | Path, camera: int = 2) -> Calibration:
    """Read a calibration file: JSON as Cityscapes has it, or text as KITTI has it.

    Args:
        path: ``X_camera.json``; or ``calib_cam_to_cam.txt`` of a drive, ``calib_cam_to_cam/000000.txt`` of the stereo
            and semantics sets, ``calib/000000.txt`` of the object set, ``calib.txt`` of an odometry sequence.
        camera: number of KITTI's camera; 2 is the left colour camera (``image_02``, ``image_2``).

    Raises:
        CalibrationError: a file that cannot be read, lacks a number, or holds one that no street camera has.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> lines = ["S_rect_02: 1242 375", "P_rect_02: 721.5 0 609.6 44.9 0 721.5 172.9 0.2 0 0 1 0.003"]
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "calib_cam_to_cam.txt"
        ...     _ = path.write_text(chr(10).join(lines))
        ...     calibration = read_calibration(path)
        >>> calibration.size_hw, calibration.height_m
        ((375, 1242), 1.65)
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(
            f"camera file {str(path)!r} cannot be read: {error}",
            expected="Cityscapes' X_camera.json, or KITTI's calib_cam_to_cam.txt",
            hint=_HINT,
        ) from error
    return _cityscapes(text, path) if path.suffix.lower() == ".json" else _kitti(text, path, camera)


def _cityscapes(text: str, path: Path) -> Calibration:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise _broken(path, f"is not JSON: {error}", "{'intrinsic': {...}, 'extrinsic': {...}}") from error
    inner, outer = _part(data, "intrinsic", path), _part(data, "extrinsic", path)
    fx, fy, u0, v0 = (_number(inner, name, "intrinsic", path) for name in ("fx", "fy", "u0", "v0"))
    height_m, pitch = (_number(outer, name, "extrinsic", path) for name in ("z", "pitch"))
    return Calibration((fx, fy), (u0, v0), height_m, pitch, _CITYSCAPES_HW, f"camera file {str(path)!r}")


def _part(data: Any, name: str, path: Path) -> Mapping[str, Any]:
    part = data.get(name) if isinstance(data, dict) else None
    if not isinstance(part, dict):
        raise _broken(path, f"has {name} = {part!r}", f"a mapping {name!r} of numbers")
    return part


def _number(part: Mapping[str, Any], name: str, where: str, path: Path) -> float:
    value = part.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _broken(path, f"has {where}.{name} = {value!r}", "a number")
    return float(value)


def _kitti(text: str, path: Path, camera: int) -> Calibration:
    lines = dict(re.findall(r"^(\w+):[ \t]*(.*?)[ \t\r]*$", text, re.MULTILINE))
    # "P_rect_02" with the frames' size "S_rect_02" in raw data and the stereo set; only "P2" in the others.
    rectified = f"P_rect_{camera:02}" in lines
    name = f"P_rect_{camera:02}" if rectified else f"P{camera}"
    fx, _, u0, _, _, fy, v0, *_ = _numbers(lines, name, 12, path)
    size_hw = None
    if rectified:
        width, height = _numbers(lines, f"S_rect_{camera:02}", 2, path)
        if not (1 <= width <= 1e5 and 1 <= height <= 1e5):
            raise _broken(path, f"has S_rect_{camera:02} = {width:g} {height:g}", "width and height in pixels")
        size_hw = (round(height), round(width))
    # The rectified cameras look along the road; only the car's own pitch remains.
    return Calibration((fx, fy), (u0, v0), _KITTI_HEIGHT_M, 0.0, size_hw, f"camera file {str(path)!r}")


def _numbers(lines: Mapping[str, str], name: str, count: int, path: Path) -> list[float]:
    values = lines.get(name)
    if values is None:
        raise _broken(path, f"has no line {name!r}; it has {', '.join(lines) or 'none'}", f"{name}: {count} numbers")
    try:
        numbers = [float(value) for value in values.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise _broken(path, f"has {name} = {values!r}", f"{count} numbers")
    return numbers


def _broken(path: Path, problem: str, expected: str) -> CalibrationError:
    return CalibrationError(f"camera file {str(path)!r} {problem}", expected=expected, hint=_HINT)
