"""`FrameCalibrations`: the calibration of each frame of a dataset, found next to its image."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, Subset

from poc_aug.camera.calibration_files import read_calibration
from poc_aug.camera_model import Calibration
from poc_aug.errors import CalibrationError, NextStep
from poc_aug.keys.dataset_wrappers import own_attribute, wrapped, wrapped_indices
from poc_aug.keys.path_keys import PATH_LISTS, data_info_paths, listed_paths

_METHOD = "or let the dataset have a method calibration(index) that returns a poc_aug.camera.Calibration"
_GIVE_IT = NextStep(
    f"give the camera in the recipe (camera: cityscapes, or camera: {{horizon: 0.42, height_m: 1.4}}), {_METHOD}",
    f"give the camera: --camera cityscapes, or --set 'camera={{horizon: 0.42, height_m: 1.4}}'; {_METHOD}",
)
_KITTI_CAMERA = re.compile(r"image_0?([0-3])")
_Source = Path | Callable[[], Calibration]


class FrameCalibrations:
    """The calibration of each frame; files are read when they are asked for.

    A dataset's own ``calibration(index)`` takes precedence. Otherwise the paths of its images are used, through
    `Subset`, `ConcatDataset` and wrappers of the same length, and the file is expected where the dataset's archives
    have it: Cityscapes' ``leftImg8bit/SPLIT/CITY/X_leftImg8bit.png`` has ``camera/SPLIT/CITY/X_camera.json``; for KITTI
    see `calibration_file`.

    Args:
        dataset: a map-style dataset.

    Raises:
        CalibrationError: the dataset has neither.

    Example:
        >>> class Calibrated:
        ...     def __len__(self): return 1
        ...     def __getitem__(self, index): ...
        ...     def calibration(self, index):
        ...         return Calibration((1000.0, 1000.0), (512.0, 256.0), height_m=1.5, size_hw=(512, 1024))
        >>> FrameCalibrations(Calibrated()).of(0).height_m
        1.5
    """

    def __init__(self, dataset: Any) -> None:
        self._name = type(dataset).__name__
        self._sources = _sources(dataset)
        if self._sources is None:
            raise CalibrationError(
                f"camera 'file' on {self._name}, which does not say where its images are",
                expected=f"a dataset with a list of image paths ({', '.join(PATH_LISTS[:4])}, ...)",
                **_GIVE_IT._asdict(),
            )

    def check(self, numbers: Iterable[int]) -> None:
        """Check that all files exist, before any long work; they are not read.

        Raises:
            CalibrationError: some do not; the message names the first such frame and their number.
        """
        missing = [error for number in numbers if (error := self._missing(number)) is not None]
        if missing:
            more = f"\n({len(missing)} frames of {self._name} have no camera file)" if len(missing) > 1 else ""
            first = missing[0]
            raise CalibrationError(
                first.problem + more, expected=first.expected, hint=first.hint, command=first.command
            )

    def _missing(self, number: int) -> CalibrationError | None:
        source = self._source(number)
        if not isinstance(source, Path):
            return None
        try:
            calibration_file(source)
        except CalibrationError as error:
            return error
        return None

    def of(self, number: int) -> Calibration:
        """The calibration of a frame.

        Raises:
            CalibrationError: no file, or one that is broken, as in `read_calibration`.
        """
        source = self._source(number)
        if isinstance(source, Path):
            return read_calibration(*calibration_file(source))
        calibration = source()
        if not isinstance(calibration, Calibration):
            raise CalibrationError(
                f"calibration({number}) of {self._name} returned {calibration!r:.80}",
                expected="a poc_aug.camera.Calibration",
                hint="correct the dataset's method",
            )
        return calibration

    def _source(self, number: int) -> _Source:
        assert self._sources is not None
        return self._sources[number]


def calibration_file(image: str | Path) -> tuple[Path, int]:
    """The calibration file of an image, and the number of the camera in it (KITTI's; 2 for Cityscapes).

    ====================================================  ===================================================
    an image                                              has
    ====================================================  ===================================================
    ``leftImg8bit/train/aachen/X_leftImg8bit.png``        ``camera/train/aachen/X_camera.json``
    ``training/image_2/000000_10.png``                    ``training/calib_cam_to_cam/000000.txt``
    ``training/image_2/000000.png``                       ``training/calib/000000.txt``
    ``2011_09_26/DRIVE/image_02/data/0000000000.png``     ``2011_09_26/calib_cam_to_cam.txt``
    ``sequences/00/image_2/000000.png``                   ``sequences/00/calib.txt``
    ====================================================  ===================================================

    Raises:
        CalibrationError: another layout, or no such file.
    """
    image = Path(image)
    candidates = list(_candidates(image))
    for path, camera in candidates:
        if path.is_file():
            return path, camera
    if not candidates:
        raise CalibrationError(
            f"no camera file is known for image {str(image)!r}",
            expected="an image in the folders of Cityscapes (leftImg8bit/...) or KITTI (image_2/..., image_02/...)",
            **_GIVE_IT._asdict(),
        )
    raise CalibrationError(
        f"image {str(image)!r} has no camera file; looked for {', '.join(repr(str(path)) for path, _ in candidates)}",
        expected="the calibration as the dataset's archives unpack it: Cityscapes' camera_trainvaltest.zip, KITTI's "
        "calib_cam_to_cam",
        hint=f"unpack it next to the images; or {_GIVE_IT.hint}",
        command=f"unpack it next to the images; or {_GIVE_IT.command}",
    )


def _candidates(image: Path) -> Iterator[tuple[Path, int]]:
    parts = image.parts
    for place in range(len(parts) - 2, -1, -1):
        # "leftImg8bit_foggy" and similar folders hold the same frames in other weather,
        # "X_leftImg8bit_foggy_beta_0.02.png".
        if parts[place].startswith("leftImg8bit") and "_leftImg8bit" in image.name:
            stem = image.name.partition("_leftImg8bit")[0]
            yield Path(*parts[:place], "camera", *parts[place + 1 : -1], f"{stem}_camera.json"), 2
            return
        if match := _KITTI_CAMERA.fullmatch(parts[place]):
            folder, camera = Path(*parts[:place]), int(match[1])
            frame = image.stem.partition("_")[0]
            yield folder / "calib_cam_to_cam" / f"{frame}.txt", camera
            yield folder / "calib" / f"{frame}.txt", camera
            yield folder / "calib_cam_to_cam.txt", camera
            yield folder.parent / "calib_cam_to_cam.txt", camera
            yield folder / "calib.txt", camera
            return


def _sources(dataset: Any) -> list[_Source] | None:
    own = own_attribute(dataset, "calibration")
    if callable(own):
        return [_OwnCalibration(own, index) for index in range(len(dataset))]
    if isinstance(dataset, Subset):
        all_sources = _sources(dataset.dataset)
        return None if all_sources is None else [all_sources[int(index)] for index in dataset.indices]
    if isinstance(dataset, ConcatDataset):
        parts = [_sources(part) for part in dataset.datasets]
        return None if None in parts else [source for part in parts if part is not None for source in part]
    length = len(dataset)
    paths = data_info_paths(dataset, length) or listed_paths(dataset, length)
    if paths is not None:
        return [_placed(path, dataset) for path in paths]
    inner = wrapped(dataset)
    sources = None if inner is None else _sources(inner)
    indices = None if sources is None else wrapped_indices(dataset, len(sources), length)
    return None if sources is None or indices is None else [sources[index] for index in indices]


class _OwnCalibration:
    """A dataset's own ``calibration(index)``, to be called later; a class, since closures do not pickle."""

    def __init__(self, method: Callable[[int], Calibration], index: int) -> None:
        self.method, self.index = method, index

    def __call__(self) -> Calibration:
        return self.method(self.index)


def _placed(path: str, dataset: Any) -> Path:
    """A listed path, as it is, or below the dataset's root."""
    roots = (getattr(dataset, name, None) for name in ("root", "data_root"))
    root = next((root for root in roots if isinstance(root, str | os.PathLike) and root), None)
    if root is None or os.path.isabs(path) or os.path.exists(path):
        return Path(path)
    return Path(root) / path
