"""What a layout of exported files is: the interface of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema


@dataclass(frozen=True)
class ExportPlan:
    """What is known before the first frame is read.

    Attributes:
        schema: schema of the labels that the policy rewrites: the base's, or the layout's own (`WantsIds`); ``None`` if
            it is not known.
        policy: how labels are rewritten.
        ids: label id of each class name of the objects.
        frames: how many frames are written.
        splits: the splits that they are of.
        has_instances: whether the base gives instance ids of every frame.
        provenance: recipes, models, licences and counts, as JSON values, for the export's manifest.
        has_polygons: whether the base has a ``_polygons.json`` of every frame.
    """

    schema: LabelSchema | None
    policy: LabelPolicy
    ids: Mapping[str, int]
    frames: int
    splits: tuple[str, ...]
    has_instances: bool
    provenance: Mapping[str, Any]
    has_polygons: bool = False


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


@runtime_checkable
class WantsIds(Protocol):
    """A layout whose readers expect the ids of one schema: the base's labels are converted to it, by class name."""

    @property
    def label_schema(self) -> str:
        """Name of the schema, such as "cityscapes-trainIds"."""
        ...


@runtime_checkable
class NumbersFrames(Protocol):
    """A layout whose frames have numbers for names."""

    def number_name(self, sample: int, variant: int | None) -> str:
        """The name of a frame, from the rank of its sample's key among the dataset's and the number of its variant.

        Raises:
            ExportError: a number that the layout has no room for.
        """
        ...
