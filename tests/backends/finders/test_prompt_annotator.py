"""What becomes of masks that a finder gives: dropped, united, judged; with a scripted finder."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from poc_aug.backends.finders.finder_protocols import Finder, Masks
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.errors import GenerationError, RecipeError, SettingError
from poc_aug.generation.acceptance import accept
from poc_aug.protocols import Annotator, ChecksRecipe
from poc_aug.types import Annotation, Crop, Filled, Rejection
from tests.helpers.fake_finders import FakeFinder, box_mask
from tests.helpers.fakes import make_recipe

H, W = 61, 83
BOX = (10, 20, 40, 50)  # y, x, h, w
IN = (25.0, 15.0, 45.0, 40.0)  # x0, y0, x1, y1: inside, 500 of 5063 pixels
ALSO_IN = (50.0, 20.0, 60.0, 30.0)  # 100 pixels, 2 %
SMALL = (30.0, 30.0, 35.0, 34.0)  # 20 pixels, 0.4 %
ACROSS = (15.0, 15.0, 25.0, 25.0)  # half of it left of the box


def crop_of(*parts: str, detect: tuple[str, ...] = ()) -> tuple[Crop, Filled]:
    image = torch.zeros(3, H, W, dtype=torch.uint8)
    return Crop(image, BOX, "thing", "a thing", parts, 7, detect=detect), Filled(image + 1)


def judge(finder: Finder, *parts: str, detect: tuple[str, ...] = (), **settings: Any) -> Annotation | Rejection:
    crop, filled = crop_of(*parts, detect=detect)
    (result,) = PromptAnnotator(finder, **settings).annotate([crop], [filled])
    return result


def annotated(result: Annotation | Rejection) -> Annotation:
    assert isinstance(result, Annotation), result
    return result


def rejected(result: Annotation | Rejection) -> Rejection:
    assert isinstance(result, Rejection), result
    assert result.object_name == "thing"
    return result


def mask_of(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.stack([box_mask((H, W), box) for box in boxes]).any(dim=0)


def test_it_is_an_annotator_that_checks_recipes() -> None:
    annotator = PromptAnnotator(FakeFinder({}))
    assert isinstance(annotator, Annotator)
    assert isinstance(annotator, ChecksRecipe)
    assert annotator.annotate([], []) == []
    assert annotator.finder.asked == []  # type: ignore[attr-defined]


def test_all_unites_a_texts_masks_and_best_takes_one() -> None:
    finder = FakeFinder({"dog": [(IN, 0.4), (ALSO_IN, 0.7), (ACROSS, 0.9)]})
    (part,) = annotated(judge(finder, "dog")).parts
    assert torch.equal(part.mask, mask_of(IN, ALSO_IN))
    assert part.name == "dog"
    assert part.score == pytest.approx(0.7)
    # The best-scored of what was not dropped, whatever the order in which it came.
    (part,) = annotated(judge(finder, "dog", keep="best")).parts
    assert torch.equal(part.mask, mask_of(ALSO_IN))
    assert part.score == pytest.approx(0.7)


def test_of_equal_scores_the_first_is_best() -> None:
    finder = FakeFinder({"dog": [(IN, 0.5), (ALSO_IN, 0.5)]})
    (part,) = annotated(judge(finder, "dog", keep="best")).parts
    assert torch.equal(part.mask, mask_of(IN))


def test_a_dropped_mask_is_no_part_of_the_union() -> None:
    finder = FakeFinder({"dog": [(IN, 0.4), (SMALL, 0.8), (ACROSS, 0.9)]})
    (part,) = annotated(judge(finder, "dog")).parts
    assert torch.equal(part.mask, mask_of(IN))
    assert part.score == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("found", "reason", "detail"),
    [
        ([], "not detected", "nothing found for 'a dog'"),
        ([(ACROSS, 0.5)], "outside the box", "'a dog': 50% of the mask inside the box, at least 95% needed"),
        ([(SMALL, 0.5)], "too small", "'a dog': mask is 0.40% of the crop, at least 1.00% needed"),
        ([(torch.zeros(H, W, dtype=torch.bool), 0.5)], "too small", "'a dog': an empty mask"),
        ([(SMALL, 0.5), (ACROSS, 0.9)], "outside the box", "'a dog': 50% of"),
        ([(SMALL, 0.9), (ACROSS, 0.5)], "too small", "'a dog': mask is 0.40%"),
    ],
)
def test_why_nothing_is_left_is_told_of_the_best_scored_mask(found: list[Any], reason: str, detail: str) -> None:
    result = rejected(judge(FakeFinder({"a dog": found}), "dog", detect=("a dog",)))
    assert result.reason == reason
    assert result.detail.startswith(detail)


def test_the_limits_count_from_exactly_there() -> None:
    # 100 pixels, 95 of them inside the box, whose left edge is column 20.
    finder = FakeFinder({"dog": [(mask_of((20.0, 15.0, 39.0, 20.0), (15.0, 15.0, 20.0, 16.0)), 0.5)]})
    annotated(judge(finder, "dog", min_inside_box=0.95, min_area_of_crop=100 / (H * W)))
    assert rejected(judge(finder, "dog", min_inside_box=0.951)).reason == "outside the box"
    assert rejected(judge(finder, "dog", min_area_of_crop=100.5 / (H * W))).reason == "too small"


@pytest.mark.parametrize(
    ("last", "reason", "detail"),
    [
        ([], "not detected", "nothing found for 'a bicycle'"),
        ([(ACROSS, 0.3)], "outside the box", "'a bicycle': 50%"),
    ],
)
@pytest.mark.parametrize("first", [[], [(IN, 0.9)], [(SMALL, 0.9)], [(torch.zeros(H, W, dtype=torch.bool), 0.9)]])
def test_without_the_last_part_the_attempt_fails_for_that_parts_reason(
    first: list[Any], last: list[Any], reason: str, detail: str
) -> None:
    finder = FakeFinder({"a rider": first, "a bicycle": last})
    result = rejected(judge(finder, "rider", "bicycle", detect=("a rider", "a bicycle")))
    assert result.reason == reason
    assert result.detail.startswith(detail)


@pytest.mark.parametrize("first", [[], [(ACROSS, 0.9)]])
def test_the_last_part_alone_counts(first: list[Any]) -> None:
    finder = FakeFinder({"rider": first, "bicycle": [(IN, 0.5)]})
    annotation = annotated(judge(finder, "rider", "bicycle"))
    assert [part.name for part in annotation.parts] == ["bicycle"]


def test_parts_come_in_their_order_and_keep_their_overlap() -> None:
    finder = FakeFinder({"bicycle": [(IN, 0.5)], "rider": [(SMALL, 0.8)]})
    annotation = annotated(judge(finder, "rider", "bicycle"))
    assert [part.name for part in annotation.parts] == ["rider", "bicycle"]
    assert [part.score for part in annotation.parts] == pytest.approx([0.8, 0.5])
    assert torch.equal(annotation.parts[0].mask, mask_of(SMALL))
    assert torch.equal(annotation.parts[1].mask, mask_of(IN))


def test_a_part_among_several_may_be_small_and_the_recipe_judges_the_whole() -> None:
    recipe = make_recipe(objects=[{"name": "thing", "parts": ["child", "ball"]}])
    crop, filled = crop_of("child", "ball")
    outcomes = []
    for child in (IN, SMALL):
        annotator = PromptAnnotator(FakeFinder({"child": [(child, 0.5)], "ball": [((52.0, 20.0, 55.0, 23.0), 0.5)]}))
        (annotation,) = annotator.annotate([crop], [filled])
        outcomes.append(accept(recipe, crop, annotated(annotation)))
    assert isinstance(outcomes[0], tuple)
    assert [part.name for part in outcomes[0]] == ["child", "ball"]
    assert isinstance(outcomes[1], Rejection)
    assert outcomes[1].reason == "too small"


def test_masks_are_cleaned_before_they_are_judged_unless_told() -> None:
    mask = mask_of(IN)
    mask[20, 30] = False
    mask[2:5, 2:5] = True  # a speck: 9 pixels outside the box, 1.8 % of 499
    finder = FakeFinder({"dog": [(mask, 0.5)]})
    (raw,) = annotated(judge(finder, "dog", clean=False)).parts
    assert torch.equal(raw.mask, mask)
    (tidy,) = annotated(judge(finder, "dog", min_inside_box=1.0)).parts
    assert torch.equal(tidy.mask, mask_of(IN))
    assert rejected(judge(finder, "dog", min_inside_box=1.0, clean=False)).reason == "outside the box"


def test_a_score_over_one_is_one() -> None:
    (part,) = annotated(judge(FakeFinder({"dog": [(IN, 1.0000002)]}), "dog")).parts
    assert part.score == 1.0


def test_many_crops_are_one_call_and_each_gets_its_own() -> None:
    finder = FakeFinder({"a dog": [(IN, 0.5)], "cat": [], "rider": [(SMALL, 0.5)], "bicycle": [(ALSO_IN, 0.25)]})
    pairs = [crop_of("dog", detect=("a dog",)), crop_of("cat"), crop_of("rider", "bicycle")]
    results = PromptAnnotator(finder).annotate([crop for crop, _ in pairs], [filled for _, filled in pairs])
    assert finder.asked == [(3, [("a dog",), ("cat",), ("rider", "bicycle")])]
    assert [part.name for part in annotated(results[0]).parts] == ["dog"]
    assert rejected(results[1]).reason == "not detected"
    assert [part.name for part in annotated(results[2]).parts] == ["rider", "bicycle"]


def test_describe_names_its_fields_alone() -> None:
    annotator = PromptAnnotator(FakeFinder({}), keep="best", min_inside_box=0.5)
    annotator.anything = object()  # type: ignore[attr-defined]
    description = annotator.describe()
    assert description == {
        "annotator": "prompt",
        "version": 1,
        "keep": "best",
        "clean": True,
        "min_inside_box": 0.5,
        "min_area_of_crop": 0.01,
        "finder": {"finder": "fake", "texts": [], "limit": 16},
    }
    assert json.loads(json.dumps(description)) == description


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": "some"}, "keep='some'"),
        ({"min_inside_box": 1.1}, "min_inside_box=1.1"),
        ({"min_area_of_crop": -0.1}, "min_area_of_crop=-0.1"),
        ({"min_area_of_crop": float("nan")}, "min_area_of_crop=nan"),
    ],
)
def test_settings_outside_their_limits_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        PromptAnnotator(FakeFinder({}), **settings)


def test_texts_over_the_limit_are_named_before_any_work() -> None:
    finder = FakeFinder({}, limit=3)
    annotator = PromptAnnotator(finder)
    annotator.check_recipe(make_recipe(objects=[{"name": "dog", "detect": ["a big dog"]}]))
    with pytest.raises(RecipeError, match=r"object 'dog'.*'a very big dog', takes 4 tokens(.|\n)*at most 3"):
        annotator.check_recipe(make_recipe(objects=["cat", {"name": "dog", "detect": ["a very big dog"]}]))
    assert finder.asked == []


@pytest.mark.parametrize(("parts", "detect"), [(("a", "b"), ("x",)), (("a",), ("x", "y")), ((), ()), ((), ("x",))])
def test_a_crop_needs_one_text_a_part(parts: tuple[str, ...], detect: tuple[str, ...]) -> None:
    finder = FakeFinder({})
    with pytest.raises(RecipeError, match=rf"object 'thing': {len(parts)} parts .* and {len(detect)} texts"):
        judge(finder, *parts, detect=detect)
    assert finder.asked == []


class Broken(FakeFinder):
    """Gives another number of rows, or of masks, or masks of another form, than it was asked for."""

    def __init__(self, how: str) -> None:
        super().__init__({"rider": [(IN, 0.5)], "bicycle": [(IN, 0.5)]})
        self.how = how

    def find(self, images: Any, texts: Any) -> list[list[Masks]]:
        rows = super().find(images, texts)
        one = rows[0][0]
        changed = {
            "no rows": [],
            "two rows": rows * 2,
            "one mask": [rows[0][:1]],
            "three masks": [[*rows[0], one]],
            "no scores": [[Masks(one.masks, one.scores[:0], one.boxes_xyxy), rows[0][1]]],
            "small masks": [[rows[0][0], Masks(one.masks[:, 1:], one.scores, one.boxes_xyxy)]],
            "soft masks": [[rows[0][0], Masks(one.masks.float(), one.scores, one.boxes_xyxy)]],
        }
        return changed[self.how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no rows", "0 results of the finder for 1 crops"),
        ("two rows", "2 results of the finder for 1 crops"),
        ("one mask", "1 results of the finder for 2 texts of object 'thing'"),
        ("three masks", "3 results of the finder for 2 texts of object 'thing'"),
        ("no scores", "1 masks of the finder for 0 scores for 'rider' of object 'thing'"),
        ("small masks", r"masks for 'bicycle' of object 'thing' are torch.bool \[1, 60, 83\](.|\n)*\[N, 61, 83\]"),
        ("soft masks", r"masks for 'bicycle' of object 'thing' are torch.float32"),
    ],
)
def test_a_finder_that_gives_something_else_is_told_with_both_counts(how: str, message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        judge(Broken(how), "rider", "bicycle")


def test_crops_and_pictures_must_be_as_many() -> None:
    crop, filled = crop_of("dog")
    with pytest.raises(GenerationError, match="2 filled crops for 1 crops"):
        PromptAnnotator(FakeFinder({})).annotate([crop], [filled, filled])
