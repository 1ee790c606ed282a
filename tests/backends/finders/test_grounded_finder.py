"""Text to boxes to masks: which boxes reach the segmenter, and whose masks come back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from poc_aug.backends.finders.finder_protocols import Detector, Finder, Segmenter
from poc_aug.backends.finders.grounded_finder import GroundedFinder
from poc_aug.errors import GenerationError, SettingError
from tests.helpers.fake_finders import FakeDetector, FakeFinder, FakeSegmenter, box_mask

A = (10.0, 10.0, 50.0, 30.0)
NEAR_A = (11.0, 10.0, 51.0, 30.0)  # IoU with A 780 / 820
HALF_A = (10.0, 10.0, 30.0, 30.0)  # IoU with A 0.5
FAR = (60.0, 40.0, 70.0, 55.0)


def picture(h: int = 61, w: int = 83) -> torch.Tensor:
    return torch.zeros(3, h, w, dtype=torch.uint8)


def test_the_fakes_are_what_the_protocols_ask_for() -> None:
    detector, segmenter = FakeDetector({}), FakeSegmenter()
    assert isinstance(detector, Detector)
    assert isinstance(segmenter, Segmenter)
    assert isinstance(FakeFinder({}), Finder)
    assert isinstance(GroundedFinder(detector, segmenter), Finder)


def test_of_two_boxes_that_overlap_the_stronger_stays() -> None:
    finder = GroundedFinder(
        FakeDetector({"dog": [(A, 0.5), (NEAR_A, 0.9), (HALF_A, 0.3), (FAR, 0.7)]}), FakeSegmenter()
    )
    ((answer,),) = finder.find([picture()], [["dog"]])
    assert answer.boxes_xyxy.tolist() == [list(NEAR_A), list(FAR), list(HALF_A)]
    assert answer.scores.tolist() == pytest.approx([0.9, 0.7, 0.3])
    for mask, box in zip(answer.masks, (NEAR_A, FAR, HALF_A), strict=True):
        assert torch.equal(mask, box_mask((61, 83), box))


def test_the_overlap_that_counts_is_a_setting() -> None:
    boxes = [(A, 0.9), (HALF_A, 0.5)]
    for iou, left in ((0.49, 1), (0.51, 2)):
        ((answer,),) = GroundedFinder(FakeDetector({"dog": boxes}), FakeSegmenter(), nms_iou=iou).find(
            [picture()], [["dog"]]
        )
        assert len(answer.scores) == left


def test_boxes_of_different_texts_do_not_push_each_other_out() -> None:
    finder = GroundedFinder(FakeDetector({"rider": [(A, 0.4)], "bicycle": [(A, 0.9)]}), FakeSegmenter())
    ((rider, bicycle),) = finder.find([picture()], [["rider", "bicycle"]])
    assert rider.scores.tolist() == pytest.approx([0.4])
    assert bicycle.scores.tolist() == pytest.approx([0.9])


def test_the_weakest_boxes_over_the_number_are_left_out() -> None:
    boxes = [((float(i), 0.0, i + 1.0, 5.0), 0.01 * i) for i in range(30)]
    ((answer,),) = GroundedFinder(FakeDetector({"dog": boxes}), FakeSegmenter(), max_boxes=4).find(
        [picture()], [["dog"]]
    )
    assert answer.scores.tolist() == pytest.approx([0.29, 0.28, 0.27, 0.26])
    assert len(answer.masks) == 4


def test_each_image_and_text_gets_its_own_and_each_image_is_encoded_once() -> None:
    detector = FakeDetector({"dog": [(A, 0.9), (FAR, 0.2)], "cat": [(FAR, 0.5)]})
    segmenter = FakeSegmenter()
    images = [picture(), picture(97, 131), picture(60, 71)]
    texts = [["dog", "cow", "cat"], ["cow"], ["cat", "dog"]]
    answer = GroundedFinder(detector, segmenter).find(images, texts)
    assert detector.asked == [("dog", "cow", "cat", "cow", "cat", "dog")]
    assert segmenter.encoded == [(61, 83), (97, 131), (60, 71)]
    assert [[len(one.scores) for one in row] for row in answer] == [[2, 0, 1], [0], [1, 2]]
    for image, row in zip(images, answer, strict=True):
        for one in row:
            assert one.masks.dtype == torch.bool
            assert one.masks.shape == (len(one.scores), *image.shape[-2:])
            assert one.boxes_xyxy.shape == (len(one.scores), 4)
            for mask, box in zip(one.masks, one.boxes_xyxy.tolist(), strict=True):
                assert torch.equal(mask, box_mask((image.shape[-2], image.shape[-1]), box))


def test_without_images_or_texts_nothing_is_asked() -> None:
    detector, segmenter = FakeDetector({}), FakeSegmenter()
    finder = GroundedFinder(detector, segmenter)
    assert finder.find([], []) == []
    assert finder.find([picture(), picture()], [[], []]) == [[], []]
    assert (detector.asked, segmenter.encoded) == ([], [])
    empty, (answer,) = finder.find([picture(), picture()], [[], ["dog"]])
    assert (empty, tuple(answer.masks.shape)) == ([], (0, 61, 83))


def test_parts_that_give_another_number_of_results_are_told() -> None:
    class Deaf(FakeDetector):
        def detect(self, images: Any, texts: Any) -> Any:
            return super().detect(images, texts)[:-1]

    class Blind(FakeSegmenter):
        def segment(self, images: Any, boxes_xyxy: Any) -> Any:
            return super().segment(images, boxes_xyxy)[:-1]

    class Short(FakeSegmenter):
        def segment(self, images: Any, boxes_xyxy: Any) -> Any:
            return [masks[1:] for masks in super().segment(images, boxes_xyxy)]

    images, texts = [picture(), picture()], [["dog"], ["dog", "cat"]]
    script = {"dog": [(A, 0.9), (FAR, 0.2)]}
    with pytest.raises(GenerationError, match="2 results of Deaf for 3 texts"):
        GroundedFinder(Deaf(script), FakeSegmenter()).find(images, texts)
    with pytest.raises(GenerationError, match="1 results of Blind for 2 images"):
        GroundedFinder(FakeDetector(script), Blind()).find(images, texts)
    with pytest.raises(GenerationError, match="1 masks of Short for 2 boxes"):
        GroundedFinder(FakeDetector(script), Short()).find(images, texts)
    with pytest.raises(GenerationError, match="1 rows of texts for 2 images"):
        GroundedFinder(FakeDetector(script), FakeSegmenter()).find(images, texts[:1])


def test_describe_and_limits_are_those_of_the_parts() -> None:
    finder = GroundedFinder(FakeDetector({"dog": []}, limit=9), FakeSegmenter(), nms_iou=0.7, max_boxes=3)
    description = finder.describe()
    assert description == {
        "detector": {"detector": "fake", "texts": ["dog"], "limit": 9},
        "segmenter": {"segmenter": "fake"},
        "nms_iou": 0.7,
        "max_boxes": 3,
    }
    assert json.loads(json.dumps(description)) == description
    assert finder.text_limit("a big dog") == (5, 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nms_iou": 0}, r"nms_iou=0(.|\n)*over 0, at most 1"),
        ({"nms_iou": 1.5}, "nms_iou=1.5"),
        ({"max_boxes": 0}, r"max_boxes=0(.|\n)*1 or more"),
    ],
)
def test_settings_outside_their_limits_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        GroundedFinder(FakeDetector({}), FakeSegmenter(), **settings)
