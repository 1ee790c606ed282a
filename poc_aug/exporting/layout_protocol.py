"""What a layout of exported files is: the interface of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema


@dataclass(frozen=True)
class ExportPlan:
    """What is known before the first frame is read.

    Attributes:
        schema: schema of the base's labels, if it is known.
        policy: how labels are rewritten.
        ids: label id of each class name of the objects.
        frames: how many frames are written.
        splits: the splits that they are of.
        has_instances: whether the base gives instance ids.
        provenance: recipes, models, licences and counts, as JSON values, for the export's manifest.
    """

    schema: LabelSchema | None
    policy: LabelPolicy
    ids: Mapping[str, int]
    frames: int
    splits: tuple[str, ...]
    has_instances: bool
    provenance: Mapping[str, Any]


class ExportLayout(Protocol):
    """Writes frames as the files that some program reads.

    `write` runs in several processes at once; a layout holds settings only, and can be pickled.
    """

    @property
    def name(self) -> str:
        """Its name on the command line, such as "cs-synth"."""
        ...

    def check(self, plan: ExportPlan) -> None:
        """Check, before any work, that what is exported has what the layout needs.

        Raises:
            ExportError: it has not; says what is missing and what to do.
        """
        ...

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """Paths of a frame's files, relative to the export's folder; a frame with all of them is not written again.

        The last one is written last. Empty for layouts that collect frames into larger files.
        """
        ...

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """Write a frame's files, each atomically, and return JSON values that `finish` needs of it."""
        ...

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the files that describe all frames, from what `write` returned, in the order of the frames."""
        ...
