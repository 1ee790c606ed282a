"""``keep_rejected`` in runs that are killed while they write a picture: the next run leaves complete pictures only."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.generation.warming import warm_cache
from poc_aug.inspection.rejected_sheet import rejected_of
from tests.helpers.cache_cases import stored_variant
from tests.helpers.fakes import Frames
from tests.helpers.warming_cases import content, pipeline

# torch starts threads, and Python 3.12 warns of forking beside them; the forked jobs use one thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def warm(path: Path) -> None:
    warm_cache(Frames(20), path, pipeline(), num_variants=2, workers=0, keep_rejected=1000)


def killed_at(path: Path, picture: int) -> None:
    """A run that is killed when half of the n-th picture is on disk."""
    torch.set_num_threads(1)
    save, count = Image.Image.save, 0

    def save_half(self: Image.Image, target: Path, **options: Any) -> None:
        nonlocal count
        count += 1
        if count < picture:
            save(self, target, **options)
            return
        whole = io.BytesIO()
        save(self, whole, **options)
        target.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    Image.Image.save = save_half  # type: ignore[method-assign, assignment]
    warm(path)


def attempts(path: Path) -> Iterator[tuple[str, int, str, int, str]]:
    with Cache.open(path) as cache:
        for key, index in cache:
            for one in stored_variant(cache, key, index).rejections:
                yield key, index, one.object_name, one.attempt, one.reason


def test_a_run_killed_while_it_writes_pictures_resumes_with_complete_ones(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.cache", tmp_path / "a.cache"
    warm(whole)
    for picture in (1, 2, 5):
        process = multiprocessing.get_context("fork").Process(target=killed_at, args=(path, picture))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        (half,) = path.glob("rejected/*/.*.tmp")
        with pytest.raises(OSError, match="truncated"), Image.open(half) as opened:
            opened.load()
    warm(path)
    assert not list(path.glob("rejected/*/.*"))
    assert content(path) == content(whole)
    with Cache.open(path) as cache:
        shown = [picture.about for picture in rejected_of(cache, 1000)]  # reads each of them
    names = ("key", "variant", "object", "attempt", "reason")
    assert sorted(tuple(about[name] for name in names) for about in shown) == sorted(attempts(path))
    assert len(shown) > 5
    kept = {one.relative_to(path): one.read_bytes() for one in path.glob("rejected/*/*")}
    assert kept == {one.relative_to(whole): one.read_bytes() for one in whole.glob("rejected/*/*")}
