"""What a datasheet counts, record by record, from their headers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poc_aug.cache.manifest import Manifest
from poc_aug.errors import SettingError
from poc_aug.recipe import IGNORED
from poc_aug.scenes.scene_recipe import split_key
from poc_aug.sharing.licences import licence_of_object


@dataclass
class RecipeCounts:
    """The counts of one recipe of a cache.

    Attributes:
        manifest: as it is in the packed cache.
        made_with: the fingerprint that it had before anything was left out.
        folder: where it is within the cache; "" for the recipe at the top.
        variants: records.
        empty: those without an insertion or a frame.
        objects: insertions by object.
        classes: labelled parts by class.
        rejections: rejected attempts by reason.
        rejected_objects: rejected attempts by object, or by domain.
        licences: insertions by licence of their picture.
        attributions: pictures by licence, each with its attribution.
        shifts: frames by domain and severity.
        agreements: agreement of the labels of each frame by domain: sum and number.
        samples: names of the samples.
    """

    manifest: Manifest
    made_with: str
    folder: str = ""
    variants: int = 0
    empty: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    rejected_objects: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    attributions: dict[str, set[str]] = field(default_factory=dict)
    shifts: Counter[tuple[str, int]] = field(default_factory=Counter)
    agreements: dict[str, tuple[float, int]] = field(default_factory=dict)
    samples: set[str] = field(default_factory=set)

    @property
    def accepted(self) -> int:
        """Insertions, or frames."""
        return sum(self.objects.values()) + sum(self.shifts.values())

    @property
    def rejection_rate(self) -> float:
        """Rejected attempts over all attempts; 0 without any."""
        rejected = sum(self.rejections.values())
        return rejected / (rejected + self.accepted) if rejected else 0.0

    def add(self, header: Mapping[str, Any], names: Sequence[Mapping[str, str]] = ()) -> None:
        """Count a record, by its header.

        Args:
            header: of the record.
            names: for each insertion, new class names of its parts by the stored ones; none if nothing was relabelled.
        """
        self.variants += 1
        self.samples.add(_sample(header["key"]) if self.manifest.kind == "frames" else header["key"])
        self.empty += not header["insertions"] and "frame" not in header
        for reason, name, *_ in header["rejections"]:
            self.rejections[reason] += 1
            self.rejected_objects[name] += 1
        inserter = self.manifest.backends.get("inserter")
        for number, item in enumerate(header["insertions"]):
            new = names[number] if names else {}
            self.objects[item["name"]] += 1
            self.classes.update(new.get(name, name) for name, *_ in item["parts"] if name != IGNORED)
            provenance = item["provenance"]
            licence = licence_of_object(provenance, inserter if isinstance(inserter, Mapping) else {})
            self.licences[licence] += 1
            if isinstance(attribution := provenance.get("attribution"), str):
                self.attributions.setdefault(licence, set()).add(attribution)
        if "frame" in header:
            self._add_frame(header["frame"])

    def _add_frame(self, frame: Mapping[str, Any]) -> None:
        self.shifts[frame["domain"], frame["severity"]] += 1
        agreement = frame["provenance"].get("agreement")
        if isinstance(agreement, int | float) and not isinstance(agreement, bool):
            total, number = self.agreements.get(frame["domain"], (0.0, 0))
            self.agreements[frame["domain"]] = total + agreement, number + 1


def _sample(key: str) -> str:
    try:
        return split_key(key)[0]
    except SettingError:  # a cache of frames that something else wrote
        return key
