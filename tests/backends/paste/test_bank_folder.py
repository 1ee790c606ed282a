"""Folders of cut-outs: classes, indices, and files that cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_folder import category_of
from poc_aug.backends.paste.bank_pictures import TOO_LARGE
from poc_aug.cli.object_sources import load_objects
from poc_aug.errors import ObjectBankError, PocAugError
from tests.helpers.bank_cases import folder  # noqa: F401


def test_folder_classes_come_from_subfolders_then_from_names(folder: Path) -> None:  # noqa: F811
    bank = ObjectBank.from_folder(folder)
    assert bank.classes() == ("cone", "potted plant")
    assert len(bank) == 3
    assert bank.by_class("cone") == (0, 1)
    assert bank.dropped == {"smaller than 32 px": 1, "without an alpha channel": 1}
    assert repr(bank) == (
        "ObjectBank(folder, 3 objects: cone: 2, potted plant: 1; left out: 1 smaller than 32 px, "
        "1 without an alpha channel)"
    )
    assert "1 without an alpha channel (flat.png)" in bank.summary()
    assert str(folder) in bank.summary()


def test_category_of_file_names() -> None:
    assert category_of(Path("wine_glass_000_12.png")) == "wine glass"
    assert category_of(Path("a-b/x.png")) == "a b"
    assert category_of(Path("0042.png")) == "0042"


def test_folder_index_decides(folder: Path) -> None:  # noqa: F811
    rows = [{"file": "cone/a.png", "category": "traffic cone"}]
    (folder / "objects.json").write_text(json.dumps(rows))
    bank = ObjectBank.from_folder(folder)
    assert bank.classes() == ("traffic cone",)
    assert ObjectBank.from_folder(folder, category=lambda path: path.stem).classes() == (
        "a",
        "b",
        "potted_plant_000003",
    )


@pytest.mark.parametrize("text", ["{", '[{"file": "cone/a.png"}]', "[3]"])
def test_folder_bad_index(folder: Path, text: str) -> None:  # noqa: F811
    (folder / "objects.json").write_text(text)
    with pytest.raises(ObjectBankError, match="not an index of cut-outs"):
        ObjectBank.from_folder(folder)


def test_folder_include_exclude(folder: Path) -> None:  # noqa: F811
    assert ObjectBank.from_folder(folder, include=["cone"]).classes() == ("cone",)
    assert ObjectBank.from_folder(folder, exclude=["cone"]).classes() == ("potted plant",)


def test_empty_bank_counts_the_reasons(folder: Path) -> None:  # noqa: F811
    with pytest.raises(ObjectBankError) as caught:
        ObjectBank.from_folder(folder, min_size_px=65, include=["cone"])
    assert "3 of a class that is excluded, 2 smaller than 65 px" in str(caught.value)
    (folder / "nothing").mkdir()
    with pytest.raises(ObjectBankError, match="nothing found"):
        ObjectBank.from_folder(folder / "nothing")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ObjectBankError, match="no folder"):
        ObjectBank.from_folder(tmp_path / "none")


def test_pictures_that_cannot_be_read_are_left_out_counted_and_named(folder: Path) -> None:  # noqa: F811
    (folder / "cone" / "text.png").write_text("not a picture")
    (folder / "cone" / "empty.webp").write_bytes(b"")
    (folder / "cone" / "folder.png").mkdir()
    Image.fromarray(np.zeros((40, 40), dtype=np.float32)).save(folder / "cone" / "float.png", format="TIFF")
    bank = ObjectBank.from_folder(folder)
    assert len(bank) == 3
    assert bank.dropped["unreadable"] == 3
    assert bank.dropped["of float or 32-bit values, whose white level is not known"] == 1
    summary = bank.summary()
    assert "cone/empty.webp: it is empty" in summary
    for name in ("cone/text.png", "cone/folder.png", "cone/float.png: mode 'F'"):
        assert name in summary
    with pytest.raises(ObjectBankError, match=r"3 unreadable \(cone/empty\.webp"):
        ObjectBank.from_folder(folder, min_size_px=500)


def test_links_to_nothing_and_pointers_are_told(folder: Path) -> None:  # noqa: F811
    (folder / "cone" / "link.png").symlink_to(folder / "unmounted")
    (folder / "cone" / "pointer.png").write_text("version https://git-lfs.github.com/spec/v1")
    link, pointer = ObjectBank.from_folder(folder).dropped_names["unreadable"]
    assert link.startswith("cone/link.png: it is a link to ")
    assert link.endswith("unmounted, which is not there")
    assert pointer.startswith("cone/pointer.png: a pointer of Git LFS")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_above_pillows_limit_is_left_out_by_that_reason(
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1400)  # the plant has more than twice as many
    bank = ObjectBank.from_folder(folder)
    assert bank.classes() == ("cone",)
    assert bank.dropped[TOO_LARGE] == 1
    assert bank.dropped_names[TOO_LARGE][0].startswith("potted_plant_000003.png: Image size (3850 pixels)")


def test_a_folder_of_photographs_says_what_cutouts_are(tmp_path: Path) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "a.jpg")
    with pytest.raises(ObjectBankError, match="PNG or WebP with alpha") as caught:
        ObjectBank.from_folder(tmp_path)
    assert caught.value.hint == "check the path"  # there is no filter that could be loosened


def test_an_index_that_names_a_file_that_is_not_there(folder: Path) -> None:  # noqa: F811
    rows = [{"file": "cone/a.png", "category": "cone"}, {"file": "cone/gone.png", "category": "cone"}]
    (folder / "objects.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(rows).encode())
    bank = ObjectBank.from_folder(folder)
    assert (len(bank), bank.dropped) == (1, {"unreadable": 1})
    assert "gone.png" in bank.dropped_names["unreadable"][0]


def test_links_to_folders_are_followed_once(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    elsewhere = tmp_path / "elsewhere"
    (folder / "cone").rename(elsewhere)
    (folder / "cone").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    bank = ObjectBank.from_folder(folder)
    assert [bank.name(i) for i in range(len(bank))] == ["cone/a.png", "cone/b.png", "potted_plant_000003.png"]


def test_a_subfolder_that_may_not_be_listed_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name in ("cone", ".trash"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    (folder / ".trash").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ObjectBankError, match=r"cannot list '.*cone': Permission denied"):
        ObjectBank.from_folder(folder)


@pytest.mark.parametrize("name", ["x" * 256, "file/bank", "a\0b"], ids=["long", "below a file", "nul"])
def test_paths_at_which_no_bank_can_be(folder: Path, name: str) -> None:  # noqa: F811
    (folder / "file").write_text("no folder")
    path = folder / name
    for make in (ObjectBank.from_folder, ObjectBank.from_coco):
        with pytest.raises(ObjectBankError) as caught:
            make(path)
        assert repr(str(path)) in caught.value.problem
    with pytest.raises(PocAugError, match="no objects"):
        load_objects(str(path))
