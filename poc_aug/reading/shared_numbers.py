"""`SharedNumbers`: an array that the workers of a loader share with the process that made it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class SharedNumbers:
    """Numbers in shared memory, without a lock.

    A worker process gets the same memory, whatever its start method. Any other copy (``copy.deepcopy``, a pickle in a
    file) gets memory of its own, which it shares with its own workers.

    Args:
        length: how many there are; all are 0 at first.
        dtype: their type.

    Attributes:
        values: the numbers, ``[length]``; what one process writes, the others read.
    """

    def __init__(self, length: int, dtype: torch.dtype = torch.int64) -> None:
        self.__setstate__(torch.zeros(length, dtype=dtype))

    def __getstate__(self) -> torch.Tensor:
        return self._tensor

    def __setstate__(self, state: torch.Tensor) -> None:
        # `multiprocessing` sends a shared tensor as it is; anything else has copied it into memory that is not shared.
        if not state.is_shared():  # type: ignore[no-untyped-call]
            state = state.clone().share_memory_()  # type: ignore[no-untyped-call]
        self._tensor = state
        self.values: np.ndarray[Any, Any] = state.numpy()
