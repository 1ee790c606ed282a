"""Label ids that transforms write where the frame has no pixels: padding, corners of a rotation, erased boxes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from poc_aug.joint_transforms.transform_kinds import is_albumentations, is_kornia, is_v2, parts_of

# albumentations 2 has the first; the others are its earlier names.
_ALBUMENTATIONS = ("fill_mask", "mask_fill_value", "mask_value", "cval_mask", "pad_cval_mask")
_KORNIA = ("fill", "fill_value", "pad_value")


def fill_ids(transforms: Any) -> frozenset[int]:
    """The ids with which the transforms of a library fill labels, at any depth of ``transforms``.

    If there is any such transform, 0 is one of them: the default of all three libraries.
    """
    ids: set[int] = set()
    for part in parts_of(transforms):
        if is_v2(part):
            values = [_of_masks(part.__dict__.get("_fill"))]
        elif is_albumentations(part):
            values = [getattr(part, name, None) for name in _ALBUMENTATIONS]
        elif is_kornia(part):
            flags = getattr(part, "flags", {})
            values = [flags.get(name) for name in _KORNIA]
        else:
            continue
        ids |= {0}.union(*(_whole_numbers(value) for value in values))
    return frozenset(ids)


def dtype_holding(dtype: torch.dtype, ids: Iterable[int]) -> torch.dtype:
    """The dtype, or int64 if that cannot hold the ids: -100 in uint8 would become 156."""
    limits = torch.iinfo(dtype)
    return dtype if all(limits.min <= label_id <= limits.max for label_id in ids) else torch.int64


def _of_masks(fill: Any) -> Any:
    """The value with which v2 fills masks: its ``_fill`` is a dict by type, with "others" for all other types."""
    if not isinstance(fill, dict):
        return fill
    from torchvision import tv_tensors

    return fill.get(tv_tensors.Mask, fill.get("others"))


def _whole_numbers(value: Any) -> set[int]:
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return set().union(*(_whole_numbers(element) for element in value))
    return {int(value)} if isinstance(value, int | float) and value == int(value) else set()
