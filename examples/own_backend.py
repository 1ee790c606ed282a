"""A backend of one's own, in one file: an inserter and an annotator, handed to the pipeline as objects.

The inserter paints warning triangles. The annotator finds them again by their colour, as if it did not know what was
painted: a model that detects and segments takes exactly this place. See docs/adding_a_backend.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poc_aug import AnomalyLabels, InsertionPipeline, POCAugmentedDataset, Recipe, SyntheticStreet, seeding, warm_cache
from poc_aug.types import Annotation, Crop, Extent, Filled, Part, Rejection

RED = (0.86, 0.08, 0.12)


class TriangleInserter:
    """Paints an upright red warning triangle with a light centre, as large as its box allows.

    Args:
        thickness: width of the red border over the triangle's height.
    """

    needs_camera = False  # True: only frames with a known horizon can be filled

    def __init__(self, thickness: float = 0.22) -> None:
        self.thickness = thickness

    def describe(self) -> dict[str, Any]:
        """Everything that decides what is painted: a cache remembers it."""
        return {"inserter": "triangle", "version": 1, "thickness": self.thickness}

    def extent(self, object_name: str, seed: int) -> Extent | None:
        """An emergency triangle is 0.45 m high; ``None`` would mean: any box will do."""
        return Extent(aspect=1.1, height_m=0.45)

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """One result per crop, in order; a model would run on all crops at once here."""
        return [self._paint(crop) for crop in crops]

    def _paint(self, crop: Crop) -> Filled | Rejection:
        y, x, h, w = crop.box_yxhw
        if h < 6:
            return Rejection("too small", crop.object_name, detail=f"{h} px high, at least 6 needed")
        # Every draw comes from the crop's own seed: batches and order change nothing.
        rng = seeding.generator(crop.seed, "triangle")
        light = seeding.uniform(rng, 0.7, 1.0)
        rows = ((torch.arange(h) + 0.5) / h)[:, None]
        cols = ((torch.arange(w) + 0.5) / w * 2 - 1)[None, :]
        outer = cols.abs() <= rows
        inner = (cols.abs() <= rows - 2 * self.thickness) & (rows <= 1 - self.thickness)
        image = crop.image.clone()  # a crop is never modified
        window = image[:, y : y + h, x : x + w]
        for channel, red in enumerate(RED):
            window[channel][outer] = round(255 * light * red)
            window[channel][inner] = round(255 * light * 0.92)
        return Filled(image, provenance={"inserter": "triangle", "light": round(light, 3)})


class RedAnnotator:
    """Finds what became red, and what it encloses."""

    def describe(self) -> dict[str, Any]:
        """Everything that determines the result."""
        return {"annotator": "red", "version": 1}

    def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
        """One result per crop, in order."""
        return [self._find(crop, picture) for crop, picture in zip(crops, filled, strict=True)]

    def _find(self, crop: Crop, picture: Filled) -> Annotation | Rejection:
        changed = (picture.image != crop.image).any(dim=0)
        red = changed & (picture.image[0].int() > 2 * picture.image[1].int())
        if not bool(red.any()):
            return Rejection("not detected", crop.object_name, detail="nothing red in the filled crop")
        between = red.cumsum(1).bool() & red.flip(1).cumsum(1).flip(1).bool()
        return Annotation((Part(crop.parts[0], between, score=1.0),))


def main() -> None:
    small = "--smoke" in sys.argv
    base = SyntheticStreet(size=(160, 320), length=4 if small else 32)
    recipe = Recipe.from_dict(
        {
            "objects": ["warning triangle"],
            "size": {"kind": "perspective", "min_px": 12},
            "min_area_of_crop": 0.005,
            "overlap_on": "foot",
        }
    )
    pipeline = InsertionPipeline(recipe, TriangleInserter(), RedAnnotator(), batch_size=8)
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "triangles.cache"
        report = warm_cache(base, cache, pipeline, num_variants=2)
        print(f"{report.objects} triangles in {report.made} variants, {report.acceptance:.0%} of the attempts accepted")
        train = POCAugmentedDataset(base, cache, label_policy=AnomalyLabels(), p=1.0)
        _, labels = train[0]
        print(f"anomalous pixels in the first frame: {int((np.asarray(labels) == 1).sum())}")


if __name__ == "__main__":
    main()
