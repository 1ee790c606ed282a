"""`export`: composed frames of a dataset and its cache as files, in the layout that other code reads."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from poc_aug.augmented_dataset import drawn_base
from poc_aug.cache import Cache
from poc_aug.cache.several_caches import Caches, open_caches
from poc_aug.cache.united_caches import UnitedCaches, journal_class_names
from poc_aug.errors import ExportError, SettingError
from poc_aug.exporting.export_folder import ExportFolder, Line
from poc_aug.exporting.export_planning import (
    FramePlan,
    caches_of,
    check_sigma,
    converted_schema,
    export_identity,
    export_provenance,
    manifests_of,
    object_names,
    plan_frames,
    policy_text,
)
from poc_aug.exporting.export_report import ExportReport, export_counts
from poc_aug.exporting.frame_writing import FrameSettings, FrameWriting, write_frames
from poc_aug.exporting.instance_maps import InstanceMaps
from poc_aug.exporting.layout_protocol import ExportLayout, ExportPlan
from poc_aug.exporting.layout_registry import layout_named
from poc_aug.items.open_item import Adapt
from poc_aug.joint_transforms.joint_transform import check_base_transforms
from poc_aug.keys import Keys, key_advice
from poc_aug.labels.detect import find_schema, unknown_schema_explained
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.base_checks import BaseChecks
from poc_aug.reading.label_writer import LabelWriter


def export(
    dataset: Any,
    cache: Caches | UnitedCaches,
    layout: str | ExportLayout,
    out: str | Path,
    *,
    labels: LabelPolicy | None = None,
    variants: str | int | Sequence[int] = "all",
    split: str | None = None,
    keep_empty: bool = True,
    base_frames: bool = False,
    sigma_px: float = 1.0,
    schema: LabelSchema | str | Path | None = None,
    keep_ids: bool = False,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    instances: str | Callable[[int], Any] | None = None,
    check_labels: bool = True,
    workers: int = 2,
    on_progress: Callable[[ExportReport], None] | None = None,
) -> ExportReport:
    """Write composed frames as files.

    Pixels and labels are those of `POCAugmentedDataset` with the same policy. If it is interrupted, the same call
    continues: frames that were written whole are not written again. Frames of another split may be exported into the
    same folder later.

    Args:
        dataset: the base dataset.
        cache: path of a cache, an opened one, or several; of insertions, or of shifted frames.
        layout: the name of a layout ("cs-synth", "cityscapes", "pebal", "ood-seg", ...), or a layout.
        out: the folder.
        labels: label policy; default ``OodLabels(254)``.
        variants: ``"all"`` that are stored, or numbers of variants.
        split: split of all samples; ``None``: that of their keys ("train/...", "leftImg8bit/val/..."), or the dataset's
            attribute ``split``.
        keep_empty: write variants in which every attempt was rejected, too: they show the base frame.
        base_frames: write the frames of the base alongside.
        sigma_px: feather of the objects' edges in pixels, at most the recipe's ``max_sigma_px``.
        schema: label schema of ``dataset``; see `POCAugmentedDataset`.
        keep_ids: write the base's ids as they are, also if the layout's readers expect those of another schema.
            Otherwise they are converted by class name.
        keys: see `POCAugmentedDataset`.
        adapt: see `POCAugmentedDataset`.
        instances: instance ids of the base in Cityscapes' convention: a function of the index, or the field of the
            dataset's items; ``None``: Cityscapes' files, if they are there.
        check_labels: see `POCAugmentedDataset`.
        workers: processes that write; 0 writes in this one.
        on_progress: called with the report after each sample.

    Raises:
        ExportError: no such layout; it needs what there is not; the split is not known; the folder holds another
            export, or something else, or another process exports into it.
        CacheError, LabelPolicyError, SchemaError, SettingError: as `POCAugmentedDataset`.
        OutputError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> from poc_aug import InsertionPipeline, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.presets import load_preset
        >>> base, folder = SyntheticStreet(size=(64, 128), length=1), tempfile.TemporaryDirectory()
        >>> cache, out = f"{folder.name}/street.cache", f"{folder.name}/out"
        >>> pipeline = InsertionPipeline(load_preset("obstacles"), RenderedInserter())
        >>> _ = warm_cache(base, cache, pipeline, num_variants=2, workers=0)
        >>> report = export(base, cache, "pebal", out, split="train", workers=0)
        >>> report.written, report.splits
        (2, {'train': 2})
        >>> folder.cleanup()
    """
    started = time.monotonic()
    if isinstance(dataset, str | os.PathLike | Cache):
        raise SettingError(
            f"dataset={dataset!r}",
            expected="a dataset",
            hint="the dataset comes first, then the cache: export(dataset, 'frames.cache', 'cs-synth', 'out')",
        )
    check_base_transforms(dataset)
    _check_not_drawn(dataset)
    made = layout_named(layout) if isinstance(layout, str) else layout
    policy = labels if labels is not None else OodLabels()
    with _opened(cache) as opened:
        manifests = manifests_of(opened)
        sigma_px = check_sigma(sigma_px, manifests)
        base_schema = find_schema(dataset, schema)
        checks = BaseChecks(base_schema, policy, check_labels, key_advice(dataset))
        with unknown_schema_explained(dataset, base_schema):
            written_schema, conversion = converted_schema(made, policy, base_schema, keep_ids=keep_ids)
            names = object_names(manifests, journal_class_names(caches_of(opened)))
            ids = LabelWriter(policy, written_schema, names).ids
        frames = plan_frames(
            dataset, opened, made, keys=keys, variants=variants, split=split, base_frames=base_frames, adapt=adapt
        )
        maps = InstanceMaps(dataset, instances)
        numbers = [number for number, _ in frames.work]
        has_instances, has_polygons = maps.missing(numbers) is None, maps.missing_polygons(numbers) is None
        plan = ExportPlan(
            schema=written_schema,
            policy=policy,
            ids=ids,
            frames=len(frames.frames),
            splits=tuple(dict.fromkeys(frame.split for frame in frames.frames)),
            has_instances=has_instances,
            provenance=export_provenance(manifests),
            has_polygons=has_polygons,
        )
        if not plan.frames:
            raise ExportError(
                f"no frame to export: {_reasons(frames)}",
                expected="at least one variant",
                hint="choose other variants, or another cache",
            )
        made.check(plan)
        settings = FrameSettings(
            cache=opened,
            layout=made,
            folder=Path(out),
            policy=policy,
            base_schema=base_schema,
            schema=written_schema,
            conversion=conversion,
            names=frozenset(names),
            checks=checks,
            sigma_px=sigma_px,
            keep_empty=keep_empty,
            adapt=adapt,
            instances=maps if has_instances else None,
            polygons=maps if has_polygons else None,
        )
        report = ExportReport(Path(out), made.name, total=plan.frames, skipped=frames.skipped)
        identity = export_identity(made, policy, ids, written_schema, base_schema, manifests, sigma_px)
        with ExportFolder(Path(out), identity) as folder:
            _check_all_planned(folder, frames, plan)
            job = _Export(folder, frames, plan, settings, report, started)
            job.run(dataset, workers, on_progress)
    return report


@dataclasses.dataclass
class _Export:
    """One export while it runs."""

    folder: ExportFolder
    frames: FramePlan
    plan: ExportPlan
    settings: FrameSettings
    report: ExportReport
    started: float

    def run(self, dataset: Any, workers: int, on_progress: Callable[[ExportReport], None] | None) -> None:
        keep_empty = self.settings.keep_empty
        kinds = {manifest.kind for manifest in manifests_of(self.settings.cache)}
        with_objects = not keep_empty and kinds == {"insertions"}
        work = []
        for number, frames in self.frames.work:
            missing = [
                frame
                for frame in frames
                if not self.folder.is_done(
                    frame.split, frame.name, frame.origin, keep_empty=keep_empty, with_objects=with_objects
                )
            ]
            for frame in frames:
                if frame not in missing:
                    self._count(self.folder.lines[frame.split, frame.name], present=True)
            if missing:
                work.append((number, missing))
        if work or not self.folder.complete:
            self.folder.begin(self._manifest())
            task = FrameWriting(dataset, self.frames.keys, work, self.settings)
            with contextlib.closing(write_frames(task, workers)) as written:  # ends loader processes before the lock
                for lines in written:
                    for line in lines:
                        self._count(self.folder.record(line))
                    self._progress(on_progress)
        self._finish()
        self._progress(on_progress)

    def _count(self, line: Line, *, present: bool = False) -> None:
        if "skipped" in line:
            self.report.skipped[line["skipped"]] += 1
        elif present:
            self.report.present += 1
        else:
            self.report.written += 1

    def _progress(self, on_progress: Callable[[ExportReport], None] | None) -> None:
        self.report.seconds = time.monotonic() - self.started
        if on_progress is not None:
            on_progress(self.report)

    def _finish(self) -> None:
        """Write what describes all frames, those of other splits included."""
        own = [(frame.split, frame.name) for frame in self.frames.frames]
        known = dict.fromkeys(own)
        others = [line for place, line in self.folder.lines.items() if place[0] not in self.plan.splits]
        lines = [*others, *(self.folder.lines[place] for place in known)]
        written = [line for line in lines if "skipped" not in line]
        counts = export_counts(written)
        self.report.splits, self.report.objects = counts["splits"], counts["objects"]
        self.report.ood_px = counts["ood_px"]
        self.report.without_object = sum(line["variant"] is not None and not line["objects"] for line in written)
        if self.folder.complete:
            return
        plan = dataclasses.replace(self.plan, frames=len(written), splits=tuple(counts["splits"]))
        self.settings.layout.finish(self.folder.path, plan, [line["record"] for line in written])
        self.folder.finish({**self._manifest(), **counts, "skipped": dict(self.report.skipped)}, lines)

    def _manifest(self) -> dict[str, Any]:
        policy, schema = self.settings.policy, self.settings.schema
        caches = self.plan.provenance["caches"]
        earlier = [cache for cache in self.folder.manifest.get("caches", []) if cache not in caches]
        return {
            "layout": self.settings.layout.name,
            "labels": {
                "policy": policy_text(policy),
                "ids": dict(self.plan.ids),
                "base_schema": None if self.settings.base_schema is None else self.settings.base_schema.name,
                "schema": None if schema is None else schema.name,
            },
            "sigma_px": self.settings.sigma_px,
            "keep_empty": self.settings.keep_empty,
            **self.plan.provenance,
            "caches": [*caches, *earlier],
        }


@contextlib.contextmanager
def _opened(cache: Caches | UnitedCaches) -> Iterator[Cache | UnitedCaches]:
    """The caches, opened; those that were given as paths are closed afterwards."""
    if isinstance(cache, Cache | UnitedCaches):
        yield cache
        return
    opened = open_caches(cache)
    given = [cache] if isinstance(cache, str | Path) else [*cache]
    try:
        yield opened
    finally:
        for each in opened.caches if isinstance(opened, UnitedCaches) else (opened,):
            if not any(each is one for one in given):
                each.close()


def _check_not_drawn(dataset: Any) -> None:
    if (drawn := drawn_base(dataset)) is not None:
        raise SettingError(
            f"a {type(drawn).__name__} whose items are drawn anew in each epoch",
            expected="a base that always shows the same",
            hint="export the base that it wraps, with its cache",
        )


def _check_all_planned(folder: ExportFolder, frames: FramePlan, plan: ExportPlan) -> None:
    """Check that the folder holds no frame of these splits that this export would not write: readers would take it."""
    planned = {(frame.split, frame.name) for frame in frames.frames}
    held = [
        place
        for place, line in folder.lines.items()
        if place[0] in plan.splits and place not in planned and "skipped" not in line
    ]
    if held:
        raise ExportError(
            f"{str(folder.path)!r} holds {len(held)} frames that this export does not have, such as {held[0][1]!r}",
            expected="an export that has at least the frames of the earlier one",
            hint="give another folder",
        )


def _reasons(frames: FramePlan) -> str:
    return ", ".join(f"{count} x {reason}" for reason, count in frames.skipped.items()) or "the dataset is empty"
