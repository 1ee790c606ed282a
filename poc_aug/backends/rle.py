"""COCO masks: polygons, run-length counts, and COCO's compressed count strings.

Format: Lin et al., "Microsoft COCO" (2014); the strings as described with the public COCO API (5 bits a
character plus a continuation bit, from ASCII 48, differences to the count two before from the fourth on).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from poc_aug.errors import ObjectBankError


def decode_counts(text: str | bytes) -> list[int]:
    """Run lengths of a compressed count string.

    Raises:
        ObjectBankError: characters outside the format, or a string that ends inside a number.
    """
    data = text.encode() if isinstance(text, str) else text
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
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ObjectBankError("run-length string ends inside a number", expected="a complete COCO count string")
    return counts


def decode_rle(rle: dict[str, Any]) -> torch.Tensor:
    """Mask of ``{"size": [h, w], "counts": list or string}``: bool ``[h, w]``. Runs go down the columns.

    Raises:
        ObjectBankError: runs that do not fill the size exactly.
    """
    height, width = (int(n) for n in rle["size"])
    counts = rle["counts"]
    runs = np.asarray(counts if isinstance(counts, list) else decode_counts(counts), dtype=np.int64)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ObjectBankError(
            f"run lengths cover {int(runs.sum())} pixels of a {height}x{width} mask", expected=str(height * width)
        )
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return torch.from_numpy(np.ascontiguousarray(flat.reshape(width, height).T))


def decode_segmentation(segmentation: Any, size_hw: tuple[int, int]) -> torch.Tensor:
    """Mask of a COCO ``segmentation`` field (polygons, or a run-length dict): bool ``[h, w]``.

    Raises:
        ObjectBankError: neither of the two, or not of the image's size.
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
    for polygon in segmentation:
        # COCO's coordinates are of pixel corners, PIL's of pixel centres.
        draw.polygon([(x - 0.5, y - 0.5) for x, y in zip(polygon[::2], polygon[1::2], strict=True)], fill=1)
    return torch.from_numpy(np.asarray(canvas, dtype=bool).copy())
