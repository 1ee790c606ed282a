"""Running a batch on a device that may have too little memory for it: halve it, log that, and continue."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_LOG = logging.getLogger(__name__)


class Halving:
    """Remembers the largest batch that fits, so that a size that failed is not tried again.

    Args:
        name: what is running, for the log message.
        limit: largest batch to start with; ``None``: no limit.

    Attributes:
        limit: the largest batch that will be tried.

    Example:
        >>> def double(batch):
        ...     if len(batch) > 3:
        ...         raise torch.OutOfMemoryError
        ...     return [2 * item for item in batch]
        >>> halving = Halving("double")
        >>> halving.run(double, [1, 2, 3, 4, 5]), halving.limit
        ([2, 4, 6, 8, 10], 2)
    """

    def __init__(self, name: str, limit: int | None = None) -> None:
        self.name = name
        self.limit = limit

    def run(self, work: Callable[[Sequence[_Item]], Sequence[_Result]], items: Sequence[_Item]) -> list[_Result]:
        """Results of ``work`` over all items, in order.

        Raises:
            torch.OutOfMemoryError: one item alone does not fit.
        """
        results: list[_Result] = []
        while len(results) < len(items):
            remaining = len(items) - len(results)
            size = remaining if self.limit is None else min(remaining, self.limit)
            batch = items[len(results) : len(results) + size]
            try:
                done = list(work(batch))
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self.limit = size // 2
                _LOG.warning("%s: out of memory with a batch of %d, continuing with %d", self.name, size, self.limit)
            else:
                if len(done) != size:
                    raise ValueError(f"{self.name}: {len(done)} results for {size} items")
                results += done
                continue
            # Outside the handler: the error's traceback would keep the failed batch's tensors alive.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return results
