"""COCO masks: polygons, run-length counts, and COCO's compressed count strings.

Format: Lin et al., "Microsoft COCO" (2014); the strings as described in the public COCO API (5 bits per
character plus a continuation bit, from ASCII 48, differences to the count two before from the fourth on).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from poc_aug.errors import ObjectBankError

_MOST_BITS = 60


def decode_counts(text: str | bytes) -> list[int]:
    """Run lengths of a compressed count string.

    Raises:
        ObjectBankError: characters outside the format, or a string that ends inside a number.

    Example:
        >>> decode_counts("52203")
        [5, 2, 2, 2, 5]
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    counts: list[int] = []
    value = shift = 0
    for byte in data:
        bits = byte - 48
        if not 0 <= bits < 64:
            raise ObjectBankError(
                f"run-length string holds the character {chr(byte)!r}", expected="characters '0' to 'o'"
            )
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            if shift > _MOST_BITS:
                raise ObjectBankError("run-length string holds a number of too many digits", expected="pixel counts")
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ObjectBankError("run-length string ends inside a number", expected="a complete COCO count string")
    return counts


def run_lengths(counts: Any) -> list[int]:
    """Run lengths of a ``counts`` field: a list of whole numbers, or a compressed string.

    Raises:
        ObjectBankError: neither, or negative runs.
    """
    if isinstance(counts, str | bytes):
        runs = decode_counts(counts)
    elif isinstance(counts, list) and all(_is_whole(count) for count in counts):
        runs = [int(count) for count in counts]
    else:
        raise ObjectBankError(
            f"run lengths are {str(counts)[:60]!r}", expected="a list of whole numbers, or COCO's compressed string"
        )
    if any(run < 0 for run in runs):
        raise ObjectBankError(f"a run of {min(runs)} pixels", expected="runs of 0 or more")
    return runs


def decode_rle(rle: Mapping[str, Any]) -> torch.Tensor:
    """Mask of ``{"size": [h, w], "counts": list or string}``: bool ``[h, w]``. Runs go down the columns.

    Raises:
        ObjectBankError: no such size or counts, or runs that do not fill the size exactly.

    Example:
        >>> decode_rle({"size": [2, 3], "counts": [2, 3, 1]}).int()
        tensor([[0, 1, 1],
                [0, 1, 0]], dtype=torch.int32)
    """
    size = rle.get("size")
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(_is_whole(side) and side > 0 for side in size):
        raise ObjectBankError(f"a mask's size is {str(size)[:60]!r}", expected="[height, width]")
    height, width = (int(side) for side in size)
    runs = run_lengths(rle.get("counts"))
    # Compared before any pixel is allocated: a huge run would take as much memory.
    if sum(runs) != height * width:
        raise ObjectBankError(
            f"run lengths cover {sum(runs)} pixels of a {height}x{width} mask", expected=str(height * width)
        )
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return torch.from_numpy(np.ascontiguousarray(flat.reshape(width, height).T))


def decode_segmentation(segmentation: Any, size_hw: tuple[int, int]) -> torch.Tensor:
    """Mask of a COCO ``segmentation`` field (polygons, or a run-length dict): bool ``[h, w]``.

    Raises:
        ObjectBankError: neither of the two, not of the image's size, or not drawable.

    Example:
        >>> decode_segmentation([[0, 0, 6, 0, 6, 4, 0, 4]], (4, 6)).all()  # the whole image
        tensor(True)
    """
    if isinstance(segmentation, dict):
        mask = decode_rle(segmentation)
        if tuple(mask.shape) != size_hw:
            raise ObjectBankError(f"mask is {tuple(mask.shape)}, its image is {size_hw}", expected="equal sizes")
        return mask
    if not isinstance(segmentation, list) or not all(isinstance(p, list) and len(p) >= 6 for p in segmentation):
        raise ObjectBankError(
            f"segmentation {str(segmentation)[:60]!r}", expected="polygons of at least 3 points, or a run-length dict"
        )
    canvas = Image.new("1", (size_hw[1], size_hw[0]))
    draw = ImageDraw.Draw(canvas)
    try:
        for polygon in segmentation:
            # COCO's coordinates are of pixel corners, PIL's of pixel centres.
            draw.polygon([(x - 0.5, y - 0.5) for x, y in zip(polygon[::2], polygon[1::2], strict=True)], fill=1)
    except (TypeError, ValueError, OverflowError) as error:
        raise ObjectBankError(
            f"polygon {str(polygon)[:60]!r}: {error}", expected="finite numbers x, y, x, y, ... of pixels"
        ) from error
    return torch.from_numpy(np.asarray(canvas, dtype=bool).copy())


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)
