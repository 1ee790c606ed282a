"""`SceneShiftDataset`: a drop-in wrapper that shows a dataset's frames in other domains, with their labels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch.utils.data import Dataset

from poc_aug import seeding
from poc_aug.augmented_dataset import AugmentedDataset, drawn_base
from poc_aug.cache import Cache, has_manifest
from poc_aug.cache.key_matching import HeldKeys, check_held, stored_keys
from poc_aug.cache.members import member_of
from poc_aug.camera import FrameCalibrations
from poc_aug.camera_spec import CameraSpec
from poc_aug.counting import count_of
from poc_aug.errors import CacheMismatchError, DatasetKeyError, SettingError
from poc_aug.generation.filling_job import FillingJob, shift_job
from poc_aug.generation.in_place import InPlaceGenerator, NothingStored
from poc_aug.generation.shift_caches import check_all_held, check_as_it_is, recipe_of_frames
from poc_aug.generation.shift_choice import Shift, shift_pipeline
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.items.frame_depth import FrameDepths
from poc_aug.items.open_item import Adapt, OpenItem
from poc_aug.joint_transforms.joint_transform import check_base_transforms, ignore_ids
from poc_aug.keys import Keys, dataset_keys, key_advice
from poc_aug.labels.detect import find_schema, unknown_schema_explained
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.base_checks import BaseChecks
from poc_aug.reading.label_writer import LabelWriter
from poc_aug.reading.live_settings import LiveSettings, live_settings_of
from poc_aug.reading.parameters import OnMiss, check_against_cache, check_parameters
from poc_aug.reading.redraw import Redraw, check_redraw
from poc_aug.reading.schedule import Schedule
from poc_aug.reading.variant_source import StoredVariants, VariantGenerator, VariantSource
from poc_aug.scenes.scene_recipe import shifted_key
from poc_aug.scenes.shifter_protocol import DepthEstimator
from poc_aug.stores.pulling import local_cache
from poc_aug.types import Variant

if TYPE_CHECKING:
    from poc_aug.live import LiveGenerator


class SceneShiftDataset(AugmentedDataset):
    """A segmentation dataset whose frames are shown in other domains: fog, night, rain, snow, low sun, ...

    Items are returned in the form in which the base dataset returns them, with their labels. Same seed, epoch and index
    give the same item, for any number of workers and any start method. The stored frames of a sample have the keys
    ``KEY@DOMAIN-SEVERITY``.

    Weather by its name needs no models: without a cache, frames are made in the workers that read them.

    Args:
        base: map-style dataset of ``(image, labels)`` or dict items; see `POCAugmentedDataset`.
        shift: the name of a domain ("fog", "night", "rain", "snow", "low-sun", "corruption:jpeg_compression", see
            `poc_aug.scenes.shift_names`), a shifter, or several of them; or a `ShiftPipeline`; or, if it holds models,
            a function without arguments that builds one in the generation process.
        cache: path of a cache of frames, or an opened one; what is there is read, and a new one is filled.
        severity: 1 to 5, as in ImageNet-C, or several; default 3.
        p: share of the items that are shifted.
        variants: ``"random"``: each item shows one of the domains, severities and variants, drawn anew each epoch;
            ``"all"``: the dataset has ``len(base) * domains * severities * num_variants`` items, those of a sample in a
            row, in this order.
        variant: number of the variant that every item shows, from 0, instead of ``variants``.
        num_variants: variants per sample, domain and severity: other noise, other lamps; with ``live``, its own number.
        redraw: when an item is drawn anew, see `POCAugmentedDataset`.
        on_miss: what happens if the cache does not hold what was drawn, see `POCAugmentedDataset`. Default:
            ``"generate"`` for a cache that does not exist yet, and ``"original"`` for one that does: it is read as it
            is, whatever seed it was made with, and has to hold all frames that are shown.
        live: how the generation process works; it is used for models, and if there is a cache to fill.
        label_policy: rewrites the labels; ``None``: they are returned as they are.
        transforms: applied after shifting, see `POCAugmentedDataset`.
        check_transforms: see `POCAugmentedDataset`.
        seed: seed of what is drawn when reading, and of the frames that are generated.
        camera: the frames' camera, see `CameraSpec`: "cityscapes", "kitti", "file", ...; depth comes from labels and
            camera.
        depth: depth in metres, instead of that from labels and camera: the name of a field of the dataset's items, a
            function of the sample's index that returns a map ``[H, W]``, or a depth model.
        schema: label schema of ``base``, its name, or a YAML file; ``None``: detected for known datasets. Weather needs
            one.
        keys: stable names of the samples, see `POCAugmentedDataset`.
        adapt: how to take image and labels out of items of another form.
        check_labels: compare the labels, by class name, with those that cached frames were made for.

    Raises:
        SettingError: a parameter of another type, or out of its range; an unknown domain: the known ones are listed.
        RecipeError: severities that are not 1 to 5.
        SchemaError: the weather needs classes that are not known.
        CacheMismatchError: the cache holds other domains, severities, or no frames at all, or was made with another
            ``camera``, ``depth`` or ``num_variants`` than these, where they are given; with
            ``on_miss="generate"`` or ``"background"``: it was made with other settings.
        CacheDatasetMismatchError, GenerationError and others: as `POCAugmentedDataset`.

    Example:
        >>> from poc_aug import SyntheticStreet
        >>> foggy = SceneShiftDataset(SyntheticStreet(size=(64, 128), length=2), "fog", severity=4)
        >>> image, labels = foggy[0]
        >>> image.size, foggy.keys
        ((128, 64), ['street-000000@fog-4', 'street-000001@fog-4'])
    """

    cache: Cache | None
    _shows = "frames"

    def __init__(
        self,
        base: Dataset[Any],
        shift: Shift,
        cache: str | Path | Cache | None = None,
        *,
        severity: int | Sequence[int] | None = None,
        p: float = 1.0,
        variants: Literal["random", "all"] = "random",
        variant: int | None = None,
        num_variants: int | None = None,
        redraw: Redraw | None = None,
        on_miss: OnMiss | None = None,
        live: LiveSettings | None = None,
        label_policy: LabelPolicy | None = None,
        transforms: Callable[..., Any] | None = None,
        check_transforms: bool = True,
        seed: int = 0,
        camera: CameraSpec | str | None = None,
        depth: str | Callable[[int], Any] | DepthEstimator | None = None,
        schema: LabelSchema | str | Path | None = None,
        keys: Keys | None = None,
        adapt: Adapt | None = None,
        check_labels: bool = True,
    ) -> None:
        model = depth if isinstance(depth, DepthEstimator) else None
        if depth is not None and not isinstance(depth, DepthEstimator):
            self._depths = FrameDepths(depth)
        named = self._depths.name if self._depths is not None else None
        made = shift_pipeline(shift, severity=severity, camera=camera, depth=model or named, seed=seed)
        misses_allowed = on_miss is not None
        on_miss = on_miss or _default_on_miss(cache)
        check_parameters(
            base=base,
            cache=cache,
            pipeline=made if on_miss in ("generate", "background") else None,
            live=live,
            variants=variants,
            variant=variant,
            on_miss=on_miss,
            p=p,
            adapt=adapt,
            sigma_px=0.0,
            seed=seed,
            transforms=transforms,
            wrapper="SceneShiftDataset(base, shift, ",
        )
        check_redraw(redraw)
        check_base_transforms(base)
        self.base = base
        self.label_policy = label_policy
        self.p = float(p)
        self.variants = variants
        self.variant = None if variant is None else operator.index(variant)
        self.on_miss = on_miss
        self.seed = operator.index(seed)
        self.adapt = adapt
        self.base_schema = find_schema(base, schema)
        if self.base_schema is None and isinstance(made, ShiftPipeline):
            self.base_schema = made.schema
        own_keys = dataset_keys(base, keys)
        self._checks = BaseChecks(self.base_schema, label_policy or OodLabels(), check_labels, key_advice(base))
        live = live_settings_of(live, num_variants, self.variant)
        with unknown_schema_explained(base, self.base_schema):
            self._open_source(local_cache(cache), made, live, len(set(own_keys)))
        self._sample_keys = own_keys
        self._calibrations: FrameCalibrations | None = None
        if self._generator is not None and self.recipe.camera.calibration == "file":
            self._calibrations = FrameCalibrations(base)
        self._schedule = Schedule(live.num_variants, live.refresh, self.seed)
        self._stored = 0
        if self.cache is not None:
            self._match_keys(own_keys, misses_allowed)
        stored: StoredVariants = self.cache if self.cache is not None else NothingStored()
        self._source = VariantSource(stored, self._generator, self._schedule, self._shown, on_miss, self.seed)
        each = self._schedule.variants
        if self.cache is not None and self._generator is None:
            each = 1 + max(self.cache.indices(), default=0)
            check_as_it_is(self.cache, self.recipe, self._pipeline, camera, depth, num_variants, each)
        self._variants_each = each if variants == "all" else 1
        self._per_sample = len(self.shifts) * self._variants_each if variants == "all" else 1
        self._labels: LabelWriter | None = None
        if label_policy is not None:
            with unknown_schema_explained(base, self.base_schema):
                self._labels = LabelWriter(label_policy, self.base_schema, ())
        self.check_transforms = check_transforms
        self.transforms = transforms
        self._prepare(redraw, drawn=self._is_drawn(live))

    def _open_source(
        self,
        cache: str | Path | Cache | None,
        made: ShiftPipeline | Callable[[], ShiftPipeline],
        live: LiveSettings,
        samples: int,
    ) -> None:
        """Open the cache that is read, and what generates the frames that it does not hold."""
        self._live: LiveGenerator | None = None
        self._generator: VariantGenerator | None = None
        self.cache, path = (cache, cache.path) if isinstance(cache, Cache) else (None, cache)
        self._pipeline: ShiftPipeline | None = None
        if isinstance(made, ShiftPipeline):
            self._pipeline = made.for_dataset(self.base_schema)
            if isinstance(cache, str | Path) and has_manifest(Path(cache)):  # a cache may hold several recipes
                path = member_of(Path(cache), self._pipeline.fingerprint) or path
        generates = self.on_miss in ("generate", "background")
        if path is None and not generates:
            raise SettingError(
                f"on_miss={self.on_miss!r} without a cache",
                expected="a cache that is read; without one, frames are generated",
                hint="leave on_miss= out",
            )
        if path is None and self._pipeline is not None and self._pipeline.runs_in_workers:
            if self.on_miss == "background":  # nothing is generated ahead: every item would stay as it is
                raise SettingError(
                    "on_miss='background' without a cache, for shifts that are made where they are read",
                    expected="a cache to fill in the background, or frames that are waited for",
                    hint="leave on_miss= out, or give the path of a cache",
                )
            self._pipeline.check()
            self._generator = InPlaceGenerator(self._pipeline)
        elif generates:
            from poc_aug.live import LiveGenerator  # here, since reading a cache needs nothing of it

            source = made if self._pipeline is None else self._pipeline
            shifts = 1 if self._pipeline is None else len(self._pipeline.recipe.shifts)
            self._live = LiveGenerator(
                source, path, self.base, self.base_schema, live,
                background=self.on_miss == "background", samples=samples * shifts,
            )  # fmt: skip
            self._generator, path = self._live, self._live.cache_path
        if self.cache is None and path is not None:
            self.cache = Cache.open(path)
        if self.cache is not None:
            self._check_base_is_stored()
            self.recipe = recipe_of_frames(self.cache)
            check_against_cache(
                self.cache.indices(), variant=self.variant, generates=generates, sigma_px=0.0, most_px=0.0
            )
        else:
            assert self._pipeline is not None  # otherwise the generation process has a cache
            self.recipe = self._pipeline.recipe
        wanted = self.recipe if self._pipeline is None else self._pipeline.recipe
        self.shifts: tuple[tuple[str, int], ...] = wanted.shifts
        missing = [shift for shift in self.shifts if shift not in self.recipe.shifts]
        if missing and self.cache is not None:
            raise CacheMismatchError(
                f"the cache {str(self.cache.path)!r} holds no frames of {_names(missing)}",
                expected=f"some of what it holds: {_names(self.recipe.shifts)}",
                hint="choose among them, or make another cache: warm_cache(SceneShiftDataset(...), path)",
                command="choose among them, or make another cache: poc-aug warm-scenes",
            )

    def _match_keys(self, own_keys: list[str], misses_allowed: bool) -> None:
        """Find the keys under which the cache holds the samples, and check that it does."""
        assert self.cache is not None
        samples = HeldKeys(self.cache, self.recipe.shifts)
        self._sample_keys = stored_keys(own_keys, samples, self.base)
        generates = self._generator is not None
        if not generates or samples:
            wanted = [shifted_key(key, *shift) for key in self._sample_keys for shift in self.shifts]
            own = [shifted_key(key, *shift) for key in own_keys for shift in self.shifts]
            if not (misses_allowed or generates):
                check_all_held(wanted, self.cache, key_advice(self.base))
            self._stored = check_held(wanted, own, self.cache, self.base, misses_allowed=misses_allowed or generates)

    def _check_base_is_stored(self) -> None:
        """Check that a frame that is stored once belongs to the labels of every epoch."""
        if (drawn := drawn_base(self.base)) is not None:
            raise SettingError(
                f"a cache of frames for a {type(drawn).__name__} whose items are drawn anew in each epoch",
                expected="a base that always shows the same: a stored frame would be shown with the labels of another",
                hint='leave the cache out: weather is made when reading; or draw nothing: variants="all", p=1.0',
            )

    def _is_drawn(self, live: LiveSettings) -> bool:
        several = len(self.shifts) > 1
        if self._generator is not None:
            several = several or self._schedule.variants > 1
        elif self.cache is not None:
            several = several or len(self.cache) > self.cache.samples
        refreshed = self._generator is not None and bool(live.refresh)
        return 0 < self.p < 1 or (self.p > 0 and (refreshed or (self._shown == "random" and several)))

    @property
    def keys(self) -> list[str]:
        """The key of each item, ``KEY@DOMAIN-SEVERITY``: under them, insertions can be made for these frames.

        Raises:
            DatasetKeyError: what an item shows is drawn anew each epoch, so it has no key.
        """
        if self.p < 1 or self._drawn:
            raise DatasetKeyError(
                f"the items of this {type(self).__name__} show another domain, severity or variant in each epoch, or "
                "none",
                expected="one frame per item",
                hint='SceneShiftDataset(..., variants="all", p=1.0), or one domain, one severity and one variant',
            )
        shown = self.shifts if self.variants == "all" else self.shifts[:1]
        each = self._variants_each if self.variants == "all" else 1
        return [shifted_key(key, *shift) for key in self._sample_keys for shift in shown for _ in range(each)]

    @property
    def schema(self) -> LabelSchema | None:
        """The schema of its items' labels; ``None`` if it is not certain."""
        return self.base_schema if self.label_policy is None and self._joint is None else None

    def filling_job(self) -> FillingJob:
        """What `warm_cache` does for this dataset: its base's samples in each domain and severity.

        Raises:
            SettingError: its pipeline is built by a function, in the generation process; its base is drawn anew.
        """
        if self._pipeline is None:
            raise SettingError(
                "shift= is a function that builds a pipeline in the generation process",
                expected="a name, a shifter or a ShiftPipeline, whose frames can be generated here",
                hint="SceneShiftDataset(base, make_pipeline())",
            )
        self._check_base_is_stored()
        return shift_job(
            self.base,
            self._pipeline,
            self._sample_keys,
            self.base_schema,
            self.adapt,
            self._schedule.variants,
            self._depths,
        )

    def _shown_by(self, number: int, index: int, place: int, draw: int) -> tuple[str, int]:
        key = self._sample_keys[number]
        if self.variants == "all":
            which, place = divmod(place, self._variants_each)
        elif len(self.shifts) == 1:
            which = 0
        else:
            rng = seeding.generator(self.seed, "shift", draw, key, index)
            which = seeding.integer(rng, 0, len(self.shifts))
        return shifted_key(key, *self.shifts[which]), place

    def _ids_of_transforms(self) -> tuple[dict[str, int], frozenset[int]]:
        return {}, ignore_ids(self.label_policy, self.base_schema)

    def _write(self, item: OpenItem, variant: Variant | None) -> None:
        if variant is not None and self.cache is not None:
            self._checks.check_match(item, variant, self.cache)
        if self._labels is not None:
            self._labels.write(item.labels, ())
        if variant is not None and variant.frame is not None:
            item.image.write((0, 0, *item.size_hw), variant.frame.image)

    def __repr__(self) -> str:
        shows = f"variants={self.variants!r}" if self.variant is None else f"variant={self.variant}"
        source = "made where they are read" if self._live is None else "made in the generation process"
        if self.cache is not None:
            source = f"{self.cache.path}, {count_of(len(self.cache), 'frame')}"
        return "\n".join(
            (
                f"{type(self).__name__}: {count_of(len(self), 'item')}",
                f"  base: {type(self.base).__name__}, {count_of(len(self._sample_keys), 'sample')}, "
                f"schema {self.base_schema.name if self.base_schema else 'unknown'}",
                f"  shifts: {_names(self.shifts)}",
                f"  frames: {source}",
                f"  p={self.p}, {shows}, on_miss={self.on_miss!r}, seed={self.seed}, redraw={self.redraw!r}, "
                f"epoch={self.epoch}",
            )
        )


def _default_on_miss(cache: str | Path | Cache | None) -> OnMiss:
    if isinstance(cache, str | Path) and not has_manifest(Path(cache)):
        return "generate"
    return "generate" if cache is None else "original"


def _names(shifts: Sequence[tuple[str, int]]) -> str:
    names = [f"{domain}-{severity}" for domain, severity in shifts]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
