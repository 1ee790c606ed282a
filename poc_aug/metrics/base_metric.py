"""torchmetrics' `Metric`, the base class of all metrics here; without torchmetrics the error has its install line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poc_aug.errors import ItemFormatError, SettingError
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
    _setting_names: tuple[str, ...] = ()
    """Attributes that two metrics have to share if their states are merged."""

    def merge_state(self, incoming_state: Any) -> None:
        """Add the state of another metric of the class with the same settings, or a state as a mapping.

        Raises:
            SettingError: a metric of another class, or with other settings.
            ItemFormatError: neither a metric nor a mapping with each of this metric's states.
        """
        own = type(self).__name__
        if isinstance(incoming_state, Mapping):
            missing = sorted(set(self._defaults) - set(incoming_state))
            if missing:
                raise ItemFormatError(f"a state without {', '.join(missing)}", expected=f"all states of {own}")
        elif not isinstance(incoming_state, _Metric):
            raise ItemFormatError(
                f"a state of type {type(incoming_state).__name__}", expected=f"{own}, or its state as a mapping"
            )
        elif not isinstance(incoming_state, type(self)):
            raise SettingError(f"the state of {type(incoming_state).__name__}", expected=f"that of a metric {own}")
        else:
            pairs = {name: (getattr(incoming_state, name), getattr(self, name)) for name in self._setting_names}
            differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
            if differing:
                theirs, ours = (", ".join(f"{name}={pair[k]}" for name, pair in differing.items()) for k in (0, 1))
                raise SettingError(
                    f"the state of {own}({theirs})",
                    expected=f"the settings of this one: {ours}",
                    hint="make all metrics whose states are merged with the same settings",
                )
        super().merge_state(incoming_state)
        self._computed = None
        self._update_count += getattr(incoming_state, "_update_count", 1)


Metric: Any = MergeableMetric
