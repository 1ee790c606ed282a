"""The paper's rule for objects of two labelled parts."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from poc_aug.types import Part

_SAME_OBJECT_IOU = 0.8


def resolve_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Make part masks disjoint by the paper's rule for two-part objects such as ("rider", "bicycle").

    Two masks with an IoU over 0.8 are one object, found twice: the later part keeps it. Otherwise the earlier part
    wins the overlap (POC's public parameters). Parts left without a pixel are dropped.

    Example:
        >>> rider = Part("rider", torch.tensor([[1, 1, 1, 0, 0, 0]]).bool())
        >>> bicycle = Part("bicycle", torch.tensor([[0, 0, 1, 1, 1, 1]]).bool())
        >>> [(part.name, part.mask.int().tolist()) for part in resolve_parts([rider, bicycle])]
        [('rider', [[1, 1, 1, 0, 0, 0]]), ('bicycle', [[0, 0, 0, 1, 1, 1]])]
    """
    kept: list[Part] = []
    for part in parts:
        kept = [other for other in kept if _iou(other.mask, part.mask) <= _SAME_OBJECT_IOU]
        kept.append(part)
    free: list[Part] = []
    taken: torch.Tensor | None = None
    for part in kept:
        mask = part.mask if taken is None else part.mask & ~taken
        taken = part.mask if taken is None else taken | part.mask
        if bool(mask.any()):
            free.append(Part(part.name, mask, part.score))
    return tuple(free)


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0
