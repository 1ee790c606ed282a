"""`POCAugmentedDataset`: a drop-in wrapper that composes insertions, from a cache or generated while training."""

from __future__ import annotations

import logging
import operator
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import torch
from torch.utils.data import Dataset

from poc_aug import seeding
from poc_aug.cache import Cache
from poc_aug.cache.key_matching import check_held, continued_keys, stored_keys
from poc_aug.camera import FrameCalibrations
from poc_aug.errors import LabelPolicyError, SettingError
from poc_aug.generation.dataset_manifest import type_name
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.items.open_item import Adapt, OpenItem, open_item
from poc_aug.items.ownership import is_unshared
from poc_aug.joint_transforms.joint_transform import JointTransforms, check_base_transforms, ignore_ids, object_ids
from poc_aug.keys import Keys, dataset_keys, key_advice
from poc_aug.labels.detect import find_schema, unknown_schema_explained
from poc_aug.labels.label_policy import LabelPolicy
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.schema import LabelSchema
from poc_aug.live import Ledger, Live, ReadingStatistics, Schedule
from poc_aug.reading.base_checks import BaseChecks
from poc_aug.reading.compose import compose_image, covered, paint_labels
from poc_aug.reading.live_settings import LiveSettings
from poc_aug.reading.redraw import DrawNumbers, Redraw, check_redraw, read_again
from poc_aug.reading.source import OnMiss, Reading, Shown, VariantSource, check_source
from poc_aug.recipe import IGNORED, Recipe
from poc_aug.types import Variant

_logger = logging.getLogger("poc_aug")


class POCAugmentedDataset(Dataset[Any]):
    """A segmentation dataset with inserted objects and rewritten labels.

    What comes out has the form of what went in: PIL stays PIL, tensors stay tensors, dicts keep their other
    fields. Same seed, epoch and index give the same item, for any number of workers and any start method.

    Args:
        base: map-style dataset of ``(image, labels)`` or dict items; see `poc_aug.items.open_item`. It must return the
            same item each time: random transforms go to ``transforms``.
        cache: path of a cache, or an opened one. With ``pipeline`` it need not exist yet, and ``None`` takes one in a
            temporary folder.
        label_policy: turns class names into label ids; default ``OodLabels(254)``.
        p: share of the items that are augmented; default 0.5, and 1 with ``variants="all"``.
        variants: ``"random"``: one of a sample's cached variants, drawn anew each epoch; ``"all"``: the dataset has
            ``len(base) * n`` items, item ``i`` being variant ``i % n`` of sample ``i // n``.
        variant: number of the variant that every item shows, from 0, instead of ``variants``.
        redraw: when an item's augmentation is drawn anew. ``"epoch"``: when `set_epoch` announces another epoch.
            ``"read"``: each time that the item is read, in any worker, for loops that never call `set_epoch`
            (Lightning, mmengine, detectron2): the n-th read shows what epoch n would show. ``None`` (default):
            ``"epoch"``, with one warning if an item is read again before the epoch changes. See
            ``docs/training_loops.md``.
        pipeline: generates what the cache does not hold, in a process of its own: an `InsertionPipeline`, or, where
            it holds models, a function without arguments that builds it there.
        on_miss: what happens where the cache does not hold what was drawn. ``"original"`` (default): the item comes
            as it is; ``"raise"``; with ``pipeline``, ``"generate"`` (default): the item waits for its insertions;
            ``"background"``: it comes at once, with another of its variants that is there or as it is, and what was
            drawn is made meanwhile. A variant in which every attempt was rejected is no miss. Where the cache holds
            only some of the samples, and it does not follow from the cache why, ``on_miss`` has to be given.
        live: with ``pipeline``: how many variants per sample there are, how many are made anew each epoch, how long an
            item waits for its insertions and what happens then, and how the generation process works.
        sigma_px: feather of the objects' edges in pixels, at most the recipe's ``max_sigma_px``.
        transforms: applied after composing. A transform of torchvision v2, albumentations or kornia's
            `AugmentationSequential` is given image and labels as its library wants them, see
            `poc_aug.joint_transforms.joint_transform`; any other callable is called ``transforms(image, labels)``, or
            ``transforms(item)`` for dicts.
        check_transforms: whether the label ids that ``transforms`` returns are compared with those that went in: of
            the first eight items of each worker, then of one in a thousand. ``False`` for transforms that change ids
            on purpose.
        seed: seed of what is drawn when reading.
        schema: label schema of ``base``, its name, or a YAML file; ``None``: found for known datasets, else the
            pipeline's.
        keys: stable names of the samples: one string per sample, a function of the index, or the name of a column
            or field of the dataset; ``None``: found, see `poc_aug.keys`.
        adapt: how to take image and labels out of items of another form.
        check_labels: compare the labels, by class name, with those that the insertions were made for; ``False`` for
            another annotation of the same images, such as predictions. That a schema knows all their ids is checked
            always.

    Raises:
        CacheError: no cache at the path, or one that cannot be read.
        CacheDatasetMismatchError: the cache holds no sample of this dataset, or only some, and neither ``on_miss`` nor
            the cache says that this is meant; later, when reading, that a stored sample's content differs from this
            dataset's.
        DatasetKeyError: no map-style dataset, or keys that are no strings.
        CacheMismatchError: the cache was made with another recipe or other backends than the pipeline's.
        LabelPolicyError: an inserted class without a label id, an id that the base has for something else, or one that
            does not fit the labels' dtype.
        SchemaError: when reading: labels hold ids that the schema does not know, or show other classes than when the
            cache was made, so that the schema is not theirs; or they are no classes but instances or depth.
        SettingError: a parameter out of its range.
        TransformError: ``transforms`` would transform images alone, or fill labels with an object's id; one in ``base``
            interpolates label ids; when reading: ids came out that neither went in nor are ignore or fill ids.
        GenerationProcessError: when reading: the generation process died. At once: the pipeline is a function, the
            cache does not exist yet, and the pipeline could not be built.
        GenerationTimeoutError, GenerationError: when reading, see `LiveSettings`.
    """

    def __init__(
        self,
        base: Dataset[Any],
        cache: str | Path | Cache | None = None,
        label_policy: LabelPolicy | None = None,
        *,
        redraw: Redraw | None = None,
        pipeline: InsertionPipeline | Callable[[], InsertionPipeline] | None = None,
        p: float | None = None,
        variants: Literal["random", "all"] = "random",
        variant: int | None = None,
        on_miss: OnMiss | None = None,
        live: LiveSettings | None = None,
        sigma_px: float = 1.0,
        transforms: Callable[..., Any] | None = None,
        check_transforms: bool = True,
        seed: int = 0,
        schema: LabelSchema | str | Path | None = None,
        keys: Keys | None = None,
        adapt: Adapt | None = None,
        check_labels: bool = True,
    ) -> None:
        misses_allowed = on_miss is not None
        on_miss = on_miss if on_miss is not None else "original" if pipeline is None else "generate"
        check_source(pipeline, variants, variant, on_miss, live)
        live = live or LiveSettings()
        check_redraw(redraw)
        check_base_transforms(base)
        self.base = base
        self.label_policy = label_policy if label_policy is not None else OodLabels()
        self.p = p if p is not None else 1.0 if variants == "all" else 0.5
        self.variants = variants
        self.variant = None if variant is None else operator.index(variant)
        self.on_miss: OnMiss = on_miss
        self.sigma_px = sigma_px
        self.seed = operator.index(seed)
        # Of the base's labels: a policy may change what comes out.
        self.base_schema = find_schema(base, schema)
        if self.base_schema is None and isinstance(pipeline, InsertionPipeline):
            self.base_schema = pipeline.schema
        own_keys = dataset_keys(base, keys)  # says so where it is no map-style dataset
        self._checks = BaseChecks(self.base_schema, self.label_policy, check_labels, key_advice(base))
        self.adapt = adapt
        self._live: Live | None = None
        if pipeline is not None:
            where = cache.path if isinstance(cache, Cache) else None if cache is None else Path(cache).absolute()
            self._live = Live(
                pipeline,
                where,
                type_name(base),
                self.base_schema,
                live,
                background=on_miss == "background",
                samples=len(set(own_keys)),
            )
            self.cache = cache if isinstance(cache, Cache) else Cache.open(self._live.cache_path)
        elif cache is None:
            raise SettingError("cache=None without a pipeline", expected="a cache to read, or pipeline= to generate")
        else:
            self.cache = cache if isinstance(cache, Cache) else Cache.open(cache)
        self.recipe = Recipe.from_dict(dict(self.cache.manifest.recipe))
        self._calibrations: FrameCalibrations | None = None
        if self._live is not None and self.recipe.camera.calibration == "file":
            self._calibrations = FrameCalibrations(base)
        self._check_parameters()
        self._stored = 0
        if self._live is None:
            # Those that the cache holds the samples under: what is drawn depends on it, whatever reads the files.
            self.keys = stored_keys(own_keys, set(self.cache.keys()), base)
            self._stored = check_held(self.keys, own_keys, self.cache, base, misses_allowed=misses_allowed)
        else:
            self.keys = continued_keys(base, own_keys, self.cache, adapt)
            if len(self.cache):
                self._stored = check_held(self.keys, own_keys, self.cache, base, misses_allowed=True)
        schedule = Schedule(live.num_variants, live.refresh, self.seed)
        self._source = VariantSource(self.cache, self._live, schedule, self._shown, on_miss, self.seed)
        self._per_sample = 1
        if variants == "all":
            highest = max((index for _, index in self.cache), default=0)
            self._per_sample = 1 + highest if self._live is None else schedule.variants
        names = {part for spec in self.recipe.objects for part in spec.parts}
        with unknown_schema_explained(base, self.base_schema):
            self._ids = self.label_policy.resolve(sorted(names), self.base_schema)
            self._ring_id = self.label_policy.ring_id(self.base_schema) if self.label_policy.ring_px else 0
        self.check_transforms = check_transforms
        self.transforms = transforms
        if self.label_policy.rewrites_base:  # asks for a schema before the first item is read, not after
            some = next(iter(self.base_schema.ids.values())) if self.base_schema is not None else 0
            self.label_policy.rewrite(torch.full((1, 1), some), self.base_schema)
        # In shared memory, so that `set_epoch` reaches persistent workers, and `stats` sees what they read.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._ledger = Ledger(len(self))
        self.redraw: Redraw = redraw or "epoch"
        self._draws = DrawNumbers(len(self)) if redraw == "read" else None
        # Whether an item that is read again in an epoch deserves a warning: nothing is drawn for a single variant.
        several = schedule.variants > 1 if self._live is not None else len(self.cache) > len(self.cache.keys())
        drawn = 0 < self.p < 1 or (self.p > 0 and (bool(live.refresh) or (self._shown == "random" and several)))
        self._warn_again = torch.tensor(redraw is None and drawn).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def transforms(self) -> Callable[..., Any] | None:
        """What is applied after composing."""
        return None if self._joint is None else self._joint.transforms

    @transforms.setter
    def transforms(self, transforms: Callable[..., Any] | None) -> None:
        objects = object_ids(self.label_policy, self._ids)
        ignored = ignore_ids(self.label_policy, self.base_schema, objects.values())
        settings: dict[str, Any] = {"check": self.check_transforms, "adapt": self.adapt, "inserted": objects}
        self._joint = None if transforms is None else JointTransforms(transforms, ignored, **settings)

    @property
    def _shown(self) -> Shown:
        return self.variants if self.variant is None else self.variant

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that what is drawn depends on; takes effect in persistent workers too.

        With ``redraw="read"`` it is the least number of the next draw: what a training that is resumed has to call.

        Call it before the epoch's iterator is made: items that workers have prefetched keep the old epoch.
        """
        if epoch != self.epoch:
            self._log_epoch()
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return int(self._epoch)

    def stats(self) -> ReadingStatistics:
        """What became of this epoch's items so far, in all workers, and what the generation process did."""
        return ReadingStatistics.of(self._ledger, self.epoch, None if self._live is None else self._live.board)

    def start(self) -> None:
        """With ``pipeline``: start the generation process now; else the first item that needs it does.

        Raises:
            SettingError: there is no pipeline.
            GenerationProcessError: it could not start; the message holds its traceback.
        """
        if self._live is None:
            raise SettingError("start() on a dataset without pipeline=", expected="a dataset that generates")
        self._live.start()

    def close(self) -> None:
        """End the generation process, if there is one; it also ends with this object, and with the program."""
        self._log_epoch()
        if self._live is not None:
            self._live.close()

    def __enter__(self) -> POCAugmentedDataset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _log_epoch(self) -> None:
        if self._live is not None and (statistics := self.stats()).items:
            _logger.info("%s", statistics)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Worker processes are sent the shared epoch itself; any other copy has its own, to be shared with its workers.
        for name in ("_epoch", "_warn_again"):
            if not getattr(self, name).is_shared():
                setattr(self, name, getattr(self, name).clone().share_memory_())

    def __len__(self) -> int:
        return len(self.keys) * self._per_sample

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The items of a batch, as a ``DataLoader`` asks for them: what is missing is generated in one go.

        Raises:
            IndexError: an index out of range; else what the class says of reading.
        """
        readings = [self._open(index) for index in indices]
        self._source.generate(readings)
        return [self._finish(reading) for reading in readings]

    def _open(self, index: int) -> Reading:
        index = operator.index(index)  # samplers and subsets may hold NumPy or tensor indices
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} items")
        index %= len(self)
        number, place = divmod(index, self._per_sample)
        key = self.keys[number]
        came = self.base[number]
        unshared = is_unshared(came)  # on a line of its own: as an argument beside it, `came` would count twice
        item = open_item(came, self.adapt, key=key, unshared=unshared)
        self._checks.check_ids(item)
        reading = Reading(index, place, key, item)
        if self._calibrations is not None:
            reading.calibrate = partial(self._calibrations.of, number)
        draw = self.epoch if self._draws is None else self._draws.take(index, self.epoch)
        if seeding.unit(self.seed, "read", draw, key, index) < self.p:
            self._source.draw(reading, draw)
        return reading

    def _finish(self, reading: Reading) -> Any:
        item, variant = reading.item, reading.variant
        if variant is not None and variant.insertions:
            self._checks.check_match(item, variant, self.cache)
            self._rewrite_base(item)
            self._compose(item, variant)
        else:
            self._rewrite_base(item)
        if self._ledger.write(reading.index, self.epoch, reading.outcome, reading.wait_s) and self._warn_again:
            self._warn_again.fill_(False)  # once for all workers
            warnings.warn(read_again(reading.index, self.epoch), stacklevel=2)
        return item.close() if self._joint is None else self._joint(item)

    def _rewrite_base(self, item: OpenItem) -> None:
        height, width = item.labels.size_hw
        whole = (0, 0, height, width)
        if self.label_policy.rewrites_base:
            item.labels.write(whole, self.label_policy.rewrite(item.labels.read(whole), self.base_schema))

    def _compose(self, item: OpenItem, variant: Variant) -> None:
        self._check_fit(item, variant)
        compose_image(item.image, variant.insertions, self.sigma_px)
        item.cover(lambda: covered(variant.insertions, item.size_hw, self.sigma_px))
        ring_px = self.label_policy.ring_px
        paint_labels(item.labels, variant.insertions, self._ids, ring_px=ring_px, ring_id=self._ring_id)

    def _check_fit(self, item: OpenItem, variant: Variant) -> None:
        names = {part.name for insertion in variant.insertions for part in insertion.parts}
        if IGNORED in names - self._ids.keys():  # in few caches, and a policy need not have an ignore id
            self._ids |= self.label_policy.resolve([IGNORED], self.base_schema)
        ids = {name: self._ids[name] for name in names}
        if self.label_policy.ring_px:
            ids["the ring"] = self._ring_id
        low, high = item.labels.min_id, item.labels.max_id
        for name, label_id in ids.items():
            if not low <= label_id <= high:
                raise LabelPolicyError(
                    f"label id {label_id} of {name!r} does not fit the labels' dtype",
                    expected=f"an id in [{low}, {high}]",
                    hint=f"change the id in {self.label_policy!r}, or give the base labels of a wider dtype",
                )

    def _check_parameters(self) -> None:
        if not 0 <= self.p <= 1:
            raise SettingError(f"p={self.p}", expected="a share in [0, 1]")
        absent = self.variant is not None and all(index != self.variant for _, index in self.cache)
        if absent and self._live is None:
            held = sorted({index for _, index in self.cache})
            raise SettingError(f"variant={self.variant}", expected=f"a variant that the cache holds: {held}")
        most = self.recipe.max_sigma_px
        if not 0 <= self.sigma_px <= most:
            raise SettingError(
                f"sigma_px={self.sigma_px}",
                expected=f"0 to {most}: the cache holds no pixels beyond that feather",
                hint="choose a smaller sigma_px, or make the cache with a larger max_sigma_px in the recipe",
            )

    def __repr__(self) -> str:
        objects = [spec.name for spec in self.recipe.objects]
        ids = ", ".join(f"{name} {label_id}" for name, label_id in [*self._ids.items()][:6])
        ids += ", ..." if len(self._ids) > 6 else ""
        shows = f"variants={self.variants!r}" if self.variant is None else f"variant={self.variant}"
        shown = ", ".join(objects[:6]) + (", ..." if len(objects) > 6 else "")
        return "\n".join(
            (
                f"{type(self).__name__}: {len(self)} items",
                f"  base: {type(self.base).__name__}, {len(self.keys)} samples, "
                f"schema {self.base_schema.name if self.base_schema else 'unknown'}",
                f"  cache: {self.cache.path}, {len(self.cache)} variants of {self._stored} of these samples",
                f"  objects: {len(objects)} ({shown})",
                f"  labels: {self.label_policy!r}: {ids}",
                f"  p={self.p}, {shows}, on_miss={self.on_miss!r}, sigma_px={self.sigma_px}, "
                f"seed={self.seed}, redraw={self.redraw!r}, epoch={self.epoch}",
            )
        )
