"""What the tests of scene shifts share."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

from poc_aug import (
    LabelSchema,
    SceneShiftDataset,
)
from tests.helpers.fakes import Frames
from tests.helpers.kinds import InPlace

IDS = LabelSchema("ids", {f"class {number}": number for number in range(19)}, ignore=(255,))


class Items(Dataset[Any]):
    """One item in a form of its own."""

    schema = IDS

    def __init__(self, item: Any, length: int = 1) -> None:
        self.item, self.length = item, length

    def __len__(self) -> int:
        return self.length

    def keys(self) -> list[str]:
        return [f"item-{number}" for number in range(self.length)]

    def __getitem__(self, index: int) -> Any:
        return self.item


def many(**changes: Any) -> SceneShiftDataset:
    shifters = [InPlace("dusk"), InPlace("haze", reject=0.5)]
    return SceneShiftDataset(Frames(6), shifters, severity=(1, 4), num_variants=2, **{"redraw": "epoch", **changes})
