"""Frames stored as a difference: ``img`` of a ``.npz``, uint8 (edited - original) with wrap-around (POC's release)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.errors import ImportFilesError, in_one_line
from poc_aug.files.pictures import check_regular, why_unreadable

_NAME = "img"
_MAX_HEADER_NBYTES = 4096
_HINT = "download the file again, or leave it out"


def edited_by_difference(base: torch.Tensor, path: Path) -> torch.Tensor:
    """The edited frame of a base frame: their sum in uint8, with wrap-around.

    Args:
        base: uint8 ``[3, H, W]``.
        path: the ``.npz`` file.

    Raises:
        ImportFilesError: no such file, or see `read_difference`.
    """
    return base + torch.from_numpy(read_difference(path, (base.shape[1], base.shape[2])).transpose(2, 0, 1))


def read_difference(path: Path, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The array ``img`` of a file, uint8 ``[H, W, 3]``.

    A file from elsewhere: nothing in it is unpickled, and type, shape and size are checked before pixels are
    decompressed, so it takes no more memory than a frame.

    Args:
        path: the ``.npz`` file.
        size_hw: height and width of its base frame.

    Raises:
        ImportFilesError: it cannot be read, has no ``img``, or one of another type or shape.
    """
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            names = [info for info in archive.infolist() if info.filename in (_NAME, f"{_NAME}.npy")]
            if len(names) != 1:
                held = ", ".join(ascii(info.filename) for info in archive.infolist()[:5]) or "nothing"
                raise _wrong(path, f"holds {held}" if not names else f"holds {_NAME!r} {len(names)} times")
            with archive.open(names[0]) as file:
                return _array(file, names[0].file_size, path, size_hw)
    except ImportFilesError:
        raise
    # Damaged archives raise nearly anything: BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError.
    except Exception as error:
        reason = why_unreadable(path, error) if isinstance(error, OSError) else in_one_line(error)
        reason = "it is empty" if path.is_file() and not path.stat().st_size else reason
        raise ImportFilesError(
            f"cannot read {str(path)!r}: {reason}", expected="a .npz file as numpy.savez writes it", hint=_HINT
        ) from error


def _array(file: IO[bytes], declared: int, path: Path, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise _wrong(path, f"has an array of format {version}")
    shape, by_column, dtype = read_header[version](file, max_header_size=_MAX_HEADER_NBYTES)
    wanted = (*size_hw, 3)
    if dtype != np.uint8 or tuple(shape) != wanted:
        raise _wrong(path, f"has {_NAME!r} of {dtype} {list(shape)}", wanted)
    nbytes = size_hw[0] * size_hw[1] * 3
    if not nbytes <= declared <= nbytes + _MAX_HEADER_NBYTES:
        raise _wrong(path, f"declares {declared} bytes", wanted)
    data = file.read(nbytes)
    if len(data) != nbytes or file.read(1):
        raise _wrong(path, "has another number of pixels than it says", wanted)
    return np.frombuffer(bytearray(data), np.uint8).reshape(wanted, order="F" if by_column else "C")


def _wrong(path: Path, what: str, wanted: tuple[int, ...] | None = None) -> ImportFilesError:
    shape = f"uint8 {list(wanted)}, the size of its base frame" if wanted else "uint8 [H, W, 3]"
    return ImportFilesError(
        f"{str(path)!r} {what}",
        expected=f"an array {_NAME!r} of {shape}: (edited - original) with wrap-around",
        hint=_HINT if wanted is None else "pass the dataset that these differences were made from, at its full size",
    )
