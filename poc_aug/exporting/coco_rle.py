"""Masks as COCO's run lengths: down the columns, from background on; compressed to text as the COCO API reads it.

Format: Lin et al., "Microsoft COCO" (2014); the text as described in the public COCO API: 5 bits per character plus a
continuation bit, from ASCII 48, differences to the count two before from the fourth on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.masks import window
from poc_aug.types import Box


def run_counts(mask: torch.Tensor, box_yxhw: Box, size_hw: tuple[int, int]) -> list[int]:
    """Run lengths of a mask in a frame, background first.

    Args:
        mask: bool ``[h, w]``, of the box.
        box_yxhw: where it is.
        size_hw: height and width of the frame.

    Example:
        >>> run_counts(torch.tensor([[True, True], [True, False]]), (0, 1, 2, 2), (2, 3))
        [2, 3, 1]
    """
    y, x, height, width = box_yxhw
    frame_height, frame_width = size_hw
    columns = np.zeros((width, frame_height), np.bool_)
    columns[:, y : y + height] = mask.numpy(force=True).T
    flat = columns.ravel()
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate(([0], turns, [flat.size]))
    counts: list[int] = np.diff(starts).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    before, after = x * frame_height, (frame_width - x - width) * frame_height
    counts[0] += before
    if len(counts) % 2:  # it ends in background
        counts[-1] += after
    elif after:
        counts.append(after)
    return counts


def compressed_counts(counts: list[int]) -> str:
    """Run lengths as text.

    Example:
        >>> compressed_counts([5, 2, 2, 2, 5])
        '52203'
    """
    characters = bytearray()
    for number, count in enumerate(counts):
        value = count - counts[number - 2] if number > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            characters.append(48 + (bits | 0x20 if more else bits))
    return characters.decode("ascii")


def coco_rle(mask: torch.Tensor, box_yxhw: Box, size_hw: tuple[int, int]) -> dict[str, Any]:
    """The ``segmentation`` of a mask in a frame, as a run-length dict.

    Example:
        >>> coco_rle(torch.ones(2, 1, dtype=torch.bool), (0, 0, 2, 1), (2, 2))
        {'size': [2, 2], 'counts': '022'}
    """
    return {"size": list(size_hw), "counts": compressed_counts(run_counts(mask, box_yxhw, size_hw))}


def in_frame(mask: torch.Tensor, box_yxhw: Box, size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """A mask of a box as one of the frame, bool ``[H, W]``."""
    whole = np.zeros(size_hw, np.bool_)
    whole[window(box_yxhw)] = mask.numpy(force=True)
    return whole
