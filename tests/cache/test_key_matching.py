"""A dataset's samples in a cache under other names, or in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import ConcatDataset, Subset

from poc_aug import AnomalyLabels, POCAugmentedDataset, warm_cache
from poc_aug.errors import CacheDatasetMismatchError
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.key_cases import LENGTH, Unnamed, augmented, pipeline, warm


def named(*names: str, length: int | None = None) -> Frames:
    frames = Frames(length or len(names))
    frames.keys = lambda: list(names)  # type: ignore[method-assign]
    return frames


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (["a/0.png", "a/1.png", "b/2.png"], ["0.png", "1.png", "2.png"]),
        (["0.png", "1.png", "2.png"], ["left/train/a/0.png", "left/train/a/1.png", "left/train/b/2.png"]),
        (["a/0.png", "b/0.png", "b/1.png"], ["left/a/0.png", "left/b/0.png", "left/b/1.png"]),
        (["flat/0.jpg", "flat/1.jpg", "flat/2.jpg"], ["a/0.png", "a/1.png", "b/2.png"]),
        (["0", "1", "2"], ["a/0.png", "a/1.png", "b/2.png"]),
        (["C:\\data\\0.png", "C:\\data\\1.png", "C:\\data\\2.png"], ["a/0.png", "a/1.png", "b/2.png"]),
    ],
)
def test_other_readers_of_the_same_files(tmp_path: Path, ours: list[str], theirs: list[str]) -> None:
    path = warm(named(*theirs), tmp_path / "a.cache")
    ds = POCAugmentedDataset(named(*ours), path, p=0.6, seed=3)
    assert ds.keys == theirs
    same = POCAugmentedDataset(named(*theirs), path, p=0.6, seed=3)
    for epoch in range(4):  # what is drawn is the same, too
        for each in (ds, same):
            each.set_epoch(epoch)
        assert [ds[i][0].tobytes() for i in range(3)] == [same[i][0].tobytes() for i in range(3)]
    assert augmented(POCAugmentedDataset(named(*ours), path, p=1.0)) == 3


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (["0.png", "1.png", "2.png"], ["a/0.png", "b/0.png", "b/1.png"], "'0.png' occurs several times"),
        (["x/0.png", "y/0.png", "y/1.png"], ["0.png", "1.png", "2.png"], "holds none"),
        (["a/0.png", "a/1.png", "a/9.png"], ["0.png", "1.png", "2.png"], r"holds 2 of this dataset's 3(?s:.*)a/9\.png"),
        (
            ["0.png", "1.png", "9.png"],
            ["0.png", "1.png", "2.png"],
            r"2 of this dataset's 3(?s:.*)1 others, such as \['2\.png'\]",
        ),
        (["00000000", "00000001", "00000002"], ["a/00000000.png", "a/00000001.png", "a/00000002.png"], "holds none"),
    ],
)
def test_keys_that_match_in_part_are_an_error(tmp_path: Path, ours: Any, theirs: Any, message: str) -> None:
    path = warm(named(*theirs), tmp_path / "a.cache")
    with pytest.raises(CacheDatasetMismatchError, match=message) as caught:
        POCAugmentedDataset(named(*ours), path, p=1.0)
    assert "keys=" in str(caught.value)


def test_the_same_names_for_other_frames_are_noticed(tmp_path: Path) -> None:
    class Other(Frames):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index + 7)

        def keys(self) -> list[str]:
            return [f"elsewhere/{key}" for key in super().keys()]

    path = warm(Frames(LENGTH), tmp_path / "a.cache")
    ds = POCAugmentedDataset(Other(LENGTH), path, p=1.0)
    with pytest.raises(CacheDatasetMismatchError, match="keys="):
        ds[0]


def test_a_cache_is_filled_further_under_its_own_names(tmp_path: Path) -> None:
    path = warm(named("a/0.png", "a/1.png", "b/2.png"), tmp_path / "a.cache")
    report = warm_cache(named("0.png", "1.png", "2.png"), path, pipeline(), num_variants=3, workers=0)
    assert (report.present, report.made) == (6, 3)
    with pytest.raises(CacheDatasetMismatchError, match=r"3 of this dataset's 4 samples(?s:.*)keys="):
        warm_cache(named("0.png", "1.png", "2.png", "3.png"), path, pipeline(), workers=0)
    more = warm_cache(named("a/0.png", "a/1.png", "b/2.png", "b/3.png"), path, pipeline(), workers=0)
    assert more.made == 3


def test_a_cache_that_was_limited_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for kind in (Frames, Unnamed):
        path = warm(kind(LENGTH), tmp_path / f"{kind.__name__}.cache", limit=2)
        caplog.clear()
        assert augmented(POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA)) == 2
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "2 of this dataset's 4 samples" in caplog.text
        caplog.clear()
        POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA, on_miss="original")
        assert not caplog.records


def test_a_cache_of_a_subset_needs_a_word(tmp_path: Path) -> None:
    path = warm(Subset(Frames(LENGTH), [0, 2]), tmp_path / "a.cache")
    with pytest.raises(CacheDatasetMismatchError, match="made from 2 samples, holds 2 of this dataset's 4"):
        POCAugmentedDataset(Frames(LENGTH), path, p=1.0, schema=SCHEMA)
    ds = POCAugmentedDataset(Frames(LENGTH), path, p=1.0, schema=SCHEMA, on_miss="original")
    assert augmented(ds) == 2
    both: Any = ConcatDataset([Frames(LENGTH), Unnamed(LENGTH)])
    path = warm(Frames(LENGTH), tmp_path / "b.cache")
    with pytest.raises(CacheDatasetMismatchError, match="keys="):
        POCAugmentedDataset(both, path, p=1.0, schema=SCHEMA)
    assert augmented(POCAugmentedDataset(both, path, p=1.0, schema=SCHEMA, on_miss="original")) == LENGTH


def test_caches_without_a_count_are_read(tmp_path: Path) -> None:
    import json

    for kind, readable in ((Frames, True), (Unnamed, False)):
        path = warm(kind(LENGTH), tmp_path / f"{kind.__name__}.cache", limit=2)
        manifest = json.loads((path / "manifest.json").read_text())
        assert manifest.pop("samples") == LENGTH
        (path / "manifest.json").write_text(json.dumps(manifest))
        if readable:
            assert augmented(POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA)) == 2
        else:  # numbers do not tell whether it is the same dataset
            with pytest.raises(CacheDatasetMismatchError, match='on_miss="original"'):
                POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA)
        warm(kind(LENGTH), path)
        assert augmented(POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA)) == LENGTH


def test_an_empty_cache_says_so(tmp_path: Path) -> None:
    import shutil

    path = warm(Frames(LENGTH), tmp_path / "a.cache")
    shutil.rmtree(path / "shards")
    with pytest.raises(CacheDatasetMismatchError, match=r"is empty(?s:.*)shards"):
        POCAugmentedDataset(Frames(LENGTH), path, AnomalyLabels())
