"""``poc-aug bench``: what the wrapper costs on your dataset and cache, in total and per stage.

Both arms do the same work: every image is decoded (also one that the dataset opens lazily), nothing is collated, and
only a number leaves the worker. Sending frames to the main process costs the same with and without the wrapper, so it
would only hide the difference that is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from poc_aug.benchmarking.timing import Spread, interleaved, ratios, seconds, significant
from poc_aug.cache import Cache
from poc_aug.counting import count_of
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.environment import environment, write_json
from poc_aug.errors import CacheDatasetMismatchError, SettingError
from poc_aug.items import image_digest as digest
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.items.sample_errors import naming_sample
from poc_aug.keys import Keys
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.compose import compose_image, paint_labels
from poc_aug.types import Variant

READING_STAGES = ("base item", "open and check", "cache: read and decode", "compose image", "labels")
_STAGE_ITEMS = 16


@dataclass(frozen=True)
class BenchResult:
    """What `bench_reading` measured.

    Attributes:
        dataset: type of the dataset.
        workers: loader processes.
        items: items read in one measurement.
        base_s: seconds per measurement of the dataset alone.
        wrapped_s: seconds per measurement of the wrapped dataset, every item augmented.
        ratio: wrapped over base, measurement by measurement; 1.05 is 5% slower.
        stages_s: seconds per item in each of `READING_STAGES`, in one process.
        objects: inserted objects per item, the mean over the items that the stages were timed on.
        cache_nbytes: size of the cache.
        samples: samples in the cache.
        variants: variants in the cache.
        environment: date, commit, hardware, versions.
    """

    dataset: str
    workers: int
    items: int
    base_s: Spread
    wrapped_s: Spread
    ratio: Spread
    stages_s: dict[str, Spread]
    objects: float
    cache_nbytes: int
    samples: int
    variants: int
    environment: dict[str, Any]

    @property
    def base_rate(self) -> float:
        """Samples per second of the dataset alone."""
        return self.items / self.base_s.median

    @property
    def wrapped_rate(self) -> float:
        """Samples per second of the wrapped dataset."""
        return self.items / self.wrapped_s.median

    @property
    def mb_per_sample(self) -> float:
        """Megabytes (10^6 bytes) of the cache per sample, all its variants together."""
        return self.cache_nbytes / 1e6 / self.samples

    @property
    def mb_per_variant(self) -> float:
        """Megabytes of the cache per variant, to compare with a stored frame and its label map."""
        return self.cache_nbytes / 1e6 / self.variants

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "benchmark": "reading",
            "environment": self.environment,
            "dataset": self.dataset,
            "workers": self.workers,
            "items": self.items,
            "base_samples_per_s": significant(self.base_rate),
            "wrapped_samples_per_s": significant(self.wrapped_rate),
            "base_s": self.base_s.to_dict(),
            "wrapped_s": self.wrapped_s.to_dict(),
            "wrapped_over_base": self.ratio.to_dict(),
            "stages_s": {name: spread.to_dict() for name, spread in self.stages_s.items()},
            "objects_per_item": significant(self.objects),
            "cache": {
                "nbytes": self.cache_nbytes,
                "samples": self.samples,
                "variants": self.variants,
                "mb_per_sample": significant(self.mb_per_sample),
                "mb_per_variant": significant(self.mb_per_variant),
            },
        }

    def write(self, path: str | Path) -> None:
        """Write the result as JSON."""
        write_json(path, self.to_dict())


class DecodeOnly(Dataset[int]):
    """A dataset whose items are decoded to the last pixel and then discarded.

    Args:
        inner: the dataset.
        names: names of its samples for errors; ``None``: their numbers.
    """

    def __init__(self, inner: Dataset[Any], names: Sequence[str] | None = None) -> None:
        self.inner = inner
        self.names = names

    def __getitem__(self, index: int) -> int:
        """The index, after the item's images have been decoded."""
        with naming_sample(str(index) if self.names is None else self.names[index]):
            decode_item(self.inner[index])
        return index


def decode_item(item: Any) -> Any:
    """Decode the PIL images of an item that were opened lazily; returns the item."""
    for field in item.values() if isinstance(item, dict) else item if isinstance(item, tuple | list) else ():
        if isinstance(field, Image.Image):
            field.load()
    return item


def reading_time(
    dataset: Dataset[Any], indices: Sequence[int], workers: int, names: Sequence[str] | None = None
) -> Callable[[], float]:
    """A measurement: seconds to read these items through a `DataLoader` whose workers persist between calls.

    Example:
        >>> import poc_aug
        >>> from poc_aug.benchmarking.wrapper_cost import reading_time
        >>> measure = reading_time(poc_aug.SyntheticStreet(size=(32, 64), length=2), [0, 1], workers=0)
        >>> measure() > 0
        True
    """
    loader: DataLoader[int] = DataLoader(
        DecodeOnly(dataset, names),
        sampler=indices,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        generator=torch.Generator().manual_seed(0),
    )
    return lambda: seconds(lambda: _drain(loader))


def _drain(loader: DataLoader[int]) -> None:
    for _ in loader:
        pass


def _counted(
    arms: dict[str, Callable[[], float]], total: int, on_progress: Callable[[int, int], None]
) -> dict[str, Callable[[], float]]:
    """The same measurements, reported; what is measured stays as it is."""
    numbers = count()

    def counted(arm: Callable[[], float]) -> Callable[[], float]:
        def measure() -> float:
            on_progress(next(numbers), total)
            return arm()

        return measure

    return {name: counted(arm) for name, arm in arms.items()}


def bench_reading(
    dataset: Dataset[Any],
    cache: str | Path | Cache,
    *,
    schema: LabelSchema | str | Path | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    workers: int = 2,
    items: int = 64,
    repeats: int = 5,
    on_progress: Callable[[int, int], None] | None = None,
) -> BenchResult:
    """Measure reading a dataset alone and through `POCAugmentedDataset` with ``p=1``, in turn.

    Both read the same samples in the same order: only those that have objects in the cache, several times if there are
    fewer than ``items``.

    Args:
        dataset: the dataset that the cache was made from.
        cache: path of the cache, or an opened one.
        schema: label schema, as in `POCAugmentedDataset`.
        keys: keys, as in `POCAugmentedDataset`.
        adapt: item form, as in `POCAugmentedDataset`.
        workers: loader processes; 0 reads in this process.
        items: items read in one measurement.
        repeats: measurements of each, after one for warm-up.
        on_progress: called before each measurement with the number of those done and their total.

    Raises:
        SettingError: a parameter out of its range.
        CacheError: as `POCAugmentedDataset`.
        CacheDatasetMismatchError: the cache contains no object for any sample of the dataset.

    Example:
        The lines about ``street.cache`` are not run as a test: a measurement takes seconds.

        >>> import poc_aug
        >>> from poc_aug.benchmarking.wrapper_cost import READING_STAGES, bench_reading
        >>> dataset = poc_aug.SyntheticStreet(size=(256, 512), length=64)
        >>> result = bench_reading(dataset, "street.cache")  # doctest: +SKIP
        >>> f"{result.wrapped_rate:.0f} samples/s, {result.ratio.median - 1:+.0%} time"  # doctest: +SKIP
        >>> READING_STAGES[0]
        'base item'
    """
    for name, value, least in (("workers", workers, 0), ("items", items, 1), ("repeats", repeats, 1)):
        if value < least:
            raise SettingError(f"{name}={value}", expected=f"at least {least}")
    # Only samples that are in the cache are measured.
    wrapped = POCAugmentedDataset(
        dataset, cache, p=1.0, redraw="epoch", on_miss="original", schema=schema, keys=keys, adapt=adapt
    )
    chosen = _with_objects(wrapped, items)
    numbers = list(islice(cycle(number for number, _ in chosen), items))
    stages, objects = _stages(wrapped, chosen, repeats)
    arms = {
        "base": reading_time(dataset, numbers, workers, wrapped.keys),
        "wrapped": reading_time(wrapped, numbers, workers, wrapped.keys),
    }
    if on_progress is not None:
        arms = _counted(arms, 2 * (repeats + 1), on_progress)
    times = interleaved(arms, repeats)
    return BenchResult(
        dataset=type(dataset).__name__,
        workers=workers,
        items=items,
        base_s=Spread.of(times["base"]),
        wrapped_s=Spread.of(times["wrapped"]),
        ratio=ratios(times["wrapped"], times["base"]),
        stages_s=stages,
        objects=objects,
        cache_nbytes=wrapped.cache.nbytes,
        samples=wrapped.cache.samples,
        variants=len(wrapped.cache),
        environment=environment(),
    )


def _with_objects(wrapped: POCAugmentedDataset, items: int) -> list[tuple[int, Variant]]:
    """Up to ``items`` samples, each with the first of its variants that has an object."""
    chosen: list[tuple[int, Variant]] = []
    for number, key in enumerate(wrapped.keys):
        if len(chosen) == items:
            break
        variants = (wrapped.cache.get(key, index) for index in wrapped.cache.variants(key))
        shown = next((variant for variant in variants if variant is not None and variant.insertions), None)
        if shown is not None:
            chosen.append((number, shown))
    if not chosen:
        raise CacheDatasetMismatchError(
            f"the cache {str(wrapped.cache.path)!r} holds no object for any of the {len(wrapped.keys)} samples",
            expected="at least one sample with an object",
            hint=f"see what was rejected with `poc-aug info {wrapped.cache.path}`",
        )
    return chosen


def _stages(
    wrapped: POCAugmentedDataset, chosen: Sequence[tuple[int, Variant]], repeats: int
) -> tuple[dict[str, Spread], float]:
    """Seconds of each stage in this process, over all items and repeats; and objects per item."""
    used = list(islice(chosen, _STAGE_ITEMS))
    names = sorted({part.name for _, variant in used for insertion in variant.insertions for part in insertion.parts})
    ids = wrapped.label_policy.resolve(names, wrapped.base_schema)
    times: dict[str, list[float]] = {name: [] for name in READING_STAGES}
    for number in range(-1, repeats):
        for index, variant in used:
            with naming_sample(wrapped.keys[index]):
                spent = _one_item(wrapped, index, variant, ids)
            if number >= 0:
                for name, duration in zip(READING_STAGES, spent, strict=True):
                    times[name].append(duration)
    objects = sum(len(variant.insertions) for _, variant in used) / len(used)
    return {name: Spread.of(values) for name, values in times.items()}, objects


def _one_item(wrapped: POCAugmentedDataset, index: int, variant: Variant, ids: dict[str, int]) -> tuple[float, ...]:
    """What `POCAugmentedDataset` does for one item, stage by stage."""
    key = variant.key
    items: list[Any] = []
    base = seconds(lambda: items.append(decode_item(wrapped.base[index])))
    opened = open_item(items[0], wrapped.adapt, key=key)

    def check() -> None:
        item = open_item(items[0], wrapped.adapt, key=key)
        digest.digest_of(item.image)
        item.labels.ids()

    opening = seconds(check)
    reading = seconds(lambda: wrapped.cache.get(key, variant.index))
    image = seconds(lambda: compose_image(opened.image, variant.insertions, wrapped.sigma_px))

    def paint() -> None:
        paint_labels(opened.labels, variant.insertions, ids)
        opened.close()

    return base, opening, reading, image, seconds(paint)


def print_result(console: Console, result: BenchResult) -> None:
    """Print a result as two tables."""
    rates = Table(
        title=f"{result.dataset}, {count_of(result.workers, 'worker')}, {count_of(result.items, 'item')}",
        title_justify="left",
    )
    for name in ("", "samples/s", "spread", "over base"):
        rates.add_column(name, justify="left" if not name else "right")
    rates.add_row("base", f"{result.base_rate:.1f}", _rates(result.items, result.base_s), "")
    change = f"{result.ratio.median - 1:+.1%} ({result.ratio.low - 1:+.1%} to {result.ratio.high - 1:+.1%})"
    rates.add_row("wrapped", f"{result.wrapped_rate:.1f}", _rates(result.items, result.wrapped_s), change)
    console.print(rates)
    stages = Table(title=f"one item in one process, {result.objects:.1f} objects", title_justify="left")
    for name in ("stage", "ms", "spread"):
        stages.add_column(name, justify="left" if name == "stage" else "right")
    for name, spread in result.stages_s.items():
        stages.add_row(name, f"{1e3 * spread.median:.2f}", f"{1e3 * spread.low:.2f} to {1e3 * spread.high:.2f}")
    console.print(stages)
    console.print(
        f"cache: {result.mb_per_sample:.4f} MB per sample, {result.mb_per_variant:.4f} MB per variant "
        f"({count_of(result.variants, 'variant')} of {count_of(result.samples, 'sample')})"
    )


def _rates(items: int, spread: Spread) -> str:
    return f"{items / spread.high:.1f} to {items / spread.low:.1f}"
