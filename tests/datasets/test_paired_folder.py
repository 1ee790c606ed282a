from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Subset

from poc_aug.datasets import PairedFolder, camvid, road_anomaly
from poc_aug.datasets.file_pairing import find_files, natural_order
from poc_aug.errors import DatasetError, SampleReadError, SchemaError
from poc_aug.items.open_item import open_item
from poc_aug.keys import dataset_keys
from tests.helpers.small_files import pairs, put


@pytest.mark.parametrize(
    ("images", "labels", "files"),
    [
        ("*.jpg", "*.png", [("a.jpg", "a.png"), ("b.jpg", "b.png")]),
        ("im/*.{jpg,png}", "gt/*.png", [("im/a.jpg", "gt/a.png"), ("im/b.png", "gt/b.png")]),
        (
            "left/train/*/*_left.png",
            "gt/train/*/*_gt_ids.png",
            [(f"left/train/{city}/1_left.png", f"gt/train/{city}/1_gt_ids.png") for city in "uv"],
        ),
        ("im/**/*.png", "gt/**/*.png", [("im/1.png", "gt/1.png"), ("im/a/b/1.png", "gt/a/b/1.png")]),
        ("im/**", "gt/**", [("im/1.png", "gt/1.png"), ("im/a/b/2.png", "gt/a/b/2.png")]),
        ("im/v?.png", "gt/[u-w]?.png", []),
        ("im/[!x]?.png", "gt/[!x]?.png", [("im/v1.png", "gt/v1.png")]),
        ("im (1)/*.png", "gt+x/*.png", [("im (1)/a.png", "gt+x/a.png")]),
        # One folder: what both globs match counts as labels.
        ("*.png", "*_label.png", [("a.png", "a_label.png"), ("b.png", "b_label.png")]),
    ],
)  # fmt: skip
def test_wildcards_pair_files(tmp_path: Path, images: str, labels: str, files: list[tuple[str, str]]) -> None:
    for image, label in files:
        put(tmp_path, image, label)
    if not files:
        put(tmp_path, "im/v1.png", "gt/v1.png")
        with pytest.raises(DatasetError, match="no counterpart"):  # one wildcard against two
            PairedFolder(tmp_path, images, labels)
        return
    assert pairs(PairedFolder(tmp_path, images, labels)) == files


def test_order_is_natural_and_keys_are_the_images_paths(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100):
        put(tmp_path, f"im/{number}.png", f"gt/{number}.png")
    dataset = PairedFolder(tmp_path, "im/*.png", "gt/*.png")
    assert dataset.keys() == ["im/1.png", "im/9.png", "im/10.png", "im/100.png"]
    assert dataset_keys(dataset) == dataset.keys()
    assert dataset_keys(Subset(dataset, [2])) == ["im/10.png"]
    assert sorted(["b2", "b10", "a", "10", "9"], key=natural_order) == ["9", "10", "a", "b2", "b10"]


def test_items_are_pil_pairs_and_labels_keep_their_mode(tmp_path: Path) -> None:
    for name, mode in (("a", "RGB"), ("b", "RGBA"), ("c", "L"), ("d", "P")):
        put(tmp_path, f"im/{name}.png", mode=mode)
    for name, mode in (("a", "L"), ("b", "P"), ("c", "I;16"), ("d", "L")):
        put(tmp_path, f"gt/{name}.png", mode=mode)
    dataset = PairedFolder(tmp_path, "im/*.png", "gt/*.png")
    assert [dataset[i][0].mode for i in range(4)] == ["RGB"] * 4
    assert [dataset[i][1].mode for i in range(4)] == ["L", "P", "I;16", "L"]
    for index in range(4):
        assert open_item(dataset[index], key="k").sample().size_hw == (17, 11)
    for leaf, again in zip(dataset[0], pickle.loads(pickle.dumps(dataset[0])), strict=True):
        assert type(leaf) is type(again)
        assert leaf.tobytes() == again.tobytes()


def test_lists_of_paths(tmp_path: Path) -> None:
    put(tmp_path, "x.png", "y.png", "1_gt.png", "2_gt.png")
    dataset = PairedFolder(tmp_path, ["y.png", "x.png"], ["1_gt.png", "2_gt.png"])
    assert pairs(dataset) == [("y.png", "1_gt.png"), ("x.png", "2_gt.png")]
    cases: list[tuple[Any, list[str], dict[str, Any]]] = [
        (["x.png"], ["1_gt.png", "2_gt.png"], {}),
        ("*.png", ["1_gt.png"], {}),
        (["x.png"], ["1_gt.png"], {"pair": str}),
    ]
    for images, labels, more in cases:
        with pytest.raises(DatasetError, match="do not fit together"):
            PairedFolder(tmp_path, images, labels, **more)


def test_pair_function(tmp_path: Path) -> None:
    put(tmp_path, "im/a.png", "gt/a_1.png", "gt/a_2.png")
    dataset = PairedFolder(
        tmp_path, "im/*.png", "gt/*.png", pair=lambda path: path.replace("im/", "gt/").replace(".", "_2.")
    )
    assert pairs(dataset) == [("im/a.png", "gt/a_2.png")]
    with pytest.raises(DatasetError, match=r"1 of 1 images .* have no labels: im/a\.png -> gt/a\.png"):
        PairedFolder(tmp_path, "im/*.png", "gt/*.png", pair=lambda path: path.replace("im/", "gt/"))


def test_transforms(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "a_gt.png")
    both = PairedFolder(tmp_path, "*.jpg", "*_gt.png", transforms=lambda image, labels: (labels, image))
    assert [leaf.mode for leaf in both[0]] == ["L", "RGB"]
    separate = PairedFolder(
        tmp_path, "*.jpg", "*_gt.png", transform=np.asarray, target_transform=lambda labels: labels.size
    )
    assert separate[0][0].shape == (17, 11, 3)
    assert separate[0][1] == (11, 17)
    with pytest.raises(DatasetError, match="transforms= was given together with"):
        PairedFolder(tmp_path, "*.jpg", "*_gt.png", transforms=print, transform=np.asarray)


def test_repr_and_pickle(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "a_gt.png")
    dataset = PairedFolder(tmp_path, "*.jpg", "*_gt.png", schema="camvid")
    for part in ("PairedFolder", "Number of datapoints: 1", str(tmp_path), "*.jpg", "*_gt.png", "camvid"):
        assert part in repr(dataset)
    assert pickle.loads(pickle.dumps(dataset)).keys() == dataset.keys()
    assert "Schema: unknown" in repr(PairedFolder(tmp_path, ["a.jpg"], ["a_gt.png"]))


def test_unpaired_files_are_named_on_both_sides(tmp_path: Path) -> None:
    put(tmp_path, *(f"im/{i}.png" for i in range(7)), *(f"gt/{i}.png" for i in range(5, 9)))
    with pytest.raises(DatasetError) as caught:
        PairedFolder(tmp_path, "im/*.png", "gt/*.png")
    text = str(caught.value)
    assert "5 of 7 images and 2 of 4 labels" in text
    assert "im/0.png, im/1.png, im/2.png and 2 more" in text
    assert "gt/7.png, gt/8.png" in text
    assert "pair=" in caught.value.hint


def test_two_files_for_one_text(tmp_path: Path) -> None:
    put(tmp_path, "im/a.png", "im/a.jpg", "gt/a.png")
    with pytest.raises(DatasetError, match=r"im/a\.jpg and im/a\.png match"):
        PairedFolder(tmp_path, "im/*.{png,jpg}", "gt/*.png")


def test_no_folder_and_no_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no folder"):
        PairedFolder(tmp_path / "nothing", "*.jpg", "*.png")
    with pytest.raises(DatasetError, match=r"labels='\*\.png'; it holds nothing"):
        PairedFolder(tmp_path, "*.jpg", "*.png")
    put(tmp_path, "a_gt.png", "sub/a.jpg")
    with pytest.raises(DatasetError, match=r"images='\*\.jpg'; it holds a_gt\.png, sub"):
        PairedFolder(tmp_path, "*.jpg", "*_gt.png")


def test_what_programs_leave_behind_is_no_data(tmp_path: Path) -> None:
    put(tmp_path, "im/u/a.png", "gt/u/a.png")
    put(tmp_path, "im/u/._a.png", "__MACOSX/im/u/a.png", "__MACOSX/gt/u/._a.png", "im/.ipynb_checkpoints/b.png")
    for images, labels in (("im/*/*.png", "gt/*/*.png"), ("im/**/*.png", "gt/**/*.png")):
        assert pairs(PairedFolder(tmp_path, images, labels)) == [("im/u/a.png", "gt/u/a.png")]
    assert find_files(tmp_path, "**/*.png") == ["gt/u/a.png", "im/u/a.png"]
    assert find_files(tmp_path, "*/*/*/*.png") == []


def forbid(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Listing these folders fails as it does for another user."""
    scandir = os.scandir

    def guarded(path: Any = ".") -> Any:
        if Path(path) in folders:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)


@pytest.mark.parametrize("images", ["im/*/*.png", "im/**/*.png", "im/**", "{im,other}/*/*.png", "**/im_*.png"])
def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: str) -> None:
    """Both files of a pair are in such folders: without a word the dataset would be smaller."""
    for town in "uv":
        put(tmp_path, f"im/{town}/im_a.png", f"gt/{town}/im_a.png")
    forbid(monkeypatch, tmp_path / "im/v", tmp_path / "gt/v")
    with pytest.raises(DatasetError, match=r"cannot read .*(im|gt)/v: Permission denied"):
        PairedFolder(tmp_path, images, "gt/*/*.png")


def test_only_folders_that_the_glob_lists_have_to_be_listable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "im/u/a.png", "gt/u/a.png", "private/x.png")
    (tmp_path / "lost+found").mkdir()
    forbid(monkeypatch, tmp_path / "lost+found")
    assert len(find_files(tmp_path, "**/*.png")) == 3
    forbid(monkeypatch, tmp_path, tmp_path / "private")
    assert len(PairedFolder(tmp_path, "im/*/*.png", "gt/*/*.png")) == 1


@pytest.mark.parametrize("what", [camvid, road_anomaly, PairedFolder])
def test_a_root_that_cannot_be_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: Callable[..., Any]
) -> None:
    globs = ("*.png", "*_gt.png") if what is PairedFolder else ()
    (tmp_path / "file").touch()
    for root in (tmp_path / ("a" * 300), tmp_path / "file", tmp_path / "file/below", tmp_path / "gone"):
        with pytest.raises(DatasetError) as caught:
            what(root, *globs)
        assert str(root) in caught.value.problem

    with pytest.raises(DatasetError, match="no home folder for '~nobody-of-that-name/data'"):
        what("~nobody-of-that-name/data", *globs)

    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "stat", forbidden)
    with pytest.raises(DatasetError, match=r"cannot read .*: Permission denied"):
        what(tmp_path, *globs)


def test_links_to_nothing_are_named(tmp_path: Path) -> None:
    put(tmp_path, "im/a.png", "gt/a.png", "store/b.png", "store/b_gt.png")
    for name, target in (("im/b.png", "b.png"), ("gt/b.png", "b_gt.png")):
        (tmp_path / name).symlink_to(tmp_path / "store" / target)
    assert len(PairedFolder(tmp_path, "im/*.png", "gt/*.png")) == 2
    for target in ("b.png", "b_gt.png"):
        (tmp_path / "store" / target).unlink()
    with pytest.raises(DatasetError, match=r"(im|gt)/b\.png is a link to .*store/b(_gt)?\.png, which is not there"):
        PairedFolder(tmp_path, "im/*.png", "gt/*.png")


def test_unknown_schema(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "a_gt.png")
    with pytest.raises(SchemaError, match="no label schema 'camvidd'"):
        PairedFolder(tmp_path, "*.jpg", "*_gt.png", schema="camvidd")


@pytest.mark.parametrize("broken", ["a.jpg", "a_gt.png"])
@pytest.mark.parametrize("how", ["no image", "truncated", "gone"])
def test_unreadable_files_are_named(tmp_path: Path, broken: str, how: str) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("a.jpg", (64, 64, 3)), ("a_gt.png", (64, 64))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / name)
    dataset = PairedFolder(tmp_path, "*.jpg", "*_gt.png")
    path = tmp_path / broken
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"hello" if how == "no image" else path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SampleReadError, match=rf"sample 'a\.jpg': cannot read .*{broken}"):
        dataset[0]
