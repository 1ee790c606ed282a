"""``ood-seg``: whole pictures of objects, which Meta-OoD and other OOD fine-tuning code paste themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from poc_aug.errors import ExportError
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.whole_files import label_png, picture_jpg, place_files
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.schema import is_any

_OOD = 254
_PER_SAMPLE = 10_000


@dataclass(frozen=True)
class OodSegLayout:
    """``SPLIT/%012d.jpg`` and ``annotations/ood_seg_SPLIT/%012d.png``, 254 on OOD objects and 0 elsewhere.

    Frames are numbered by sample and variant, so that a frame keeps its number when variants are added.

    Args:
        quality: quality of the JPEGs, whose pixels differ a little from those that were composed.

    Example:
        >>> OodSegLayout().files(OodSegLayout().number_name(7, 2), "train", "")
        ('train/000000070002.jpg', 'annotations/ood_seg_train/000000070002.png')
    """

    quality: int = 95

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "ood-seg"

    def number_name(self, sample: int, variant: int | None) -> str:
        """See `NumbersFrames.number_name`; the base frame has the last number of its sample."""
        number = _PER_SAMPLE - 1 if variant is None else variant
        if sample >= 10**12 // _PER_SAMPLE or (variant is not None and variant >= _PER_SAMPLE - 1):
            raise ExportError(
                f"variant {number} of sample {sample} in the layout {self.name!r}",
                expected=f"variants below {_PER_SAMPLE - 1}, so that the number has 12 digits",
                hint="choose variants: variants=[0, 1, 2]",
                command="choose variants: --variants 0,1,2",
            )
        return f"{sample * _PER_SAMPLE + number:012d}"

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        if not isinstance(plan.policy, OodLabels):
            raise ExportError(
                f"layout {self.name!r} with {plan.policy!r}",
                expected="OOD labels: its label maps are 254 on OOD objects and 0 elsewhere",
                hint="labels=OodLabels(254)",
                command="--labels ood:254",
            )

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """See `ExportLayout.files`."""
        return f"{split}/{frame_name}.jpg", f"annotations/ood_seg_{split}/{frame_name}.png"

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        picture, labels = self.files(frame.name, frame.split, frame.group)
        mask = is_any(frame.labels, frame.ood_ids).to(torch.uint8) * _OOD
        files = {picture: picture_jpg(frame.image, self.quality), labels: label_png(mask, frame.name)}
        place_files(folder, files)
        return {}

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Nothing: its readers list the files."""
