"""Detectors, segmenters and SAM 3 of transformers, small and random, loaded from disk as a user would."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from poc_aug.backends.finders.finder_protocols import Detector, Finder, Segmenter
from poc_aug.backends.finders.prompt_locator import PromptLocator
from poc_aug.backends.finders.sam3 import Sam3Annotator, Sam3Finder
from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator
from poc_aug.backends.finders.transformers_detector import TransformersDetector
from poc_aug.backends.finders.transformers_segmenter import TransformersSegmenter
from poc_aug.errors import DeviceError, SettingError
from poc_aug.types import Annotation, Rejection, Sample
from tests.helpers.annotator_contract import pair, picture
from tests.helpers.tiny_transformers import tiny_models  # noqa: F401
from tests.helpers.transformers_cases import BOXES, DETECTORS, SEGMENTERS, Models, detector_of


def test_they_keep_the_protocols_and_describe_themselves(tiny_models: Models) -> None:  # noqa: F811
    detector = TransformersDetector(tiny_models("owlv2"), device="cpu")
    segmenter = TransformersSegmenter(tiny_models("sam2"), device="cpu")
    finder = Sam3Finder(tiny_models("sam3"), device="cpu")
    assert isinstance(detector, Detector)
    assert isinstance(segmenter, Segmenter)
    assert isinstance(finder, Finder)
    for backend in (detector, segmenter, finder):
        told = backend.describe()
        assert json.loads(json.dumps(told)) == told
        assert str(tiny_models("sam3").parent) not in json.dumps(told)  # a path says nothing about a model
        assert told["dtype"] == "float32"
    assert detector.describe() != TransformersDetector(tiny_models("owlv2"), box_threshold=0.1, device="cpu").describe()


def test_other_dtypes_run_by_autocasting(tiny_models: Models) -> None:  # noqa: F811
    image, text = picture(97, 131, 0), "a dog"
    for name in DETECTORS:
        exact, rough = (
            detector_of(tiny_models(name), dtype=each).detect([image], [text])[0] for each in (None, "bf16")
        )
        assert rough.scores.dtype == torch.float32
        assert abs(float(exact.scores[0] - rough.scores[0])) < 0.05
    for name in SEGMENTERS:
        exact_masks, rough_masks = (
            TransformersSegmenter(tiny_models(name), dtype=each, device="cpu").segment([image], [BOXES])[0]
            for each in (None, "bf16")
        )
        assert float((exact_masks == rough_masks).float().mean()) > 0.9
    told = Sam3Finder(tiny_models("sam3"), score_threshold=0, dtype="bf16", device="cpu")
    ((masks,),) = told.find([image], [[text]])
    assert masks.scores.dtype == torch.float32
    assert len(masks.scores) > 0
    assert told.describe()["dtype"] == "bfloat16"


def test_out_of_memory_halves_the_batch(tiny_models: Models, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    images = [picture(64, 64, seed) for seed in range(3)]
    detector = detector_of(tiny_models("owlv2"))
    segmenter = TransformersSegmenter(tiny_models("sam2"), device="cpu")
    finder = Sam3Finder(tiny_models("sam3"), score_threshold=0, device="cpu")
    boxes = [BOXES / 2.1] * 3

    def all_found() -> tuple[Any, ...]:
        return (
            [each.scores for each in detector.detect(images, ["a dog"] * 3)],
            segmenter.segment(images, boxes),
            [row[0].scores for row in finder.find(images, [["a dog"]] * 3)],
        )

    before = all_found()
    for module in (detector.model.owlv2.vision_model, segmenter.model.vision_encoder, finder.model.vision_encoder):
        module.register_forward_pre_hook(_one_at_most, with_kwargs=True)
    for one, other in zip(before, all_found(), strict=True):
        assert len(one) == len(other) == 3
        for a, b in zip(one, other, strict=True):
            assert torch.allclose(a.float(), b.float(), atol=1e-4)
    for name in ("TransformersDetector", "TransformersSegmenter", "Sam3Finder"):
        assert f"{name}: out of memory with a batch of 3, continuing with 1" in caplog.text


def _one_at_most(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    pixels = args[0] if args else kwargs["pixel_values"]
    if len(pixels) > 1:
        raise torch.OutOfMemoryError("made for the test")


def test_what_is_not_found_is_rejected_with_its_texts(tiny_models: Models) -> None:  # noqa: F811
    crop, filled = pair(61, 47, 1, ("rider", "bicycle"))
    annotator = TransformersAnnotator(
        tiny_models("mm_grounding_dino"), tiny_models("sam"), box_threshold=0.999, device="cpu"
    )
    (result,) = annotator.annotate([crop], [filled])
    assert isinstance(result, Rejection)
    assert result.reason == "not detected"
    assert "'a bicycle'" in result.detail
    (result,) = Sam3Annotator(tiny_models("sam3"), score_threshold=0.99, device="cpu").annotate([crop], [filled])
    assert isinstance(result, Rejection)
    loose: dict[str, Any] = {"min_inside_box": 0, "min_area_of_crop": 0, "keep": "best", "device": "cpu"}
    (result,) = Sam3Annotator(tiny_models("sam3"), score_threshold=0, **loose).annotate([crop], [filled])
    assert isinstance(result, Annotation)


def test_their_finders_serve_as_locators(tiny_models: Models) -> None:  # noqa: F811
    annotators = [
        TransformersAnnotator(tiny_models("owlv2"), tiny_models("sam2"), box_threshold=0, device="cpu"),
        Sam3Annotator(tiny_models("sam3"), score_threshold=0, device="cpu"),
    ]
    sample = Sample(picture(61, 97, 0), torch.zeros(61, 97, dtype=torch.uint8), "a")
    for annotator in annotators:
        area = PromptLocator(annotator.finder).locate(sample, "the road")
        assert (area.shape, area.dtype) == ((61, 97), torch.bool)
        assert bool(area.any())


def test_settings_outside_their_limits_are_named(tiny_models: Models) -> None:  # noqa: F811
    detector, segmenter, sam3 = (tiny_models(name) for name in ("owlv2", "sam2", "sam3"))
    for setting in ({"box_threshold": 1.0}, {"text_threshold": -0.1}, {"nms_iou": 0.0}, {"batch_size": 0}):
        ((name, value),) = setting.items()
        with pytest.raises(SettingError, match=f"{name}={value}"):
            TransformersAnnotator(detector, segmenter, device="cpu", **setting)
    with pytest.raises(SettingError, match="keep='some'"):
        TransformersAnnotator(detector, segmenter, device="cpu", keep="some")
    with pytest.raises(SettingError, match="batch_size=0"):
        TransformersSegmenter(segmenter, device="cpu", batch_size=0)
    for setting in ({"score_threshold": 1.0}, {"mask_threshold": -1.0}, {"nms_iou": 2.0}, {"batch_size": 0}):
        ((name, value),) = setting.items()
        with pytest.raises(SettingError, match=f"{name}={value}"):
            Sam3Annotator(sam3, device="cpu", **setting)
    with pytest.raises(SettingError, match="max_masks=0"):
        Sam3Finder(sam3, device="cpu", max_masks=0)
    wrong: list[dict[str, Any]] = [{"dtype": "fp16"}, {"detector_dtype": "fp16"}, {"dtype": "int8"}]
    for settings in wrong:
        with pytest.raises(DeviceError, match="dtype"):
            TransformersAnnotator(detector, segmenter, device="cpu", **settings)
    with pytest.raises(DeviceError, match="device"):
        Sam3Annotator(sam3, device="cuda:99")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares CUDA with the CPU")
def test_cuda_finds_what_the_cpu_does(tiny_models: Models) -> None:  # noqa: F811
    images, texts = [picture(97, 131, 0), picture(17, 11, 1)], ["a dog", "the cat"]
    for name in DETECTORS:
        for exact, quick in zip(
            detector_of(tiny_models(name)).detect(images, texts),
            detector_of(tiny_models(name), device="cuda").detect(images, texts),
            strict=True,
        ):
            assert quick.boxes_xyxy.device.type == "cpu"
            assert torch.allclose(exact.scores[:3], quick.scores[:3], atol=0.01)
        assert detector_of(tiny_models(name), device="cuda", dtype="fp16").detect(images, texts)
    boxes = [BOXES, torch.tensor([[1.0, 2.0, 9.0, 15.0]])]
    for name in SEGMENTERS:
        for exact_masks, quick_masks in zip(
            TransformersSegmenter(tiny_models(name), device="cpu").segment(images, boxes),
            TransformersSegmenter(tiny_models(name), device="cuda").segment(images, boxes),
            strict=True,
        ):
            assert float((exact_masks == quick_masks).float().mean()) > 0.9
    slow, fast = (Sam3Finder(tiny_models("sam3"), score_threshold=0, device=each) for each in ("cpu", "cuda"))
    for exact_row, quick_row in zip(slow.find(images, [texts, texts]), fast.find(images, [texts, texts]), strict=True):
        for one, other in zip(exact_row, quick_row, strict=True):
            assert torch.allclose(one.scores[:3], other.scores[:3], atol=0.01)
