"""Files of exported frames: encoded in memory, and put in place whole, one after the other."""

from __future__ import annotations

import errno
import io
import itertools
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import ExportError, OutputError
from poc_aug.files.outputs import writing

PARTIAL = ".partial"
"""Folder of files that are being written: loaders that list the export's own folders never see one."""

_FASTEST = 1
"""zlib level of pictures: 2048×1024 pixels take 0.14 s and 2.4 MB; at level 6, 0.82 s and 2.1 MB."""

_counter = itertools.count()


def picture_png(image: torch.Tensor) -> bytes:
    """An RGB picture, uint8 ``[3, H, W]``, as a PNG.

    Example:
        >>> picture_png(torch.zeros(3, 4, 8, dtype=torch.uint8))[1:4]
        b'PNG'
    """
    return _png(Image.fromarray(_rows(image)), _FASTEST)


def picture_jpg(image: torch.Tensor, quality: int = 95) -> bytes:
    """An RGB picture, uint8 ``[3, H, W]``, as a JPEG without chroma subsampling; its pixels change a little.

    Example:
        >>> picture_jpg(torch.zeros(3, 4, 8, dtype=torch.uint8))[6:10]
        b'JFIF'
    """
    file = io.BytesIO()
    Image.fromarray(_rows(image)).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def label_png(labels: torch.Tensor, name: str) -> bytes:
    """A label map, integer ``[H, W]``, as an 8-bit single-channel PNG.

    Args:
        labels: the ids.
        name: the frame, for messages.

    Raises:
        ExportError: an id outside 0 to 255.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> Image.open(io.BytesIO(label_png(torch.tensor([[0, 254]]), "frame-7"))).getextrema()
        (0, 254)
        >>> label_png(torch.tensor([[-1]]), "frame-7")
        Traceback (most recent call last):
        poc_aug.errors.ExportError: labels of 'frame-7' hold ids from -1 to -1
        Expected: ids of 0 to 255, which a PNG of 8 bits holds
        Next step: let the dataset return ids of 8 bits, or choose other ids for the new classes
    """
    values = labels.numpy(force=True)
    if values.dtype != np.uint8:
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        if low < 0 or high > 255:
            raise ExportError(
                f"labels of {name!r} hold ids from {low} to {high}",
                expected="ids of 0 to 255, which a PNG of 8 bits holds",
                hint="let the dataset return ids of 8 bits, or choose other ids for the new classes",
            )
        values = values.astype(np.uint8)
    return _png(Image.fromarray(np.ascontiguousarray(values)), _FASTEST)


def deep_png(values: torch.Tensor) -> bytes:
    """Instance ids, integer ``[H, W]`` of 0 to 65535, as a 16-bit single-channel PNG.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> Image.open(io.BytesIO(deep_png(torch.tensor([[26001]])))).getpixel((0, 0))
        26001
    """
    return _png(Image.fromarray(values.numpy(force=True).astype(np.uint16)), _FASTEST)


def place_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into an export's folder: none is ever seen in part, and the last one is the last to appear.

    Args:
        folder: the export's folder.
        files: content by path relative to it.

    Raises:
        OutputError: one cannot be written, such as on a full disk; the others may be there.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     place_files(Path(folder), {"images/a.png": b"picture", "labels/a.png": b"ids"})
        ...     sorted(path.name for path in Path(folder).rglob("*.png"))
        ['a.png', 'a.png']
    """
    started: list[tuple[Path, Path]] = []
    unique = f"{os.getpid()}-{threading.get_ident()}"
    try:
        for name, content in files.items():
            target, temporary = folder / name, folder / PARTIAL / f"{unique}-{next(_counter)}"
            with placing(target):
                temporary.parent.mkdir(exist_ok=True)
                started.append((temporary, target))
                temporary.write_bytes(content)
        for temporary, target in started:
            with placing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(target)
    finally:
        for temporary, _ in started:
            temporary.unlink(missing_ok=True)


@contextmanager
def placing(path: Path) -> Iterator[None]:
    """Context of code that writes a file of an export; see `poc_aug.files.outputs.writing`.

    Raises:
        OutputError: instead of any ``OSError``; on a full disk it says how to continue.
    """
    try:
        with writing(path):
            yield
    except OutputError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OutputError(
            error.problem,
            expected="a disk with room",
            hint="free some space and run the same export again: it continues, what was written is kept",
        ) from cause


def sizes_of(folder: Path, names: Iterable[str]) -> dict[str, int] | None:
    """Size in bytes of each file; ``None`` if one of them is missing.

    Example:
        >>> sizes_of(Path("."), ["no-such-file.png"]) is None
        True
    """
    try:
        return {name: (folder / name).stat().st_size for name in names}
    except OSError:
        return None


def remove_placed(folder: Path, names: Iterable[str]) -> None:
    """Remove files of an export's folder, those that are there.

    Raises:
        OutputError: one cannot be removed.
    """
    for name in names:
        with placing(folder / name):
            (folder / name).unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove what a run that was killed left half-written."""
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def _rows(image: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rows: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = image.permute(1, 2, 0).contiguous().numpy(force=True)
    return rows


def _png(picture: Image.Image, level: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=level)
    return file.getvalue()
