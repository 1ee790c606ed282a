"""torchmetrics' `Metric`, the base class of all metrics here; without torchmetrics the error has its install line."""

from __future__ import annotations

from typing import Any

from poc_aug.optional_imports import require

_Metric: Any = require("torchmetrics", extra="metrics", purpose="poc_aug.metrics").Metric


class MergeableMetric(_Metric):  # type: ignore[misc]
    """torchmetrics' `Metric`, whose figures after ``merge_state`` are those of the merged states.

    torchmetrics keeps the figures that were computed before, and warns that there was no update.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.base_metric import MergeableMetric
        >>> class Count(MergeableMetric):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        ...     def update(self):
        ...         self.count += 1
        ...     def compute(self):
        ...         return self.count
        >>> one, other = Count(), Count()
        >>> one.update(), other.update(), one.compute()
        (None, None, tensor(1))
        >>> one.merge_state(other)
        >>> one.compute()
        tensor(2)
    """

    full_state_update = False

    def merge_state(self, incoming_state: Any) -> None:
        """Add the state of another metric of the class, or a state as a mapping."""
        super().merge_state(incoming_state)
        self._computed = None
        self._update_count += getattr(incoming_state, "_update_count", 1)


Metric: Any = MergeableMetric
