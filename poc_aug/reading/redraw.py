"""When an item is drawn anew: by the epoch that the training loop announces, or each time it is read."""

from __future__ import annotations

from typing import Literal, get_args

from poc_aug.errors import SettingError
from poc_aug.reading.peeking import is_peeking
from poc_aug.reading.shared_numbers import SharedNumbers

Redraw = Literal["epoch", "read"]


class DrawNumbers:
    """The number of the draw that each item shows next: how often it was read, but at least the epoch.

    A loop that calls `set_epoch` before each pass, and one that never does, get the same draws: pass n shows draw n. An
    item that is read several times in one epoch never shows the same draw twice.

    All workers share the numbers, without a lock. If two workers read the same index at the same moment (possible only
    with samplers that repeat an index within the batches that are being loaded), they may swap draws, or show the same.

    Args:
        length: number of items.
    """

    def __init__(self, length: int) -> None:
        self._next = SharedNumbers(length)

    def take(self, index: int, epoch: int) -> int:
        """Number of the draw for this read of item ``index``; the next read gets a higher number."""
        number = self.next(index, epoch)
        if not is_peeking():
            self._next.values[index] = number + 1
        return number

    def next(self, index: int, epoch: int) -> int:
        """The number that the next read gets."""
        return max(int(self._next.values[index]), epoch)


def check_redraw(redraw: str | None) -> None:
    """Check the value of ``redraw=``; ``None`` stands for ``"epoch"``, with a warning if items are read again.

    Raises:
        SettingError: any other value.
    """
    if redraw is not None and redraw not in get_args(Redraw):
        raise SettingError(
            f"redraw={redraw!r}",
            expected=f"one of {get_args(Redraw)}",
            hint='"epoch" for loops that call set_epoch before each pass over the data, "read" for all others',
        )


def read_again(index: int | str, epoch: int, shown: str, wrapper: str) -> str:
    """The warning for an item that shows the same again (insertions, say), because no new epoch was announced."""
    return (
        f"item {index} was read again in epoch {epoch}, and shows the same {shown} as before: they are drawn anew "
        f"when the epoch changes. Call set_epoch(epoch) before each pass over the data; if the training loop cannot "
        f'(Lightning, mmengine, detectron2), pass redraw="read" to {wrapper}. redraw="epoch" keeps what '
        f"happens now, without this warning."
    )
