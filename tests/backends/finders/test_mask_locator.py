from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.backends.finders.mask_locator import MaskLocator
from poc_aug.errors import DatasetError
from poc_aug.generation.pipeline import InsertionPipeline
from tests.helpers.fakes import EllipseInserter, make_recipe, make_sample, provenance_of


def left_half(kind: str) -> Any:
    mask = np.zeros((48, 65), np.uint8)
    mask[:, :30] = 255
    return {"array": mask, "bool": mask > 0, "tensor": torch.from_numpy(mask), "pil": Image.fromarray(mask)}[kind]


@pytest.mark.parametrize("kind", ["array", "bool", "tensor", "pil"])
def test_objects_stand_where_the_mask_says(kind: str) -> None:
    locator = MaskLocator(lambda key: left_half(kind), "left")
    recipe = make_recipe(ladder=[{"min_overlap": 1.0}])
    # No schema is needed: the labels are not asked.
    pipeline = InsertionPipeline(recipe, EllipseInserter(), locator=locator)
    boxes = []
    for number in range(12):
        for insertion in pipeline.generate(make_sample(number)).insertions:
            boxes.append(provenance_of(insertion)["box_yxhw"])
    assert len(boxes) >= 12
    assert all(x + w <= 30 for _, x, _, w in boxes)
    assert min(y for y, _, _, _ in boxes) < 12  # also where the labels say sky


def test_the_masks_name_is_part_of_the_fingerprint() -> None:
    prints = {
        InsertionPipeline(make_recipe(), EllipseInserter(), locator=MaskLocator(left_half, name)).fingerprint
        for name in ("a", "b")
    }
    assert len(prints) == 2


def test_a_mask_of_another_size_is_named() -> None:
    locator = MaskLocator(lambda key: np.zeros((48, 65, 3)), "rgb")
    with pytest.raises(DatasetError, match=r"'frame-000'.*\(48, 65, 3\)"):
        locator.locate(make_sample(), "road")
