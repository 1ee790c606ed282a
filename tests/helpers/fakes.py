"""Small real implementations of the protocols and datasets without weights, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from poc_aug import seeding
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import Recipe
from poc_aug.types import Annotation, Crop, Extent, Filled, Insertion, Part, Rejection, Sample

SCHEMA = LabelSchema("test", {"road": 0, "sky": 1, "car": 2}, ignore=(255,), ground=("road",))


def ellipse(h: int, w: int) -> torch.Tensor:
    y = (torch.arange(h) + 0.5) / h * 2 - 1
    x = (torch.arange(w) + 0.5) / w * 2 - 1
    return y[:, None] ** 2 + x[None, :] ** 2 <= 1


class EllipseInserter:
    """Fills the box with a coloured ellipse; rejects where a seed says so; counts its batches."""

    def __init__(self, *, reject: float = 0.0, exact: bool = True, spill: float = 0.0) -> None:
        self.reject, self.exact, self.spill = reject, exact, spill
        self.batches: list[int] = []

    needs_camera = False

    def describe(self) -> dict[str, Any]:
        return {"inserter": "ellipse", "reject": self.reject, "exact": self.exact, "spill": self.spill}

    def extent(self, object_name: str, seed: int) -> Extent | None:
        return Extent(aspect=1.5, height_m=0.8) if object_name == "measured" else None

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        self.batches.append(len(crops))
        return [self._one(crop) for crop in crops]

    def _one(self, crop: Crop) -> Filled | Rejection:
        rng = seeding.generator(crop.seed, "ellipse")
        if seeding.uniform(rng, 0, 1) < self.reject:
            return Rejection("black", detail="a dark seed")
        mask = self.mask(crop)
        image = crop.image.clone()
        image[:, mask] = torch.randint(0, 256, (3, 1), generator=rng, dtype=torch.uint8)
        parts = tuple(Part(name, mask, 0.5) for name in crop.parts)
        return Filled(image, Annotation(parts) if self.exact else None, provenance={"painted": True})

    def mask(self, crop: Crop) -> torch.Tensor:
        y, x, h, w = crop.box_yxhw
        mask = torch.zeros(crop.image.shape[-2:], dtype=torch.bool)
        mask[y : y + h, x : x + w] = ellipse(h, w)
        if self.spill:
            rows = round(mask.shape[0] * self.spill)
            mask[:rows] = True
        return mask


class EllipseAnnotator:
    """Knows where `EllipseInserter` paints."""

    def describe(self) -> dict[str, Any]:
        return {"inserter": "ellipse"}

    def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
        masks = [EllipseInserter().mask(crop) for crop in crops]
        return [
            Annotation((Part(crop.parts[0], mask, 0.25),)) if crop.seed % 3 else Rejection("not detected")
            for crop, mask in zip(crops, masks, strict=True)
        ]


def provenance_of(insertion: Insertion) -> Mapping[str, Any]:
    """The provenance of an insertion, of whose values a test knows the types."""
    return insertion.provenance


def make_recipe(**changes: object) -> Recipe:
    data = {
        "objects": ["dog", "cat", "car"],
        "objects_per_variant": [1, 2],
        "size": {"kind": "pixels", "min_px": 6, "max_px": 12},
        "max_sigma_px": 2.0,
    }
    return Recipe.from_dict({**data, **changes})


def make_sample(number: int = 0, size_hw: tuple[int, int] = (48, 65)) -> Sample:
    """Sky over road, with noise; and an unlabelled border."""
    h, w = size_hw
    rng = seeding.generator(number, "frame")
    image = torch.randint(40, 200, (3, h, w), generator=rng, dtype=torch.uint8)
    labels = torch.full((h, w), 1, dtype=torch.uint8)
    labels[h // 3 :] = 0
    labels[:, 0] = 255
    return Sample(image, labels, f"frame-{number:03d}")


class Frames(Dataset[Any]):
    """Map-style dataset of `make_sample` frames, as PIL pairs."""

    schema = SCHEMA

    def __init__(self, length: int = 6, size_hw: tuple[int, int] = (48, 65), broken: tuple[int, ...] = ()) -> None:
        self.length, self.size_hw, self.broken = length, size_hw, broken

    def __len__(self) -> int:
        return self.length

    def keys(self) -> list[str]:
        return [f"frame-{number:03d}" for number in range(self.length)]

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        if index in self.broken:
            raise OSError("image file is truncated")
        sample = make_sample(index, self.size_hw)
        image = Image.fromarray(np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy()))
        return image, Image.fromarray(sample.labels.numpy())
