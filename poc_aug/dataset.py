"""`POCAugmentedDataset`: a drop-in wrapper that composes insertions, from a cache or generated while training."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch.utils.data import Dataset

from poc_aug.augmented_dataset import AugmentedDataset
from poc_aug.cache import Cache, UnitedCaches, has_manifest
from poc_aug.cache.key_matching import HeldKeys, check_held, continued_keys, stored_keys
from poc_aug.cache.members import member_of, member_paths
from poc_aug.cache.several_caches import check_several, described, match_united, open_caches
from poc_aug.camera import FrameCalibrations
from poc_aug.counting import count_of
from poc_aug.errors import SettingError
from poc_aug.items.open_item import Adapt, OpenItem
from poc_aug.joint_transforms.joint_transform import check_base_transforms, ignore_ids, object_ids
from poc_aug.keys import Keys, dataset_keys, key_advice
from poc_aug.labels.detect import find_schema, unknown_schema_explained
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.item_composer import ItemComposer
from poc_aug.reading.live_settings import LiveSettings
from poc_aug.reading.parameters import OnMiss, check_against_cache, check_parameters
from poc_aug.reading.redraw import Redraw, check_redraw
from poc_aug.reading.schedule import Schedule
from poc_aug.reading.variant_source import VariantSource
from poc_aug.stores.pulling import local_cache
from poc_aug.types import Variant

if TYPE_CHECKING:
    from poc_aug.generation.pipeline import InsertionPipeline
    from poc_aug.live import LiveGenerator

_logger = logging.getLogger("poc_aug")


class POCAugmentedDataset(AugmentedDataset):
    """A segmentation dataset with inserted objects and rewritten labels.

    Items are returned in the form in which the base dataset returns them: PIL stays PIL, tensors stay tensors, dicts
    keep their other fields. Same seed, epoch and index give the same item, for any number of workers and any start
    method.

    Args:
        base: map-style dataset of ``(image, labels)`` or dict items; see `poc_aug.items.open_item`. It must return the
            same item each time: random transforms go to ``transforms``.
        cache: path of a cache, or an opened one; or a list of them, whose recipes may differ. Of an address on a store
            (``"s3://bucket/name.cache"``) a local copy is read, see `poc_aug.stores.local_copy`. With ``pipeline`` it
            is one, which need not exist yet, and ``None`` stands for one in a temporary folder. If a cache holds
            several recipes, all of them are read.
        label_policy: turns class names into label ids; default ``OodLabels(254)``.
        p: share of the items that are augmented; default 0.5, and 1 with ``variants="all"``.
        shares: how often a variant of each cache is drawn, as weights: ``[0.7, 0.3]``; among the caches that hold the
            sample. ``None``: all variants of a sample are equally likely.
        recipes: fingerprints (or their first characters) of the recipes that are read of each cache; ``None``: all.
        variants: ``"random"``: one of a sample's cached variants, drawn anew each epoch; ``"all"``: the dataset has
            ``len(base) * n`` items, item ``i`` being variant ``i % n`` of sample ``i // n``.
        variant: number of the variant that every item shows, from 0, instead of ``variants``. The variants of a second
            cache or recipe are numbered after those of the first one.
        redraw: when an item's augmentation is drawn anew. ``"epoch"``: when `set_epoch` announces another epoch.
            ``"read"``: each time that the item is read, in any worker, for loops that never call `set_epoch`
            (Lightning, mmengine, detectron2): the n-th read shows what epoch n would show. ``None`` (default):
            ``"epoch"``, with one warning if an item is read again before the epoch changes. See
            ``docs/training_loops.md``.
        pipeline: generates what the cache does not hold, in a process of its own: an `InsertionPipeline`, or, if it
            holds models, a function without arguments that builds it there.
        on_miss: what happens if the cache does not hold what was drawn. ``"original"`` (default): the base's item is
            returned; ``"raise"``; with ``pipeline``, ``"generate"`` (default): the item waits for its insertions;
            ``"background"``: it is returned at once, with another of its variants if there is one, and what was drawn
            is generated meanwhile. A variant in which every attempt was rejected is not a miss. If the cache holds
            only some of the samples, and does not say why, ``on_miss`` has to be given.
        live: with ``pipeline``: how many variants per sample there are, how many are generated anew each epoch, how
            long an item waits for its insertions and what happens then, and how the generation process works.
        sigma_px: feather of the objects' edges in pixels, at most the recipe's ``max_sigma_px``.
        transforms: applied after composing. A transform of torchvision v2, albumentations or kornia's
            `AugmentationSequential` is given image and labels as its library expects them, see
            `poc_aug.joint_transforms.joint_transform`; any other callable is called ``transforms(image, labels)``, or
            ``transforms(item)`` for dicts.
        check_transforms: whether the label ids that ``transforms`` returns are compared with those that it was given:
            for the first eight items of each worker, then for one in a thousand. ``False`` for transforms that change
            ids on purpose.
        seed: seed of what is drawn when reading.
        schema: label schema of ``base``, its name, or a YAML file; ``None``: detected for known datasets, otherwise
            the pipeline's.
        keys: stable names of the samples: one string per sample, a function of the index, or the name of a column
            or field of the dataset; ``None``: detected, see `poc_aug.keys`.
        adapt: how to take image and labels out of items of another form.
        check_labels: compare the labels, by class name, with those that the insertions were made for; ``False`` for
            another annotation of the same images, such as predictions. That a schema knows all their ids is checked
            always.

    Raises:
        CacheError: no cache at the path, or one that cannot be read.
        CacheDatasetMismatchError: the cache holds no sample of this dataset, or only some, and neither ``on_miss`` nor
            the cache says that this is intended; when reading: a stored sample's content differs from this dataset's.
        DatasetKeyError: not a map-style dataset, or keys that are not strings.
        CacheMismatchError: the cache was made with another recipe or other backends than the pipeline's.
        LabelPolicyError: an inserted class without a label id, an id that the base uses for something else, or one
            that does not fit the labels' dtype.
        SchemaError: when reading: labels hold ids that the schema does not know, or show other classes than when the
            cache was made, so that it is not their schema; or they are not class ids but instances or depth.
        SettingError: a parameter of another type, or out of its range.
        TransformError: ``transforms`` would transform images alone, or fill labels with an object's id; one in ``base``
            interpolates label ids; when reading: it returned ids that it was not given and that are neither ignore nor
            fill ids.
        GenerationProcessError: when reading: the generation process died. At once: the pipeline is a function, the
            cache does not exist yet, and the pipeline could not be built.
        GenerationTimeoutError, GenerationError: when reading, see `LiveSettings`.

    Example:
        >>> import tempfile
        >>> from poc_aug import InsertionPipeline, OodLabels, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.presets import load_preset
        >>> base = SyntheticStreet(size=(64, 128), length=1)
        >>> recipe = load_preset("obstacles").with_changes(objects_per_variant=(1, 1))
        >>> folder = tempfile.TemporaryDirectory()
        >>> cache = f"{folder.name}/street.cache"
        >>> report = warm_cache(base, cache, InsertionPipeline(recipe, RenderedInserter()), num_variants=1, workers=0)
        >>> train = POCAugmentedDataset(base, cache, OodLabels(254), p=1.0)
        >>> train.set_epoch(0)
        >>> image, labels = train[0]
        >>> image.size, labels.getextrema()
        ((128, 64), (0, 254))
        >>> print(train.stats())
        epoch 0: 1 item, 100% augmented; 1 from the cache; ...
        >>> folder.cleanup()
    """

    _shows = "insertions"
    cache: Cache | UnitedCaches

    def __init__(
        self,
        base: Dataset[Any],
        cache: str | Path | Cache | Sequence[str | Path | Cache] | None = None,
        label_policy: LabelPolicy | None = None,
        *,
        shares: Sequence[float] | None = None,
        recipes: Sequence[str] | None = None,
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
        check_parameters(
            base=base,
            cache=cache,
            pipeline=pipeline,
            live=live,
            variants=variants,
            variant=variant,
            on_miss=on_miss,
            p=p,
            adapt=adapt,
            sigma_px=sigma_px,
            seed=seed,
            transforms=transforms,
            takes_several=True,
        )
        check_several(cache, shares, recipes, generates=pipeline is not None)
        check_redraw(redraw)
        check_base_transforms(base)
        self.base = base
        self.label_policy = label_policy if label_policy is not None else OodLabels()
        self.p = float(p) if p is not None else 1.0 if variants == "all" else 0.5
        self.variants = variants
        self.variant = None if variant is None else operator.index(variant)
        self.on_miss: OnMiss = on_miss
        self.sigma_px = float(sigma_px)
        self.seed = operator.index(seed)
        self.adapt = adapt
        # Of the base's labels: a policy may change what is returned.
        self.base_schema = find_schema(base, schema)
        if self.base_schema is None and isinstance(own := getattr(pipeline, "schema", None), LabelSchema):
            self.base_schema = own
        own_keys = dataset_keys(base, keys)  # raises a clear error if it is not a map-style dataset
        self._items = ItemComposer(
            self.base_schema, self.label_policy, sigma_px=sigma_px, check_labels=check_labels, advice=key_advice(base)
        )
        self._checks = self._items.checks
        live = live or LiveSettings()
        self._open_cache(local_cache(cache), pipeline, live, len(set(own_keys)), shares, recipes)
        generates = self._live is not None
        self._items.read_from(self.cache)
        self.recipes = self._items.recipes
        self.recipe = self.recipes[0]
        self._calibrations: FrameCalibrations | None = None
        if generates and self.recipe.camera.calibration == "file":
            self._calibrations = FrameCalibrations(base)
        check_against_cache(
            self.cache.indices(),
            variant=self.variant,
            generates=generates,
            sigma_px=sigma_px,
            most_px=self._items.max_sigma_px,
        )
        self._match_samples(own_keys, misses_allowed)
        schedule = Schedule(live.num_variants, live.refresh, self.seed)
        self._source = VariantSource(self.cache, self._live, schedule, self._shown, on_miss, self.seed)
        self._sample_keys = self.keys
        self._per_sample = 1
        if variants == "all":
            highest = max(self.cache.indices(), default=0)
            self._per_sample = schedule.variants if generates else 1 + highest
        with unknown_schema_explained(base, self.base_schema):
            self._items.resolve_ids()
        self.check_transforms = check_transforms
        self.transforms = transforms
        several = schedule.variants > 1 if generates else len(self.cache) > self.cache.samples
        drawn = 0 < self.p < 1 or (self.p > 0 and (bool(schedule.refresh) or (self._shown == "random" and several)))
        self._prepare(redraw, drawn=drawn)

    def _open_cache(
        self,
        cache: str | Path | Cache | Sequence[str | Path | Cache] | None,
        pipeline: InsertionPipeline | Callable[[], InsertionPipeline] | None,
        live: LiveSettings,
        samples: int,
        shares: Sequence[float] | None,
        recipes: Sequence[str] | None,
    ) -> None:
        """Open what is read; with a pipeline, what generates the variants that it does not hold."""
        self._live: LiveGenerator | None = None
        if pipeline is not None:
            from poc_aug.live import LiveGenerator  # here, since reading a cache needs nothing of it

            assert not isinstance(cache, Sequence) or isinstance(cache, str)  # see `check_several`
            path = cache.path if isinstance(cache, Cache) else cache
            if path is not None and isinstance(fingerprint := getattr(pipeline, "fingerprint", None), str):
                path = member_of(Path(path), fingerprint) or path if has_manifest(Path(path)) else path
            elif path is not None and has_manifest(Path(path)) and len(members := member_paths(Path(path))) > 1:
                raise SettingError(
                    f"pipeline={getattr(pipeline, '__name__', pipeline)!r}, a function, with a cache of {len(members)} "
                    "recipes",
                    expected="to know which of them it continues",
                    hint=f"give the path of that recipe: one of {', '.join(map(str, members[1:3]))}, or a cache of one "
                    "recipe; or a pipeline instead of a function",
                )
            background = self.on_miss == "background"
            self._live = LiveGenerator(
                pipeline, path, self.base, self.base_schema, live, background=background, samples=samples
            )
            is_filled = isinstance(cache, Cache) and cache.path == self._live.cache_path
            self.cache = cache if is_filled else Cache.open(self._live.cache_path)  # type: ignore[assignment]
        elif cache is None:
            raise SettingError("cache=None without a pipeline", expected="a cache to read, or pipeline= to generate")
        else:
            self.cache = open_caches(cache, shares=shares, recipes=recipes)

    def _match_samples(self, own_keys: list[str], misses_allowed: bool) -> None:
        """Find the keys under which the samples are stored, and check that they are."""
        self._stored = 0
        if isinstance(self.cache, UnitedCaches):
            self.keys, self._stored = match_united(
                self.cache, own_keys, self.base, misses_allowed=misses_allowed, adapt=self.adapt
            )
            return
        generates = self._live is not None
        if generates:
            self.keys = continued_keys(self.base, own_keys, self.cache, self.adapt)
        else:
            # The keys that the cache holds the samples under: what is drawn depends on them, whatever reads the files.
            self.keys = stored_keys(own_keys, HeldKeys(self.cache), self.base, self.adapt)
        if not generates or len(self.cache):
            allowed = misses_allowed or generates
            self._stored = check_held(self.keys, own_keys, self.cache, self.base, misses_allowed=allowed)

    @property
    def schema(self) -> LabelSchema | None:
        """The schema of its items' labels, inserted classes included; ``None`` if it is not certain."""
        return self._items.schema if self._joint is None else None

    @property
    def ids(self) -> Mapping[str, int]:
        """Label id of each class name that inserted objects may have."""
        return self._items.ids

    def _names(self) -> tuple[LabelSchema | None, Mapping[str, int]]:
        return (None if self.label_policy.rewrites_base else self.base_schema), self.ids

    def _shown_by(self, number: int, index: int, place: int, draw: int) -> tuple[str, int]:
        return self.keys[number], place

    def _ids_of_transforms(self) -> tuple[dict[str, int], frozenset[int]]:
        objects = object_ids(self.label_policy, self._items.ids)
        return objects, ignore_ids(self.label_policy, self.base_schema, objects.values())

    def _write(self, item: OpenItem, variant: Variant | None) -> None:
        self._items.write(item, variant)

    def __repr__(self) -> str:
        objects = list(dict.fromkeys(spec.name for recipe in self.recipes for spec in recipe.objects))
        ids = ", ".join(f"{name} {label_id}" for name, label_id in [*self._items.ids.items()][:6])
        ids += ", ..." if len(self._items.ids) > 6 else ""
        shows = f"variants={self.variants!r}" if self.variant is None else f"variant={self.variant}"
        shown = ", ".join(objects[:6]) + (", ..." if len(objects) > 6 else "")
        return "\n".join(
            (
                f"{type(self).__name__}: {count_of(len(self), 'item')}",
                f"  base: {type(self.base).__name__}, {count_of(len(self.keys), 'sample')}, "
                f"schema {self.base_schema.name if self.base_schema else 'unknown'}",
                f"  cache: {described(self.cache)}, {count_of(len(self.cache), 'variant')} of {self._stored} of "
                "these samples",
                f"  objects: {len(objects)} ({shown})",
                f"  labels: {self.label_policy!r}: {ids}",
                f"  p={self.p}, {shows}, on_miss={self.on_miss!r}, sigma_px={self.sigma_px}, "
                f"seed={self.seed}, redraw={self.redraw!r}, epoch={self.epoch}",
            )
        )
