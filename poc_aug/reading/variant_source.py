"""Which variant an item shows, and where it comes from: the cache, or the generation process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from poc_aug import seeding
from poc_aug.camera_model import Calibration
from poc_aug.errors import CacheMissError
from poc_aug.items.open_item import OpenItem
from poc_aug.reading.outcomes import Outcome
from poc_aug.reading.parameters import OnMiss, Shown
from poc_aug.reading.schedule import Schedule
from poc_aug.types import Sample, Variant


@dataclass(slots=True)
class Reading:
    """One item while it is read.

    Attributes:
        index: the item's index.
        place: which of its sample's items it is, with ``variants="all"``.
        key: its sample's key.
        item: the base item, open; nothing is written to it before its variant is found.
        choices: variants that are still to be tried, in order: those in which every attempt was rejected are skipped.
        variant: what is composed: one with insertions, or ``None``.
        missing: the variant that has to be generated first.
        outcome: what became of it.
        wait_s: seconds that it waited for the generation process.
        calibrate: reads the frame's calibration, if what is generated needs it.
        measure: reads its depth, if what is generated needs it.
    """

    index: int
    place: int
    key: str
    item: OpenItem
    choices: Iterator[int] = field(default_factory=lambda: iter(()))
    variant: Variant | None = None
    missing: int | None = None
    outcome: Outcome = Outcome.PLAIN
    wait_s: float = 0.0
    calibrate: Callable[[], Calibration] | None = None
    measure: Callable[[], torch.Tensor] | None = None

    def sample(self) -> Sample:
        """The base item as a sample to generate for.

        Raises:
            CalibrationError: its camera's file is missing or broken, and the recipe needs it.
            DatasetError: its depth is missing or broken, and is to be used.
        """
        sample = self.item.sample(self.key)
        if self.calibrate is not None:
            sample = replace(sample, calibration=self.calibrate())
        return sample if self.measure is None else replace(sample, depth_m=self.measure())

    def show(self, variant: Variant, outcome: Outcome) -> None:
        """Have this variant composed."""
        self.variant, self.outcome, self.missing = variant, outcome, None


class StoredVariants(Protocol):
    """What holds variants: a `Cache`, or nothing if they are made where they are read."""

    @property
    def path(self) -> Path:
        """Where it is, for messages."""
        ...

    def variants(self, key: str) -> tuple[int, ...]:
        """Numbers of a sample's stored variants."""
        ...

    def get(self, key: str, variant: int) -> Variant | None:
        """A stored variant."""
        ...

    def get_new(self, key: str, variant: int) -> Variant | None:
        """As `get`, also if it was stored after opening."""
        ...

    def kept(self, variant: Variant) -> Variant:
        """A variant that was generated, without what the journal of the cache leaves out."""
        ...


@runtime_checkable
class OrdersVariants(Protocol):
    """What holds variants of several caches, and draws among them by their shares."""

    def ordered(self, key: str, rng: torch.Generator) -> list[int]:
        """A sample's variants in the order in which they are tried."""
        ...


class VariantGenerator(Protocol):
    """Generates what the cache does not hold; see `poc_aug.live.LiveGenerator`."""

    def generate(self, requests: Sequence[tuple[Sample, int]]) -> list[Variant | None]:
        """Generate variants of samples, by index, and wait for them; ``None`` for one that training goes without."""
        ...

    def offer(self, make_sample: Callable[[], Sample], key: str, index: int) -> bool:
        """Have a variant generated ahead, without waiting for it; ``False`` if the queue is full."""
        ...


class VariantSource:
    """Finds, or has generated, what items show.

    Args:
        cache: holds the variants.
        live: generates those that the cache does not hold; ``None``: it is read as it is.
        schedule: variants of a sample, with ``live``.
        variants: "random", "all", or a number.
        on_miss: see `poc_aug.dataset.POCAugmentedDataset`.
        seed: seed of the draw.
    """

    def __init__(
        self,
        cache: StoredVariants,
        live: VariantGenerator | None,
        schedule: Schedule,
        variants: Shown,
        on_miss: OnMiss,
        seed: int,
    ) -> None:
        self.cache, self.live, self.schedule = cache, live, schedule
        self.variants, self.on_miss, self.seed = variants, on_miss, seed

    def is_drawn(self, key: str, index: int, epoch: int, p: float) -> bool:
        """Whether an item is augmented in an epoch: with probability ``p``."""
        return seeding.unit(self.seed, "read", epoch, key, index) < p

    def draw(self, reading: Reading, epoch: int, p: float) -> None:
        """Draw whether an item is augmented (with probability ``p``) and what it shows; take that if it is there.

        Raises:
            CacheMissError: it is not, and ``on_miss="raise"``.
            GenerationProcessError: the generation process is gone, and ``on_server_failure="raise"``.
        """
        if not self.is_drawn(reading.key, reading.index, epoch, p):
            return
        choices = self._choices(reading, epoch)
        reading.choices = iter(choices)
        self._look_up(reading)
        if self.live is None:
            return
        if self.on_miss == "background" and reading.missing is not None:
            self.live.offer(reading.sample, reading.key, reading.missing)
            reading.missing = None
            self._show_substitute(reading, choices)
        for index in self.schedule.coming(reading.key, epoch):
            if self._get(reading.key, index) is None and not self.live.offer(reading.sample, reading.key, index):
                break

    def fetch_missing(self, readings: Sequence[Reading]) -> None:
        """Have generated what items are to show and the cache does not hold, and wait for it.

        Raises:
            PocAugError: see `poc_aug.live.LiveGenerator.generate`.
        """
        while missing := [(reading, reading.missing) for reading in readings if reading.missing is not None]:
            assert self.live is not None
            started = time.perf_counter()
            variants = self.live.generate([(reading.sample(), index) for reading, index in missing])
            waited_s = (time.perf_counter() - started) / len(missing)  # they wait together
            for (reading, _), variant in zip(missing, variants, strict=True):
                reading.wait_s += waited_s
                reading.missing = None
                variant = None if variant is None else self.cache.kept(variant)
                if variant is not None and not variant.is_empty:
                    reading.show(variant, Outcome.GENERATED)
                elif variant is not None:
                    reading.outcome = Outcome.EMPTY
                    self._look_up(reading)

    def _choices(self, reading: Reading, epoch: int) -> list[int]:
        """Variants that may be shown, in order: the next one is tried if every attempt of one was rejected."""
        key = reading.key
        slots = self.cache.variants(key) if self.live is None else range(self.schedule.variants)
        if self.variants == "random":
            if not slots:
                self._miss(key, "a variant")
            rng = seeding.generator(self.seed, "variant", epoch, key, reading.index)
            if self.live is None and isinstance(self.cache, OrdersVariants):
                return self.cache.ordered(key, rng)
            wanted = [slots[choice] for choice in torch.randperm(len(slots), generator=rng).tolist()]
        else:
            wanted = [reading.place if isinstance(self.variants, str) else self.variants]
            if self.live is None and wanted[0] not in slots:
                self._miss(key, f"variant {wanted[0]}")
        if self.live is None:
            return wanted
        return [self.schedule.index(key, slot, epoch) for slot in wanted]

    def _look_up(self, reading: Reading) -> None:
        """Take the first choice that has insertions, or note the first one that is not there."""
        for index in reading.choices:
            variant = self._get(reading.key, index)
            if variant is None:
                reading.outcome = Outcome.MISSED
                reading.missing = index if self.live is not None else None
                return
            if not variant.is_empty:
                # An item that waited for another choice before counts as generated.
                reading.show(variant, Outcome.GENERATED if reading.wait_s else Outcome.HIT)
                return
            reading.outcome = Outcome.EMPTY
        if reading.outcome == Outcome.PLAIN:  # there was no choice
            reading.outcome = Outcome.MISSED

    def _show_substitute(self, reading: Reading, choices: Sequence[int]) -> None:
        """Show another variant that is there: one that could have been drawn, otherwise one that a slot held before."""
        older = (index for choice in choices for index in self.schedule.older(choice))
        for index in (*reading.choices, *older):
            variant = self._get(reading.key, index)
            if variant is not None and not variant.is_empty:
                reading.show(variant, Outcome.HIT)
                return

    def _get(self, key: str, index: int) -> Variant | None:
        return self.cache.get(key, index) if self.live is None else self.cache.get_new(key, index)

    def _miss(self, key: str, what: str) -> None:
        if self.on_miss == "raise":
            held = list(self.cache.variants(key))
            raise CacheMissError(
                f"sample {key!r}: {what} was asked for, the cache {str(self.cache.path)!r} holds variants {held}",
                expected="every variant that can be drawn",
                hint="run warm_cache again on this dataset, or set on_miss='original'",
            )
