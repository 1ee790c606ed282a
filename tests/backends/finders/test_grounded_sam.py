"""Grounding DINO and Segment Anything together: settings, annotations and locations."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.backends.finders.grounded_sam import GroundedSamAnnotator
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.backends.finders.prompt_locator import PromptLocator
from poc_aug.backends.finders.segment_anything import SegmentAnythingSegmenter
from poc_aug.errors import DeviceError, MissingDependencyError, RecipeError, SettingError
from poc_aug.types import Annotation, Crop, Filled, Rejection, Sample
from tests.helpers.fakes import make_recipe
from tests.helpers.grounded_sam_cases import Files, make_detector, picture
from tests.helpers.tiny_grounded_sam import grounding_dino_files, segment_anything_path  # noqa: F401


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"box_threshold": 2}, r"box_threshold=2(.|\n)*less than 1"),
        ({"text_threshold": -0.1}, r"text_threshold=-0.1"),
        ({"size_px": 0}, r"size_px=0(.|\n)*1 or more"),
        ({"size_px": 32}, r"size_px=32(.|\n)*at least 33: the model has 30 queries"),
        ({"batch_size": 0}, r"batch_size=0(.|\n)*1 or more"),
    ],
)
def test_settings_outside_their_limits_are_named(
    grounding_dino_files: Files,  # noqa: F811
    settings: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(SettingError, match=message):
        make_detector(grounding_dino_files, **settings)


def test_what_is_not_there_is_told(
    grounding_dino_files: Files,  # noqa: F811
    segment_anything_path: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def detector(**settings: Any) -> object:
        return make_detector(grounding_dino_files, **settings)

    def segmenter(**settings: Any) -> object:
        return SegmentAnythingSegmenter(segment_anything_path, **settings)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = re.escape("pip install 'poc_aug[generate]'")
    for module, make in (("groundingdino", detector), ("segment_anything", segmenter)):
        with pytest.raises(DeviceError, match=r"device 'cuda' was asked for(.|\n)*Expected: cpu"):
            make(device="cuda")
        with pytest.raises(DeviceError, match="float16 on the CPU"):
            make(device="cpu", dtype="float16")
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingDependencyError, match=rf"'{module}' is not installed(.|\n)*{line}$"):
            make(device="cpu")


@pytest.fixture(scope="module")
def annotator(grounding_dino_files: Files, segment_anything_path: Path) -> GroundedSamAnnotator:  # noqa: F811
    config, checkpoint, text_encoder = grounding_dino_files
    made = GroundedSamAnnotator(
        checkpoint,
        segment_anything_path,
        detector_config=config,
        text_encoder=text_encoder,
        box_threshold=0,
        text_threshold=0,
        device="cpu",
        min_inside_box=0,
        min_area_of_crop=0,
    )
    made.finder.detector.size_px = 96  # type: ignore[attr-defined]
    return made


def crop_of(h: int, w: int, seed: int, parts: tuple[str, ...] = ("dog",)) -> tuple[Crop, Filled]:
    crop = Crop(picture(h, w, seed), (4, 4, h - 8, w - 8), "dog", "a dog", parts, seed, detect=parts)
    return crop, Filled(picture(h, w, seed + 100))


def test_annotations_keep_their_form_and_do_not_depend_on_the_batch(annotator: GroundedSamAnnotator) -> None:
    pairs = [crop_of(64, 64, 1), crop_of(48, 71, 2, ("rider", "bicycle")), crop_of(64, 64, 3)]
    results = annotator.annotate([crop for crop, _ in pairs], [filled for _, filled in pairs])
    assert len(results) == 3
    for (crop, filled), result in zip(pairs, results, strict=True):
        (alone,) = annotator.annotate([crop], [filled])
        assert isinstance(result, Annotation)
        assert isinstance(alone, Annotation)
        assert tuple(part.name for part in result.parts) == crop.parts
        for part, other in zip(result.parts, alone.parts, strict=True):
            assert part.mask.dtype == torch.bool
            assert part.mask.shape == crop.image.shape[-2:]
            assert part.score == pytest.approx(other.score, abs=1e-4)
            assert 0.1 < part.score < 0.9
            assert float((part.mask == other.mask).float().mean()) > 0.99


def test_settings_reach_the_models(annotator: GroundedSamAnnotator) -> None:
    description = annotator.describe()
    assert json.loads(json.dumps(description)) == description
    assert (description["min_inside_box"], description["finder"]["nms_iou"], description["finder"]["max_boxes"]) == (
        0,
        0.8,
        20,
    )
    assert description["finder"]["detector"]["box_threshold"] == 0
    assert description["finder"]["segmenter"]["dtype"] == "float32"


def test_what_lies_outside_the_box_is_rejected_with_figures(annotator: GroundedSamAnnotator) -> None:
    crop, filled = crop_of(64, 64, 1)
    strict = PromptAnnotator(annotator.finder, min_inside_box=1.0)
    (result,) = strict.annotate([Crop(crop.image, (0, 0, 2, 2), "dog", "", ("dog",), 1)], [filled])
    assert isinstance(result, Rejection)
    assert result.reason == "outside the box"
    assert "of the mask inside the box" in result.detail


def test_a_location_is_searched_once_for_an_image(annotator: GroundedSamAnnotator) -> None:
    locator = PromptLocator(annotator.finder)
    sample = Sample(picture(60, 81), torch.zeros(60, 81, dtype=torch.uint8), "a")
    first = locator.locate(sample, "road")
    assert torch.equal(locator.locate(sample, "road"), first)
    assert (first.shape, first.dtype, locator.searched) == ((60, 81), torch.bool, 1)


def test_texts_over_the_limit_are_found_before_any_work(annotator: GroundedSamAnnotator) -> None:
    annotator.check_recipe(make_recipe())
    assert annotator.finder.text_limit("a dog") == (5, 256)  # with [CLS], the full stop and [SEP]
    with pytest.raises(RecipeError, match=r"object 'dog': the text to detect(.|\n)*at most 256"):
        annotator.check_recipe(make_recipe(objects=[{"name": "dog", "detect": ["dog " * 300]}]))
