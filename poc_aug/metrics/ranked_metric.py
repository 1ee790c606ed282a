"""Summaries of values as states of a torchmetrics metric: bounded, synchronised over processes, reset and saved."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.metrics import ranked
from poc_aug.metrics.base_metric import Metric

PARTS = 64
"""Number of summaries of updates that are held apart before the small ones among them are merged."""


class RankedMetric(Metric):  # type: ignore[misc]
    """A metric whose states are summaries of values (`poc_aug.metrics.ranked`), by name.

    Subclasses add values with ``_add`` and read a summary with ``_united``. The time of an update does not grow with
    the number of updates before it, but for a logarithm: summaries of similar size are merged, those of many updates at
    once.

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
        self._names = names
        for name in names:
            self.add_state(f"{name}_values", default=[], dist_reduce_fx="cat")
            self.add_state(f"{name}_counts", default=[], dist_reduce_fx="cat")

    def _add(self, name: str, values: torch.Tensor, chosen: torch.Tensor) -> None:
        """Add to a summary the values, floating point of any shape, for which the boolean mask ``chosen`` is true."""
        distinct, counts = ranked.summarise(ranked.select(values, chosen))
        if not len(distinct):
            return
        held_values, held_counts = getattr(self, f"{name}_values"), getattr(self, f"{name}_counts")
        held_values.append(distinct)
        held_counts.append(counts)
        self._settle(name)

    def _settle(self, name: str) -> None:
        """Keep a summary's parts few and its values bounded, in place: metrics of one collection share their states."""
        held_values, held_counts = getattr(self, f"{name}_values"), getattr(self, f"{name}_counts")
        if not isinstance(held_values, list) or len(held_values) < 2:
            return
        if sum(map(len, held_values)) > ranked.CAPACITY:
            values, counts = self._united(name)
            held_values[:], held_counts[:] = [values], [counts]
        elif len(held_values) > PARTS:
            kept, small = ranked.split_small(self._parts(name))
            parts = [*kept, ranked.merge(small)]
            held_values[:], held_counts[:] = ([part[column] for part in parts] for column in (0, 1))

    def _parts(self, name: str) -> list[ranked.Summary]:
        """The parts of a summary, on one device."""
        held_values, held_counts = getattr(self, f"{name}_values"), getattr(self, f"{name}_counts")
        if isinstance(held_values, torch.Tensor):  # after synchronisation: those of all processes, concatenated
            held_values, held_counts = [held_values], [held_counts]
        device = torch.device("cpu") if self.compute_on_cpu else self.device
        return [(values.to(device), counts.to(device)) for values, counts in zip(held_values, held_counts, strict=True)]

    def _united(self, name: str) -> ranked.Summary:
        """All that was added to a summary, merged into one."""
        parts = self._parts(name)
        if not parts:
            empty = torch.zeros(0, device="cpu" if self.compute_on_cpu else self.device)
            return empty, empty.long()
        return ranked.compact(ranked.merge(parts))

    def _copy_state_dict(self) -> dict[str, Any]:
        # ``forward`` copies the whole state in each step. The tensors of a list are never changed, so the list will do.
        return {
            name: list(state) if isinstance(state, list) else state.detach().clone()
            for name, state in ((name, getattr(self, name)) for name in self._defaults)
        }

    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        # ``forward`` and ``merge_state`` append the parts of one state to those of another.
        super()._reduce_states(incoming_state)
        for name in self._names:
            self._settle(name)

    def _sync_dist(self, *args: Any, **options: Any) -> None:
        # All processes gather the same dtypes, also one without an update; the parts come back after the computation.
        for name in self._names:
            values, counts = self._united(name)
            setattr(self, f"{name}_values", [values.double().to(self.device)])
            setattr(self, f"{name}_counts", [counts.to(self.device)])
        super()._sync_dist(*args, **options)
