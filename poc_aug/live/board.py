"""What a generation process tells of itself, in shared memory: one writer, any number of readers, no locks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

CELLS = ("ready", "queue", "made", "attempts", "accepted", "failed", "batches", "crops", "insert_s", "stored", "over")
"""Ready; requests not answered; variants made; attempts, accepted ones; variants that failed; batches of the inserter
and their crops; seconds inside it; variants found stored by another process; the process has ended, for good."""


class Board:
    """Named float64 cells; pickled to another process, it is the same memory there."""

    def __init__(self) -> None:
        self._cells: torch.Tensor = torch.zeros(len(CELLS), dtype=torch.float64).share_memory_()  # type: ignore[no-untyped-call]
        self._view: np.ndarray[Any, Any] = self._cells.numpy()

    def __getitem__(self, name: str) -> float:
        return float(self._view[CELLS.index(name)])

    def __setitem__(self, name: str, value: float) -> None:
        self._view[CELLS.index(name)] = value

    def __getstate__(self) -> torch.Tensor:
        return self._cells

    def __setstate__(self, cells: torch.Tensor) -> None:
        self._cells = cells
        self._view = cells.numpy()
