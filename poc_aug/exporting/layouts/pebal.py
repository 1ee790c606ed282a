"""``pebal``: the flat tree that PEBAL and RPL read."""

from __future__ import annotations

from dataclasses import dataclass

from poc_aug.exporting.layouts.picture_pairs_layout import PairsLayout


@dataclass(frozen=True)
class PebalLayout(PairsLayout):
    """``images/city_gt_fine/SPLIT/X_leftImg8bit.png`` and ``annotation/city_gt_fine/SPLIT/X_gtFine.png``.

    Example:
        >>> PebalLayout().files("ulm_000004_000019_v0", "val", "ulm")[1]
        'annotation/city_gt_fine/val/ulm_000004_000019_v0_gtFine.png'
    """

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "pebal"

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, str]:
        """See `ExportLayout.files`."""
        return (
            f"images/city_gt_fine/{split}/{frame_name}_leftImg8bit.png",
            f"annotation/city_gt_fine/{split}/{frame_name}_gtFine.png",
        )
