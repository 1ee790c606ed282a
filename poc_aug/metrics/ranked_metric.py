"""Summaries of values as states of a torchmetrics metric: bounded, synchronised over processes, reset and saved."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.metrics import ranked
from poc_aug.metrics.base_metric import Metric


class RankedMetric(Metric):  # type: ignore[misc]
    """A metric whose states are summaries of values (`poc_aug.metrics.ranked`), by name.

    Subclasses add values with ``_add`` and read a summary with ``_united``.

    Args:
        names: names of the summaries.
        options: those of ``torchmetrics.Metric``: ``dist_sync_on_step``, ``process_group``, ...

    Example:
        >>> import torch
        >>> from poc_aug.metrics.ranked_metric import RankedMetric
        >>> class Median(RankedMetric):
        ...     def __init__(self):
        ...         super().__init__("depths")
        ...     def update(self, depths):
        ...         self._add("depths", depths, depths.isfinite())
        ...     def compute(self):
        ...         values, counts = self._united("depths")
        ...         return values[int((counts.cumsum(0) * 2 >= counts.sum()).nonzero()[0])]
        >>> metric = Median()
        >>> metric.update(torch.tensor([7.0, 3.0, float("inf")]))
        >>> metric.update(torch.tensor([3.0, 5.0, 9.0]))
        >>> metric.compute()
        tensor(5.)
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, *names: str, **options: Any) -> None:
        super().__init__(**options)
        for name in names:
            self.add_state(f"{name}_values", default=[], dist_reduce_fx="cat")
            self.add_state(f"{name}_counts", default=[], dist_reduce_fx="cat")

    def _add(self, name: str, values: torch.Tensor, chosen: torch.Tensor) -> None:
        """Add to a summary the values, floating point of any shape, for which the boolean mask ``chosen`` is true."""
        distinct, counts = ranked.summarise(ranked.select(values, chosen))
        held_values, held_counts = getattr(self, f"{name}_values"), getattr(self, f"{name}_counts")
        held_values.append(distinct)
        held_counts.append(counts)
        if sum(map(len, held_values)) > ranked.CAPACITY:
            values, counts = self._united(name)
            held_values[:], held_counts[:] = [values], [counts]

    def _united(self, name: str) -> ranked.Summary:
        """All that was added to a summary, merged into one."""
        held_values, held_counts = getattr(self, f"{name}_values"), getattr(self, f"{name}_counts")
        if isinstance(held_values, torch.Tensor):  # after synchronisation: those of all processes, concatenated
            held_values, held_counts = [held_values], [held_counts]
        if not held_values:
            empty = torch.zeros(0, device=self.device)
            return empty, empty.long()
        return ranked.compact(ranked.merge(list(zip(held_values, held_counts, strict=True))))
