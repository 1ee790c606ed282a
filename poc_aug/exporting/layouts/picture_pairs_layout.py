"""What layouts have in common whose readers list pairs of a picture and a label map in trainIds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.label_forms import check_eight_bits
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.whole_files import label_png, picture_png, place_files


@dataclass(frozen=True)
class PairsLayout(ABC):
    """A PNG picture and a PNG label map per frame, and nothing else; subclasses say where they are."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name on the command line."""

    @property
    def label_schema(self) -> str:
        """Cityscapes' trainIds."""
        return "cityscapes-trainIds"

    @abstractmethod
    def files(self, frame_name: str, split: str, group: str) -> tuple[str, str]:
        """The picture and the label map; see `ExportLayout.files`."""

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        check_eight_bits(plan)

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        picture, labels = self.files(frame.name, frame.split, frame.group)
        place_files(folder, {picture: picture_png(frame.image), labels: label_png(frame.labels, frame.name)})
        return {}

    def finish(  # noqa: B027
        self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]
    ) -> None:
        """Nothing: its readers list the files."""
