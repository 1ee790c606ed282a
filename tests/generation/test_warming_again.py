"""Warming again: after a run that failed at its first sample, and where there is nothing left to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from poc_aug.cache import Cache
from poc_aug.errors import CacheMismatchError, SampleReadError
from poc_aug.generation import warming
from poc_aug.generation.warming import warm_cache
from tests.helpers.command_line import run
from tests.helpers.fakes import Frames
from tests.helpers.warming_cases import content, pipeline

FRAMES = ["--dataset", "tests.helpers.fakes:Frames", "length=2", "size_hw=60,81", "--objects", "rendered"]


def state(path: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of a cache's files and folders."""
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in (path, *path.rglob("*"))}


def test_a_run_that_failed_at_its_first_sample_refuses_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with pytest.raises(SampleReadError):
        warm_cache(Frames(2, broken=(0,)), path, pipeline(seed=1), num_variants=1, workers=0)
    assert warm_cache(Frames(2), path, pipeline(seed=2), num_variants=1, workers=0).made == 2
    with Cache.open(path) as cache:
        assert cache.manifest.recipe["seed"] == 2
    with pytest.raises(CacheMismatchError, match="seed"):  # something is stored now
        warm_cache(Frames(2), path, pipeline(seed=1), num_variants=1, workers=0)


def test_a_corrected_command_line_is_not_refused(tmp_path: Path) -> None:
    command = ["warm-cache", *FRAMES, "--out", tmp_path / "a.cache", "--workers", 0]
    assert "truncated" in run(*command, "broken=0,1", "--codec", "raw", fails=True)
    assert "variants with" in run(*command, "--num-variants", 1, "--set", "seed=5")


def test_a_complete_cache_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.cache"
    command = ["warm-cache", *FRAMES, "--out", path, "--workers", 0, "--num-variants", 1]
    run(*command)
    for lock in path.rglob("*.lock"):
        lock.unlink()
    before = state(path)

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as read_only:
        read_only.setattr(warming, "CacheWriter", refuse)
        read_only.setattr(Path, "mkdir", refuse)
        read_only.setattr(Path, "unlink", refuse)
        assert "nothing to do: all 2 variants are in" in run(*command)
    assert state(path) == before
    (path / ".manifest.json.4711").touch()
    assert "nothing to do" in run(*command)
    assert state(path).keys() == before.keys()


def test_a_complete_cache_keeps_its_records(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(3), path, pipeline(), num_variants=2, workers=0)
    before, records = state(path), content(path)
    report = warm_cache(Frames(3), path, pipeline(), num_variants=2, workers=0)
    assert (report.total, report.present, report.made) == (6, 6, 0)
    assert (state(path), content(path)) == (before, records)
