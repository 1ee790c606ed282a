from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset

from poc_aug.errors import DatasetKeyError
from poc_aug.keys import dataset_keys


class Plain(Dataset):  # type: ignore[type-arg]
    """A dataset that must not be read, with any attributes."""

    def __init__(self, length: int, **attributes: Any) -> None:
        self.length = length
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("keys must not read items")


class Keyed(Plain):
    names: list[str]

    def keys(self) -> list[str]:
        return self.names


def test_explicit_keys() -> None:
    assert dataset_keys(Plain(2, images=["x", "y"]), ["a", "b"]) == ["a", "b"]
    assert dataset_keys(Plain(2), ("a", "b")) == ["a", "b"]
    assert dataset_keys(Plain(3), lambda index: f"n{index}") == ["n0", "n1", "n2"]


def test_own_keys_go_before_paths() -> None:
    assert dataset_keys(Keyed(2, names=["a", "b"], images=["/x/1.png", "/x/2.png"])) == ["a", "b"]
    assert dataset_keys(Plain(2, keys=["a", "b"])) == ["a", "b"]


def test_index_where_nothing_is_known() -> None:
    assert dataset_keys(Plain(3)) == ["00000000", "00000001", "00000002"]
    assert dataset_keys(Plain(0, images=[])) == []


@pytest.mark.parametrize("root", ["/data/city", Path("/data/city"), "/data/city/", "/data/x/../city"])
def test_paths_are_relative_to_root(root: Any) -> None:
    paths = ["/data/city/left/a/1.png", "/data/city/left/a/2.png"]
    assert dataset_keys(Plain(2, images=paths, root=root)) == ["left/a/1.png", "left/a/2.png"]


@pytest.mark.parametrize("root", [None, "/elsewhere", "/data/ci", 5])
def test_paths_without_their_root_are_relative_to_the_common_parent(root: Any) -> None:
    paths = ["/data/city/left/a/1.png", "/data/city/left/b/1.png"]
    assert dataset_keys(Plain(2, images=paths, root=root)) == ["a/1.png", "b/1.png"]


def test_keys_are_the_same_on_another_machine() -> None:
    here = Plain(2, samples=[(f"/home/me/city/{i}/x.png", i) for i in range(2)], root="/home/me/city")
    there = Plain(2, samples=[(f"city/{i}/x.png", i) for i in range(2)], root="./city")
    assert dataset_keys(here) == dataset_keys(there) == ["0/x.png", "1/x.png"]


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("imgs", [("/d/a.png", 0), ("/d/b.png", 1)]),
        ("samples", [["/d/a.png", "/d/a_gt.png"], ["/d/b.png", "/d/b_gt.png"]]),
        ("image_paths", (Path("/d/a.png"), Path("/d/b.png"))),
        ("img_list", np.array(["/d/a.png", "/d/b.png"])),
        ("img_infos", [{"filename": "a.png", "ann": {}}, {"filename": "b.png", "ann": {}}]),
        ("data_list", [{"img_path": "/d/a.png"}, {"img_path": "/d/b.png"}]),
        ("files", ["a.png", "b.png"]),
    ],
)
def test_known_path_lists(name: str, entries: Any) -> None:
    keys = dataset_keys(Plain(2, **{name: entries}))
    assert keys == ["a.png", "b.png"]
    assert all(type(key) is str for key in keys)


@pytest.mark.parametrize(
    "entries",
    [[1, 2], np.zeros((2, 4)), ["a.png"], ["a.png", 3], "ab", [(), ()], [{"id": 1}, {"id": 2}]],
)
def test_attributes_that_are_no_path_lists_are_passed_over(entries: Any) -> None:
    assert dataset_keys(Plain(2, images=entries)) == ["00000000", "00000001"]


def test_absolute_beside_relative_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert dataset_keys(Plain(2, images=["a.png", str(tmp_path / "b.png")])) == ["a.png", "b.png"]


def test_subset_and_concat() -> None:
    base = Keyed(4, names=list("abcd"))
    assert dataset_keys(Subset(base, [3, 1])) == ["d", "b"]
    assert dataset_keys(Subset(base, np.array([3, 1]))) == ["d", "b"]  # type: ignore[arg-type]
    assert dataset_keys(Subset(Subset(base, [3, 1]), [1])) == ["b"]
    assert dataset_keys(ConcatDataset([base, Plain(1)])) == ["0/a", "0/b", "0/c", "0/d", "1/00000000"]
    assert dataset_keys(Subset(ConcatDataset([base, Keyed(4, names=list("abcd"))]), [5])) == ["1/b"]


def test_keys_do_not_depend_on_the_subset() -> None:
    base = Plain(3, images=["/d/a/1.png", "/d/a/2.png", "/d/b/1.png"])
    assert dataset_keys(Subset(base, [0, 1])) == ["a/1.png", "a/2.png"]


@pytest.mark.parametrize("name", ["dataset", "_dataset"])
def test_wrappers(name: str) -> None:
    base = Keyed(2, names=["a", "b"])
    assert dataset_keys(Plain(2, **{name: base})) == ["a", "b"]
    assert dataset_keys(Plain(2, **{name: Plain(2, **{name: base})})) == ["a", "b"]
    # Another length: it chooses or repeats, so which item is behind an index is not known.
    assert dataset_keys(Plain(3, **{name: base})) == ["00000000", "00000001", "00000002"]
    assert dataset_keys(Plain(1, **{name: None})) == ["00000000"]


@pytest.mark.parametrize(
    ("dataset", "keys", "message"),
    [
        (Plain(2), ["a"], "1 key for the 2 samples of Plain"),
        (Plain(2), ["a", 1], "key 1 of Plain"),
        (Plain(2), ["a", None], "key None of Plain"),
        (Plain(2), ["a", ""], "key '' of Plain"),
        (Plain(2), "ab", "keys='ab', but Plain has no column"),
        (Plain(2), b"ab", "keys= gave b'ab'"),
        (Plain(2, ab=["x", None]), "ab", "keys='ab': row 1 of Plain holds nothing"),
        (Plain(2, ab=["x", 1.5]), "ab", r"row 1 of Plain holds 1\.5 \(float\)"),
        (Keyed(2, names=[3, 4]), None, "key 3 of Keyed"),
        (Plain(2), 5, "keys= gave 5"),
        (Keyed(2, names="ab"), None, r"Keyed\.keys\(\) gave 'ab'"),
        (Keyed(2, names=["a", "b", "c"]), None, "3 keys for the 2 samples"),
    ],
)
def test_bad_keys_are_errors(dataset: Any, keys: Any, message: str) -> None:
    with pytest.raises(DatasetKeyError, match=message) as caught:
        dataset_keys(dataset, keys)
    assert "keys=lambda index" in caught.value.hint


def test_dataset_without_length_is_an_error() -> None:
    class Stream(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter(())

    with pytest.raises(DatasetKeyError, match="Stream has no length"):
        dataset_keys(Stream())


def test_torchvision_cityscapes(real_data: Path) -> None:
    root = real_data / "scenes" / "cityscapes"
    base = torchvision.datasets.Cityscapes(root, "train", target_type="semantic")
    keys = dataset_keys(base)
    assert sorted(keys) == [
        f"leftImg8bit/train/aachen/aachen_{number:06d}_000019_leftImg8bit.png" for number in range(4)
    ]
    assert dataset_keys(torchvision.datasets.wrap_dataset_for_transforms_v2(base)) == keys
    assert dataset_keys(Subset(base, [2])) == [keys[2]]
