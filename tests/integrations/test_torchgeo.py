"""torchgeo's datasets are wrapped as they are: float images that hold bytes, masks, more bands; on made-up trees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug import Adapt, InsertionPipeline, LabelSchema, OodLabels, POCAugmentedDataset, warm_cache
from poc_aug.errors import ItemFormatError, SampleReadError
from poc_aug.keys import dataset_keys
from tests.helpers.client_cases import shown
from tests.helpers.fakes import EllipseInserter, make_recipe

datasets = pytest.importorskip("torchgeo.datasets")
rasterio = pytest.importorskip("rasterio")

H, W = 40, 56
LAND = LabelSchema("land", {"no data": 0, "background": 1, "building": 2, "road": 3, "water": 4}, ignore=())
GLOBE = LabelSchema(
    "globe", {"urban": 0, "farm": 1, "range": 2, "forest": 3, "water": 4, "barren": 5, "unknown": 6}, ignore=()
)
INRIA = LabelSchema("inria", {"background": 0, "building": 1}, ignore=())
POTSDAM = LabelSchema("potsdam", {"clutter": 0, "surface": 1, "building": 2, "low": 3, "tree": 4, "car": 5}, ignore=())


def pixels(number: int, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (H, W, bands), dtype=np.uint8)


def save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        bands = array if array.ndim == 3 else array[..., None]
        profile = {"driver": "GTiff", "height": H, "width": W, "count": bands.shape[2], "dtype": bands.dtype}
        with rasterio.open(path, "w", **profile) as file:
            file.write(bands.transpose(2, 0, 1))
    else:
        Image.fromarray(array).save(path)


def love_da(root: Path) -> Any:
    for number in range(3):
        folder = root / "Train" / ("Urban" if number else "Rural")
        save(pixels(number), folder / "images_png" / f"{number}.png")
        labels = np.ones((H, W), np.uint8)
        labels[10:20, 10:20] = 2 + number % 2
        save(labels, folder / "masks_png" / f"{number}.png")
    return datasets.LoveDA(root, split="train")


def deep_globe(root: Path) -> Any:
    folder = root / "data" / "training_data"
    for number in range(3):
        colours = np.zeros((H, W, 3), np.uint8)
        colours[..., 1:] = 255  # urban land
        colours[5:15, 5:15] = (255, 255, 0)
        save(pixels(number), folder / "images" / f"{number}_sat.jpg")
        save(colours, folder / "masks" / f"{number}_mask.png")
    return datasets.DeepGlobeLandCover(root, split="train")


def inria(root: Path) -> Any:
    folder = root / "AerialImageDataset" / "train"
    for number in range(6, 9):
        save(pixels(number), folder / "images" / f"austin{number}.tif")
        gt = np.zeros((H, W), np.uint8)
        gt[4:9, 4:30] = 255
        save(gt, folder / "gt" / f"austin{number}.tif")
    return datasets.InriaAerialImageLabeling(root, split="train")


def potsdam(root: Path) -> Any:
    for number, name in enumerate(datasets.Potsdam2D.splits["train"]):
        save(pixels(number, 4), root / datasets.Potsdam2D.image_root / f"{name}_RGBIR.tif")
        save(np.full((H, W, 3), 255, np.uint8), root / f"{name}_label.tif")
    return datasets.Potsdam2D(root, split="train")


CASES: list[Any] = [
    (love_da, LAND, None, "Train/Rural/images_png/0.png"),
    (deep_globe, GLOBE, None, "data/training_data/images/0_sat.jpg"),
    (inria, INRIA, None, "AerialImageDataset/train/images/austin6.tif"),
    (potsdam, POTSDAM, Adapt(bands=0), "4_Ortho_RGBIR/top_potsdam_2_10_RGBIR.tif"),
]


def filled(base: Any, path: Path, schema: LabelSchema, adapt: Adapt | None) -> Path:
    pipeline = InsertionPipeline(make_recipe(location=[]), EllipseInserter())
    warm_cache(base, path, pipeline, num_variants=1, workers=0, schema=schema, adapt=adapt, limit=3)
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("make", "schema", "adapt", "key"), CASES, ids=[case[0].__name__ for case in CASES])
def test_it_is_wrapped_as_it_is(
    tmp_path: Path,
    make: Callable[[Path], Any],
    schema: LabelSchema,
    adapt: Any,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # Inria's numbers are those after the first letters of the path
    base = make(Path("tree"))
    keys = dataset_keys(base)
    assert keys[0] == key
    path = filled(base, tmp_path / "a.cache", schema, adapt)
    ds = POCAugmentedDataset(base, path, OodLabels(254), p=1.0, schema=schema, variant=0, adapt=adapt)
    for number in range(min(3, len(base))):
        before, after = base[number], ds[number]
        assert set(after) == set(before) == {"image", "mask"}
        assert (after["image"].dtype, after["mask"].dtype) == (torch.float32, torch.int64)
        colours = (before["image"][:3], before["mask"]), (after["image"][:3], after["mask"])
        assert shown(path, keys[number], *colours, schema=schema) == 0
        changed = (after["mask"] != before["mask"]).reshape(H, W)
        if adapt is not None:
            assert (after["image"][3][changed] == 0).all()
            assert (after["image"][3] != before["image"][3]).any()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_bands_that_nothing_is_said_of_are_an_error(tmp_path: Path) -> None:
    base = potsdam(tmp_path)
    with pytest.raises(SampleReadError, match=r"shape \[4, 40, 56\](?s:.*)Adapt\(bands=0\)"):
        filled(base, tmp_path / "a.cache", POTSDAM, None)


def test_normalised_images_are_an_error(tmp_path: Path) -> None:
    base = love_da(tmp_path)
    path = filled(base, tmp_path / "a.cache", LAND, None)
    base.transforms = lambda item: {**item, "image": item["image"] / 255}
    with pytest.raises(ItemFormatError, match="already normalised"):
        POCAugmentedDataset(base, path, OodLabels(254), p=1.0, schema=LAND)[0]
