"""``coco``: images and COCO's instance annotations of the inserted objects, with label maps alongside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from poc_aug.errors import ExportError
from poc_aug.exporting.coco_json import (
    SegmentationForm,
    check_inserted_classes,
    coco_categories,
    coco_part,
    write_instances,
)
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.label_forms import check_eight_bits
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.streamed_files import json_file, records_by_split, remove_others
from poc_aug.exporting.whole_files import label_png, picture_png, place_files

AnnotatedObjects: TypeAlias = Literal["inserted", "all"]
"""Which objects have annotations: those that were inserted, or those of the base too."""


@dataclass(frozen=True)
class CocoLayout:
    """``images/SPLIT/NAME.png``, ``labels/SPLIT/NAME.png`` and ``annotations/instances_SPLIT.json``.

    Each part of an object that is visible is one annotation: an object that a nearer one covers lacks those pixels, as
    in the label maps. Masks come back to the pixel: polygons run along the edges of pixels, and masks with holes are
    run lengths.

    Args:
        segmentation: ``"auto"``: polygons, run lengths for masks with holes; ``"rle"``: run lengths for all.
        objects: ``"inserted"``: objects of the base have no annotations, but are in the label maps; ``"all"``: those
            that have instance ids are annotated too, which the base has to have.

    Example:
        >>> CocoLayout().files("ulm_000004_000019_v0", "train", "ulm")[:2]
        ('images/train/ulm_000004_000019_v0.png', 'labels/train/ulm_000004_000019_v0.png')
    """

    segmentation: SegmentationForm = "auto"
    objects: AnnotatedObjects = "inserted"

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "coco"

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        if self.segmentation not in get_args(SegmentationForm):
            raise ExportError(f"segmentation={self.segmentation!r}", expected=f"one of {get_args(SegmentationForm)}")
        if self.objects not in get_args(AnnotatedObjects):
            raise ExportError(f"objects={self.objects!r}", expected=f"one of {get_args(AnnotatedObjects)}")
        if self.objects == "all" and not plan.has_instances:
            raise ExportError(
                f"layout {self.name!r} with objects of the base, and the dataset has no instance ids of some frame",
                expected="gtFine/SPLIT/CITY/X_gtFine_instanceIds.png alongside the labels, or instances=",
                hint="annotate the inserted objects alone: CocoLayout(objects='inserted')",
                command="annotate the inserted objects alone: --set objects=inserted",
            )
        check_inserted_classes(plan, self.name)
        check_eight_bits(plan)

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """See `ExportLayout.files`."""
        picture, labels = f"images/{split}/{frame_name}.png", f"labels/{split}/{frame_name}.png"
        return picture, labels, _part(split, frame_name)

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        picture, labels, part = self.files(frame.name, frame.split, frame.group)
        with_base = self.objects == "all"
        annotations = json_file(coco_part(frame, f"{frame.name}.png", self.segmentation, with_base=with_base))
        place_files(
            folder,
            {picture: picture_png(frame.image), labels: label_png(frame.labels, frame.name), part: annotations},
        )
        return {"split": frame.split, "name": frame.name}

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the annotations of each split."""
        categories = coco_categories(plan, with_base=self.objects == "all")
        splits = records_by_split(records)
        remove_others(folder, _instances("*"), map(_instances, splits))
        for split, own in splits.items():
            parts = [folder / _part(split, record["name"]) for record in own]
            description = f"poc_aug export, {split}: {self.objects} objects"
            write_instances(folder, _instances(split), parts, categories, description)


def _instances(split: str) -> str:
    return f"annotations/instances_{split}.json"


def _part(split: str, name: str) -> str:
    return f"annotations/frames/{split}/{name}.json"
