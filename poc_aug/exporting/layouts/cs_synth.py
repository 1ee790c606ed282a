"""``cs-synth``: the tree that POC's forks of RbA, RPL and Mask2Anomaly read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.label_forms import check_eight_bits
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.whole_files import label_png, picture_png, place_files

UNGROUPED = "frames"
"""Folder of frames whose keys have no group, in layouts that need one."""


@dataclass(frozen=True)
class CsSynthLayout:
    """``leftImg8bit/SPLIT/CITY/NAME.png`` and ``gtFine/SPLIT/CITY/NAME.png``, of the same name.

    Example:
        >>> CsSynthLayout().files("ulm_000004_000019_v0", "train", "ulm")
        ('leftImg8bit/train/ulm/ulm_000004_000019_v0.png', 'gtFine/train/ulm/ulm_000004_000019_v0.png')
    """

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "cs-synth"

    @property
    def label_schema(self) -> str:
        """Cityscapes' trainIds."""
        return "cityscapes-trainIds"

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        check_eight_bits(plan)

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """See `ExportLayout.files`."""
        place = f"{split}/{group or UNGROUPED}/{frame_name}.png"
        return f"leftImg8bit/{place}", f"gtFine/{place}"

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        picture, labels = self.files(frame.name, frame.split, frame.group)
        place_files(folder, {picture: picture_png(frame.image), labels: label_png(frame.labels, frame.name)})
        return {}

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Nothing: its readers list the files."""
