"""Summaries of values in bounded memory: distinct values and how often each occurs, their order kept.

Curves over thresholds (precision, recall, ROC) need only one thing: how many values of each class lie above each other
value. A summary keeps every distinct value with its count, exactly, as long as there are few. Beyond that, neighbours
are merged so that a group never holds more than `RELATIVE` of the values above it. The number of values above any
threshold is then known to that share of itself, on any scale and however crowded the values are; the groups are finest
at the top, where the first false positives decide the precision. (Relative rank error, as in Cormode et al., *Relative
Error Streaming Quantiles*, PODS 2021; this version is simpler, since values arrive in whole batches.)
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch

RELATIVE = 5e-5
"""Size of the largest group, as a share of the values above it."""

EXACT = 250_000
"""Number of distinct values of one class up to which nothing is merged."""

CAPACITY = 800_000
"""Number of distinct values of one class that are held before their summaries are merged."""

Summary: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Distinct values, floating point ``[n]``, ascending; their counts, int64 ``[n]``."""


def select(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """``values[chosen]``, ``[n]``, faster on the CPU.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.ranked import select
        >>> select(torch.tensor([[0.5, 0.75], [1.0, 2.0]]), torch.tensor([[True, False], [False, True]]))
        tensor([0.5000, 2.0000])
    """
    if values.device.type == "cpu" and values.dtype != torch.bfloat16:
        # torch first lists all indices, which takes 50 ms for a frame of 2 million pixels; NumPy takes 8 ms.
        return torch.from_numpy(values.numpy()[chosen.numpy()])
    return values[chosen]


def summarise(values: torch.Tensor) -> Summary:
    """Summarise values; neighbours are merged if more than `EXACT` are distinct.

    Args:
        values: floating point ``[n]``, no NaN; float16 and bfloat16 become float32.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.ranked import summarise
        >>> summarise(torch.tensor([0.75, 0.25, 0.75]))
        (tensor([0.2500, 0.7500]), tensor([1, 2]))
    """
    values = _sorted(values if values.dtype in (torch.float32, torch.float64) else values.float())
    if not len(values):
        return values, values.long()
    last = torch.ones_like(values, dtype=torch.bool)
    torch.ne(values[1:], values[:-1], out=last[:-1])
    if int(last.count_nonzero()) <= EXACT:
        ends = last.nonzero()[:, 0]
        return values[ends], _steps(ends)
    # Each value counts once, so the ranks at which the groups of `compact` end are known.
    ends = len(values) - 1 - _ranks(len(values), values.device).flip(0)
    counts = _steps(ends)
    return merge([(values[ends - counts // 2], counts)])


def merge(summaries: list[Summary]) -> Summary:
    """Merge summaries, which need not be sorted, into one; the dtype of its values is the widest of theirs.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.ranked import merge
        >>> merge([(torch.tensor([0.25, 0.75]), torch.tensor([1, 2])), (torch.tensor([0.75]), torch.tensor([4]))])
        (tensor([0.2500, 0.7500]), tensor([1, 6]))
    """
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


def split_small(summaries: list[Summary]) -> tuple[list[Summary], list[Summary]]:
    """Split summaries into large ones and the small ones to merge next.

    Each large one holds more than twice as many values as all smaller ones together, so there are few of them, and the
    summary that a value is in grows by half whenever it is merged: the work of all merges is proportional to the number
    of values, times its logarithm at most.

    Returns:
        The large ones, the largest first; the small ones, at least one.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.ranked import split_small
        >>> summaries = [(torch.arange(n).float(), torch.ones(n, dtype=torch.int64)) for n in (2, 100, 1, 5)]
        >>> large, small = split_small(summaries)
        >>> [len(values) for values, _ in large], [len(values) for values, _ in small]
        ([100], [5, 2, 1])
    """
    by_size = sorted(summaries, key=lambda summary: len(summary[0]), reverse=True)
    rest = sum(len(values) for values, _ in by_size)
    for place, (values, _) in enumerate(by_size):
        rest -= len(values)
        if len(values) <= 2 * rest:
            return by_size[:place], by_size[place:]
    return by_size[:-1], by_size[-1:]


def compact(summary: Summary) -> Summary:
    """Merge neighbours into groups of at most `RELATIVE` of the values above them, represented by their middle value.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.ranked import compact, summarise
        >>> summary = summarise(torch.linspace(0, 1, 200_000, dtype=torch.float64))
        >>> compact(summary) is summary  # few enough to stay exact
        True
        >>> many = torch.arange(600_000, dtype=torch.float64), torch.ones(600_000, dtype=torch.int64)
        >>> values, counts = compact(many)
        >>> len(values) < 100_000, int(counts.sum())
        (True, 600000)
    """
    values, counts = summary
    if len(values) <= EXACT:
        return summary
    # In place, since these are the largest arrays of all.
    above = counts.cumsum(0).neg_().add_(counts.sum()).double()
    heavy = counts > above * (RELATIVE / 2)
    group = above.log1p_().div_(math.log1p(RELATIVE)).floor_()
    last = torch.ones_like(values, dtype=torch.bool)
    torch.ne(group[1:], group[:-1], out=last[:-1])
    # Groups that are already large stay alone; otherwise they would grow each time they are merged.
    last |= heavy
    last[:-1] |= heavy[1:]
    del above, group
    ends = last.nonzero()[:, 0]
    return values[ends - _steps(ends) // 2], _steps(counts.cumsum(0)[ends] - 1)


def _ranks(count: int, device: torch.device) -> torch.Tensor:
    """Ranks, counted from 0 at the top, at which groups end: first every rank, then equal steps of the logarithm."""
    step = math.log1p(RELATIVE)
    alone = min(count, int(1 / RELATIVE))
    steps = torch.arange(math.ceil(math.log1p(alone) / step), math.log1p(count) / step, device=device)
    spaced = steps.double().mul_(step).expm1_().ceil_().long()
    ranks = torch.cat([torch.arange(alone, device=device), spaced[(spaced >= alone) & (spaced < count)]])
    return ranks[torch.diff(ranks, prepend=ranks.new_full((1,), -1)) > 0]


def _steps(ends: torch.Tensor) -> torch.Tensor:
    """Lengths of the runs that end at these indices."""
    return torch.diff(ends, prepend=ends.new_full((1,), -1))


def _sorted(values: torch.Tensor) -> torch.Tensor:
    if values.device.type == "cpu":
        # NumPy's sort is vectorised; torch's takes 8 times as long on one core.
        return torch.from_numpy(np.sort(values.numpy()))
    return values.sort().values


def _order(values: torch.Tensor) -> torch.Tensor:
    if values.device.type == "cpu":
        return torch.from_numpy(np.argsort(values.numpy()))
    return values.argsort()
