"""``pebal``: the flat tree that PEBAL and RPL read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.label_forms import check_eight_bits
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.whole_files import label_png, picture_png, place_files


@dataclass(frozen=True)
class PebalLayout:
    """``images/city_gt_fine/SPLIT/X_leftImg8bit.png`` and ``annotation/city_gt_fine/SPLIT/X_gtFine.png``.

    Example:
        >>> PebalLayout().files("ulm_000004_000019_v0", "val", "ulm")[1]
        'annotation/city_gt_fine/val/ulm_000004_000019_v0_gtFine.png'
    """

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "pebal"

    @property
    def label_schema(self) -> str:
        """Cityscapes' trainIds."""
        return "cityscapes-trainIds"

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        check_eight_bits(plan)

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """See `ExportLayout.files`."""
        return (
            f"images/city_gt_fine/{split}/{frame_name}_leftImg8bit.png",
            f"annotation/city_gt_fine/{split}/{frame_name}_gtFine.png",
        )

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        picture, labels = self.files(frame.name, frame.split, frame.group)
        place_files(folder, {picture: picture_png(frame.image), labels: label_png(frame.labels, frame.name)})
        return {}

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Nothing: its readers list the files."""
