"""Valid areas found by text: kept, shared between threads, bounded; with a scripted finder."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from poc_aug.backends.finders.finder_protocols import Masks
from poc_aug.backends.finders.prompt_locator import PromptLocator, location_prompt
from poc_aug.errors import GenerationError, RecipeError, SettingError
from poc_aug.protocols import ChecksRecipe, Locator
from poc_aug.types import Sample
from tests.helpers.fake_finders import FakeFinder, box_mask
from tests.helpers.fakes import make_recipe

LEFT, RIGHT = (0.0, 20.0, 30.0, 40.0), (50.0, 20.0, 70.0, 43.0)


def sample_of(key: str = "a", seed: int = 0, h: int = 43, w: int = 71) -> Sample:
    image = torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Sample(image, torch.zeros(h, w, dtype=torch.uint8), key)


def road(**settings: Any) -> FakeFinder:
    return FakeFinder({"the road": [(LEFT, 0.3), (RIGHT, 0.9)], "the pavement": [(RIGHT, 0.5)]}, **settings)


def test_everything_found_is_the_area_and_nothing_found_an_empty_one() -> None:
    locator = PromptLocator(road())
    assert isinstance(locator, Locator)
    area = locator.locate(sample_of(), "road")
    assert torch.equal(area, box_mask((43, 71), LEFT) | box_mask((43, 71), RIGHT))
    assert torch.equal(locator.locate(sample_of(), "the pavement"), box_mask((43, 71), RIGHT))
    empty = locator.locate(sample_of(), "water")
    assert (empty.dtype, tuple(empty.shape), bool(empty.any())) == (torch.bool, (43, 71), False)


@pytest.mark.parametrize(("h", "w"), [(17, 11), (1, 1), (97, 131)])
def test_what_was_kept_is_what_was_found(h: int, w: int) -> None:
    mask = sample_of(seed=5, h=h, w=w).image[0] > 100
    locator = PromptLocator(FakeFinder({"the road": [(mask, 0.5)]}))
    sample = sample_of(h=h, w=w)
    assert torch.equal(locator.locate(sample, "road"), mask)
    again = locator.locate(sample, "road")
    assert torch.equal(again, mask)
    again.fill_(False)  # a caller's own
    assert torch.equal(locator.locate(sample, "road"), mask)
    assert locator.searched == 1


def test_one_search_an_image_and_location() -> None:
    finder = road()
    locator = PromptLocator(finder)
    for _ in range(2):
        locator.locate(sample_of(), "road")
        locator.locate(sample_of(), "pavement")
        locator.locate(sample_of("b"), "road")
        locator.locate(sample_of(seed=1), "road")  # the key of another split's image
    assert locator.searched == len(finder.asked) == 4


def test_images_of_the_same_bytes_and_another_shape_are_two() -> None:
    locator = PromptLocator(road())
    for h, w in ((30, 40), (40, 30)):
        grey = Sample(torch.zeros(3, h, w, dtype=torch.uint8), torch.zeros(h, w, dtype=torch.uint8), "a")
        assert locator.locate(grey, "road").shape == (h, w)
    assert locator.searched == 2


def test_the_result_used_longest_ago_is_forgotten_first() -> None:
    locator = PromptLocator(road(), cache_size=2)
    for key in ("a", "b", "a", "c", "a"):
        locator.locate(sample_of(key), "road")
    assert locator.searched == 3
    locator.locate(sample_of("b"), "road")
    assert locator.searched == 4


def test_threads_search_each_image_once_and_one_after_the_other() -> None:
    finder = road(seconds=0.02)
    locator = PromptLocator(finder)
    samples = [sample_of(key, seed) for seed, key in enumerate("abc")] * 8
    expected = box_mask((43, 71), LEFT) | box_mask((43, 71), RIGHT)
    with ThreadPoolExecutor(8) as pool:
        areas = list(pool.map(lambda sample: locator.locate(sample, "road"), samples))
    assert all(torch.equal(area, expected) for area in areas)
    assert (locator.searched, len(finder.asked), finder.most_at_once) == (3, 3, 1)


def test_threads_that_need_more_than_is_kept_still_get_their_own() -> None:
    finder = FakeFinder({f"the place {i}": [((i, 0.0, i + 1.0, 43.0), 0.5)] for i in range(8)}, seconds=0.001)
    locator = PromptLocator(finder, cache_size=1)
    sample = sample_of()

    def column(i: int) -> list[int]:
        area: list[int] = locator.locate(sample, f"place {i % 8}").any(dim=0).nonzero().flatten().tolist()
        return area

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(column, range(64))) == [[i % 8] for i in range(64)]


def test_a_search_that_fails_is_tried_again() -> None:
    class Once(FakeFinder):
        def find(self, images: Any, texts: Any) -> list[list[Masks]]:
            if not self.asked:
                self.asked.append((0, []))
                raise OSError("a network that is down")
            return super().find(images, texts)

    locator = PromptLocator(Once({"the road": [(LEFT, 0.5)]}))
    with pytest.raises(OSError, match="a network"):
        locator.locate(sample_of(), "road")
    assert locator.searched == 0
    assert bool(locator.locate(sample_of(), "road").any())
    assert locator.searched == 1


def test_it_can_be_sent_to_another_process() -> None:
    locator = PromptLocator(road(), cache_size=3)
    area = locator.locate(sample_of(), "road")
    copy = pickle.loads(pickle.dumps(locator))
    assert (copy.cache_size, copy.searched) == (3, 0)
    assert torch.equal(copy.locate(sample_of(), "road"), area)
    assert (copy.searched, locator.searched) == (1, 1)
    assert copy.describe() == locator.describe()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "0 results of the finder for 1 images"),
        ([[]], "0 results of the finder for 1 texts"),
        ([[None, None]], "2 results of the finder for 1 texts"),
        (
            [[Masks(torch.ones(1, 5, 6, dtype=torch.bool), torch.ones(1), torch.ones(1, 4))]],
            r"'the road' in sample 'a' are torch.bool \[1, 5, 6\](.|\n)*\[N, 43, 71\]",
        ),
    ],
)
def test_a_finder_that_gives_something_else_is_told(rows: Any, message: str) -> None:
    class Broken(FakeFinder):
        def find(self, images: Any, texts: Any) -> list[list[Masks]]:
            answers: list[list[Masks]] = rows
            return answers

    with pytest.raises(GenerationError, match=message):
        PromptLocator(Broken({})).locate(sample_of(), "road")


def test_describe_is_json_and_settings_are_checked() -> None:
    description = PromptLocator(road()).describe()
    assert description["finder"] == road().describe()
    assert json.loads(json.dumps(description)) == description
    with pytest.raises(SettingError, match=r"cache_size=0(.|\n)*1 or more"):
        PromptLocator(road(), cache_size=0)


def test_texts_over_the_limit_are_named_before_any_work() -> None:
    locator = PromptLocator(road(limit=3))
    assert isinstance(locator, ChecksRecipe)
    fits, too_long = ["wet road", "the wet road"], ["road", "the very wet road"]
    locator.check_recipe(make_recipe(location=fits, objects=["dog", {"name": "cat", "location": fits}]))
    locator.check_recipe(make_recipe(location=too_long, locate_by="labels"))
    message = r"location 'the very wet road' takes 4 tokens(.|\n)*at most 3"
    with pytest.raises(RecipeError, match=message):
        locator.check_recipe(make_recipe(location=too_long))
    with pytest.raises(RecipeError, match=message):
        locator.check_recipe(make_recipe(location=fits, objects=["dog", {"name": "cat", "location": too_long}]))


def test_a_class_name_becomes_a_text() -> None:
    assert [location_prompt(name) for name in ("road", "the road", "The Road", "theatre")] == [
        "the road",
        "the road",
        "The Road",
        "the theatre",
    ]
