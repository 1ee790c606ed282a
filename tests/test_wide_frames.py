"""Frames wider than 16-bit signed integers and OpenCV's 32,767 pixels are warmed, read and drawn like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.datasets import PairedFolder
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.inspection.contact_sheet import contact_sheet, tiles_of
from poc_aug.inspection.trace import trace_variant
from poc_aug.inspection.trace_pictures import stage_pictures
from poc_aug.labels.policies import OodLabels
from poc_aug.reading.compose_opacity import covered
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe, make_sample

LENGTH = 2
SIZE_HW = (61, 40_001)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> PairedFolder:
    root = tmp_path_factory.mktemp("wide")
    for number, (image, labels) in enumerate(Frames(LENGTH, SIZE_HW)[index] for index in range(LENGTH)):
        image.save(root / f"{number}.png", compress_level=0)
        labels.save(root / f"{number}_gt.png")
    return PairedFolder(root, "*.png", "*_gt.png", schema=SCHEMA)


def pipeline(**changes: Any) -> InsertionPipeline:
    recipe = make_recipe(objects=["dog"], size={"kind": "pixels", "min_px": 20, "max_px": 40}, **changes)
    return InsertionPipeline(recipe, EllipseInserter()).with_schema(SCHEMA)


def test_wide_frames_are_warmed_read_and_drawn(folder: PairedFolder, tmp_path: Path) -> None:
    path = tmp_path / "wide.cache"
    warm_cache(folder, path, pipeline(objects_per_variant=[30, 30], attempts=30), num_variants=1, workers=0)
    wrapped = POCAugmentedDataset(folder, path, OodLabels(254), p=1.0, sigma_px=0.0)
    cache = Cache.open(path)
    beyond = 0
    for index, key in enumerate(folder.keys()):
        variant = cache.get(key, 0)
        assert variant is not None
        beyond += sum(insertion.box_yxhw[1] > 32_767 for insertion in variant.insertions)
        where = covered(variant.insertions, SIZE_HW, 0.0).numpy()
        (before, ids), (after, rewritten) = folder[index], wrapped[index]
        assert np.array_equal(np.asarray(rewritten), np.where(where, 254, np.asarray(ids)))
        assert np.array_equal(np.asarray(after)[~where], np.asarray(before)[~where])
        assert (np.asarray(after)[where] != np.asarray(before)[where]).any()
    assert beyond
    sheet = contact_sheet(tiles_of(folder, cache, 2))
    assert sheet.width == 1800


def test_every_stage_of_a_wide_picture_is_drawn(folder: PairedFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIZE_HW[0] * SIZE_HW[1] // 3)  # drawing opens no file
    seen = trace_variant(pipeline(objects_per_variant=[1, 1]), make_sample(0, SIZE_HW))
    pictures = dict(stage_pictures(seen))
    assert pictures["result_mask"].size == pictures["valid_area"].size == SIZE_HW[::-1]
