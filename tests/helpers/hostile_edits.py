"""A small dataset and two edited frames of it, for command lines of ``poc-aug import``."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from poc_aug.importing import classes_of_preset
from tests.helpers.edit_cases import TRAIN_IDS, base_sample, blob, edit_of

ANIMALS = classes_of_preset("poc-animals")


class Streets:
    """Drawn frames of a known schema, with names for keys."""

    schema = TRAIN_IDS

    def __init__(self, length: int = 2) -> None:
        self.length = length

    def keys(self) -> list[str]:
        return [f"street_{number}" for number in range(self.length)]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        sample = base_sample(number)
        return sample.image, sample.labels


def save_edits(folder: Path) -> None:
    """Write an edited frame of each of two streets, with a dog (id 22)."""
    folder.mkdir(exist_ok=True)
    for number in range(2):
        edit = edit_of(base_sample(number), blob(number, ["dog"], (10, 20, 15, 15), alpha=True), classes=ANIMALS)
        image = Image.fromarray(edit.edited.image.permute(1, 2, 0).contiguous().numpy())
        image.save(folder / f"street_{number}_v0.png")
        Image.fromarray(edit.edited.labels.numpy()).save(folder / f"street_{number}_v0_labels.png")
