"""Several transfers at a time, and how many bytes they have come to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from poc_aug.stores.transfer_attempts import TransferStopped
from poc_aug.stores.transfer_settings import ByteProgress

_REPORT_EVERY_S = 0.1


class ByteCount:
    """Counts the bytes of several transfers, in any thread; `report` says how many, in the thread of the caller.

    Example:
        >>> count = ByteCount(10, print)
        >>> count.add(4)
        >>> count.report()
        4 10
    """

    def __init__(self, total: int, progress: ByteProgress | None) -> None:
        self._total = total
        self._done = 0
        self._reported = -1
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, nbytes: int) -> None:
        """Count more bytes, or fewer."""
        with self._lock:
            self._done += nbytes

    def report(self) -> None:
        """Call the progress function if there is something new."""
        if self._progress is not None and (done := self._done) != self._reported:
            self._reported = done
            self._progress(done, self._total)


def run_transfers(
    transfers: Sequence[Callable[[], None]], parallel: int, stop: threading.Event, count: ByteCount
) -> None:
    """Run transfers, several at a time; the first one that fails stops the others, and its error is raised.

    Args:
        transfers: each ends soon after ``stop`` was set, with `TransferStopped`.
        parallel: how many at a time.
        stop: set when one fails, or at Ctrl-C.
        count: what they count; it is reported meanwhile.
    """
    count.report()
    if not transfers:
        return
    with ThreadPoolExecutor(min(parallel, len(transfers)), thread_name_prefix="transfer") as pool:
        futures = [pool.submit(transfer) for transfer in transfers]
        try:
            while wait(futures, _REPORT_EVERY_S, FIRST_EXCEPTION).not_done:
                count.report()
                if any(future.done() and future.exception() is not None for future in futures):
                    break
        finally:
            if any(not future.done() or future.exception() is not None for future in futures):
                stop.set()
                for future in futures:
                    future.cancel()
    errors = [error for future in futures if not future.cancelled() and (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, TransferStopped)):
        raise error
    count.report()
