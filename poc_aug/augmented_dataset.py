"""`AugmentedDataset`: what every wrapper does that shows what was generated, whether from a cache or in place."""

from __future__ import annotations

import logging
import operator
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from torch.utils.data import Dataset, Subset

from poc_aug.cache import Cache, UnitedCaches
from poc_aug.camera import FrameCalibrations
from poc_aug.errors import SettingError
from poc_aug.items.frame_depth import FrameDepths
from poc_aug.items.open_item import Adapt, OpenItem, open_item
from poc_aug.items.ownership import is_unshared
from poc_aug.joint_transforms.joint_transform import JointTransforms
from poc_aug.keys.dataset_wrappers import parts, wrapped
from poc_aug.keys.drawn_datasets import drawn_in
from poc_aug.labels.schema import LabelSchema
from poc_aug.notebook import ShownAsPicture
from poc_aug.reading.base_checks import BaseChecks
from poc_aug.reading.outcomes import Ledger
from poc_aug.reading.parameters import OnMiss, Shown, check_epoch
from poc_aug.reading.peeking import peeking
from poc_aug.reading.reading_statistics import ReadingStatistics
from poc_aug.reading.redraw import DrawNumbers, Redraw, read_again
from poc_aug.reading.shared_numbers import SharedNumbers
from poc_aug.reading.variant_source import Reading, VariantSource
from poc_aug.types import Sample, Variant

if TYPE_CHECKING:
    from poc_aug.live import LiveGenerator

_logger = logging.getLogger("poc_aug")

_AugmentedT = TypeVar("_AugmentedT", bound="AugmentedDataset")


@dataclass(frozen=True, slots=True)
class Peeked(ShownAsPicture):
    """What `AugmentedDataset.peek` found; a notebook shows it before and after.

    Attributes:
        before: the base's item.
        after: the item, before ``transforms``.
        variant: what is shown of the cache, or was made in place; ``None``: nothing.
        schema: names the label ids, as far as it is known.
        ids: label id of each class name that inserted objects may have.
    """

    before: Sample
    after: Sample
    variant: Variant | None
    schema: LabelSchema | None = None
    ids: Mapping[str, int] = field(default_factory=dict)


class AugmentedDataset(ShownAsPicture, Dataset[Any]):
    """Epochs, draws, workers, statistics, checks and transforms; subclasses say which key an item shows, and apply it.

    They set the attributes below, then call `_prepare`.
    """

    _shows: str
    """What its items show, for messages."""

    base: Dataset[Any]
    base_schema: LabelSchema | None
    p: float
    variants: Literal["random", "all"]
    variant: int | None
    on_miss: OnMiss
    seed: int
    adapt: Adapt | None
    cache: Cache | UnitedCaches | None
    check_transforms: bool
    redraw: Redraw
    _sample_keys: list[str]  # keys of the base's samples
    _per_sample: int
    _live: LiveGenerator | None
    _source: VariantSource
    _checks: BaseChecks
    _calibrations: FrameCalibrations | None
    _depths: FrameDepths | None = None
    _joint: JointTransforms | None
    _drawn: bool = False  # whether another epoch may show something else

    def _prepare(self, redraw: Redraw | None, *, drawn: bool) -> None:
        """Prepare what is shared between processes.

        Args:
            redraw: the argument.
            drawn: whether another epoch may show something else.
        """
        self._drawn = drawn
        # Shared, so that `set_epoch` reaches persistent workers, and `stats` counts what they read.
        self._epoch = SharedNumbers(1)
        self._ledger = Ledger(len(self))
        self.redraw = redraw or "epoch"
        self._draws = DrawNumbers(len(self)) if redraw == "read" else None
        # Whether an item that is read again in an epoch deserves a warning: nothing is drawn for a single variant.
        self._warn_again = SharedNumbers(1)
        self._warn_again.values[0] = redraw is None and drawn

    @abstractmethod
    def _shown_by(self, number: int, index: int, place: int, draw: int) -> tuple[str, int]:
        """What an item shows in a draw.

        Args:
            number: number of the base sample.
            index: index of the item.
            place: which of its sample's items it is.
            draw: number of the draw.

        Returns:
            The key that it is stored under, and, with ``variants="all"``, the number of the variant.
        """

    @abstractmethod
    def _ids_of_transforms(self) -> tuple[dict[str, int], frozenset[int]]:
        """Label ids of what was inserted, by class name, and ids that transforms may fill with."""

    @abstractmethod
    def _write(self, item: OpenItem, variant: Variant | None) -> None:
        """Write a variant into an item whose ids are checked, if it was made for it; ``None``: nothing is shown."""

    @property
    def transforms(self) -> Callable[..., Any] | None:
        """What is applied after composing."""
        return None if self._joint is None else self._joint.transforms

    @transforms.setter
    def transforms(self, transforms: Callable[..., Any] | None) -> None:
        objects, ignored = self._ids_of_transforms()
        settings: dict[str, Any] = {"check": self.check_transforms, "adapt": self.adapt, "inserted": objects}
        self._joint = None if transforms is None else JointTransforms(transforms, ignored, **settings)

    @property
    def _shown(self) -> Shown:
        return self.variants if self.variant is None else self.variant

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, on which depends what is drawn; takes effect in persistent workers too.

        Call it before the epoch's iterator is made: items that workers have prefetched keep the old epoch. Datasets in
        ``base`` that are drawn anew themselves get the same epoch.

        With ``redraw="read"`` items continue at the draw of this number at least: call it when a training is resumed.

        Raises:
            SettingError: not an integer, or a negative one.
        """
        epoch = check_epoch(epoch)
        if epoch != self.epoch:
            self._log_epoch()
        self._epoch.values[0] = epoch
        for inner in drawn_in(self.base):
            inner.set_epoch(epoch)

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return int(self._epoch.values[0])

    def stats(self) -> ReadingStatistics:
        """What became of this epoch's items so far, in all workers, and what the generation process did."""
        return ReadingStatistics.of(self._ledger, self.epoch, None if self._live is None else self._live.counters)

    def start(self) -> None:
        """With ``pipeline``: start the generation process now; otherwise the first item that needs it starts it.

        Raises:
            SettingError: there is no pipeline.
            GenerationProcessError: it could not start; the message holds its traceback.
        """
        if self._live is None:
            raise SettingError("start() on a dataset without pipeline=", expected="a dataset that generates")
        self._live.start()

    def close(self) -> None:
        """End the generation process, if there is one. It also ends when this object is deleted or the program ends."""
        self._log_epoch()
        if self._live is not None:
            self._live.close()

    def __enter__(self: _AugmentedT) -> _AugmentedT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _log_epoch(self) -> None:
        if self._live is not None and (statistics := self.stats()).items:
            _logger.info("%s", statistics)

    def peek(self, index: int) -> Peeked:
        """Look at what an item shows, before and after, without ``transforms``; it does not count as read.

        No statistics, draws or warnings come of it, in base datasets that are drawn anew neither; what a cache lacks is
        not generated in another process. The next read shows the same.

        Raises:
            IndexError: an index out of range; otherwise what the class lists as raised when reading.
        """
        with peeking():
            reading = self._open(index)
            self._source.fetch_missing([reading])
            before = reading.item.sample()
            self._write(reading.item, reading.variant)
            return Peeked(before, reading.item.sample(), reading.variant, *self._names())

    def _names(self) -> tuple[LabelSchema | None, Mapping[str, int]]:
        """What names the ids of its items' labels: a schema, and ids of inserted classes."""
        return self.base_schema, {}

    def drawn_items(self, samples: int = 1000) -> list[int]:
        """Indices of items that are drawn (``p``) in this epoch, of the first samples, one of each; nothing is read.

        Args:
            samples: how many samples are looked at.
        """
        indices = range(0, min(len(self), samples * self._per_sample), self._per_sample)
        return [index for index in indices if self._is_augmented(index)]

    def _is_augmented(self, index: int) -> bool:
        number, place = divmod(index, self._per_sample)
        draw = self.epoch if self._draws is None else self._draws.next(index, self.epoch)
        return self._source.is_drawn(self._shown_by(number, index, place, draw)[0], index, draw, self.p)

    def __len__(self) -> int:
        return len(self._sample_keys) * self._per_sample

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The items of a batch, as a ``DataLoader`` asks for them: what is missing is generated in one go.

        Raises:
            IndexError: an index out of range; otherwise what the class lists as raised when reading.
        """
        readings = [self._open(index) for index in indices]
        self._source.fetch_missing(readings)
        return [self._finish(reading) for reading in readings]

    def _open(self, index: int) -> Reading:
        """Open the base's item, check its labels, and draw what it shows."""
        index = operator.index(index)  # samplers and subsets may hold NumPy or tensor indices
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range for {length} items")
        index %= length
        number, place = divmod(index, self._per_sample)
        key = self._sample_keys[number]
        base_item = self.base[number]
        unshared = is_unshared(base_item)  # on a line of its own: another argument of the call would count as a holder
        item = open_item(base_item, self.adapt, key=key, unshared=unshared)
        self._checks.check_ids(item)
        draw = self.epoch if self._draws is None else self._draws.take(index, self.epoch)
        shown, place = self._shown_by(number, index, place, draw)
        reading = Reading(index, place, shown, item)
        if self._calibrations is not None:
            reading.calibrate = partial(self._calibrations.of, number)
        if self._depths is not None:
            reading.measure = partial(self._depths.of, number, base_item, item.size_hw, key)
        self._source.draw(reading, draw, self.p)
        return reading

    def _finish(self, reading: Reading) -> Any:
        """Compose what was drawn into the item, record what became of it, and transform it."""
        item, variant = reading.item, reading.variant
        self._write(item, variant)
        again = self._ledger.write(reading.index, self.epoch, reading.outcome, reading.wait_s)
        if again and self._warn_again.values[0]:
            self._warn_again.values[0] = False  # once for all workers
            warnings.warn(read_again(reading.index, self.epoch, self._shows, type(self).__name__), stacklevel=2)
        return item.close() if self._joint is None else self._joint(item)


def drawn_base(dataset: Any) -> AugmentedDataset | None:
    """The dataset, or one that it wraps, whose items show something else in another epoch; ``None`` if there is none.

    What is stored for such items would be shown with the labels of others.
    """
    if isinstance(dataset, AugmentedDataset):
        return dataset if dataset._drawn else drawn_base(dataset.base)
    held = [dataset.dataset] if isinstance(dataset, Subset) else parts(dataset)
    inner = [wrapped(dataset)] if held is None else held
    return next((found for each in inner if each is not None and (found := drawn_base(each)) is not None), None)
