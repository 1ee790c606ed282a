"""Grounding DINO and Segment Anything with small random weights in their original formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug.backends.grounded_sam import GroundedSamAnnotator
from poc_aug.backends.grounding_dino import GroundingDinoDetector
from poc_aug.backends.prompt_locator import PromptLocator
from poc_aug.backends.segment_anything import SegmentAnythingSegmenter
from poc_aug.errors import ModelError, RecipeError
from poc_aug.types import Annotation, Crop, Filled, Rejection, Sample
from tests.fakes import make_recipe
from tests.tiny_grounded_sam import grounding_dino_files, segment_anything_path  # noqa: F401

Files = tuple[Path, Path, Path]
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.autocast.*:FutureWarning")


def picture(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def detector(grounding_dino_files: Files) -> GroundingDinoDetector:  # noqa: F811
    config, checkpoint, text_encoder = grounding_dino_files
    return GroundingDinoDetector(
        checkpoint,
        config,
        text_encoder=text_encoder,
        box_threshold=0,
        text_threshold=0,
        size_px=96,
        device="cpu",
    )


@pytest.fixture(scope="module")
def segmenter(segment_anything_path: Path) -> SegmentAnythingSegmenter:  # noqa: F811
    return SegmentAnythingSegmenter(segment_anything_path, device="cpu")


def test_boxes_are_those_of_the_librarys_own_call(detector: GroundingDinoDetector) -> None:
    from groundingdino.util.inference import predict
    from torchvision.ops import box_convert

    image = picture(97, 131)
    (ours,) = detector.detect([image], ["A sheep "])
    inputs = detector._input(image, detector._input_hw(97, 131))
    boxes, scores, _ = predict(detector.model, inputs, "a sheep", 0.0, 0.0, device="cpu")
    order = scores.argsort(descending=True, stable=True)
    corners = box_convert(boxes[order], "cxcywh", "xyxy") * torch.tensor([131, 97, 131, 97])
    assert torch.allclose(ours.scores, scores[order], atol=1e-5)
    limits = torch.tensor([131.0, 97.0, 131.0, 97.0])
    assert torch.allclose(ours.boxes_xyxy, corners.clamp(min=0).minimum(limits), atol=1e-2)


def test_what_is_found_does_not_depend_on_the_batch(detector: GroundingDinoDetector) -> None:
    images = [picture(97, 97, 1), picture(97, 97, 2), picture(64, 111, 3)]
    texts = ["a sheep", "the traffic cone on the road", "dog"]
    together = detector.detect(images, texts)
    for image, text, found in zip(images, texts, together, strict=True):
        (alone,) = detector.detect([image], [text])
        assert torch.allclose(alone.scores, found.scores, atol=1e-4)
        assert len(found.scores) > 0
        assert bool((found.boxes_xyxy >= 0).all())


def test_transformers_own_bert_is_left_alone(detector: GroundingDinoDetector) -> None:
    import transformers
    from groundingdino.util import get_tokenlizer

    assert get_tokenlizer.BertModel is transformers.BertModel
    assert not hasattr(transformers.BertModel, "get_head_mask")


def test_masks_are_those_of_the_librarys_own_call(segmenter: SegmentAnythingSegmenter) -> None:
    from segment_anything import SamPredictor

    image = picture(97, 131)
    box = torch.tensor([[20.0, 10.0, 90.0, 80.0]])
    masks = segmenter.segment([image, picture(50, 60)], [box, torch.zeros(0, 4)])
    assert [tuple(each.shape) for each in masks] == [(1, 97, 131), (0, 50, 60)]
    predictor = SamPredictor(segmenter.model)
    predictor.set_image(image.permute(1, 2, 0).numpy())
    found, quality, _ = predictor.predict(box=box[0].numpy(), multimask_output=True)
    # They resize in 8-bit levels, we in floating point.
    assert float(np.mean(found[quality.argmax()] == masks[0][0].numpy())) > 0.98


@pytest.fixture(scope="module")
def annotator(grounding_dino_files: Files, segment_anything_path: Path) -> GroundedSamAnnotator:  # noqa: F811
    config, checkpoint, text_encoder = grounding_dino_files
    return GroundedSamAnnotator(
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
        for part, other in zip(result.parts, alone.parts, strict=True):
            assert part.name in crop.parts
            assert part.mask.dtype == torch.bool
            assert part.mask.shape == crop.image.shape[-2:]
            assert 0 <= part.score <= 1
            assert float((part.mask == other.mask).float().mean()) > 0.99
    assert annotator.annotate([], []) == []
    told = annotator.describe()
    assert json.loads(json.dumps(told)) == told


def test_what_lies_outside_the_box_is_rejected_with_figures(annotator: GroundedSamAnnotator) -> None:
    crop, filled = crop_of(64, 64, 1)
    strict = type(annotator).__mro__[1](annotator.finder, min_inside_box=1.0)
    (result,) = strict.annotate([Crop(crop.image, (0, 0, 2, 2), "dog", "", ("dog",), 1)], [filled])
    assert isinstance(result, Rejection)
    assert result.reason == "outside the box"
    assert "of the mask inside the box" in result.detail


def test_a_location_is_searched_once_for_an_image(annotator: GroundedSamAnnotator) -> None:
    locator = PromptLocator(annotator.finder, cache_size=1)
    sample = Sample(picture(60, 81), torch.zeros(60, 81, dtype=torch.uint8), "a")
    first = locator.locate(sample, "road")
    assert torch.equal(locator.locate(sample, "road"), first)
    assert (first.shape, first.dtype, locator.searched) == ((60, 81), torch.bool, 1)
    locator.locate(Sample(picture(60, 81, 9), sample.labels, "a"), "road")
    locator.locate(sample, "road")
    assert locator.searched == 3


def test_texts_over_the_limit_are_found_before_any_work(annotator: GroundedSamAnnotator) -> None:
    annotator.check_recipe(make_recipe())
    with pytest.raises(RecipeError, match=r"object 'dog': the text to detect(.|\n)*at most 256"):
        annotator.check_recipe(make_recipe(objects=[{"name": "dog", "detect": ["dog " * 300]}]))


def test_wrong_files_are_named(grounding_dino_files: Files, segment_anything_path: Path, tmp_path: Path) -> None:  # noqa: F811
    config, checkpoint, text_encoder = grounding_dino_files
    told: dict[str, Any] = {"text_encoder": text_encoder, "device": "cpu"}
    with pytest.raises(ModelError, match="no checkpoint at"):
        GroundingDinoDetector(tmp_path / "none.pth", config, **told)
    with pytest.raises(ModelError, match=r"lacks \d+ of the model's tensors"):
        GroundingDinoDetector(segment_anything_path, config, **told)
    with pytest.raises(ModelError, match="no configuration at"):
        GroundingDinoDetector(checkpoint, tmp_path / "none.py", **told)
    with pytest.raises(ModelError, match="is not a Segment Anything checkpoint"):
        SegmentAnythingSegmenter(checkpoint, device="cpu")
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(ModelError, match="is not a checkpoint"):
        SegmentAnythingSegmenter(tmp_path / "text.pth", device="cpu")
    with pytest.raises(RecipeError, match="box_threshold=2"):
        GroundingDinoDetector(checkpoint, config, box_threshold=2, **told)
