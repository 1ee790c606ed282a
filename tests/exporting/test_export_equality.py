"""What is written is what the datasets return, to the bit."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poc_aug.cache import Cache
from poc_aug.cache.several_caches import open_caches
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import CacheDatasetMismatchError, SchemaError
from poc_aug.exporting import exporter
from poc_aug.exporting.exporter import export
from poc_aug.exporting.frame_writing import write_frames
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import IGNORED
from tests.helpers.export_cases import LENGTH, SPLIT, as_arrays, contents, read_picture, warm_halos
from tests.helpers.fakes import Frames
from tests.helpers.kinds import FRAMES

POLICIES = [
    OodLabels(254),
    OodLabels(254, ring_px=2),
    NewClassLabels({"dog": 19, "cat": 20}, ring_px=1),
    AnomalyLabels(),
    AnomalyLabels(ring_px=3),
]
_OOD = {OodLabels: (254,), NewClassLabels: (19, 20), AnomalyLabels: (1,)}


def pair(out: Path, name: str) -> tuple[Path, Path]:
    return out / f"leftImg8bit/train/frames/{name}.png", out / f"gtFine/train/frames/{name}.png"


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("sigma_px", [0.0, 2.0])
def test_insertions_are_written_as_the_dataset_returns_them(
    halos: Path, policy: Any, sigma_px: float, tmp_path: Path
) -> None:
    report = export(
        Frames(LENGTH), halos, "cs-synth", tmp_path, labels=policy, keep_ids=True, sigma_px=sigma_px, workers=0, **SPLIT
    )
    dataset = POCAugmentedDataset(Frames(LENGTH), halos, policy, variants="all", sigma_px=sigma_px)
    ood_px = 0
    for index in range(len(dataset)):
        image, labels = as_arrays(dataset[index])
        picture, ids = pair(tmp_path, f"frame-{index // 3:03d}_v{index % 3}")
        assert np.array_equal(read_picture(picture), image)
        assert np.array_equal(read_picture(ids), labels)
        ood_px += int(np.isin(labels, _OOD[type(policy)]).sum())
    assert report.written == len(dataset) == 3 * LENGTH
    assert report.ood_px == ood_px > 0


def test_the_cache_of_these_tests_has_what_is_special(halos: Path) -> None:
    with Cache.open(halos) as cache:
        variants = [cache.get(*item) for item in cache]
    names = {part.name for variant in variants if variant for one in variant.insertions for part in one.parts}
    assert names == {"dog", "cat", "car", IGNORED}
    assert any(variant is not None and variant.is_empty for variant in variants)


@pytest.mark.parametrize("policy", [OodLabels(254), AnomalyLabels()], ids=repr)
def test_shifted_frames_are_written_as_the_dataset_returns_them(shifted: Path, policy: Any, tmp_path: Path) -> None:
    report = export(Frames(LENGTH), shifted, "cs-synth", tmp_path, labels=policy, keep_ids=True, workers=0, **SPLIT)
    dataset = FRAMES.read(shifted, LENGTH, variants="all", pipeline=FRAMES.pipeline(0.6), label_policy=policy)
    written = 0
    for index, key in enumerate(dataset.keys):  # type: ignore[attr-defined]
        with Cache.open(shifted) as cache:
            variant = cache.get(key, index % 2)
        picture, ids = pair(tmp_path, f"{key.replace('@', '_')}_v{index % 2}")
        assert variant is not None
        if variant.is_empty:
            assert not picture.exists()
            continue
        image, labels = as_arrays(dataset[index])
        assert np.array_equal(read_picture(picture), image)
        assert np.array_equal(read_picture(ids), labels)
        written += 1
    assert 0 < written == report.written < len(dataset)
    assert report.skipped == {"no shifted frame": len(dataset) - written}


def test_base_frames_are_rewritten_by_the_policy_too(halos: Path, tmp_path: Path) -> None:
    export(
        Frames(LENGTH), halos, "cs-synth", tmp_path, labels=AnomalyLabels(), base_frames=True, variants=0, workers=0,
        **SPLIT,
    )  # fmt: skip
    image, labels = as_arrays(Frames(LENGTH)[1])
    picture, ids = pair(tmp_path, "frame-001")
    assert np.array_equal(read_picture(picture), image)
    assert np.array_equal(read_picture(ids), np.where(labels == 255, 255, 0))


def test_empty_variants_are_left_out_if_asked_for(halos: Path, tmp_path: Path) -> None:
    with Cache.open(halos) as cache:
        empty = [(key, index) for key, index in cache if (variant := cache.get(key, index)) and variant.is_empty]
    report = export(Frames(LENGTH), halos, "pebal", tmp_path, keep_empty=False, workers=0, **SPLIT)
    assert report.skipped == {"no insertion": len(empty)}
    assert report.written == report.total - len(empty)
    missing = f"{empty[0][0]}_v{empty[0][1]}_leftImg8bit.png"
    assert not (tmp_path / "images/city_gt_fine/train" / missing).exists()
    kept = export(Frames(LENGTH), halos, "pebal", tmp_path, keep_empty=True, workers=0, **SPLIT)
    assert kept.written == len(empty)
    assert (tmp_path / "images/city_gt_fine/train" / missing).exists()


def test_several_caches_are_written_as_the_dataset_returns_them(halos: Path, tmp_path: Path) -> None:
    other = warm_halos(tmp_path / "other.cache", num_variants=1, seed=5)
    caches = [halos, other]
    report = export(Frames(LENGTH), caches, "cs-synth", tmp_path / "out", keep_ids=True, workers=0, **SPLIT)
    dataset = POCAugmentedDataset(Frames(LENGTH), caches, variants="all")
    assert report.written == len(dataset) == 4 * LENGTH
    for index in range(len(dataset)):
        image, labels = as_arrays(dataset[index])
        picture, ids = pair(tmp_path / "out", f"frame-{index // 4:03d}_v{index % 4}")
        assert np.array_equal(read_picture(picture), image)
        assert np.array_equal(read_picture(ids), labels)


def test_loader_processes_write_the_same_files(halos: Path, tmp_path: Path) -> None:
    with open_caches(halos) as cache:
        for workers in (0, 2):
            out = tmp_path / str(workers)
            export(Frames(LENGTH), cache, "cs-synth", out, workers=workers, **SPLIT)
    one, two = contents(tmp_path / "0"), contents(tmp_path / "2")
    assert one == two


class Brighter(Frames):
    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        return image.point(lambda value: value + 40), labels


def test_another_dataset_is_refused_as_reading_does(halos: Path, tmp_path: Path) -> None:
    with pytest.raises(CacheDatasetMismatchError, match="frame-000"):
        export(Brighter(LENGTH), halos, "cs-synth", tmp_path / "a", workers=0, **SPLIT)
    wrong = LabelSchema("wrong", {"sky": 0, "road": 1, "car": 2}, ignore=(255,))
    with pytest.raises(SchemaError, match="frame-000"):
        export(Frames(LENGTH), halos, "cs-synth", tmp_path / "b", schema=wrong, workers=0, **SPLIT)
    assert not list((tmp_path / "b").rglob("*.png"))


def test_only_what_is_stored_is_written_and_the_rest_is_counted(halos: Path, tmp_path: Path) -> None:
    report = export(Frames(LENGTH + 2), halos, "pebal", tmp_path, variants=[1, 7], workers=0, **SPLIT)
    assert report.written == LENGTH
    assert report.skipped == {"sample not in the cache": 2, "variant not in the cache": LENGTH}


def test_what_loader_processes_are_sent_can_be_pickled(
    halos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where processes are not forked, everything that they work with is."""

    def write(task: Any, workers: int) -> Any:
        copy = pickle.loads(pickle.dumps(task))
        return write_frames(copy, workers)

    other = warm_halos(tmp_path / "other.cache", num_variants=1, seed=5)
    export(Frames(LENGTH), [halos, other], "cs-synth", tmp_path / "a", workers=0, **SPLIT)
    monkeypatch.setattr(exporter, "write_frames", write)
    export(Frames(LENGTH), [halos, other], "cs-synth", tmp_path / "b", workers=0, **SPLIT)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


class OneStrangeId(Frames):
    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        labels.putpixel((3, 3), 77)
        return image, labels


def test_an_id_that_the_schema_does_not_know_is_refused_as_reading_does(halos: Path, tmp_path: Path) -> None:
    for keep_ids in (True, False):
        with pytest.raises(SchemaError, match=r"labels of 'frame-000' hold ids \[77\]"):
            export(OneStrangeId(LENGTH), halos, "pebal", tmp_path, keep_ids=keep_ids, workers=0, **SPLIT)
        assert not list(tmp_path.rglob("*.png"))
        shutil.rmtree(tmp_path)
