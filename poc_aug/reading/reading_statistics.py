"""`ReadingStatistics`: what became of an epoch's items, and what the generation process did meanwhile."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, Protocol

from poc_aug.counting import count_of
from poc_aug.reading.outcomes import Ledger, Outcome


class Counters(Protocol):
    """What a generation process reports of itself, by name; see `poc_aug.live.counters`."""

    def __getitem__(self, name: str) -> float:
        """The current figure."""
        ...


class ScalarWriter(Protocol):
    """What `ReadingStatistics.write_to` needs of a TensorBoard ``SummaryWriter``."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Add one figure."""
        ...


@dataclass(frozen=True, slots=True)
class ReadingStatistics:
    """What became of a dataset's items in one epoch so far, and what the generation process did since it started.

    Attributes:
        epoch: the epoch.
        items: items read; an item that is read twice in an epoch counts once.
        plain: items that were not drawn to be augmented (``p``).
        hits: items whose insertions were in the cache.
        generated: items that waited for their insertions to be generated.
        missed: items that were returned without insertions, since those drawn were not there.
        empty: items for which every attempt to place an object had been rejected.
        wait_s: seconds that items waited for the generation process, in total over all workers.
        made: variants that the generation process made.
        failed: variants that it could not make.
        acceptance: share of its attempts that placed an object; NaN before the first one.
        queue: variants that are requested and not there yet.
        batch_size: mean number of crops in a batch of the inserter; NaN before the first one.

    Example:
        `POCAugmentedDataset.stats` returns it.

        >>> ledger = Ledger(4)
        >>> for index, outcome in enumerate([Outcome.HIT, Outcome.HIT, Outcome.PLAIN]):
        ...     _ = ledger.write(index, 0, outcome, 0.0)
        >>> statistics = ReadingStatistics.of(ledger, epoch=0, counters=None)
        >>> statistics.items, statistics.hits, round(statistics.augmented, 2)
        (3, 2, 0.67)
        >>> print(statistics)
        epoch 0: 3 items, 67% augmented; 2 from the cache; ...
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
    def of(cls, ledger: Ledger, epoch: int, counters: Counters | None) -> ReadingStatistics:
        """The figures as they are now."""
        counts, wait_s = ledger.count(epoch)

        def figure(name: str) -> float:
            return 0.0 if counters is None else counters[name]

        def share(part: str, whole: str) -> float:
            return figure(part) / figure(whole) if figure(whole) else float("nan")

        return cls(
            epoch=epoch,
            items=sum(counts.values()),
            plain=counts[Outcome.PLAIN],
            hits=counts[Outcome.HIT],
            generated=counts[Outcome.GENERATED],
            missed=counts[Outcome.MISSED],
            empty=counts[Outcome.EMPTY],
            wait_s=wait_s,
            made=int(figure("made")),
            failed=int(figure("failed")),
            acceptance=share("accepted", "attempts"),
            queue=int(figure("queue")),
            batch_size=share("crops", "batches"),
        )

    @property
    def augmented(self) -> float:
        """Share of the items that were returned with insertions; NaN before the first item."""
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
        parts = [f"epoch {self.epoch}: nothing was read yet"]
        if self.items:
            parts = [
                f"epoch {self.epoch}: {count_of(self.items, 'item')}, {self.augmented:.0%} augmented",
                f"{self.hits} from the cache",
                f"{self.generated} generated while they waited ({self.wait_s:.1f} s in all)",
                f"{self.missed} without what they drew",
            ]
        if self.made or self.queue or self.failed:
            made = f"{count_of(self.made, 'variant')} made, {self.failed} failed, {self.queue} queued"
            # Without an attempt or a batch, there is no rate yet.
            made += "" if isnan(self.acceptance) else f", {self.acceptance:.0%} of the attempts accepted"
            made += "" if isnan(self.batch_size) else f", {self.batch_size:.1f} crops per batch"
            parts.append(f"generation process: {made}")
        return "; ".join(parts)
