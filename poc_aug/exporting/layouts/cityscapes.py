"""``cityscapes``: Cityscapes' own tree, which RbA, Mask2Anomaly, mmseg, detectron2 and torchvision read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from poc_aug.errors import ExportError
from poc_aug.exporting.cityscapes_ids import CityscapesIds, base_label_ids, check_cityscapes_ids
from poc_aug.exporting.cityscapes_polygons import frame_polygons
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.label_forms import check_eight_bits
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.layouts.cs_synth import UNGROUPED
from poc_aug.exporting.whole_files import deep_png, label_png, picture_png, place_files

InstanceIds = Literal["all", "objects", "none"]
"""Whose instances are written: of base and objects, of the objects alone, or none."""

NEW_CLASSES = "new_classes.json"
"""Ids of the classes that Cityscapes does not have, by name."""


@dataclass(frozen=True)
class CityscapesLayout:
    """``leftImg8bit/SPLIT/CITY/X_leftImg8bit.png`` and ``gtFine/SPLIT/CITY/X_gtFine_*``.

    ``_labelTrainIds.png`` holds the policy's ids. ``_labelIds.png`` holds Cityscapes' labelIds; new classes keep an id
    from 100, and get theirs plus 81 below that: 19 is 100, as in POC's test set on labelIds. ``_instanceIds.png`` holds
    label id * 1000 + number for things, objects being numbered after the base's; new classes count from 34 there, since
    ids above 65 do not fit into its 16 bits. ``_polygons.json`` lists the base's polygons, then the objects'.

    Args:
        instance_ids: ``"all"``: those of the base, which it has to have, and of the objects; ``"objects"``: the base is
            without instances and polygons; ``"none"``: neither file is written.

    Example:
        >>> CityscapesLayout("none").files("ulm_000004_000019_v0", "val", "ulm")[-1]
        'gtFine/val/ulm/ulm_000004_000019_v0_gtFine_labelTrainIds.png'
    """

    instance_ids: InstanceIds = "all"

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "cityscapes"

    @property
    def label_schema(self) -> str:
        """Cityscapes' trainIds."""
        return "cityscapes-trainIds"

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        if self.instance_ids not in get_args(InstanceIds):
            raise ExportError(f"instance_ids={self.instance_ids!r}", expected=f"one of {get_args(InstanceIds)}")
        check_eight_bits(plan)
        check_cityscapes_ids(plan, instances=self.instance_ids != "none")
        if self.instance_ids == "all" and not plan.has_instances:
            raise ExportError(
                "layout 'cityscapes' needs instance ids, and the dataset has none for at least one frame",
                expected="gtFine/SPLIT/CITY/X_gtFine_instanceIds.png alongside the labels, or instances=",
                hint="number the objects alone: CityscapesLayout('objects'); or leave instances out: "
                "CityscapesLayout('none')",
                command="number the objects alone: --instance-ids objects; or leave instances out: --instance-ids none",
            )

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """See `ExportLayout.files`."""
        place = f"{split}/{group or UNGROUPED}/{frame_name}"
        endings = [] if self.instance_ids == "none" else ["instanceIds.png", "polygons.json"]
        labels = (f"gtFine/{place}_gtFine_{ending}" for ending in (*endings, "labelIds.png", "labelTrainIds.png"))
        return f"leftImg8bit/{place}_leftImg8bit.png", *labels

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        ids = CityscapesIds.of(frame.ids)
        base = base_label_ids(frame)
        changed = ids.changed(frame)
        label_ids = torch.where(changed, ids.label_ids(frame.labels), base)
        contents = [label_png(label_ids, frame.name), label_png(frame.labels, frame.name)]
        if self.instance_ids != "none":
            known = frame.instances if self.instance_ids == "all" else None
            instances = ids.instance_ids(frame, base if known is None else known, label_ids, changed)
            polygons = frame_polygons(frame, changed, with_base=self.instance_ids == "all")
            contents = [deep_png(instances), json.dumps(polygons).encode(), *contents]
        names = self.files(frame.name, frame.split, frame.group)
        place_files(folder, dict(zip(names, [picture_png(frame.image), *contents], strict=True)))
        return {}

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the ids of the classes that Cityscapes does not have."""
        table = json.dumps(CityscapesIds.of(plan.ids).new_classes(plan.ids), indent=1)
        place_files(folder, {NEW_CLASSES: table.encode() + b"\n"})
