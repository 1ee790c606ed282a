"""Warming what was dropped as a recipe or by class: a warning before the work says so, and how to take it in again."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from poc_aug.cache import Cache
from poc_aug.generation.warm_report import WarmReport
from poc_aug.upkeep import drop
from tests.helpers.command_line import FRAMES as DATASET
from tests.helpers.command_line import run
from tests.helpers.kinds import FRAMES, INSERTIONS, KINDS, Kind
from tests.helpers.warming_cases import pipeline

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def begun(path: Path, kind: Kind) -> str:
    """A cache with one sample's variants; returns the beginning of its fingerprint."""
    kind.warm(path, 1)
    with Cache.open(path) as cache:
        return cache.manifest.fingerprint[:8]


def said(path: Path, kind: Kind) -> str:
    """The warning of a run that fills a cache further; it comes before anything is made."""
    made_before: list[int] = []

    class Stopped(Exception):
        pass

    def stop(report: WarmReport) -> None:
        made_before.append(len(caught))
        raise Stopped

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Stopped):
            kind.warm(path, 5, on_progress=stop)
    texts = [str(one.message) for one in caught if one.category is UserWarning]
    assert len(texts) <= 1
    assert made_before == [len(texts)]
    return "".join(texts)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_dropped_recipe(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a.cache"
    recipe = begun(path, kind)
    assert said(path, kind) == ""
    drop(path, recipe=recipe)
    assert said(path, kind) == (
        f"recipe {recipe} of {path} was dropped: what is made of it stays left out; "
        f"take it in again with `poc-aug drop {path} --recipe {recipe} --restore`"
    )
    drop(path, recipe=recipe, restore=True)
    assert said(path, kind) == ""


def test_a_complete_cache_makes_nothing_and_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    drop(path, recipe=begun(path, INSERTIONS))
    assert INSERTIONS.warm(path, 1).made == 0


@pytest.mark.parametrize(("kind", "name"), [(INSERTIONS, "cat"), (FRAMES, "dusk")], ids=lambda value: str(value)[:4])
def test_a_dropped_class(tmp_path: Path, kind: Kind, name: str) -> None:
    path = tmp_path / "a.cache"
    recipe = begun(path, kind)
    with Cache.open(path) as cache:
        (key, *_) = cache.keys()
    drop(path, class_name=name)
    drop(path, class_name=name, key=key.rpartition("@")[0] or key, restore=True)  # of one sample: others stay left out
    assert said(path, kind) == (
        f"'{name}' was dropped in recipe {recipe} of {path}: what is made of it stays left out; "
        f"take it in again with `poc-aug drop {path} --recipe {recipe} --class {name} --restore`"
    )
    drop(path, class_name=name, recipe=recipe, restore=True)
    assert said(path, kind) == ""


def test_a_dropped_domain_of_which_nothing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    begun(path, FRAMES)
    drop(path, class_name="dusk")
    with Cache.open(path) as cache:
        (key,) = [key for key in cache.keys() if key.endswith("@haze-2")]
    drop(path, key=key, variant=0)
    assert FRAMES.warm(path, 1, replace_dropped=True).made == 1


def test_several_classes_and_a_recipe_of_which_one_class_was_taken_in_again(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    INSERTIONS.warm(path, 4)
    with Cache.open(path) as cache:
        recipe = cache.manifest.fingerprint[:8]
    drop(path, class_name="dog")
    drop(path, class_name="cat")
    assert said(path, INSERTIONS).startswith("'dog', 'cat' were dropped in recipe")
    drop(path, recipe=recipe)
    drop(path, class_name="cat", restore=True)
    assert "stays left out, but for 'cat'; take it in again" in said(path, INSERTIONS)


def test_decisions_about_samples_and_variants_are_no_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    begun(path, INSERTIONS)
    drop(path, variant=1)
    drop(path, key="*")
    assert said(path, INSERTIONS) == ""


def test_one_object_of_the_recipe_is_the_whole_recipe_by_its_class(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    INSERTIONS.warm(path, 2, pipeline=pipeline(objects=["dog"]))
    drop(path, class_name="dog")
    with pytest.warns(UserWarning, match="'dog' was dropped in recipe"):
        INSERTIONS.warm(path, 3, pipeline=pipeline(objects=["dog"]))


def test_the_command_warns_before_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    command = ["warm-cache", *DATASET, "--objects", "rendered", "--workers", 0, "--out", path]
    assert "was dropped" not in run(*command, "--limit", 1)
    with Cache.open(path) as cache:
        recipe = cache.manifest.fingerprint[:8]
    drop(path, recipe=recipe)
    shown = "".join(run(*command, "--dry-run").split())
    assert f"recipe{recipe}of{path}wasdropped" in shown
    assert f"--recipe{recipe}--restore" in shown
    with pytest.warns(UserWarning, match=f"recipe {recipe} of {path} was dropped"):
        run(*command)


@pytest.mark.parametrize(("kind", "name"), [(INSERTIONS, "cat"), (FRAMES, "dusk")], ids=lambda value: str(value)[:4])
def test_what_is_taken_in_again_for_every_sample(tmp_path: Path, kind: Kind, name: str) -> None:
    path = tmp_path / "a.cache"
    begun(path, kind)
    drop(path, class_name=name)
    with Cache.open(path) as cache:
        stored = cache.keys()[0].partition("@")[0]
    drop(path, key=stored, restore=True)
    assert said(path, kind).startswith(f"{name!r} was dropped in recipe")  # of the other samples
    drop(path, key="*", accept=True)
    assert said(path, kind) == ""
