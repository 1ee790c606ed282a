"""`Job`: a coroutine that yields work items and is sent their outcomes, and how far it has come."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

ItemT = TypeVar("ItemT")
OutcomeT = TypeVar("OutcomeT")
ResultT = TypeVar("ResultT")

Steps: TypeAlias = Generator[ItemT, OutcomeT, ResultT]
"""What a job does: it yields a work item, is sent the item's outcome, and so on; at last it returns its result."""


@dataclass(eq=False)
class Job(Generic[ItemT, OutcomeT, ResultT]):
    """A job of the engine.

    It waits for futures before its first step, then for the outcome of each ``item``. In the end ``steps`` is ``None``,
    with a ``result``, or without one if the job was left out.

    Attributes:
        steps: the coroutine; ``None`` when it is over.
        key: key of the sample that it works on, for error reports.
        index: number of the variant, for error reports.
        waits_for: what must be done before its first step; ``None`` after that.
        item: the work item whose outcome it waits for.
        submitted: whether that item is in a batch.
        result: what the coroutine returned.
    """

    steps: Steps[ItemT, OutcomeT, ResultT] | None
    key: str
    index: int
    waits_for: Sequence[Future[Any]] | None = ()
    item: ItemT | None = None
    submitted: bool = False
    result: ResultT | None = None

    @property
    def waiting(self) -> list[Future[Any]]:
        """The futures that it still waits for."""
        return [future for future in self.waits_for or () if not future.done()]

    def advance(self, outcome: OutcomeT | None = None) -> None:
        """Send the outcome of the item, or begin; continue with the next item, or to the end."""
        assert self.steps is not None
        self.waits_for, self.submitted = None, False
        try:
            self.item = next(self.steps) if outcome is None else self.steps.send(outcome)
        except StopIteration as stop:
            self.item, self.steps, self.result = None, None, stop.value

    def leave_out(self) -> None:
        """End the job without a result."""
        if self.steps is not None:
            self.steps.close()
        self.waits_for, self.item, self.submitted, self.steps = None, None, False, None
