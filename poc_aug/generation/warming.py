"""The cache-filling job: reads a dataset, generates what is missing, writes it. Resumable, safe to kill."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from torch.utils.data import Dataset

from poc_aug.cache import Cache, CacheWriter, Codec, Manifest, has_manifest
from poc_aug.cache.beginning import remove_left_overs
from poc_aug.cache.key_matching import continued_keys
from poc_aug.cache.members import member_to_fill
from poc_aug.cache.other_writers import sealed_shards
from poc_aug.camera import FrameCalibrations
from poc_aug.errors import (
    CacheDatasetMismatchError,
    CacheError,
    CacheMismatchError,
    SettingError,
)
from poc_aug.files.outputs import make_folder
from poc_aug.generation.base_pipeline import GenerationPipeline, built_pipeline
from poc_aug.generation.dataset_manifest import manifest_of, type_name
from poc_aug.generation.dropped_classes import warn_of_dropped
from poc_aug.generation.filling import fill
from poc_aug.generation.filling_job import filling_job_of
from poc_aug.generation.filling_plan import FillingPlan
from poc_aug.generation.numbered_jobs import Shard, part_of
from poc_aug.generation.ray_cluster import RayEngine, require_ray
from poc_aug.generation.ray_engine import fill_with_ray
from poc_aug.generation.rejected_pictures import check_rejected
from poc_aug.generation.replacing import Replacing, with_replacements
from poc_aug.generation.warm_report import OnError, WarmReport
from poc_aug.items.image_digest import check_match, digest_of
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.joint_transforms.joint_transform import check_base_transforms
from poc_aug.keys import Keys, check_repeats, dataset_keys, first_of_each, key_advice
from poc_aug.labels.detect import unknown_schema_explained
from poc_aug.labels.label_digest import check_labels
from poc_aug.labels.schema import LabelSchema
from poc_aug.types import Variant

MOST_VARIANTS = 1_000_000
"""More variants per sample than that are a slip of the keyboard: listing them would fill the memory."""


def warm_cache(
    dataset: Dataset[Any],
    cache: str | Path,
    pipeline: GenerationPipeline | Callable[[], GenerationPipeline] | None = None,
    *,
    num_variants: int | None = None,
    limit: int | None = None,
    schema: LabelSchema | str | Path | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    workers: int = 2,
    codec: Codec | None = None,
    on_error: OnError = "raise",
    keep_rejected: int = 0,
    on_progress: Callable[[WarmReport], None] | None = None,
    report: WarmReport | None = None,
    shard: tuple[int, int] | str | None = None,
    add_recipe: bool = False,
    replace_dropped: bool = False,
    engine: Literal["local", "ray"] | RayEngine = "local",
) -> WarmReport:
    """Generate the missing variants of a dataset's samples and write them to a cache.

    Running it twice does nothing the second time, and several processes may run it at once: each writes a shard of its
    own, and none makes what another one makes. It can be interrupted or killed at any moment: what was committed stays,
    and the next run continues; the content is the same as that of one uninterrupted run. On errors and on Ctrl-C
    everything that is finished is committed, and the batch that runs is waited for; a cache in which nothing is stored
    then can be begun anew with another recipe. A cache that holds all variants is only read.

    Args:
        dataset: map-style dataset, see `POCAugmentedDataset`.
        cache: path of the cache, made if it is not there.
        pipeline: generates the insertions. ``None`` for a `SceneShiftDataset`: its frames are generated and stored;
            with a pipeline, insertions are, for its frames. A function at module level that builds the pipeline is
            called here, and again in each actor of ``engine="ray"``, which loads its own models.
        num_variants: variants per sample; default 3 (POC §3.2), and as many as it shows of a `SceneShiftDataset`.
        limit: only the first ``limit`` samples, in all domains and severities; ``None``: all.
        schema: label schema of the dataset, its name, or a YAML file; ``None``: that of a known dataset, otherwise the
            pipeline's.
        keys: stable names of the samples, see `POCAugmentedDataset`; a sample that is repeated is warmed once.
        adapt: how to take image and labels out of items of another form.
        workers: processes that decode images ahead of time; 0 decodes in this process.
        codec: codec of patches and frames: "delta-zstd" (lossless, fast), "webp" (lossless), "webp-lossy", "zstd" or
            "raw". Default: "delta-zstd" for insertions, "webp-lossy" for frames.
        on_error: "raise", or "skip" and count: samples that the dataset cannot read or that are smaller than a crop
            (``WarmReport.unreadable``), and variants that a backend raises on (``WarmReport.failed``). What is skipped
            is not stored, and the next run tries it again. Attempts that draw a cut-out which cannot be read are
            rejections, so their variants are stored, with what other attempts placed (``WarmReport.cutouts``).
        keep_rejected: so many pictures of rejected attempts are kept per reason, of different objects and samples
            first, in the cache's folder ``rejected``; the variants are the same with and without them.
        on_progress: called after each variant with the report so far.
        report: an empty one that is filled as the run goes, and still says what was done if an error ends it.
        shard: ``(i, n)`` or "i/n": this is job i of n, from 0, that fill the cache together, and makes every n-th
            sample from the i-th on; "auto": as SLURM or torchrun have numbered the job. The jobs need not know of each
            other, and may fail and run again, with another n too. ``None``: all samples.
        add_recipe: a cache that was made with another recipe takes this one's variants in addition, as a member
            (`poc_aug.cache.members`), instead of raising `CacheMismatchError`.
        replace_dropped: variants of which something was dropped (`poc_aug.upkeep.drop`, or a review) are replaced by
            further ones, with the next numbers that are free, until each sample has ``num_variants`` of which nothing
            was. What is stored stays. ``WarmReport.unreplaced`` says how many cannot be, because their whole class was
            dropped, say.
        engine: "local": this process. "ray", or a `RayEngine`: Ray actors, each with ``workers`` loader processes. A
            sample whose actors always die is among ``WarmReport.failed``, whatever ``on_error`` is.

    Returns:
        What was done: ``report``, if it was given. ``nothing_accepted`` says that no variant has an object,
        ``rejections_by_object()`` why.

    Raises:
        SettingError: an argument out of its range.
        SchemaError: the recipe names a class to stand on that the schema does not know.
        TransformError: a torchvision transform in the dataset interpolates its label ids.
        CacheMismatchError: the cache was made with another recipe.
        CacheDatasetMismatchError: the cache was made from another dataset.
        DatasetKeyError: not a map-style dataset, keys that are not strings, or the same key for different images.
        CalibrationError: the recipe says ``camera: file``, and a frame has none, with ``on_error="raise"``; or the
            dataset does not say where its images are.
        SampleReadError: the dataset could not read a sample, and ``on_error="raise"``; or a loader process died.
        DatasetError: a sample is smaller than a crop of the recipe's, and ``on_error="raise"``.
        ObjectBankError: a cut-out that was drawn cannot be read, and ``on_error="raise"``.
        GenerationError: a backend raised, and ``on_error="raise"``; or it broke its contract.
        CacheDiskError: the disk is full.
        OutputError: pictures of rejected attempts cannot be kept.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from poc_aug import InsertionPipeline, LabelSchema, Recipe, RenderedInserter, warm_cache
        >>> image, labels = torch.full((3, 48, 64), 128, dtype=torch.uint8), torch.zeros(48, 64, dtype=torch.uint8)
        >>> schema = LabelSchema("ground", {"road": 0})
        >>> size = {"kind": "pixels", "min_px": 12, "max_px": 16}
        >>> recipe = Recipe.from_dict({"objects": ["traffic cone"], "size": size, "camera": {"horizon": 0.2}})
        >>> pipeline = InsertionPipeline(recipe, RenderedInserter())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = warm_cache([(image, labels)], f"{folder}/a.cache", pipeline, schema=schema, workers=0)
        >>> report.made, report.objects
        (3, 3)
    """
    started = time.perf_counter()
    part, ray_engine = Shard.of(shard), _ray_engine(engine)
    given, make = _built(pipeline)
    if ray_engine is not None and make is not None:
        ray_engine = replace(ray_engine, make_pipeline=ray_engine.make_pipeline or make)
    job = filling_job_of(dataset, given, num_variants, schema, keys, adapt)
    dataset, keys, adapt, num_variants = job.dataset, job.keys, job.adapt, job.num_variants
    limit = _check_settings(num_variants, limit, workers, on_error, keep_rejected, job.per_sample)
    check_base_transforms(dataset)
    names = dataset_keys(dataset, keys)
    pipeline = job.pipeline.for_dataset(job.schema)
    codec = pipeline.default_codec if codec is None else codec
    label_schema = pipeline.schema
    with unknown_schema_explained(dataset, label_schema):
        pipeline.check()
    check_repeats(dataset, names, adapt, keys)
    manifest = manifest_of(pipeline, type_name(dataset), label_schema, codec, len(set(names)))
    path = member_to_fill(Path(cache), manifest, add_recipe=add_recipe)
    # Before it is looked up what is missing.
    listed = sealed_shards(path) if has_manifest(path) else frozenset()
    with _continued(dataset, names, Path(cache), path, manifest, adapt, label_schema) as (names, stored):
        first = first_of_each(names)
        numbers = [number for number in first.values() if limit is None or number < limit]
        wanted = [names[number] for number in part_of(numbers, part, in_a_row=job.per_sample)]
        before = [(key, index) for key in wanted for index in stored(key) if index < num_variants]
        held = set(before)
        missing = {key: [index for index in range(num_variants) if (key, index) not in held] for key in wanted}
        missing = {key: indices for key, indices in missing.items() if indices}
    report = WarmReport() if report is None else report
    report.total = len(wanted) * num_variants
    replacing = Replacing(path, wanted, num_variants) if replace_dropped and has_manifest(path) else None
    if replacing is not None:
        missing = with_replacements(missing, _next(replacing, report), wanted)

    def progress() -> None:
        report.seconds = time.perf_counter() - started
        if on_progress is not None:
            on_progress(report)

    report.present = report.stored = len(before)
    report.left_out = dict(pipeline.left_out())
    if before and not missing:
        remove_left_overs(path)
        report.count_before(_read(path, before))
        report.seconds = time.perf_counter() - started
        return report  # and nothing is written, not even a lock: a complete cache may be read-only
    if missing and has_manifest(path):
        warn_of_dropped(Path(cache), path, missing)
    calibrations = _calibrations(dataset, pipeline, [first[key] for key in missing], on_error)
    # Paths that cannot be written are noticed before any frame is read.
    if path != Path(cache):
        make_folder(path)
    CacheWriter.create(path, manifest)
    if keep_rejected:
        check_rejected(path)
    plan = FillingPlan(
        dataset=dataset,
        names=names,
        missing=missing,
        numbers={key: first[key] for key in missing},
        pipeline=pipeline,
        manifest=manifest,
        cache=path,
        adapt=adapt,
        calibrations=calibrations,
        depths=job.depths,
        workers=workers,
        on_error=on_error,
        keep_rejected=keep_rejected,
        job="all" if part is None else part.job_name,
        listed=listed,
    )
    while True:
        if ray_engine is None:
            fill(plan, report, progress)
        else:
            fill_with_ray(plan, ray_engine, report, progress)
        if replacing is None:
            break
        listed = sealed_shards(path)
        missing = with_replacements({}, _next(replacing, report), wanted)
        if not missing:
            break
        plan = replace(plan, missing=missing, numbers={key: first[key] for key in missing}, listed=listed)
    report.count_before(_read(path, before))
    report.seconds = time.perf_counter() - started
    return report


def _next(replacing: Replacing, report: WarmReport) -> dict[str, list[int]]:
    """The variants that replace others, in the next round."""
    found = replacing.next()
    report.count_replacements(found.count, found.unreplaced)
    return found.missing


def _read(cache: str | Path, names: Sequence[tuple[str, int]]) -> Iterator[Variant]:
    """Variants that a cache holds."""
    if names:
        with Cache.open(cache) as opened:
            yield from (variant for name in names if (variant := opened.get(*name)) is not None)


@contextmanager
def _continued(
    dataset: Dataset[Any],
    names: list[str],
    cache: Path,
    path: Path,
    manifest: Manifest,
    adapt: Adapt | None,
    schema: LabelSchema | None,
) -> Iterator[tuple[list[str], Callable[[str], Iterable[int]]]]:
    """The keys under which a cache, or its member at ``path``, is filled, and what gives the variants that it holds.

    Raises:
        CacheMismatchError, CacheDatasetMismatchError, SchemaError: it was made with another recipe, from another
            dataset or by another schema.
    """
    if path != cache:  # a member has the keys of its cache, and is of the same dataset
        with Cache.open(cache) as opened:
            names = continued_keys(dataset, names, opened, adapt)
            _check_same_dataset(dataset, names, opened, adapt, schema)
    # A run that was killed before it wrote its manifest leaves a bare folder, which the writer continues.
    if not has_manifest(path):
        yield names, lambda key: ()
        return
    with Cache.open(path) as opened:
        if not opened.samples:  # nothing that could be continued, or would be lost: the writer decides
            yield names, lambda key: ()
            return
        try:
            manifest.check_continues(opened.manifest, path)
        except (CacheMismatchError, CacheDatasetMismatchError) as error:
            if not _holds_no_object(opened):
                raise
            step = "this cache holds no object: delete it (rm -r {}) or give another {}"
            quoted = shlex.quote(str(path))
            raise error.with_hint(step.format(quoted, "path"), step.format(quoted, "--out")) from None
        names = continued_keys(dataset, names, opened, adapt)
        _check_same_dataset(dataset, names, opened, adapt, schema)
        yield names, opened.variants


def _holds_no_object(cache: Cache) -> bool:
    """Whether none of the stored variants has an object or a frame; a damaged one may have had some."""
    try:
        return not any((variant := cache.get(*name)) is not None and not variant.is_empty for name in cache)
    except CacheError:
        return False


def _check_same_dataset(
    dataset: Dataset[Any], names: Sequence[str], cache: Cache, adapt: Adapt | None, schema: LabelSchema | None
) -> None:
    """Compare the first sample that the cache holds with the dataset's: another dataset is noticed before any work."""
    for number, key in enumerate(names):
        indices = cache.variants(key)
        if indices:
            variant = cache.get(key, indices[0])
            assert variant is not None  # just listed
            item, made_from = open_item(dataset[number], adapt, key=key), cache.manifest.dataset
            check_match(variant.digest, digest_of(item.image), key, cache.path, made_from, key_advice(dataset))
            if schema is not None:
                schema.check_ids(item.labels.ids(), key)
                made_by = made_from.get("schema")
                check_labels(variant.label_digest, item.labels, schema, key, cache.path, made_by, checked=True)
            return


def _calibrations(
    dataset: Dataset[Any], pipeline: GenerationPipeline, numbers: Sequence[int], on_error: OnError
) -> FrameCalibrations | None:
    """The source of the frames' cameras, if the recipe takes them from files."""
    if not pipeline.reads_calibrations:
        return None
    calibrations = FrameCalibrations(dataset)
    if on_error == "raise":  # otherwise a frame without one is skipped and counted, as any that cannot be read
        calibrations.check(numbers)
    return calibrations


def _built(pipeline: Any) -> tuple[GenerationPipeline | None, Callable[[], GenerationPipeline] | None]:
    """The pipeline, and the function that builds it, if one was given in its place."""
    if isinstance(pipeline, GenerationPipeline | type) or not callable(pipeline):
        return pipeline, None
    return built_pipeline(pipeline), pipeline


def _ray_engine(engine: object) -> RayEngine | None:
    """What fills the cache, if not this process."""
    if engine == "local":
        return None
    if engine != "ray" and not isinstance(engine, RayEngine):
        raise SettingError(f"engine={engine!r}", expected='"local", "ray", or a RayEngine')
    require_ray()
    return engine if isinstance(engine, RayEngine) else RayEngine()


def _check_settings(
    num_variants: int, limit: int | None, workers: int, on_error: str, keep_rejected: int, per_sample: int
) -> int | None:
    """Check the settings of a run; returns ``limit`` in items of what is read."""
    if not 1 <= num_variants <= MOST_VARIANTS:
        raise SettingError(f"num_variants={num_variants}", expected=f"at least 1 and at most {MOST_VARIANTS}")
    if limit is not None and limit < 1:
        raise SettingError(f"limit={limit}", expected="at least 1, or None for all samples")
    if workers < 0:
        raise SettingError(f"workers={workers}", expected="0 or more")
    if keep_rejected < 0:
        raise SettingError(f"keep_rejected={keep_rejected}", expected="0 or more pictures per reason")
    if on_error not in get_args(OnError):
        raise SettingError(f"on_error={on_error!r}", expected=f"one of {get_args(OnError)}")
    return None if limit is None else limit * per_sample
