"""`PocDataset`: a dataset of mmengine with insertions, within mmengine's wrappers and loops."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

pytest.importorskip("mmcv")

from mmengine.config import Config  # type: ignore[import-untyped]
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset  # type: ignore[import-untyped]
from mmengine.registry import DATASETS, TRANSFORMS  # type: ignore[import-untyped]

from poc_aug.cache import Cache
from poc_aug.errors import CacheMissError, ItemFormatError, LabelPolicyError, PocAugError, SettingError
from poc_aug.integrations.mmsegmentation import PocDataset
from poc_aug.labels.policies import NewClassLabels
from tests.helpers.dataset_cases import keep
from tests.helpers.engine_runs import Recorded, run_training
from tests.helpers.fakes import SCHEMA
from tests.helpers.mmseg_cases import LENGTH, LOADING, VARIANTS, FolderAsMmseg, red_cache, shown_variant, write_frames

NEW = {"type": "NewClassLabels", "ids": {"cat": 4, "dog": 3}}


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return red_cache(tmp_path_factory.mktemp("engine") / "frames.cache")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("engine") / "data")


def base(frames: Path, **settings: Any) -> dict[str, Any]:
    return {"type": "FolderAsMmseg", "data_root": str(frames), "pipeline": LOADING, **settings}


def wrapping(frames: Path, cache_path: Path, **settings: Any) -> dict[str, Any]:
    schema = {"ids": dict(SCHEMA.ids)}
    given = {"dataset": base(frames), "cache": str(cache_path), "schema": schema, "p": 1.0, **settings}
    return {"type": "PocDataset", **given}


@pytest.mark.parametrize("lazy", [False, True])
def test_items_are_composed_then_transformed(frames: Path, cache_path: Path, lazy: bool) -> None:
    flipped = {"type": "RandomFlip", "prob": 1.0}
    made = DATASETS.build(wrapping(frames, cache_path, lazy_init=lazy, pipeline=[flipped]))
    made.dataset._fully_initialized = made.dataset._fully_initialized and not lazy
    inner, cache = FolderAsMmseg(data_root=str(frames), pipeline=LOADING), Cache.open(cache_path)
    assert len(made) == LENGTH == len(inner)
    for index in range(LENGTH):
        after = made[index]
        assert after["flip"] is True
        after["img"], after["gt_seg_map"] = after["img"][:, ::-1], after["gt_seg_map"][:, ::-1]
        assert shown_variant(cache, Path(after["img_path"]).stem, inner[index], after) >= 0
        info = made.get_data_info(index)
        assert info == inner.get_data_info(index)
        assert "img" not in info


def test_wrappers_take_it_as_a_config_and_as_an_object(frames: Path, cache_path: Path) -> None:
    config = wrapping(frames, cache_path)
    for given in (config, DATASETS.build(config)):
        repeated = RepeatDataset(given, times=3)
        joined = ConcatDataset([given, base(frames)], lazy_init=True)
        assert len(repeated) == 3 * LENGTH
        assert len(joined) == 2 * LENGTH
        assert joined.metainfo == FolderAsMmseg(data_root=str(frames)).metainfo
        shown = [np.array(repeated[index]["img"]) for index in range(0, 3 * LENGTH, LENGTH)]
        assert not all(np.array_equal(shown[0], other) for other in shown[1:])  # each read is another draw
        assert np.array_equal(joined[LENGTH]["img"], FolderAsMmseg(data_root=str(frames), pipeline=LOADING)[0]["img"])
        assert not np.array_equal(joined[0]["img"], joined[LENGTH]["img"])
        assert joined.get_data_info(LENGTH + 1) == joined.get_data_info(1)


def test_a_config_file_is_all_that_it_needs(frames: Path, cache_path: Path, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(
        f"""
custom_imports = dict(imports=["poc_aug.integrations.mmsegmentation"])
loading = [dict(type="LoadImageFromFile"), dict(type="LoadLabelsAsMmseg")]
train_dataset = dict(
    type="RepeatDataset",
    times=2,
    dataset=dict(
        type="PocDataset",
        dataset=dict(type="FolderAsMmseg", data_root={str(frames)!r}, pipeline=loading),
        cache=[{str(cache_path)!r}],
        label_policy=dict(type="NewClassLabels", ids=dict(dog=3, cat=4), ring_px=1),
        schema=dict(ids=dict(road=0, sky=1, car=2), ignore=[255]),
        p=1.0,
        keep=["gt_depth_map"],
        pipeline=[dict(type="PackForATest")],
    ),
)
"""
    )
    made = DATASETS.build(Config.fromfile(tmp_path / "config.py").train_dataset)
    assert made.metainfo["classes"] == ("road", "sky", "car", "dog", "cat")
    insert = pickle.loads(pickle.dumps(made.dataset.insert))
    assert insert.label_policy == NewClassLabels({"dog": 3, "cat": 4}, ring_px=1)
    assert type(insert.label_policy.ids) is dict
    found = {int(label_id) for index in range(len(made)) for label_id in np.unique(made[index]["labels"])}
    assert {3, 255} <= found <= {0, 1, 2, 3, 4, 255}


def test_classes_are_balanced_by_the_wrapped_dataset(frames: Path, cache_path: Path) -> None:
    balanced = ClassBalancedDataset(wrapping(frames, cache_path), oversample_thr=1.0)
    assert balanced.repeat_indices == [0, 0, *range(1, LENGTH)]
    assert balanced.get_cat_ids(0) == [0, 1]
    assert not np.array_equal(balanced[0]["img"], FolderAsMmseg(data_root=str(frames), pipeline=LOADING)[0]["img"])


def test_processes_that_are_not_forked_share_the_draws(frames: Path, cache_path: Path) -> None:
    made = DATASETS.build(wrapping(frames, cache_path, p=0.8))
    again = copy.deepcopy(made)
    loader = DataLoader(
        made, 1, num_workers=1, multiprocessing_context="forkserver", persistent_workers=True, collate_fn=keep
    )
    seen = [(Path(batch[0]["img_path"]).stem, batch[0]) for _ in range(4) for batch in loader]
    expected = [(Path(item["img_path"]).stem, item) for _ in range(4) for item in map(again.__getitem__, range(LENGTH))]
    draws = draws_by_key(cache_path, frames, seen)
    assert draws == draws_by_key(cache_path, frames, expected)
    assert all(len(set(each)) > 1 for each in draws.values())


def test_new_classes_are_in_the_metainfo(frames: Path, cache_path: Path) -> None:
    made = DATASETS.build(wrapping(frames, cache_path, label_policy=NEW, lazy_init=True))
    assert made.metainfo["classes"] == ("road", "sky", "car", "dog", "cat")
    palette = made.metainfo["palette"]
    assert palette[:3] == FolderAsMmseg.METAINFO["palette"]
    assert len({tuple(colour) for colour in palette}) == 5
    made.metainfo["classes"] = ()
    assert len(made.metainfo["classes"]) == 5  # as mmengine's, a copy
    for policy in (None, {"type": "OodLabels", "ood_id": 254}, {"type": "NewClassLabels", "ids": {"dog": 2, "cat": 2}}):
        settings = (
            {} if policy is None else {"label_policy": {**policy, **({"merge": True} if "ids" in policy else {})}}
        )
        unchanged = DATASETS.build(wrapping(frames, cache_path, **settings))
        assert unchanged.metainfo == unchanged.dataset.metainfo
    with pytest.raises(SettingError, match=r"have the ids \[4, 7\], and the dataset has 3 classes") as caught:
        DATASETS.build(wrapping(frames, cache_path, label_policy={**NEW, "ids": {"cat": 4, "dog": 7}}))
    assert "ids={'cat': 3, 'dog': 4}" in caught.value.hint


def test_what_is_wrong_is_known_before_the_first_item(frames: Path, cache_path: Path, tmp_path: Path) -> None:
    def failing(**settings: Any) -> PocAugError:
        with pytest.raises(PocAugError) as caught:
            DATASETS.build(wrapping(frames, cache_path, **settings))
        return caught.value

    assert isinstance(failing(label_policy={"type": "NewClassLabels", "ids": {"dog": 1, "cat": 3}}), LabelPolicyError)
    # A dataset whose metainfo does not say how labels are mapped, but whose items do.
    silent = FolderAsMmseg(data_root=str(frames), label_map={0: 0, 1: 1, 2: 255}, lazy_init=True)
    silent._metainfo = {}
    dropped = {"type": "NewClassLabels", "ids": {"dog": 2, "cat": 3}}
    assert "no label id for the inserted classes ['car']" in failing(dataset=silent, label_policy=dropped).problem
    assert "'redraw'" in failing(redrew="read").hint
    assert "'pipeline'" in failing(pipelin=[]).hint
    assert "POCAugmentedDataset wraps any other" in failing(dataset=[1, 2]).hint
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "other.png").write_bytes(b"")
    assert isinstance(failing(dataset=base(tmp_path)), CacheMissError)
    DATASETS.build(wrapping(tmp_path, cache_path, on_miss="original"))
    with pytest.raises(SettingError, match="without cache="):
        PocDataset(base(frames), schema="camvid")


def test_a_packed_item_is_refused(frames: Path, cache_path: Path) -> None:
    packing = [*LOADING, {"type": "PackForATest"}]
    made = DATASETS.build(wrapping(frames, cache_path, dataset=base(frames, pipeline=packing)))
    with pytest.raises(ItemFormatError, match="results have no 'img'") as caught:
        made[0]
    assert "before what resizes, crops, flips, recolours or packs" in caught.value.hint


def test_subsets_share_the_draws(frames: Path, cache_path: Path) -> None:
    made = DATASETS.build(wrapping(frames, cache_path))
    again = copy.deepcopy(made)
    subset = made.get_subset([2, 1])
    assert len(subset) == 2
    assert len(made) == LENGTH
    assert subset.get_data_info(0)["img_path"] == made.get_data_info(2)["img_path"]
    first, second = subset[0]["img"], made[2]["img"]
    assert np.array_equal(first, again[2]["img"])
    assert np.array_equal(second, again[2]["img"])
    made.get_subset_(1)
    assert len(made) == 1


def test_a_pipeline_that_returns_nothing_tries_another_item(frames: Path, cache_path: Path) -> None:
    made = DATASETS.build(wrapping(frames, cache_path, pipeline=[{"type": "OnlyTheLastForATest"}]))
    assert Path(made[0]["img_path"]).stem == f"frame-{LENGTH - 1:03d}"
    strict = DATASETS.build(wrapping(frames, cache_path, pipeline=[{"type": "OnlyTheLastForATest"}], test_mode=True))
    with pytest.raises(Exception, match="should not get `None`"):
        strict[0]


@TRANSFORMS.register_module(force=True)
class OnlyTheLastForATest:
    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        return results if results["img_path"].endswith(f"{LENGTH - 1}.png") else None


def draws_by_key(cache_path: Path, frames: Path, seen: list[Recorded]) -> dict[str, list[int]]:
    """What each frame showed, read after read; everything else in it is checked."""
    inner, cache = FolderAsMmseg(data_root=str(frames), pipeline=LOADING), Cache.open(cache_path)
    before = {Path(item["img_path"]).stem: item for item in (inner[index] for index in range(len(inner)))}
    draws: dict[str, list[int]] = defaultdict(list)
    for key, after in seen:
        draws[key].append(shown_variant(cache, key, before[key], after))
    return draws


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["transform", "wrapper"])
@pytest.mark.parametrize("loop", ["IterBasedTrainLoop", "EpochBasedTrainLoop"])
def test_each_pass_shows_other_objects(
    frames: Path, cache_path: Path, tmp_path: Path, loop: str, kind: str, workers: int
) -> None:
    passes = 4
    config = wrapping(frames, cache_path, p=0.8)
    if kind == "transform":
        insert = {**config, "type": "PocInsert"}
        del insert["dataset"]
        config = base(frames, pipeline=[*LOADING, insert])
    seen = run_training(tmp_path, config, loop, passes, LENGTH, workers)
    draws = draws_by_key(cache_path, frames, seen)
    assert {key: len(each) for key, each in draws.items()} == dict.fromkeys(draws, passes)
    assert len(draws) == LENGTH
    assert all(len(set(each)) > 1 for each in draws.values())
    # The n-th read shows what it shows without workers, in any order.
    direct = DATASETS.build(config)
    expected = draws_by_key(
        cache_path,
        frames,
        [(Path(item["img_path"]).stem, item) for _ in range(passes) for item in map(direct.__getitem__, range(LENGTH))],
    )
    assert draws == expected
    assert {number for each in draws.values() for number in each} <= {-1, *range(VARIANTS)}
