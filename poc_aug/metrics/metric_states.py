"""Summaries of values as states of a torchmetrics metric: bounded, synchronised over processes, reset and saved."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.metrics import ranked
from poc_aug.metrics.metric_needs import require_torchmetrics

torchmetrics = require_torchmetrics()


class RankedMetric(torchmetrics.Metric):  # type: ignore[misc, name-defined]
    """A metric whose states are summaries of values (`poc_aug.metrics.ranked`), by name.

    Args:
        names: names of the summaries.
        options: those of ``torchmetrics.Metric``: ``dist_sync_on_step``, ``process_group``, ...
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, *names: str, **options: Any) -> None:
        super().__init__(**options)
        for name in names:
            self.add_state(f"{name}_values", default=[], dist_reduce_fx="cat")
            self.add_state(f"{name}_counts", default=[], dist_reduce_fx="cat")

    def _add(self, name: str, values: torch.Tensor, chosen: torch.Tensor) -> None:
        """Add the values, floating point of any shape, where a mask holds to a summary."""
        distinct, counts = ranked.summarise(ranked.select(values, chosen))
        held_values, held_counts = getattr(self, f"{name}_values"), getattr(self, f"{name}_counts")
        held_values.append(distinct)
        held_counts.append(counts)
        if sum(map(len, held_values)) > ranked.CAPACITY:
            values, counts = self._united(name)
            held_values[:], held_counts[:] = [values], [counts]

    def _united(self, name: str) -> ranked.Summary:
        """A summary as one."""
        held_values, held_counts = getattr(self, f"{name}_values"), getattr(self, f"{name}_counts")
        if isinstance(held_values, torch.Tensor):  # synchronised: those of all processes, one after the other
            held_values, held_counts = [held_values], [held_counts]
        if not held_values:
            nothing = torch.zeros(0, device=self.device)
            return nothing, nothing.long()
        return ranked.compact(ranked.merge(list(zip(held_values, held_counts, strict=True))))
