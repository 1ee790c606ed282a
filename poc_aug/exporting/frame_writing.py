"""Writing of frames: the composed frames of one sample after the other, in loader processes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import Dataset

from poc_aug.cache import Cache
from poc_aug.cache.kept_summary import counted_name
from poc_aug.cache.united_caches import UnitedCaches
from poc_aug.errors import ExportError, NextStep, PocAugError
from poc_aug.exporting.export_report import NO_FRAME, NO_INSERTION
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.id_conversion import IdConversion
from poc_aug.exporting.instance_maps import InstanceMaps
from poc_aug.exporting.label_forms import anomaly_ids
from poc_aug.exporting.layout_protocol import ExportLayout
from poc_aug.exporting.whole_files import remove_placed, sizes_of
from poc_aug.generation.frame_loading import FrameDataset, load_frames
from poc_aug.items.open_item import Adapt, OpenItem, image_canvas, label_canvas, open_item
from poc_aug.items.sample_errors import naming_sample
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema, is_any
from poc_aug.reading.base_checks import BaseChecks
from poc_aug.reading.compose import compose_image
from poc_aug.reading.label_writer import LabelWriter
from poc_aug.sharing.licences import licence_of_object
from poc_aug.types import Insertion, Sample, Variant


@dataclass(frozen=True, slots=True)
class PlannedFrame:
    """A frame that is to be written.

    Attributes:
        split: its split.
        group: its group.
        name: its name, unique in the split.
        key: the key that its variant is stored under.
        variant: number of the variant; ``None``: the base frame.
        origin: what the variant is: a frame that was written from another one is written again.
    """

    split: str
    group: str
    name: str
    key: str
    variant: int | None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error of a loader process, which is raised in the main one as it was."""

    kind: type[PocAugError]
    problem: str
    expected: str
    step: NextStep

    def error(self) -> PocAugError:
        return self.kind(self.problem, expected=self.expected, **self.step._asdict())


@dataclass(frozen=True)
class FrameSettings:
    """What is equal for all frames of an export.

    Attributes:
        cache: holds the variants.
        layout: writes the frames.
        folder: the export's folder.
        policy: the label policy.
        base_schema: schema of the base's labels.
        schema: schema of the labels that the policy rewrites.
        conversion: from the one to the other, if they differ.
        names: class names of all objects.
        checks: checks of the base's items.
        sigma_px: feather of the objects' edges.
        keep_empty: whether variants without insertions are written.
        adapt: how to take image and labels out of items of another form.
        instances: instance ids of the base, if all frames have them.
        polygons: polygon files of the base, if all frames have them.
    """

    cache: Cache | UnitedCaches
    layout: ExportLayout
    folder: Path
    policy: LabelPolicy
    base_schema: LabelSchema | None
    schema: LabelSchema | None
    conversion: IdConversion | None
    names: frozenset[str]
    checks: BaseChecks
    sigma_px: float
    keep_empty: bool
    adapt: Adapt | None
    instances: InstanceMaps | None
    polygons: InstanceMaps | None


class FrameWriting(Dataset[Any]):
    """Writes the frames of a sample when its number is read.

    Args:
        base: the base dataset.
        keys: key of each of its samples.
        work: number of each sample, and the frames of it that are to be written.
        settings: what is equal for all frames.
    """

    def __init__(
        self,
        base: Dataset[Any],
        keys: Sequence[str],
        work: Sequence[tuple[int, Sequence[PlannedFrame]]],
        settings: FrameSettings,
    ) -> None:
        self.base, self.keys, self.settings = base, keys, settings
        self.numbers = [number for number, _ in work]
        self._frames = [list(frames) for _, frames in work]
        self._labels: LabelWriter | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> list[str] | _Failure:
        number = self.numbers[index]
        try:
            return [*self._write(number, self.keys[number], self._frames[index])]
        except PocAugError as error:
            return _Failure(type(error), error.problem, error.expected, NextStep(error.hint, error.command))

    def _write(self, number: int, key: str, frames: Sequence[PlannedFrame]) -> Iterator[str]:
        made = self.settings
        with naming_sample(key):
            base_item = self.base[number]
        item = open_item(base_item, made.adapt, key=key)
        made.checks.check_ids(item)
        sample = item.sample()
        instances = None
        if made.instances is not None:
            instances = made.instances.of(number, base_item, item.size_hw, key)
        polygons = None if made.polygons is None else made.polygons.polygons(number)
        labels = sample.labels if made.conversion is None else made.conversion.convert(sample.labels)
        for frame in frames:
            variant, skipped = self._variant(item, frame)
            line: dict[str, Any] = {
                "split": frame.split,
                "name": frame.name,
                "key": frame.key,
                "variant": frame.variant,
                "origin": frame.origin,
            }
            if skipped:
                # It may have been written before its insertions were dropped: readers list what is there.
                remove_placed(made.folder, made.layout.files(frame.name, frame.split, frame.group))
                yield json.dumps({**line, "skipped": skipped})
                continue
            insertions = () if variant is None else variant.insertions
            rewritten = self._rewritten(labels, key, insertions)  # may add the id of what is ignored
            ids = dict(self._writer().ids)
            composed = ExportedFrame(
                split=frame.split,
                group=frame.group,
                name=frame.name,
                variant=frame.variant,
                base=sample,
                image=self._image(sample, variant),
                labels=rewritten,
                insertions=insertions,
                ids=ids,
                schema=made.base_schema,
                instances=instances,
                polygons=polygons,
                ood_ids=anomaly_ids(made.policy, ids, made.schema),
            )
            yield json.dumps({**line, **self._placed(composed)}, allow_nan=False)

    def _placed(self, frame: ExportedFrame) -> dict[str, Any]:
        """Write a frame; what is recorded of it."""
        made = self.settings
        record = made.layout.write(frame, made.folder)
        names = made.layout.files(frame.name, frame.split, frame.group)
        sizes = sizes_of(made.folder, names)
        if sizes is None:
            raise ExportError(
                f"layout {made.layout.name!r} did not write all of {', '.join(names)}",
                expected="all files of the frame",
            )
        manifest = self._cache_of(frame.variant).manifest
        inserter = manifest.backends.get("inserter", {})
        licences = (licence_of_object(insertion.provenance, inserter) for insertion in frame.insertions)
        return {
            "group": frame.group,
            "files": sizes,
            "objects": dict(Counter(counted_name(insertion, manifest.recipe) for insertion in frame.insertions)),
            "ood_px": int(torch.count_nonzero(is_any(frame.labels, frame.ood_ids))),
            "licences": dict(Counter(licences)),
            "record": record,
        }

    def _variant(self, item: OpenItem, frame: PlannedFrame) -> tuple[Variant | None, str]:
        """The variant of a frame, and why the frame is left out, if it is."""
        if frame.variant is None:
            return None, ""
        made = self.settings
        variant = made.cache.get(frame.key, frame.variant)
        if variant is None:
            raise ExportError(
                f"variant {frame.variant} of {frame.key!r} is no longer in the cache {str(made.cache.path)!r}",
                expected="a cache that nobody takes records out of meanwhile",
                hint="run the same export again",
            )
        cache = self._cache_of(frame.variant)
        made.checks.check_match(item, variant, cache)
        if not variant.is_empty:
            return variant, ""
        if cache.manifest.kind == "frames":
            return None, NO_FRAME
        return variant, "" if made.keep_empty else NO_INSERTION

    def _cache_of(self, variant: int | None) -> Cache:
        cache = self.settings.cache
        if isinstance(cache, Cache):
            return cache
        return cache.caches[0] if variant is None else cache.cache_of(variant)

    def _image(self, sample: Sample, variant: Variant | None) -> torch.Tensor:
        if variant is None or variant.is_empty:
            return sample.image
        if variant.frame is not None:
            return variant.frame.image
        canvas = image_canvas(sample.image, sample.key)  # its first write makes a copy
        compose_image(canvas, variant.insertions, self.settings.sigma_px)
        return cast(torch.Tensor, canvas.value)

    def _rewritten(self, labels: torch.Tensor, key: str, insertions: Sequence[Insertion]) -> torch.Tensor:
        canvas = label_canvas(labels, key)
        self._writer().write(canvas, insertions)
        return cast(torch.Tensor, canvas.value)

    def _writer(self) -> LabelWriter:
        if self._labels is None:
            self._labels = LabelWriter(self.settings.policy, self.settings.schema, self.settings.names)
        return self._labels


def write_frames(task: FrameWriting, workers: int) -> Generator[list[str], None, None]:
    """Write all frames; gives what is recorded of each sample's, in order.

    Args:
        task: the frames.
        workers: loader processes; 0 writes in this process.

    Raises:
        PocAugError: the first error, as a loader process raised it.
        SampleReadError: a loader process ended.
    """
    loaded = load_frames(cast(FrameDataset, task), workers)
    try:
        with loaded.deaths_explained():
            for result in loaded:
                lines = cast("list[str] | _Failure", result)
                if isinstance(lines, _Failure):
                    raise lines.error()
                yield lines
    finally:
        del loaded  # ends the loader processes
