"""The digest of labels: by name, of any form, small, and absent from what older versions wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import Cityscapes

from poc_aug.cache.record import decode_record, encode_record, same_variant
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.datasets import camvid, idd
from poc_aug.errors import CacheFormatError, SchemaError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.items.open_item import label_canvas
from poc_aug.labels.label_digest import check_labels, label_digest_of, label_digest_of_sample
from poc_aug.labels.policies import AnomalyLabels, OodLabels
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.types import Sample, Variant
from tests.helpers.cache_cases import make_variant
from tests.helpers.fakes import EllipseInserter, make_recipe
from tests.helpers.item_forms import IDS, LABELS

TRAIN_IDS, LABEL_IDS = SCHEMAS["cityscapes-trainIds"], SCHEMAS["cityscapes-labelIds"]


def digest(labels: Any, schema: LabelSchema = TRAIN_IDS) -> bytes:
    return label_digest_of(label_canvas(labels, "k"), schema, "k")


def check(stored: bytes, labels: Any, schema: LabelSchema = TRAIN_IDS) -> bool:
    return check_labels(stored, label_canvas(labels, "k"), schema, "k", Path("c.cache"), "stored")


@pytest.mark.parametrize("form", LABELS)
def test_all_forms_of_labels_have_one_digest(form: str) -> None:
    expected = digest(IDS)
    assert digest(LABELS[form]()) == expected
    sample = Sample(torch.zeros(3, *IDS.shape, dtype=torch.uint8), torch.from_numpy(IDS.astype(np.int64)), "k")
    assert label_digest_of_sample(sample, TRAIN_IDS) == expected
    assert label_digest_of_sample(sample, None) == b""


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_names_decide_and_not_ids(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 5, (height, width))
    numbers = rng.permutation(1000)[:5]
    names = [f"class {number}" for number in range(4)]
    one = LabelSchema("one", {name: number for number, name in enumerate(names)}, ignore=(4,))
    shuffled = {names[number].upper().replace(" ", "_"): int(numbers[number]) for number in rng.permutation(4)}
    two = LabelSchema("two", shuffled, ignore=(int(numbers[4]),))
    assert digest(ids, one) == digest(numbers[ids], two)
    assert check(digest(ids, one), numbers[ids], two)


def test_schemas_of_many_classes() -> None:
    ids = np.arange(256).reshape(16, 16) * 3
    many = LabelSchema("many", {f"class {number}": number for number in range(800)}, ignore=())
    moved = LabelSchema("moved", {f"class {number}": 799 - number for number in range(800)}, ignore=())
    assert check(digest(ids, many), 799 - ids, moved)
    with pytest.raises(SchemaError, match="stored 'class 0', read as 'class 799' \\(id 0\\)"):
        check(digest(ids, many), ids, moved)


def test_unknown_ids_are_told_and_not_hidden() -> None:
    with pytest.raises(SchemaError, match="77"):
        digest(np.full((9, 9), 77, np.uint8))


def test_synonyms_agree_and_few_points_are_no_proof() -> None:
    synonyms = LabelSchema("mine", {"pavement": 1, "sidewalk": 1, "street": 0, "road": 0, "sky": 2})
    ids = np.zeros((16, 16), np.uint8)
    ids[:4], ids[4:6] = 10, 1
    assert check(digest(ids), np.where(ids == 10, 2, ids), synonyms)
    noisy = ids.copy()
    noisy[8, :4] = 1  # 4 of 256 points are another class, as a corrected annotation may have
    assert check(digest(ids), noisy)
    noisy[8:10] = 1
    with pytest.raises(SchemaError, match="32 of 256 points"):
        check(digest(ids), noisy)


def test_a_coarse_class_may_become_another_one() -> None:
    """ "non-drivable" is called "sidewalk" too in IDD-Lite, and much of it is Cityscapes' terrain."""
    ids = np.zeros((16, 16), np.uint8)
    ids[:4], ids[4:9] = 6, 1
    stored = digest(ids, SCHEMAS["idd-lite"])
    assert check(stored, np.choose(ids, [0, 9, 0, 0, 0, 0, 10]).astype(np.uint8))
    with pytest.raises(SchemaError, match="stored 'sky', read as 'traffic light'"):
        check(stored, ids)


def test_nothing_to_compare_is_told() -> None:
    ids = np.zeros((16, 16), np.uint8)
    assert not check(digest(ids), ids, SCHEMAS["fishyscapes"])
    assert not check(b"", ids)
    void = np.full((16, 16), 255, np.uint8)
    assert check(digest(void), ids)  # what was ignored says nothing


@pytest.mark.parametrize("bad", [b"x", b"\1\0\0\0", b"\1\0\0\0a" + bytes(255), digest(IDS)[:-1], digest(IDS) + b"\0"])
def test_what_is_no_digest_is_an_error(bad: bytes) -> None:
    with pytest.raises(CacheFormatError, match=f"{len(bad)} bytes"):
        check(bad, IDS)


def test_records_keep_it_and_those_without_one_are_as_before() -> None:
    variant = make_variant(4)
    plain = encode_record(variant, "delta-zstd")
    areas = np.sort(IDS, axis=None).reshape(IDS.shape)  # all classes of Cityscapes, each in one place
    with_digest = replace(variant, label_digest=digest(areas))
    data = encode_record(with_digest, "delta-zstd")
    again = decode_record(data, variant.key, variant.index)
    assert again.label_digest == with_digest.label_digest
    assert same_variant(again, with_digest)
    assert not same_variant(again, variant)
    assert encode_record(again, "delta-zstd") == data
    assert decode_record(plain, variant.key, variant.index).label_digest == b""
    assert b"PAUG\x01" == data[:5] == plain[:5]
    assert len(data) - len(plain) < 300


# Variant("frame", 0, bytes(range(24)), (), ()), encoded before there were label digests.
OLD_RECORD = bytes.fromhex(
    "5041554701dcbe7004b7f082057284002c69c5bc386b00000028b52ffd207515030082c6151b7089d20130ea1f08b04e45bb"
    "eca40200e28c68ff5bc37bf1ff3f470de70c1751f1104df470717107aa81605182126d8a4e7a51710c6a5464ba546952a447"
    "dbfb7cb39d09370706ccbcac9c8c7cdc9f8b937485c6c808020009aade6850cc"
)


def test_a_record_of_an_older_version_is_read() -> None:
    variant = decode_record(OLD_RECORD, "frame", 0)
    assert same_variant(variant, Variant("frame", 0, bytes(range(24)), ()))
    assert variant.label_digest == b""


def frames(data: Path, name: str) -> Any:
    if name == "cityscapes":
        return Cityscapes(data / "scenes" / "cityscapes", split="train", mode="fine", target_type="semantic")
    return camvid(data / "scenes" / "camvid", "val") if name == "camvid" else idd(data / "scenes" / "idd20k_lite")


class TrainIds(Cityscapes):  # type: ignore[misc]
    def _get_target_suffix(self, mode: str, target_type: str) -> str:
        return f"{mode}_labelTrainIds.png"


def cache_of(base: Any, path: Path) -> Path:
    pipeline = InsertionPipeline(make_recipe(location=[]), EllipseInserter())
    warm_cache(base, path, pipeline, num_variants=1, limit=4, workers=0)
    return path


@pytest.mark.parametrize("labels", [OodLabels(254), AnomalyLabels()], ids=["ood", "anomaly"])
def test_real_frames_in_other_ids_are_right_and_by_other_schemas_an_error(
    real_data: Path, tmp_path: Path, labels: Any
) -> None:
    root = real_data / "scenes" / "cityscapes"
    as_label = frames(real_data, "cityscapes")
    as_train = TrainIds(root, split="train", mode="fine", target_type="semantic")
    for first, second in ((as_label, as_train), (as_train, as_label)):
        path = cache_of(first, tmp_path / f"{type(first).__name__}.cache")
        ds = POCAugmentedDataset(second, path, labels, p=1.0)
        assert all(ds[number] for number in range(4))
        right = ds.base_schema
        assert right is not None
        for name in ("cityscapes-labelIds", "cityscapes-trainIds", "camvid", "voc", "idd-lite"):
            wrong = POCAugmentedDataset(second, path, labels, p=1.0, schema=name)
            for number in range(4):
                if name == right.name:
                    assert wrong[number]
                    continue
                with pytest.raises(SchemaError, match="aachen"):
                    wrong[number]


@pytest.mark.parametrize(("name", "schema"), [("camvid", "cityscapes-trainIds"), ("idd", "camvid")])
def test_real_frames_whose_ids_another_schema_knows(real_data: Path, tmp_path: Path, name: str, schema: str) -> None:
    base = frames(real_data, name)
    path = cache_of(base, tmp_path / "a.cache")
    right, wrong = (POCAugmentedDataset(base, path, p=1.0, schema=given) for given in (None, schema))
    for number in range(4):
        assert right[number]
        with pytest.raises(SchemaError, match=r"schema=|--schema"):
            wrong[number]


def test_mirrored_real_labels_are_found(real_data: Path) -> None:
    maps = [
        (np.asarray(Image.open(path)), schema)
        for pattern, schema in (
            ("cityscapes/gtFine/*/*/*_labelIds.png", LABEL_IDS),
            ("camvid/valannot/*.png", SCHEMAS["camvid"]),
            ("idd20k_lite/gtFine/*/*/*_label.png", SCHEMAS["idd-lite"]),
            ("kitti5_cropped/semantic/*.png", LABEL_IDS),
        )
        for path in sorted((real_data / "scenes").glob(pattern))[:60]
    ]
    assert len(maps) > 80
    for ids, schema in maps:
        stored = digest(ids, schema)
        assert check(stored, ids, schema)
        with pytest.raises(SchemaError, match="points differ"):
            check(stored, np.ascontiguousarray(ids[:, ::-1]), schema)


def test_ids_that_are_known_to_be_checked_are_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, sample = (
        label_canvas(IDS, "k"),
        Sample(torch.zeros(3, *IDS.shape, dtype=torch.uint8), torch.from_numpy(IDS), "k"),
    )
    stored = digest(IDS)
    checked: list[str] = []
    monkeypatch.setattr(LabelSchema, "check_ids", lambda schema, ids, key: checked.append(key))
    assert label_digest_of(labels, TRAIN_IDS, "k", checked=True) == stored
    assert label_digest_of_sample(sample, TRAIN_IDS, checked=True) == stored
    assert check_labels(stored, labels, TRAIN_IDS, "k", Path("c.cache"), "stored", checked=True)
    AnomalyLabels().rewrite(torch.from_numpy(IDS.astype(np.int64)), TRAIN_IDS, checked=True)
    assert not checked
    check_labels(stored, labels, TRAIN_IDS, "k", Path("c.cache"), "stored")
    AnomalyLabels().rewrite(torch.from_numpy(IDS.astype(np.int64)), TRAIN_IDS)
    assert checked == ["k", "the base"]
