"""`POCAugmentedDataset` on a full cache: what its items are, and that nothing else changes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from poc_aug.cache import Cache
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import (
    CacheDatasetMismatchError,
    CacheMissError,
    CacheNotFoundError,
    LabelPolicyError,
    PocAugError,
    SettingError,
)
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.masks import dilate, feather_radius_px
from tests.helpers.dataset_cases import equal, keep, tensors
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe, make_sample

LENGTH = 6
VARIANTS = 3


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset") / "frames.cache"
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(Frames(LENGTH), path, pipeline, num_variants=VARIANTS, workers=0)
    return path


def augmented(cache_path: Path, **changes: Any) -> POCAugmentedDataset:
    return POCAugmentedDataset(
        Frames(LENGTH), cache_path, **{"p": 1.0, "transforms": tensors, "redraw": "epoch", **changes}
    )


def read_all(ds: POCAugmentedDataset) -> list[Any]:
    return [ds[i] for i in range(len(ds))]


def test_nothing_changes_outside_the_supports(cache_path: Path) -> None:
    base = Frames(LENGTH)
    cache = Cache.open(cache_path)
    for index in range(VARIANTS):
        ds = augmented(cache_path, variant=index, sigma_px=1.5)
        for number, key in enumerate(base.keys()):
            touched = torch.zeros(48, 65, dtype=torch.bool)
            mask = touched.clone()
            variant = cache.get(key, index)
            assert variant is not None
            for insertion in variant.insertions:
                y, x, h, w = insertion.box_yxhw
                mask[y : y + h, x : x + w] |= insertion.mask
                grown = dilate(insertion.mask, feather_radius_px(1.5))
                touched[y : y + h, x : x + w] |= grown
            before, after = tensors(*base[number]), ds[number]
            assert torch.equal(before[0][~touched], after[0][~touched])
            assert torch.equal(before[1][~mask], after[1][~mask])
            assert set(after[1][mask].tolist()) <= {254, 2}


def test_p_is_the_share_of_augmented_samples(cache_path: Path) -> None:
    base = [tensors(*item) for item in (Frames(LENGTH)[i] for i in range(LENGTH))]
    for p, low, high in ((0.0, 0, 0), (0.5, 90, 210), (1.0, 300, 300)):
        ds = augmented(cache_path, p=p)
        changed = 0
        for epoch in range(50):
            ds.set_epoch(epoch)
            changed += sum(not equal(base[i], ds[i]) for i in range(LENGTH))
        assert low <= changed <= high


def test_items_depend_on_seed_epoch_and_index_only(cache_path: Path) -> None:
    one, other = augmented(cache_path, p=0.5, seed=3), augmented(cache_path, p=0.5, seed=3)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert all(equal(one[i], other[i]) for i in reversed(range(LENGTH)))
    assert torch.equal(state, torch.get_rng_state())
    seen = set()
    for epoch in range(12):
        one.set_epoch(epoch)
        seen.add(tuple(item[0].numpy().tobytes() for item in (one[i] for i in range(LENGTH))))
    assert len(seen) > 3


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_workers_give_the_same_items(cache_path: Path, start: str) -> None:
    ds = augmented(cache_path, p=0.7)
    alone = [ds[i] for i in range(LENGTH)]
    for workers in (1, 2) if start != "spawn" else (2,):  # a process that imports everything takes seconds
        loader = DataLoader(ds, batch_size=2, num_workers=workers, multiprocessing_context=start, collate_fn=keep)
        items = [item for batch in loader for item in batch]
        assert all(equal(a, b) for a, b in zip(alone, items, strict=True))


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_set_epoch_reaches_persistent_workers(cache_path: Path, start: str) -> None:
    ds = augmented(cache_path, p=0.5)
    loader = DataLoader(
        ds, batch_size=2, num_workers=2, persistent_workers=True, multiprocessing_context=start, collate_fn=keep
    )
    epochs = []
    for epoch in range(4):
        ds.set_epoch(epoch)
        items = [item for batch in loader for item in batch]
        assert all(equal(item, ds[i]) for i, item in enumerate(items))
        epochs.append(tuple(item[0].numpy().tobytes() for item in items))
    assert len(set(epochs)) > 1


def test_all_variants_are_items(cache_path: Path) -> None:
    ds = augmented(cache_path, variants="all")
    assert len(ds) == LENGTH * VARIANTS
    for i in range(len(ds)):
        single = augmented(cache_path, variant=i % VARIANTS)
        assert equal(ds[i], single[i // VARIANTS])


def test_an_unaugmented_item_is_the_very_same_object(cache_path: Path) -> None:
    class Kept(Frames):
        def __init__(self) -> None:
            super().__init__(LENGTH)
            self.items = [super(Kept, self).__getitem__(i) for i in range(LENGTH)]

        def __getitem__(self, index: int) -> Any:
            return self.items[index]

    base = Kept()
    before = [tensors(*item) for item in base.items]
    plain = POCAugmentedDataset(base, cache_path, p=0.0)
    assert all(plain[i] is base.items[i] for i in range(LENGTH))
    changed = POCAugmentedDataset(base, cache_path, p=1.0)
    assert not all(changed[i] is base.items[i] for i in range(LENGTH))
    # Base items are never modified in place.
    assert all(equal(a, tensors(*b)) for a, b in zip(before, base.items, strict=True))


def test_subsets_and_other_orders_find_their_samples(cache_path: Path) -> None:
    ds = augmented(cache_path, variant=0)
    subset = POCAugmentedDataset(Subset(Frames(LENGTH), [4, 1]), cache_path, p=1.0, variant=0, transforms=tensors)
    assert equal(subset[0], ds[4])
    assert equal(subset[1], ds[1])


def test_label_policies(cache_path: Path) -> None:
    new = augmented(cache_path, label_policy=NewClassLabels({"dog": 19, "cat": 20}))
    ids = set().union(*(set(new[i][1].unique().tolist()) for i in range(LENGTH)))
    assert ids <= {0, 1, 2, 19, 20, 255}
    assert ids & {19, 20}
    anomaly = augmented(cache_path, label_policy=AnomalyLabels(), p=0.5)
    values = [set(anomaly[i][1].unique().tolist()) for i in range(LENGTH)]
    assert set().union(*values) == {0, 1, 255}
    assert all(255 in found for found in values)
    assert all(
        1 not in set(augmented(cache_path, label_policy=AnomalyLabels(), p=0.0)[i][1].tolist()[9]) for i in range(2)
    )


def test_a_ring_is_ignored(cache_path: Path) -> None:
    plain, ringed = augmented(cache_path), augmented(cache_path, label_policy=OodLabels(254, ring_px=2))
    for i in range(LENGTH):
        ood = plain[i][1] == 254
        ring = dilate(ood, 2) & ~ood
        known = plain[i][1] == 2
        assert (ringed[i][1][ring & ~dilate(known, 3)] == 255).all()


def test_pickling_keeps_everything(cache_path: Path) -> None:
    ds = augmented(cache_path, p=0.5)
    ds.set_epoch(4)
    copy = pickle.loads(pickle.dumps(ds))
    assert copy.epoch == 4
    assert all(equal(ds[i], copy[i]) for i in range(LENGTH))
    copy.set_epoch(5)
    assert ds.epoch == 4


def test_repr_tells_what_it_is(cache_path: Path) -> None:
    text = repr(augmented(cache_path, p=0.25))
    for part in ("Frames", "6 samples", "schema test", "18 variants", "dog", "p=0.25", "OodLabels", "frames.cache"):
        assert part in text


def test_negative_and_wrong_indices(cache_path: Path) -> None:
    ds = augmented(cache_path)
    assert equal(ds[-1], ds[LENGTH - 1])
    for index in (LENGTH, -LENGTH - 1):
        with pytest.raises(IndexError, match=str(index)):
            ds[index]


def test_misses(cache_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.cache"
    warm_cache(Frames(LENGTH), path, InsertionPipeline(make_recipe(), EllipseInserter()), limit=2, workers=0)
    original = POCAugmentedDataset(Frames(LENGTH), path, p=1.0, transforms=tensors)
    assert equal(original[4], tensors(*Frames(LENGTH)[4]))
    strict = POCAugmentedDataset(Frames(LENGTH), path, p=1.0, on_miss="raise")
    assert strict[0]
    with pytest.raises(CacheMissError, match="frame-004"):
        strict[4]


def test_rejected_everywhere_is_no_miss(tmp_path: Path) -> None:
    path = tmp_path / "black.cache"
    warm_cache(Frames(2), path, InsertionPipeline(make_recipe(), EllipseInserter(reject=1.0)), workers=0)
    ds = POCAugmentedDataset(Frames(2), path, p=1.0, on_miss="raise", transforms=tensors)
    assert equal(ds[0], tensors(*Frames(2)[0]))


def test_a_reordered_dataset_is_noticed(cache_path: Path) -> None:
    class Reordered(Frames):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(self.length - 1 - index)

    with pytest.raises(CacheDatasetMismatchError, match=r"frame-00\d.*(?s:.*)frames\.cache"):
        read_all(POCAugmentedDataset(Reordered(LENGTH), cache_path, p=1.0))


def test_a_dataset_of_another_size_is_noticed(cache_path: Path) -> None:
    ds = POCAugmentedDataset(Frames(LENGTH, (24, 33)), cache_path, p=1.0)
    with pytest.raises(CacheDatasetMismatchError, match="24"):
        read_all(ds)


def test_a_cache_of_other_keys_is_noticed_at_once(cache_path: Path) -> None:
    with pytest.raises(CacheDatasetMismatchError, match=r"'a'.*frame-000"):
        POCAugmentedDataset(Frames(2), cache_path, keys=["a", "b"])


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"p": 1.5}, SettingError, r"p=1\.5"),
        ({"on_miss": "generate"}, SettingError, "generate"),
        ({"variants": "some"}, SettingError, "some"),
        ({"variants": 3}, SettingError, "num_variants=3"),
        ({"variant": -1}, SettingError, "variant=-1"),
        ({"variant": 0, "variants": "all"}, SettingError, "one of the two"),
        ({"sigma_px": 9.0}, SettingError, r"sigma_px=9\.0"),
        ({"label_policy": NewClassLabels({"dog": 19})}, LabelPolicyError, "cat"),
        ({"schema": "mars"}, PocAugError, "mars"),
    ],
)
def test_bad_parameters_are_named(cache_path: Path, changes: dict[str, Any], error: type, named: str) -> None:
    with pytest.raises(error, match=named):
        augmented(cache_path, **changes)


def test_an_id_that_does_not_fit_the_labels_dtype(cache_path: Path) -> None:
    ds = augmented(cache_path, label_policy=OodLabels(300, known={}))
    with pytest.raises(LabelPolicyError, match=r"300(?s:.*)\[0, 255\]"):
        read_all(ds)


def test_a_missing_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheNotFoundError, match=r"nowhere\.cache"):
        POCAugmentedDataset(Frames(2), tmp_path / "nowhere.cache")


def test_the_schema_is_needed_for_anomaly_labels(cache_path: Path) -> None:
    class Bare(Frames):
        schema = None  # type: ignore[assignment]

    with pytest.raises(LabelPolicyError, match="schema"):
        POCAugmentedDataset(Bare(LENGTH), cache_path, label_policy=AnomalyLabels())
    assert POCAugmentedDataset(Bare(LENGTH), cache_path, label_policy=AnomalyLabels(), schema=SCHEMA)[0]


def test_dict_items_keep_their_form(cache_path: Path) -> None:
    class Dicts(Frames):
        def __getitem__(self, index: int) -> Any:
            sample = make_sample(index)
            picture = np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy()[:, :, ::-1])
            return {"img": picture, "gt_seg_map": sample.labels.numpy(), "meta": self.keys()}

    base = Dicts(LENGTH)
    item = POCAugmentedDataset(base, cache_path, p=1.0, variant=0)[0]
    reference = augmented(cache_path, variant=0)[0]
    assert set(item) == {"img", "gt_seg_map", "meta"}
    assert np.array_equal(item["img"][:, :, ::-1], reference[0].numpy())
    assert np.array_equal(item["gt_seg_map"], reference[1].numpy())
