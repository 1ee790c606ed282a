"""When an item is drawn anew: by the epoch that the training loop announces, or each time it is read."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch

from poc_aug.errors import SettingError

Redraw = Literal["epoch", "read"]


class DrawNumbers:
    """The number of the draw that an item shows next: its reads so far, and at least the epoch. Shared by all workers.

    A loop that calls `set_epoch` before each pass, and one that never does, get the same draws: pass n shows draw n. An
    item that is read several times in one epoch never shows the same draw twice.

    Numbers are kept in shared memory without a lock. Items that two workers read at the same moment under the same
    index (possible only with samplers that repeat an index within the batches that are under way) may swap their
    draws, or show the same one.

    Args:
        length: number of items.
    """

    def __init__(self, length: int) -> None:
        self._next: torch.Tensor = torch.zeros(length, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._view: np.ndarray[Any, Any] = self._next.numpy()

    def take(self, index: int, epoch: int) -> int:
        """Number of the draw for this read of item ``index``; the next read gets a higher one."""
        number = max(int(self._view[index]), epoch)
        self._view[index] = number + 1
        return number

    def __getstate__(self) -> torch.Tensor:
        return self._next

    def __setstate__(self, state: torch.Tensor) -> None:
        # Worker processes are sent the shared numbers; any other copy has its own, to be shared with its workers.
        if not state.is_shared():  # type: ignore[no-untyped-call]
            state = state.clone().share_memory_()  # type: ignore[no-untyped-call]
        self._next = state
        self._view = self._next.numpy()


def check_redraw(redraw: str | None) -> None:
    """Check the value of ``redraw=``; ``None`` stands for ``"epoch"``, with a warning if items are read again.

    Raises:
        SettingError: it is none of them.
    """
    if redraw is not None and redraw not in get_args(Redraw):
        raise SettingError(
            f"redraw={redraw!r}",
            expected=f"one of {get_args(Redraw)}",
            hint='"epoch" for loops that call set_epoch before each pass over the data, "read" for all others',
        )


def read_again(index: int, epoch: int) -> str:
    """The warning for an item that shows the same insertions once more, because nobody has announced a new epoch."""
    return (
        f"item {index} was read again in epoch {epoch}, and shows the same insertions as before: they are drawn anew "
        f"when the epoch changes. Call set_epoch(epoch) before each pass over the data; if the training loop cannot "
        f'(Lightning, mmengine, detectron2), pass redraw="read" to POCAugmentedDataset. redraw="epoch" keeps what '
        f"happens now, without this warning."
    )
