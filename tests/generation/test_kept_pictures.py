"""Which pictures of rejected attempts are kept: different objects and samples first, whatever the order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from poc_aug.generation.rejected_pictures import AttemptStages, RejectedAttempt, RejectedPictures, most_different
from poc_aug.types import Rejection, Sample
from tests.helpers.fakes import make_sample

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
