"""pytorch-ood's StreetHazards and torchgeo's LoveDA and Potsdam, wrapped as they are.

    python examples/datasets_of_others.py

The data sets are not downloaded: small trees in their layouts are made of rendered streets and of coloured fields. With
the real ones, only the folders differ.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from PIL import Image
from pytorch_ood.dataset.img import StreetHazards
from torchgeo.datasets import LoveDA, Potsdam2D

import poc_aug
from poc_aug import Adapt, InsertionPipeline, LabelSchema, OodLabels, POCAugmentedDataset, RenderedInserter
from poc_aug.presets import load_preset

# pytorch-ood marks what is out-of-distribution by -1. StreetHazards' ids are the places in `classes`.
HAZARD_IDS = {name: number for number, name in enumerate(StreetHazards.classes)}
HAZARDS = LabelSchema("street hazards", {**HAZARD_IDS, "anomaly": -1}, ignore=(), ground=("road",), ood=("anomaly",))
LAND_NAMES = ("no data", "background", "building", "road", "water", "barren", "forest", "agriculture")
LAND = LabelSchema("LoveDA", dict(zip(LAND_NAMES, range(8), strict=True)), ignore=())
URBAN = LabelSchema("Potsdam", {name: number for number, name in enumerate(Potsdam2D.classes)}, ignore=())


class MadeUpHazards(StreetHazards):  # type: ignore[misc]
    """StreetHazards without its archive, whose checksum is compared otherwise."""

    def _check_integrity(self) -> bool:
        return True


def save(pixels: Any, path: Path) -> None:
    """A picture; a GeoTIFF of any number of bands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(pixels)
    if path.suffix != ".tif":
        Image.fromarray(array).save(path)
        return
    size = {"height": array.shape[0], "width": array.shape[1], "count": array.shape[2]}
    transform = rasterio.Affine(0.05, 0, 0, 0, -0.05, 0)  # 5 cm a pixel
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", transform=transform, **size) as file:
        file.write(array.transpose(2, 0, 1))


def make_hazards(root: Path, length: int) -> StreetHazards:
    """Rendered streets; annotations are stored from 1 on."""
    streets = poc_aug.SyntheticStreet(size=(96, 192), length=length)
    stored = np.zeros(256, np.uint8)
    for name, label_id in streets.schema.ids.items():
        stored[label_id] = HAZARD_IDS.get({"person": "pedestrian", "sky": "unlabeled"}.get(name, name), 3) + 1
    for number in range(length):
        image, labels = streets[number]
        for kind, pixels in (("images", image), ("annotations", stored[np.asarray(labels)])):
            save(pixels, root / "streethazards" / "train" / kind / "training" / "t1" / f"{number}.png")
    return MadeUpHazards(str(root), subset="train")


def fields(number: int, bands: int) -> np.ndarray:
    """Coloured stripes, and noise."""
    rng = np.random.default_rng(number)
    stripes = rng.integers(40, 200, (1, 8, bands)).repeat(24, axis=1)
    return (stripes + rng.integers(-20, 20, (128, 192, bands))).astype(np.uint8)


def make_land(root: Path, length: int) -> LoveDA:
    """Tiles of the countryside: agriculture and water."""
    for number in range(length):
        save(fields(number, 3), root / "Train" / "Rural" / "images_png" / f"{number}.png")
        labels = np.full((128, 192), 7, np.uint8)
        labels[:, :24] = 4
        save(labels, root / "Train" / "Rural" / "masks_png" / f"{number}.png")
    return LoveDA(root, split="train", scene=["rural"])


def make_urban(root: Path) -> Potsdam2D:
    """Tiles of four bands: red, green, blue, near infrared."""
    for number, name in enumerate(Potsdam2D.splits["train"]):
        save(fields(number, 4), root / Potsdam2D.image_root / f"{name}_RGBIR.tif")
        save(np.full((128, 192, 3), 255, np.uint8), root / f"{name}_label.tif")
    return Potsdam2D(root, split="train")


def show(base: Any, cache: Path, recipe: Any, schema: LabelSchema, ood: int, adapt: Adapt | None = None) -> None:
    """Fill a cache for two samples, read one, and say what it is."""
    pipeline = InsertionPipeline(recipe, RenderedInserter())
    poc_aug.warm_cache(base, cache, pipeline, schema=schema, adapt=adapt, limit=2, workers=0)
    train = POCAugmentedDataset(base, cache, OodLabels(ood), p=1.0, schema=schema, adapt=adapt, on_miss="original")
    items = [train[0], train[1]]
    pairs = [(item["image"], item["mask"]) if isinstance(item, dict) else item for item in items]
    inserted = sum(int((labels == ood).sum()) for _, labels in pairs)
    image, labels = pairs[0]
    form = f"{image.dtype} {list(image.shape)}" if isinstance(image, torch.Tensor) else f"PIL {image.size}"
    print(f"{type(base).__name__}: image {form}, labels {labels.dtype}, {inserted} pixels inserted")
    if not inserted:
        raise SystemExit("nothing was inserted")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a few samples")
    options = parser.parse_args()
    length = 2 if options.smoke else 8
    street = load_preset("obstacles")
    # Seen from above there is no horizon: the rendered inserter is given one beyond the upper edge.
    above = street.with_changes(location=[], camera={"horizon": -0.9})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        show(make_hazards(folder / "hazards", length), folder / "a.cache", street, HAZARDS, -1)
        show(make_land(folder / "land", length), folder / "b.cache", above, LAND, 254)
        show(make_urban(folder / "urban"), folder / "c.cache", above, URBAN, 254, Adapt(bands=0))


if __name__ == "__main__":
    main()
