"""``cs-synth``: the tree that POC's forks of RbA, RPL and Mask2Anomaly read."""

from __future__ import annotations

from dataclasses import dataclass

from poc_aug.exporting.layouts.picture_pairs_layout import PairsLayout

UNGROUPED = "frames"
"""Folder of frames whose keys have no group, in layouts that need one."""


@dataclass(frozen=True)
class CsSynthLayout(PairsLayout):
    """``leftImg8bit/SPLIT/CITY/NAME.png`` and ``gtFine/SPLIT/CITY/NAME.png``, of the same name.

    Example:
        >>> CsSynthLayout().files("ulm_000004_000019_v0", "train", "ulm")
        ('leftImg8bit/train/ulm/ulm_000004_000019_v0.png', 'gtFine/train/ulm/ulm_000004_000019_v0.png')
    """

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "cs-synth"

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, str]:
        """See `ExportLayout.files`."""
        place = f"{split}/{group or UNGROUPED}/{frame_name}.png"
        return f"leftImg8bit/{place}", f"gtFine/{place}"
