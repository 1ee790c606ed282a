"""``poc-aug push`` and ``pull``, and commands that read a cache from a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest
from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POC_AUG_CACHE_HOME", str(tmp_path / "home"))


def test_there_and_back(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    url = "memory://command-line/there.cache"
    assert "2 of 2 files sent (0." in run("push", cache_path, url, "--report", tmp_path / "push.json")
    assert json.loads((tmp_path / "push.json").read_text())["sent"] == [
        path.relative_to(cache_path).as_posix()
        for path in (cache_path / "manifest.json", *cache_path.glob("shards/*.lmdb"))
    ]
    assert "0 of 2 files sent" in run("push", cache_path, url)
    out = tmp_path / "copy.cache"
    printed = run("pull", url, "--out", out, "--report", tmp_path / "pull.json", "--transfers", 1)
    assert "2 of 2 files fetched and checked" in printed
    assert json.loads((tmp_path / "pull.json").read_text())["exit_code"] == 0
    with Cache.open(out) as copy, Cache.open(cache_path) as source:
        assert list(copy) == list(source)
        assert copy.verify().ok
    refused = run("pull", url, "--out", out, "--report", out / "pull.json", fails=True)
    assert "is a cache" in refused


def test_commands_that_read_an_address(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    url = "memory://command-line/read.cache"
    run("push", cache_path, url)
    assert "read-" in run("info", url)
    assert "0 corrupt" in run("verify", url)
    sheet = tmp_path / "sheet.png"
    run("preview", url, *FRAMES, "--count", 1, "--width", 300, "--out", sheet)
    assert sheet.stat().st_size
    run("bench", url, *FRAMES, "--items", 1, "--repeats", 1, "--workers", 0)
    assert len(list((tmp_path / "home" / "caches").iterdir())) == 1


def test_a_shard_that_is_written_is_named(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    run("pull", _pushed(cache_path), "--out", tmp_path / "a.cache")
    with (
        CacheWriter(tmp_path / "a.cache", Manifest.read(cache_path), writer="busy-1") as writer,
        Cache.open(cache_path) as cache,
    ):
        variant = cache.get(*next(cache.items()))
        assert variant is not None
        writer.put(variant)
        printed = run("push", tmp_path / "a.cache", "memory://command-line/busy.cache")
    assert "left out, since it is being written: shards/busy-1.lmdb" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["pull", "memory://command-line/none.cache", "--out", "x.cache"],
            "no cache at memory://command-line/none.cache",
        ),
        (["pull", "runs/a.cache", "--out", "x.cache"], "is not an address on a store"),
        (["info", "memory://command-line/none.cache"], "no cache at memory://command-line/none.cache"),
        (["push", "memory://command-line/a.cache", "memory://b/a.cache"], "poc-aug pull URL --out PATH"),
        (["push", "none.cache", "memory://b/a.cache"], "no cache at "),
        (["warm-cache", *FRAMES, "--objects", "rendered", "--out", "s3://b/a.cache"], "push PATH URL"),
        (["pull", "memory://command-line/none.cache", "--out", "s3://b/a.cache"], "not a path"),
    ],
)
def test_what_does_not_fit(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in run(*arguments, fails=True)


def _pushed(cache: Path) -> str:
    run("push", cache, "memory://command-line/pushed.cache")
    return "memory://command-line/pushed.cache"
