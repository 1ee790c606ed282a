"""What became of an epoch's items, and what a generation process did meanwhile."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import torch

from poc_aug.live.board import Board


class Outcome(IntEnum):
    """What became of one item."""

    PLAIN = 1
    """It was not drawn (``p``)."""
    HIT = 2
    """Its insertions were in the cache."""
    GENERATED = 3
    """They were generated while the item waited."""
    MISSED = 4
    """They were not there, and the item came without."""
    EMPTY = 5
    """Every attempt was rejected in all that could be drawn."""


class Ledger:
    """The outcome of each item in shared memory: every worker writes its items, anyone reads. No locks, no messages.

    Args:
        length: number of items.
    """

    def __init__(self, length: int) -> None:
        self._outcomes = torch.zeros(length, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._waits = torch.zeros(length, dtype=torch.float64).share_memory_()  # type: ignore[no-untyped-call]
        self._open()

    def _open(self) -> None:
        self._outcome_view: np.ndarray[Any, Any] = self._outcomes.numpy()
        self._wait_view: np.ndarray[Any, Any] = self._waits.numpy()

    def write(self, index: int, epoch: int, outcome: Outcome, wait_s: float) -> bool:
        """Note what became of an item in an epoch; one that is read twice in it counts once.

        Returns:
            Whether it had been read in this epoch before.
        """
        again = int(self._outcome_view[index]) // 8 == epoch + 1
        self._wait_view[index] = wait_s
        self._outcome_view[index] = 8 * (epoch + 1) + outcome
        return again

    def count(self, epoch: int) -> tuple[dict[Outcome, int], float]:
        """Items of an epoch by outcome, and the seconds that they waited in all."""
        outcomes = self._outcome_view.copy()
        mine = outcomes // 8 == epoch + 1
        counts = np.bincount(outcomes[mine] % 8, minlength=8)
        return {outcome: int(counts[outcome]) for outcome in Outcome}, float(self._wait_view[mine].sum())

    def __getstate__(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._outcomes, self._waits

    def __setstate__(self, state: tuple[torch.Tensor, torch.Tensor]) -> None:
        # Worker processes are sent the shared numbers; any other copy has its own, to be shared with its workers.
        self._outcomes, self._waits = (
            part if part.is_shared() else part.clone().share_memory_()  # type: ignore[no-untyped-call]
            for part in state
        )
        self._open()


class ScalarWriter(Protocol):
    """What `ReadingStatistics.write_to` needs of a TensorBoard ``SummaryWriter``."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Add one figure."""
        ...


@dataclass(frozen=True, slots=True)
class ReadingStatistics:
    """What a dataset's items were in one epoch so far, and what the generation process did since it started.

    Attributes:
        epoch: the epoch.
        items: items read; one that is read twice in an epoch counts once.
        plain: items that were not drawn to be augmented (``p``).
        hits: items whose insertions were in the cache.
        generated: items that waited for theirs to be generated.
        missed: items that came without, since theirs were not there.
        empty: items for which every attempt had been rejected.
        wait_s: seconds that items waited for the generation process, in all, over all workers.
        made: variants that the generation process made.
        failed: variants that it could not make.
        acceptance: share of its attempts that placed an object; NaN before the first one.
        queue: variants that are asked for and not there yet.
        batch_size: mean number of crops in a run of the inserter; NaN before the first one.
    """

    epoch: int
    items: int
    plain: int
    hits: int
    generated: int
    missed: int
    empty: int
    wait_s: float
    made: int
    failed: int
    acceptance: float
    queue: int
    batch_size: float

    @classmethod
    def of(cls, ledger: Ledger, epoch: int, board: Board | None) -> ReadingStatistics:
        """The figures as they are now."""
        counts, wait_s = ledger.count(epoch)
        cells = (lambda name: 0.0) if board is None else board.__getitem__

        def share(part: str, whole: str) -> float:
            return cells(part) / cells(whole) if cells(whole) else float("nan")

        return cls(
            epoch=epoch,
            items=sum(counts.values()),
            plain=counts[Outcome.PLAIN],
            hits=counts[Outcome.HIT],
            generated=counts[Outcome.GENERATED],
            missed=counts[Outcome.MISSED],
            empty=counts[Outcome.EMPTY],
            wait_s=wait_s,
            made=int(cells("made")),
            failed=int(cells("failed")),
            acceptance=share("accepted", "attempts"),
            queue=int(cells("queue")),
            batch_size=share("crops", "batches"),
        )

    @property
    def augmented(self) -> float:
        """Share of the items that came with insertions; NaN before the first item."""
        return (self.hits + self.generated) / self.items if self.items else float("nan")

    def to_dict(self) -> dict[str, float]:
        """All figures by name, with ``augmented``."""
        return {**asdict(self), "augmented": self.augmented}

    def write_to(self, writer: ScalarWriter, prefix: str = "poc_aug") -> None:
        """Write all figures to TensorBoard, at the step of the epoch.

        Args:
            writer: a ``torch.utils.tensorboard.SummaryWriter``, or anything with its ``add_scalar``.
            prefix: the tags are ``prefix/name``.
        """
        for name, value in self.to_dict().items():
            if name != "epoch" and value == value:  # NaN is no figure yet
                writer.add_scalar(f"{prefix}/{name}", value, self.epoch)

    def __str__(self) -> str:
        parts = [
            f"epoch {self.epoch}: {self.items} items, {self.augmented:.0%} augmented",
            f"{self.hits} from the cache",
            f"{self.generated} generated while they waited ({self.wait_s:.1f} s in all)",
            f"{self.missed} without what they drew",
        ]
        if self.made or self.queue or self.failed:
            parts.append(
                f"generation process: {self.made} variants made, {self.failed} failed, {self.queue} queued, "
                f"{self.acceptance:.0%} of the attempts accepted, {self.batch_size:.1f} crops a batch"
            )
        return "; ".join(parts)
