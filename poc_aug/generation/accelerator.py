"""The accelerator's thread: one call at a time, since the models of a pipeline may be shared by its backends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

_Call: TypeAlias = "tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]"


class Accelerator:
    """Runs calls in a thread of its own, in order; urgent ones go ahead of all others that wait."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="poc-aug-accelerator")
        self._urgent: deque[_Call] = deque()
        self._others: deque[_Call] = deque()

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        urgent: bool = False,
        future: Future[Any] | None = None,
    ) -> Future[Any]:
        """Queue a call; the future gets its result or exception.

        Args:
            function: what is called.
            arguments: its arguments.
            urgent: it goes ahead of all calls that are not.
            future: gets the result; ``None``: a new one.
        """
        future = Future() if future is None else future
        (self._urgent if urgent else self._others).append((future, function, arguments))
        # One turn per call; which call takes it is decided when its time comes.
        self._executor.submit(self._take_turn)
        return future

    def _take_turn(self) -> None:
        future, function, arguments = (self._urgent or self._others).popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = function(*arguments)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def cancel_waiting(self) -> None:
        """Cancel the calls that have not begun."""
        for waiting in (self._urgent, self._others):
            for future, _, _ in list(waiting):
                future.cancel()

    def close(self) -> None:
        """Cancel calls that have not begun, and wait for the one that runs: no thread can be stopped inside a model."""
        self.cancel_waiting()
        self._executor.shutdown(wait=True, cancel_futures=True)
