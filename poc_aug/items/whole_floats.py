"""Floats that hold nothing but whole numbers: bytes of pictures, or label ids, that a dataset converted.

torchgeo returns pixels as floats from 0 to 255, and pytorch-ood the labels of one dataset as floats. Such values are
exact, so they are composed as if they were integers. Values that are all 0 or 1 are not taken for any: they may as well
be a picture from 0 to 1, or ids that ``ToTensor`` divided by 255.
"""

from __future__ import annotations

import numpy as np
import torch

from poc_aug.items.canvas import AnyArray


def holds_bytes(values: torch.Tensor | AnyArray) -> bool:
    """Whether floats are whole numbers from 0 to 255, and at least one is above 1. Takes 4 ms for 1024×1024 pixels.

    Example:
        >>> holds_bytes(torch.tensor([0.0, 200.0])), holds_bytes(torch.tensor([0.0, 200.5])), holds_bytes(torch.ones(2))
        (True, False, False)
    """
    if isinstance(values, torch.Tensor):
        if not values.is_floating_point():
            return False
        converted = values.to(torch.uint8)  # of what is no byte, to something else
        return bool((converted > 1).any()) and torch.equal(converted.to(values.dtype), values)
    if values.dtype.kind != "f":
        return False
    with np.errstate(invalid="ignore"):  # of NaN, which then differs
        bytes_of = values.astype(np.uint8)
    return bool((bytes_of > 1).any()) and bool(np.array_equal(bytes_of, values))


def holds_ids(values: torch.Tensor | AnyArray) -> bool:
    """Whether floats are whole numbers that their dtype holds exactly, and at least one is neither 0 nor 1.

    Example:
        >>> holds_ids(torch.tensor([0.0, -1.0])), holds_ids(torch.tensor([0.0, 1.0])), holds_ids(torch.tensor([0.5]))
        (True, False, False)
    """
    limit = largest_id(values)
    if not limit or 0 in values.shape:
        return False
    low, high = values.min(), values.max()
    if not (-limit <= low and high <= limit and (low < 0 or high > 1)):  # also of NaN
        return False
    if isinstance(values, torch.Tensor):
        return torch.equal(values.round(), values)
    return bool(np.array_equal(np.round(values), values))


def largest_id(values: torch.Tensor | AnyArray) -> int:
    """The largest whole number up to which a floating dtype holds all of them; 0 for other dtypes.

    Example:
        >>> largest_id(torch.zeros(1, dtype=torch.float16)), largest_id(np.zeros(1, np.float32))
        (2048, 16777216)
    """
    if isinstance(values, torch.Tensor):
        return round(2 / torch.finfo(values.dtype).eps) if values.is_floating_point() else 0
    return min(round(2 / float(np.finfo(values.dtype).eps)), 2**53) if values.dtype.kind == "f" else 0
