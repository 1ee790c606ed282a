"""Paths at which no cache can be: an error of ours that names the path and what is in the way, before any work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache, CacheWriter
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import CacheError, CacheNotFoundError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from tests.helpers.cache_cases import PLACES, make_cache, make_manifest
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

each_place = pytest.mark.parametrize(("place", "told"), PLACES.items(), ids=[place.__name__ for place in PLACES])


@each_place
def test_opening_and_writing(tmp_path: Path, place: Callable[[Path], Path], told: str) -> None:
    path = place(tmp_path)
    uses: list[Callable[[], Any]] = [
        lambda: Cache.open(path),
        lambda: CacheWriter(path, make_manifest()),
        lambda: CacheWriter.create(path, make_manifest()),
    ]
    for use in uses:
        with pytest.raises(CacheError, match=told) as caught:
            use()
        assert str(tmp_path) in caught.value.problem
        assert caught.value.hint


@each_place
def test_warming_notices_before_any_frame_is_read(tmp_path: Path, place: Callable[[Path], Path], told: str) -> None:
    class Unread(Frames):
        def __getitem__(self, index: int) -> Any:
            raise AssertionError("a frame was read")

    with pytest.raises(CacheError, match=told):
        warm_cache(Unread(), place(tmp_path), InsertionPipeline(make_recipe(), EllipseInserter()), workers=0)


@each_place
def test_live_generation(tmp_path: Path, place: Callable[[Path], Path], told: str) -> None:
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    with pytest.raises(CacheError, match=told):
        POCAugmentedDataset(Frames(), place(tmp_path), pipeline=pipeline)


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let this process be one that may not look into a folder, also where it runs as root."""
    real = {name: getattr(os, name) for name in ("stat", "mkdir", "listdir", "scandir", "open")}

    def guarded(name: str) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            below = not isinstance(path, int) and Path(path).is_relative_to(folder)
            if below and (Path(path) != folder or name != "stat"):
                raise PermissionError(13, "Permission denied", str(path))
            return real[name](path, *args, **kwargs)

        return call

    for name in real:
        monkeypatch.setattr(os, name, guarded(name))


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    path = tmp_path / "locked" / "a.cache"
    refuse(monkeypatch, tmp_path / "locked")
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    uses: list[Callable[[], Any]] = [
        lambda: Cache.open(path),
        lambda: CacheWriter(path, make_manifest()),
        lambda: warm_cache(Frames(), path, pipeline, workers=0),
        lambda: POCAugmentedDataset(Frames(), path, pipeline=pipeline),
    ]
    for use in uses:
        with pytest.raises(CacheError, match="Permission denied") as caught:
            use()
        assert str(path) in caught.value.problem
        assert "permissions" in caught.value.hint


def test_a_folder_beside_that_may_not_be_read_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cache(tmp_path / "street.cache", 1)
    (tmp_path / "lost+found").mkdir()
    refuse(monkeypatch, tmp_path / "lost+found")
    with pytest.raises(CacheNotFoundError, match=r"the caches next to it are: street\.cache"):
        Cache.open(tmp_path / "stret.cache")
