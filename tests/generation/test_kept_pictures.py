"""Which pictures of rejected attempts are kept: different objects and samples first, whatever the order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poc_aug import seeding
from poc_aug.cache import Cache
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.regions import ValidArea, find_region, wanted_size
from poc_aug.generation.rejected_pictures import AttemptStages, RejectedAttempt, RejectedPictures, most_different
from poc_aug.generation.warming import warm_cache
from poc_aug.inspection.rejected_sheet import rejected_of
from poc_aug.types import Extent, Region, Rejection, Sample
from tests.helpers.cache_cases import stored_variant
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe, make_sample

SAMPLES = [make_sample(number, (8, 12)) for number in range(3)]
OBJECTS = ["cone", "car tyre", "Wäsche", "dog"]


def attempt(sample: Sample, name: str, index: int, number: int) -> RejectedAttempt:
    slot = OBJECTS.index(name)
    return RejectedAttempt(sample, index, slot, Rejection("black", name, number), AttemptStages(), None)


ALL = [attempt(sample, name, index, n) for sample in SAMPLES for index in (0, 1) for name in OBJECTS for n in range(3)]


def kept(folder: Path, keep: int, attempts: Iterable[RejectedAttempt]) -> set[str]:
    pictures = RejectedPictures(folder, keep)
    for one in attempts:
        pictures.add(one)
    return {path.name for path in folder.glob("rejected/black/*")}


def shown(names: Iterable[str], sorts: str) -> set[str]:
    """Different objects, places (object of a variant) or samples among file names."""
    cut = {"object": 4, "sample": 3, "place": 1}[sorts]
    parts = [name.rsplit("-", cut) for name in names]
    return {part[1] if sorts == "sample" else part[0] for part in parts}


@pytest.mark.parametrize("keep", [1, 3, 4, 6, 12, 24, 30, 100])
def test_different_objects_then_samples_then_variants(tmp_path: Path, keep: int) -> None:
    names = kept(tmp_path, keep, ALL)
    assert len(names) == min(keep, len(ALL))
    assert len(shown(names, "object")) == min(keep, 4)
    assert len({name.rsplit("-", 3)[0] for name in names}) == min(keep, 4 * 3)  # object and sample
    assert len(shown(names, "place")) == min(keep, 4 * 3 * 2)


@pytest.mark.parametrize("keep", [2, 13])
def test_processes_that_keep_pictures_at_once_keep_those_of_one(tmp_path: Path, keep: int) -> None:
    pictures = [RejectedPictures(tmp_path / "two", keep) for _ in range(2)]
    for number, one in enumerate(ALL):
        pictures[number % 2].add(one)
    assert {path.name for path in tmp_path.glob("two/rejected/black/*")} == kept(tmp_path / "one", keep, ALL)


def test_a_process_that_begins_takes_nothing_from_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, save = RejectedPictures(tmp_path, 3), Image.Image.save

    def saved(picture: Image.Image, path: Path, **options: Any) -> None:
        save(picture, path, **options)
        RejectedPictures(tmp_path, 3)  # removes what killed runs have left

    monkeypatch.setattr(Image.Image, "save", saved)
    pictures.add(ALL[0])
    assert len([path for path in tmp_path.glob("rejected/black/*") if path.suffix == ".png"]) == 1


@pytest.mark.parametrize("keep", [2, 5, 13, 25])
def test_the_same_pictures_in_any_order_and_if_resumed(tmp_path: Path, keep: int) -> None:
    dice = random.Random(keep)
    whole = kept(tmp_path / "whole", keep, ALL)
    for number in range(3):
        mixed = dice.sample(ALL, len(ALL))
        folder = tmp_path / str(number)
        cut = dice.randrange(1, len(mixed))
        kept(folder, keep, mixed[:cut])
        assert kept(folder, keep, mixed[max(0, cut - 5) :]) == whole  # the last variants were not stored


def test_a_smaller_number_removes_no_picture(tmp_path: Path) -> None:
    before = kept(tmp_path, 5, ALL)
    assert kept(tmp_path, 2, ALL) == before


def test_the_order_of_a_sheet_is_the_same_as_that_of_keeping(tmp_path: Path) -> None:
    names = most_different(kept(tmp_path, 30, ALL))
    for keep in (3, 8, 20):
        assert set(names[:keep]) == kept(tmp_path / str(keep), keep, ALL)


def test_names_of_another_form_make_room_for_others(tmp_path: Path) -> None:
    folder = tmp_path / "rejected" / "black"
    folder.mkdir(parents=True)
    for name in ("0123456789abcdef-0-0-0.png", "0123456789abcdef-0-0-1.png", "x.png"):
        (folder / name).touch()
    names = kept(tmp_path, 3, ALL)
    assert len(names) == 3
    assert len(shown(names & {n for n in kept(tmp_path / "b", 99, ALL)}, "object")) == 2


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ({"kind": "pixels", "min_px": 900, "max_px": 901}, "wanted 900 px in a 48x65 frame"),
        ({"kind": "frame", "min_fraction": 0.985, "max_fraction": 0.99}, "wanted 64 px in a 48x65 frame"),
    ],
)
def test_a_picture_without_room_says_which_size_was_wanted(tmp_path: Path, size: dict[str, Any], wanted: str) -> None:
    recipe = make_recipe(size=size, ladder=[{"min_overlap": 0.0}], attempts=1)
    report = warm_cache(
        Frames(1), tmp_path / "a.cache", InsertionPipeline(recipe, EllipseInserter()), workers=0, keep_rejected=1
    )
    assert report.nothing_accepted
    with Cache.open(tmp_path / "a.cache") as cache:
        (picture,) = rejected_of(cache, 8)
        assert all(one.detail == "no place on any of 1 rungs" for name in cache for one in variant_of(cache, *name))
    assert picture.title.endswith(f"{wanted}   no place on the ladder's only rung")


def variant_of(cache: Cache, key: str, index: int) -> tuple[Rejection, ...]:
    return stored_variant(cache, key, index).rejections


@pytest.mark.parametrize("limit", [None, 40])
def test_the_wanted_size_is_the_one_that_is_searched_for(limit: int | None) -> None:
    recipe = make_recipe(size={"kind": "pixels", "min_px": 18, "max_px": 31}, ladder=[{"min_overlap": 0.0}])
    area, spec = ValidArea(None, (48, 65)), recipe.objects[0]
    for seed in range(20):
        extent = None if limit is None else Extent(0.5, max_height_px=limit)
        draws = [seeding.generator(seed, "region") for _ in range(2)]
        region = find_region(area, spec, recipe, draws[0], extent=extent)
        assert isinstance(region, Region)
        text = wanted_size((48, 65), spec, recipe, draws[1], extent=extent)
        assert text.startswith(f"wanted {max(region.box_yxhw[2:])} px in a 48x65 frame")
        assert text.endswith(", drawn at most 40 px high") == (limit is not None)
