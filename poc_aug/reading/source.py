"""Which variant an item shows, and where it comes from: the cache, or the generation process."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, SupportsIndex, get_args

import torch

from poc_aug import seeding
from poc_aug.cache import Cache
from poc_aug.camera import Calibration
from poc_aug.errors import CacheMissError, SettingError
from poc_aug.items.open_item import OpenItem
from poc_aug.live import Live, Outcome, Schedule
from poc_aug.reading.live_settings import LiveSettings
from poc_aug.types import Sample, Variant

OnMiss = Literal["original", "raise", "generate", "background"]
Shown = Literal["random", "all"] | int

GENERATING: tuple[OnMiss, ...] = ("generate", "background")


@dataclass(slots=True)
class Reading:
    """One item while it is read.

    Attributes:
        index: the item's index.
        place: which of its sample's items it is, with ``variants="all"``.
        key: its sample's key.
        item: the base item, open; nothing is written to it before it is known what to.
        choices: variants that are still to be tried, in order: those that were rejected everywhere are passed over.
        variant: what is composed.
        missing: the variant that has to be generated first.
        outcome: what became of it.
        wait_s: seconds that it waited for the generation process.
        calibrate: reads the frame's calibration, where what is generated needs it.
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

    def sample(self) -> Sample:
        """The base item.

        Raises:
            CalibrationError: its camera's file is missing or broken, and the recipe needs it.
        """
        sample = self.item.sample(self.key)
        return sample if self.calibrate is None else replace(sample, calibration=self.calibrate())

    def show(self, variant: Variant, outcome: Outcome) -> None:
        """This is what is composed."""
        self.variant, self.outcome, self.missing = variant, outcome, None


class VariantSource:
    """Finds, or has generated, what items show.

    Args:
        cache: what is there.
        live: generates what is not; ``None``: the cache is all there is.
        schedule: variants of a sample, with ``live``.
        variants: "random", "all", or a number.
        on_miss: see `poc_aug.dataset.POCAugmentedDataset`.
        seed: seed of the draw.
    """

    def __init__(
        self, cache: Cache, live: Live | None, schedule: Schedule, variants: Shown, on_miss: OnMiss, seed: int
    ) -> None:
        self.cache, self.live, self.schedule = cache, live, schedule
        self.variants, self.on_miss, self.seed = variants, on_miss, seed

    def draw(self, reading: Reading, epoch: int) -> None:
        """Draw what an item shows in an epoch, and take it, if it is there.

        Raises:
            CacheMissError: it is not, and ``on_miss="raise"``.
            GenerationProcessError: the generation process is gone, and ``on_server_failure="raise"``.
        """
        choices = self._choices(reading, epoch)
        reading.choices = iter(choices)
        self._look_up(reading)
        if self.live is None:
            return
        if self.on_miss == "background" and reading.missing is not None:
            self.live.offer(reading.sample, reading.key, reading.missing)
            reading.missing = None
            self._make_do(reading, choices)
        for index in self.schedule.coming(reading.key, epoch):
            if self._get(reading.key, index) is None and not self.live.offer(reading.sample, reading.key, index):
                break

    def generate(self, readings: Sequence[Reading]) -> None:
        """Wait for all that is missing.

        Raises:
            PocAugError: see `poc_aug.live.Live.generate`.
        """
        while missing := [(each, each.missing) for each in readings if each.missing is not None]:
            assert self.live is not None
            started = time.perf_counter()
            found = self.live.generate([(reading.sample(), index) for reading, index in missing])
            waited_s = (time.perf_counter() - started) / len(missing)  # they wait together
            for (reading, _), variant in zip(missing, found, strict=True):
                reading.wait_s += waited_s
                reading.missing = None
                if variant is not None and variant.insertions:
                    reading.show(variant, Outcome.GENERATED)
                elif variant is not None:
                    reading.outcome = Outcome.EMPTY
                    self._look_up(reading)

    def _choices(self, reading: Reading, epoch: int) -> list[int]:
        """Variants that may be shown, in order; more than one only where rejected ones are passed over."""
        key = reading.key
        slots = self.cache.variants(key) if self.live is None else range(self.schedule.variants)
        if self.variants == "random":
            if not slots:
                self._miss(key, "a variant")
            rng = seeding.generator(self.seed, "variant", epoch, key, reading.index)
            wanted = [slots[choice] for choice in torch.randperm(len(slots), generator=rng).tolist()]
        else:
            wanted = [reading.place if isinstance(self.variants, str) else self.variants]
            if self.live is None and wanted[0] not in slots:
                self._miss(key, f"variant {wanted[0]}")
        if self.live is None:
            return wanted
        return [self.schedule.index(key, slot, epoch) for slot in wanted]

    def _look_up(self, reading: Reading) -> None:
        """Take the first choice that shows something, or note the first one that is not there."""
        for index in reading.choices:
            variant = self._get(reading.key, index)
            if variant is None:
                reading.outcome = Outcome.MISSED
                reading.missing = index if self.live is not None else None
                return
            if variant.insertions:
                # One that waited for another before is one that was generated for.
                reading.show(variant, Outcome.GENERATED if reading.wait_s else Outcome.HIT)
                return
            reading.outcome = Outcome.EMPTY
        if reading.outcome == Outcome.PLAIN:  # there was no choice
            reading.outcome = Outcome.MISSED

    def _make_do(self, reading: Reading, choices: Sequence[int]) -> None:
        """Show another variant that is there: one that could have been drawn, else what the slots held before."""
        older = (index for choice in choices for index in self.schedule.older(choice))
        for index in (*reading.choices, *older):
            variant = self._get(reading.key, index)
            if variant is not None and variant.insertions:
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


def check_source(pipeline: object, variants: object, variant: object, on_miss: str, live: LiveSettings | None) -> None:
    """Check what decides where variants come from, before anything is opened.

    Raises:
        SettingError: a parameter out of its range, or one that needs another.
    """
    if on_miss not in get_args(OnMiss):
        raise SettingError(f"on_miss={on_miss!r}", expected=f"one of {get_args(OnMiss)}")
    if (on_miss in GENERATING) != (pipeline is not None):
        raise SettingError(
            f"on_miss={on_miss!r} {'with' if pipeline is not None else 'without'} pipeline=",
            expected=f"pipeline= with one of {GENERATING}, and only with them",
        )
    if live is not None and not isinstance(live, LiveSettings):
        raise SettingError(f"live={live!r}", expected="LiveSettings(...)")
    if live is not None and pipeline is None:
        raise SettingError(
            f"live={live!r} without pipeline=",
            expected="live= with pipeline= only: without it, what the cache holds is read",
        )
    if variants not in ("random", "all"):
        raise SettingError(
            f"variants={variants!r}",
            expected="'random' or 'all'",
            hint="variant=0 shows one of them; with pipeline=, live=LiveSettings(num_variants=3) says how many",
        )
    if variant is not None and variants != "random":
        raise SettingError(
            f"variant={variant!r} with variants={variants!r}", expected="one of the two", hint="leave variants= out"
        )
    if variant is not None and (not isinstance(variant, SupportsIndex) or operator.index(variant) < 0):
        raise SettingError(f"variant={variant!r}", expected="the number of a variant, from 0")
