"""`ExportReport`: what an export did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class ExportReport:
    """What an export did, and what its folder holds.

    Attributes:
        folder: the export's folder.
        layout: name of the layout.
        total: frames that this export is to write, those that are left out included.
        written: frames that were written.
        present: frames that were there before.
        skipped: how many variants and samples were left out, by reason.
        splits: frames in the folder, by split.
        objects: inserted objects in these, by name.
        ood_px: pixels whose label says that they are none of the base's classes.
        seconds: how long it took.
        without_object: frames of variants in the folder that hold no object, since every attempt was rejected or what
            they held was dropped.

    Example:
        >>> ExportReport(Path("out"), "pebal", total=4, written=2, present=1, skipped=Counter({"no insertion": 1})).done
        4
    """

    folder: Path
    layout: str
    total: int = 0
    written: int = 0
    present: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    splits: dict[str, int] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    ood_px: int = 0
    seconds: float = 0.0
    without_object: int = 0

    @property
    def done(self) -> int:
        """How many of `total` are decided."""
        return self.written + self.present + self.skipped[NO_INSERTION] + self.skipped[NO_FRAME]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        names = ("layout", "total", "written", "present", "splits", "objects", "ood_px")
        return {
            "folder": str(self.folder),
            **{name: getattr(self, name) for name in names},
            "skipped": dict(self.skipped),
            "seconds": round(self.seconds, 3),
        }


NO_INSERTION = "no insertion"
"""Why a variant is left out: every attempt was rejected, and empty ones are not kept."""
NO_FRAME = "no shifted frame"
"""Why a variant of a cache of frames is left out: every attempt was rejected."""
NOT_STORED = "variant not in the cache"
"""Why a variant is left out: it was asked for by number, and is not stored."""
NO_VARIANT = "sample not in the cache"
"""Why a sample is left out: nothing is stored for it."""


def export_counts(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What frames hold together: how many in each split, objects by name, anomalous pixels, licences.

    Args:
        lines: what is recorded of each frame.

    Example:
        >>> export_counts([{"split": "train", "objects": {"dog": 2}, "ood_px": 40, "licences": {"CC0": 2}}])
        {'frames': 1, 'splits': {'train': 1}, 'objects': {'dog': 2}, 'ood_px': 40, 'licences': {'CC0': 2}}
    """
    frames, ood_px = 0, 0
    splits: Counter[str] = Counter()
    objects: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    for line in lines:
        frames += 1
        splits[line["split"]] += 1
        objects.update(line["objects"])
        licences.update(line["licences"])
        ood_px += line["ood_px"]
    ordered = {"splits": splits, "objects": objects, "licences": licences}
    sorted_counts = {name: dict(sorted(counts.items())) for name, counts in ordered.items()}
    return {
        "frames": frames,
        "splits": sorted_counts["splits"],
        "objects": sorted_counts["objects"],
        "ood_px": ood_px,
        "licences": sorted_counts["licences"],
    }
