"""The whole way on real street scenes, with real cut-outs as bank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import Cityscapes

from poc_aug.cache import Cache
from poc_aug.cli.object_sources import ObjectChoice, load_objects
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.datasets import camvid
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.detect import schema_of
from poc_aug.labels.policies import AnomalyLabels, OodLabels
from poc_aug.masks import dilate, feather_radius_px
from poc_aug.recipe import PerspectiveSize
from tests.helpers.cache_cases import stored_variant
from tests.helpers.fakes import provenance_of

VARIANTS = 3
SIGMA_PX = 1.0


def cityscapes(root: Path) -> Any:
    return Cityscapes(root / "scenes" / "cityscapes", split="train", mode="fine", target_type="semantic")


def camvid_frames(root: Path) -> Any:
    return Subset(camvid(root / "scenes" / "camvid", "train"), range(0, 120, 15))


def tensors(image: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(labels))


def keep(batch: list[Any]) -> list[Any]:
    return batch


@pytest.fixture(scope="module", params=["cityscapes-paste", "cityscapes-rendered", "camvid-paste"])
def made(request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    frames, objects = request.param.split("-")
    base = cityscapes(real_data) if frames == "cityscapes" else camvid_frames(real_data)
    source = "rendered" if objects == "rendered" else str(real_data / "objects" / "coco_mini" / "instances.json")
    camera = "cityscapes" if frames == "cityscapes" else None
    recipe, inserter = load_objects(source, ObjectChoice(camera=camera, per_variant=(1, 3)), schema=schema_of(base))
    path = tmp_path_factory.mktemp("real") / "frames.cache"
    report = warm_cache(base, path, InsertionPipeline(recipe, inserter), num_variants=VARIANTS)
    assert report.made == len(base) * VARIANTS
    assert report.objects >= len(base) * VARIANTS / 2
    return base, path


def test_outside_the_support_every_pixel_is_the_bases(made: Any) -> None:
    base, path = made
    cache = Cache.open(path)
    for k in range(VARIANTS):
        ds = POCAugmentedDataset(
            base, path, OodLabels(254, known={}), p=1.0, variant=k, sigma_px=SIGMA_PX, transforms=tensors
        )
        for number, key in enumerate(ds.keys):
            before, after = tensors(*base[number]), ds[number]
            touched = torch.zeros(before[1].shape, dtype=torch.bool)
            mask = touched.clone()
            variant = stored_variant(cache, key, k)
            for insertion in variant.insertions:
                y, x, h, w = insertion.box_yxhw
                mask[y : y + h, x : x + w] |= insertion.mask
                if insertion.alpha is None:
                    seen = dilate(insertion.mask, feather_radius_px(SIGMA_PX))
                else:
                    seen = insertion.alpha > 0
                touched[y : y + h, x : x + w] |= seen
                if insertion.shade is not None:
                    touched[y : y + h, x : x + w] |= insertion.shade > 0
            assert torch.equal(before[0][~touched], after[0][~touched])
            assert torch.equal(before[1][~mask], after[1][~mask])
            assert (after[1][mask] == 254).all()
            if variant.insertions:
                assert not torch.equal(before[0], after[0])


def test_objects_stand_on_the_road_at_their_real_size(made: Any) -> None:
    base, path = made
    with Cache.open(path) as cache:
        ds = POCAugmentedDataset(base, cache, p=1.0)
        names = ("road",)
        for number, key in enumerate(ds.keys):
            labels = tensors(*base[number])[1]
            assert ds.base_schema is not None
            road = ds.base_schema.mask(labels, names)
            for k in cache.variants(key):
                for insertion in stored_variant(cache, key, k).insertions:
                    provenance = provenance_of(insertion)
                    y, x, h, w = provenance["box_yxhw"]
                    foot = max(1, round(0.15 * h))
                    assert road[y + h - foot : y + h, x : x + w].float().mean() >= 0.89
                    assert provenance["rung"] == 0
                    size = ds.recipe.spec(insertion.object_name).size
                    assert size is None or isinstance(size, PerspectiveSize)
                    # Rendered objects bring their own size: none of them is over 3 m long.
                    largest_m = 3.0 if size is None or size.size_m is None else size.size_m * (1 + size.jitter)
                    px_per_m = (y + h - provenance["horizon_row"]) / ds.recipe.camera.height_m
                    assert h <= largest_m * px_per_m + 1


@pytest.mark.parametrize(("start", "counts"), [("fork", (1, 2)), ("forkserver", (2,))])
def test_items_are_identical_for_0_1_and_2_workers(made: Any, start: str, counts: tuple[int, ...]) -> None:
    base, path = made
    ds = POCAugmentedDataset(base, path, OodLabels(254), p=0.7, seed=5, transforms=tensors, redraw="epoch")
    ds.set_epoch(3)
    alone = [ds[i] for i in range(len(ds))]
    for workers in counts:
        loader = DataLoader(ds, batch_size=2, num_workers=workers, multiprocessing_context=start, collate_fn=keep)
        items = [item for batch in loader for item in batch]
        assert len(items) == len(alone)
        for (a_image, a_labels), (b_image, b_labels) in zip(alone, items, strict=True):
            assert torch.equal(a_image, b_image)
            assert torch.equal(a_labels, b_labels)


def test_anomaly_labels_of_real_frames(made: Any) -> None:
    base, path = made
    ds = POCAugmentedDataset(base, path, AnomalyLabels(), p=1.0, transforms=tensors)
    assert ds.base_schema is not None
    for number in range(len(base)):
        before, after = tensors(*base[number])[1], ds[number][1]
        assert set(after.unique().tolist()) <= {0, 1, 255}
        assert (after[ds.base_schema.ignored(before)] != 0).all()


def test_regenerating_gives_the_same_bytes(made: Any, tmp_path: Path) -> None:
    base, path = made
    with Cache.open(path) as cache:
        recipe = POCAugmentedDataset(base, cache).recipe
        source = cache.manifest.backends["inserter"]["inserter"]
        if source != "rendered":
            return
        _, inserter = load_objects("rendered")
        again = tmp_path / "again.cache"
        warm_cache(base, again, InsertionPipeline(recipe, inserter, batch_size=3), num_variants=1, limit=2, workers=0)
        with Cache.open(again) as second:
            assert len(second) == 2
            assert all(second.raw(*name) == cache.raw(*name) for name in second)


@pytest.mark.usefixtures("quick_live")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_real_frames_live_equal_prebuilt_ones(made: Any, real_data: Path) -> None:
    base, path = made
    with Cache.open(path) as cache:
        manifest = cache.manifest
    rendered = manifest.backends["inserter"]["inserter"] == "rendered"
    source = "rendered" if rendered else str(real_data / "objects" / "coco_mini" / "instances.json")
    camera = "cityscapes" if isinstance(base, Cityscapes) else None
    recipe, inserter = load_objects(source, ObjectChoice(camera=camera, per_variant=(1, 3)), schema=schema_of(base))
    prebuilt = POCAugmentedDataset(base, path, OodLabels(254), p=1.0, transforms=tensors, redraw="epoch")
    with POCAugmentedDataset(
        base, None, OodLabels(254), p=1.0, transforms=tensors, pipeline=InsertionPipeline(recipe, inserter)
    ) as live:
        loader = DataLoader(live, batch_size=2, num_workers=2, multiprocessing_context="fork", collate_fn=keep)
        items = [item for batch in loader for item in batch]
        assert live.stats().generated == len(base)
    for i, (image, labels) in enumerate(items):
        assert torch.equal(image, prebuilt[i][0])
        assert torch.equal(labels, prebuilt[i][1])
