"""Caches that were removed, moved, replaced or cut after they were opened: an error everywhere, never less to read."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.shard import read_error
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import (
    CacheDiskError,
    CacheError,
    CacheFormatError,
    CacheMismatchError,
    CacheNotFoundError,
    PocAugError,
)
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.reading.live_settings import LiveSettings
from tests.helpers.cache_cases import in_child, make_cache, make_manifest, make_variant
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

COUNT = 12
KEY = make_variant(0).key


def remove(path: Path) -> None:
    shutil.rmtree(path)


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.cache"))


def lose_a_shard(path: Path) -> None:
    (path / "shards/local-1.lmdb").unlink()


def lose_all_shards(path: Path) -> None:
    shutil.rmtree(path / "shards")


def lose_the_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


def replace_recipe(path: Path) -> None:
    shutil.rmtree(path)
    with CacheWriter(path, make_manifest(seed=1)) as writer:
        writer.put_many([make_variant(i) for i in range(COUNT)])


def replace_dataset(path: Path) -> None:
    # The same names: without a look at the manifest, the other dataset's records would be read.
    manifest = make_manifest()
    shutil.rmtree(path)
    other = Manifest.create(manifest.recipe, manifest.backends, {"type": "Other"})
    for name in ("local-0", "local-1"):
        with CacheWriter(path, other, writer=name) as writer:
            writer.put_many([make_variant(i) for i in range(COUNT)])


def cut(path: Path) -> None:
    shard = path / "shards/local-0.lmdb"
    data = shard.read_bytes()
    shard.unlink()  # who has mapped the whole file keeps it: cutting that would end the process
    shard.write_bytes(data[: len(data) // 2 // 4096 * 4096])


def put_a_file_there(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a cache")


HARMS: list[tuple[Callable[[Path], None], type[CacheError], str]] = [
    (remove, CacheNotFoundError, "is gone"),
    (move, CacheNotFoundError, "is gone"),
    (lose_a_shard, CacheNotFoundError, "1 of the 2 shards .* local-1.lmdb"),
    (lose_all_shards, CacheNotFoundError, "2 of the 2 shards"),
    (lose_the_manifest, CacheFormatError, r"has no manifest\.json"),
    (replace_recipe, CacheMismatchError, "another cache"),
    (replace_dataset, CacheMismatchError, "Other"),
    (cut, CacheFormatError, "truncated"),
    (put_a_file_there, CacheFormatError, "is a file"),
]
harmed = pytest.mark.parametrize(("harm", "error", "named"), HARMS, ids=[harm.__name__ for harm, _, _ in HARMS])


def check_error(caught: PocAugError, path: Path) -> None:
    assert str(path) in str(caught)
    assert "Next step:" in str(caught)


@harmed
@pytest.mark.parametrize("used", [True, False])
def test_a_copy_repeats_the_checks(
    tmp_path: Path, harm: Callable[[Path], None], error: type[CacheError], named: str, used: bool
) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache", COUNT, 2)) as cache:
        if used:
            assert len(cache) == COUNT
        sent = pickle.dumps(cache)
        harm(cache.path)
        with pickle.loads(sent) as copy:
            for use in (len, Cache.keys, lambda c: c.get(KEY, 0), lambda c: c.get_new(KEY, 0), Cache.verify):
                with pytest.raises(error, match=named) as caught:
                    use(copy)
                check_error(caught.value, cache.path)


@harmed
def test_a_forked_child_repeats_the_checks(
    tmp_path: Path, harm: Callable[[Path], None], error: type[CacheError], named: str
) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache", COUNT, 2)) as cache:
        assert cache.get(KEY, 0) is not None
        harm(cache.path)
        assert cache.get(KEY, 0) is not None  # what this process has open stays
        with pytest.raises(error, match=named) as caught:
            in_child(lambda: cache.get(KEY, 0))
        check_error(caught.value, cache.path)


@harmed
def test_refreshing_and_verifying_repeat_them(
    tmp_path: Path, harm: Callable[[Path], None], error: type[CacheError], named: str
) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache", COUNT, 2)) as cache:
        assert all(cache.get(*item) for item in cache)
        harm(cache.path)
        for use in (Cache.refresh, Cache.verify, lambda c: c.nbytes):
            with pytest.raises(error, match=named) as caught:
                use(cache)
            check_error(caught.value, cache.path)
        assert all(cache.get(*item) for item in cache)  # still


def test_a_look_for_new_records_notices(tmp_path: Path) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache", COUNT, 2)) as cache:
        assert cache.get_new("none", 0) is None
        lose_a_shard(cache.path)
        with pytest.raises(CacheNotFoundError, match=r"local-1\.lmdb"):
            cache.get_new("none", 0)


def test_what_may_change_is_no_loss(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    with Cache.open(path) as cache:
        assert len(cache) == 3
        sent = pickle.dumps(cache)
        make_cache(path, COUNT, 2)  # a further shard, and the first one written and sealed again
        shutil.copytree(path, tmp_path / "copy")
        shutil.rmtree(path)
        shutil.move(tmp_path / "copy", path)
        with pickle.loads(sent) as copy:
            assert len(copy) == COUNT
        assert in_child(lambda: (len(cache), cache.get(KEY, 0) is not None)) == (3, True)
        cache.refresh()
        assert len(cache) == COUNT


def test_a_shard_that_a_killed_writer_began_is_not_missed(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", COUNT)
    writer = CacheWriter(path, make_manifest(), writer="begun")
    writer._opened()  # the file, and nothing in it
    with Cache.open(path) as cache:
        sent = pickle.dumps(cache)
        writer.close()
        (path / "shards/begun.lmdb").unlink()
        with pickle.loads(sent) as copy:
            assert len(copy) == COUNT


def test_a_changed_working_directory_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cache(tmp_path / "a.cache", COUNT)
    monkeypatch.chdir(tmp_path)
    with Cache.open("a.cache") as cache:
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        with pickle.loads(pickle.dumps(cache)) as copy:
            assert len(copy) == len(cache) == COUNT


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (2, CacheNotFoundError),
        (116, CacheNotFoundError),
        (19, CacheNotFoundError),
        (5, CacheDiskError),
        (13, CacheDiskError),
    ],
)
def test_errors_of_the_disk_have_the_caches_classes(tmp_path: Path, number: int, error: type[CacheError]) -> None:
    made = read_error(tmp_path, OSError(number, os.strerror(number), str(tmp_path / "file")))
    assert type(made) is error
    assert os.strerror(number) in made.problem
    check_error(made, tmp_path)


@pytest.mark.parametrize("name", ["open", "stat"])
def test_a_disk_that_fails_while_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = make_cache(tmp_path / "a.cache", COUNT)
    real = getattr(Path, name)

    def failing(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.suffix == ".lmdb":
            raise OSError(5, "Input/output error", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, name, failing)
    with pytest.raises(CacheDiskError, match="Input/output error"):
        Cache.open(path)


class Removing(EllipseInserter):
    """Does harm to the cache that is being filled, after some crops."""

    def __init__(self, path: Path, harm: Callable[[Path], None], after: int) -> None:
        super().__init__()
        self.path, self.harm, self.after = path, harm, after

    def insert(self, crops: Any) -> Any:
        if len(self.batches) == self.after:
            self.harm(self.path)
        return super().insert(crops)


@pytest.mark.parametrize("after", [1, 60])  # before and after the first commit
@pytest.mark.parametrize("harm", [remove, move])
def test_filling_a_cache_that_is_taken_away(tmp_path: Path, harm: Callable[[Path], None], after: int) -> None:
    path = tmp_path / "a.cache"
    pipeline = InsertionPipeline(make_recipe(), Removing(path, harm, after), batch_size=1)
    with pytest.raises(CacheNotFoundError, match="was removed") as caught:
        warm_cache(Frames(20), path, pipeline, workers=0)
    check_error(caught.value, path)


def items(batch: list[Any]) -> list[Any]:
    return [[leaf.tobytes() for leaf in item] for item in batch]


@pytest.mark.parametrize(
    ("start", "harm"), [("fork", remove), ("fork", move), ("forkserver", remove), ("forkserver", move)]
)
def test_workers_of_a_dataset_whose_cache_is_gone(tmp_path: Path, start: str, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "frames.cache"
    warm_cache(Frames(8), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=1, workers=0)
    ds = POCAugmentedDataset(Frames(8), path, p=1.0)
    harm(path)
    loader = DataLoader(ds, batch_size=2, num_workers=1, multiprocessing_context=start, collate_fn=items)
    with pytest.raises(CacheNotFoundError, match="is gone") as caught:
        list(loader)
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("quick_live")
def test_generating_into_a_cache_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "live.cache"
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    with POCAugmentedDataset(Frames(4), path, pipeline=pipeline, p=1.0, live=LiveSettings(num_variants=1)) as ds:
        assert ds[0]
        remove(path)
        with pytest.raises(PocAugError, match=r"live\.cache") as caught:
            ds[1]
        assert "was removed" in str(caught.value) or "is gone" in str(caught.value)


def test_a_thread_of_a_worker_sees_it_too(tmp_path: Path) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache", COUNT)) as cache:
        assert len(cache) == COUNT
        remove(cache.path)

        def work() -> list[str]:
            seen: list[str] = []

            def read() -> None:
                try:
                    cache.get(KEY, 0)
                except CacheError as error:
                    seen.append(type(error).__name__)

            threads = [threading.Thread(target=read) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return seen

        assert in_child(work) == ["CacheNotFoundError"] * 3
