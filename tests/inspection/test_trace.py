from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug.backends.finders.finder_protocols import Masks
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.cache.record import same_variant
from poc_aug.camera_model import Camera
from poc_aug.errors import RecipeError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.inspection.trace import trace_variant
from poc_aug.inspection.trace_pictures import stage_pictures, with_posts
from poc_aug.types import Filled, Region, Sample
from tests.helpers.fakes import SCHEMA, EllipseInserter, make_recipe, make_sample


class ColourFinder:
    """Finds the pixels of the most frequent colour; where a seed says so, nothing."""

    def describe(self) -> dict[str, Any]:
        return {"finder": "colour"}

    def text_limit(self, text: str) -> tuple[int, int]:
        return 1, 16

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        return [[self._one(image) for _ in own] for image, own in zip(images, texts, strict=True)]

    def _one(self, image: torch.Tensor) -> Masks:
        colours, counts = image.flatten(1).unique(dim=1, return_counts=True)  # type: ignore[no-untyped-call]
        mask = (image == colours[:, counts.argmax()][:, None, None]).all(dim=0)
        if int(mask.sum()) < 2:
            mask = torch.zeros(0, *mask.shape, dtype=torch.bool)
            return Masks(mask, torch.zeros(0), torch.zeros(0, 4))
        rows, cols = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        box = torch.tensor([[int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1]], dtype=torch.float32)
        return Masks(mask[None], torch.tensor([0.75]), box)


def pipeline_of(**changes: object) -> InsertionPipeline:
    inserter = EllipseInserter(exact=bool(changes.pop("exact", False)), reject=float(str(changes.pop("reject", 0.4))))
    recipe = make_recipe(**{"objects_per_variant": [1, 1], "attempts": 6, **changes})
    return InsertionPipeline(recipe, inserter, PromptAnnotator(ColourFinder()), schema=SCHEMA)


@pytest.mark.parametrize("number", range(6))
def test_a_trace_is_what_the_pipeline_does(number: int) -> None:
    pipeline, sample = pipeline_of(), make_sample(number)
    finder = pipeline.annotator.finder  # type: ignore[union-attr]
    seen = trace_variant(pipeline, sample, variant=1)
    assert same_variant(seen.variant, pipeline.generate(sample, 1))
    assert pipeline.annotator.finder is finder  # type: ignore[union-attr]
    assert len(seen.attempts) == len(seen.variant.rejections) + len(seen.variant.insertions)
    for attempt in seen.attempts:
        assert isinstance(attempt.region, Region)
        assert attempt.crop is not None
        y, x, h, w = attempt.region.crop_yxhw
        assert torch.equal(attempt.crop.image, sample.image[:, y : y + h, x : x + w])
        painted = isinstance(attempt.filled, Filled)
        assert bool(attempt.masks) == painted
        assert painted or attempt.rejection is not None
    assert [attempt.rejection for attempt in seen.attempts if attempt.rejection] == list(seen.variant.rejections)
    assert torch.equal(seen.valid_area, sample.labels == 0)


def test_every_stage_has_its_picture() -> None:
    pipeline, sample = pipeline_of(reject=0.0), make_sample(0)
    pictures = dict(stage_pictures(trace_variant(pipeline, sample)))
    stages = ["region", "crop", "filled", "detections", "mask"]
    assert list(pictures) == ["valid_area", "posts", *(f"attempt0_{name}" for name in stages), "result", "result_mask"]
    h, w = sample.size_hw
    for name in ("valid_area", "attempt0_region", "result", "result_mask"):
        assert pictures[name].size == (w, h)
    green = np.asarray(pictures["valid_area"]).astype(int)
    image = sample.image.permute(1, 2, 0).numpy().astype(int)
    changed = (green != image).any(axis=2)
    assert (changed <= (sample.labels == 0).numpy()).all()
    assert changed.sum() > 0.9 * int((sample.labels == 0).sum())


def test_no_place_and_exact_masks_have_pictures_too() -> None:
    sample = make_sample(0)
    nowhere = trace_variant(pipeline_of(), Sample(sample.image, torch.ones_like(sample.labels), "only sky"))
    assert [name for name, _ in stage_pictures(nowhere)] == ["valid_area"]
    assert all(attempt.rejection is not None for attempt in nowhere.attempts)
    exact = trace_variant(pipeline_of(exact=True, reject=0.0), sample)
    assert "attempt0_mask" in dict(stage_pictures(exact))
    assert "attempt0_detections" not in dict(stage_pictures(exact))


def test_several_objects_cannot_be_traced() -> None:
    with pytest.raises(RecipeError, match="one object"):
        trace_variant(pipeline_of(objects_per_variant=[1, 2]), make_sample(0))


def test_posts_stand_where_the_camera_says() -> None:
    """Each is drawn from foot to top in its place, the horizon across the frame, small frames enlarged."""
    image = torch.full((3, 100, 200), 128, dtype=torch.uint8)
    view = Camera(40.0, 1.4, 220.0, 99.5, "objects")
    picture = np.asarray(with_posts(image, view)).astype(int)
    assert picture.shape == (800, 1600, 3)
    drawn = np.abs(picture - 128).max(axis=2) > 40
    assert drawn[round(40.5 * 8), 900:].mean() > 0.9  # the horizon
    scale, foot, top = 8, view.row_of(10), view.row_of(10, 1.7)
    for right_m in (-3.0, 3.0):
        column = round((view.centre_col + view.focal_px * right_m / 10 + 0.5) * scale)
        rows = slice(round((top + 0.5) * scale), round((foot + 0.5) * scale))
        assert drawn[rows, column - 1 : column + 2].any(axis=1).mean() > 0.95
        assert not drawn[rows.stop + 6 : rows.stop + 12, column - 1 : column + 2].any()
    assert np.abs(np.asarray(with_posts(image, replace(view, horizon_row=900.0))).astype(int) - 128).max() > 40
