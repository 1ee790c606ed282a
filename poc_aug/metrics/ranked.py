"""Values and how often each came, in bounded memory, without losing their order.

Curves over thresholds (precision, recall, ROC) need nothing but how many values of each class lie above each other
value. A summary keeps every distinct value with its count, exactly, as long as there are few. Beyond that, neighbours
are merged so that a group never holds more than `RELATIVE` of the values that lie above it: the number of values above
any threshold is then known to that share of itself, on any scale, however crowded they are, with the finest groups at
the top, where the first false alarms decide the precision. (Relative rank error, as in Cormode et al., *Relative Error
Streaming Quantiles*, PODS 2021; ours is simpler, since whole batches come at once.)
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch

RELATIVE = 5e-5
"""Largest group, as a share of the values above it."""

EXACT = 250_000
"""Distinct values of one class up to which nothing is merged."""

CAPACITY = 800_000
"""Distinct values of one class that are held before they are united."""

Summary: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Distinct values, floating point ``[n]``, ascending; their counts, int64 ``[n]``."""


def select(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """``values[chosen]``, ``[n]``."""
    if values.device.type == "cpu" and values.dtype != torch.bfloat16:
        # torch makes a list of all places first: 50 ms for a frame of 2 million pixels, NumPy takes 8.
        return torch.from_numpy(values.numpy()[chosen.numpy()])
    return values[chosen]


def summarise(values: torch.Tensor) -> Summary:
    """Values as a summary; merged where more than `EXACT` are distinct.

    Args:
        values: floating point ``[n]``, no NaN; float16 and bfloat16 become float32.
    """
    values = _sorted(values if values.dtype in (torch.float32, torch.float64) else values.float())
    if not len(values):
        return values, values.long()
    last = torch.ones_like(values, dtype=torch.bool)
    torch.ne(values[1:], values[:-1], out=last[:-1])
    if int(last.count_nonzero()) <= EXACT:
        ends = last.nonzero()[:, 0]
        return values[ends], _steps(ends)
    # Each value counts once, so the groups of `compact` lie at known places, from the top.
    ends = len(values) - 1 - _ranks(len(values), values.device).flip(0)
    counts = _steps(ends)
    return merge([(values[ends - counts // 2], counts)])


def merge(summaries: list[Summary]) -> Summary:
    """One summary of several, which need not be sorted; values of several types become the widest."""
    values = torch.cat([values for values, _ in summaries])
    order = _order(values)
    values = values[order]
    counts = torch.cat([counts for _, counts in summaries])[order]
    del order
    if not len(values):
        return values, counts
    last = torch.ones_like(values, dtype=torch.bool)
    torch.ne(values[1:], values[:-1], out=last[:-1])
    ends = last.nonzero()[:, 0]
    return values[ends], _steps(counts.cumsum(0)[ends] - 1)


def compact(summary: Summary) -> Summary:
    """Merge neighbours: groups of at most `RELATIVE` of what lies above them, as their middle value."""
    values, counts = summary
    if len(values) <= EXACT:
        return summary
    # In place: these are the largest arrays there are.
    above = counts.cumsum(0).neg_().add_(counts.sum()).double()
    heavy = counts > above * (RELATIVE / 2)
    group = above.log1p_().div_(math.log1p(RELATIVE)).floor_()
    last = torch.ones_like(values, dtype=torch.bool)
    torch.ne(group[1:], group[:-1], out=last[:-1])
    # What is large already stays alone: else a group would grow with every time that it is merged.
    last |= heavy
    last[:-1] |= heavy[1:]
    del above, group
    ends = last.nonzero()[:, 0]
    return values[ends - _steps(ends) // 2], _steps(counts.cumsum(0)[ends] - 1)


def _ranks(count: int, device: torch.device) -> torch.Tensor:
    """Ranks from the top, from 0, at which groups end towards the top: every one, then equal steps of the logarithm."""
    step = math.log1p(RELATIVE)
    alone = min(count, int(1 / RELATIVE))
    steps = torch.arange(math.ceil(math.log1p(alone) / step), math.log1p(count) / step, device=device)
    spaced = steps.double().mul_(step).expm1_().ceil_().long()
    ranks = torch.cat([torch.arange(alone, device=device), spaced[(spaced >= alone) & (spaced < count)]])
    return ranks[torch.diff(ranks, prepend=ranks.new_full((1,), -1)) > 0]


def _steps(ends: torch.Tensor) -> torch.Tensor:
    """Lengths of the runs that end at these places."""
    return torch.diff(ends, prepend=ends.new_full((1,), -1))


def _sorted(values: torch.Tensor) -> torch.Tensor:
    if values.device.type == "cpu":
        # NumPy's sort is vectorised: torch's takes 8 times as long on one core.
        return torch.from_numpy(np.sort(values.numpy()))
    return values.sort().values


def _order(values: torch.Tensor) -> torch.Tensor:
    if values.device.type == "cpu":
        return torch.from_numpy(np.argsort(values.numpy()))
    return values.argsort()
