from __future__ import annotations

import json
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES, ObjectBank
from poc_aug.backends.paste.bank_folder import category_of
from poc_aug.backends.paste.bank_pictures import TOO_LARGE
from poc_aug.cli.object_sources import load_objects
from poc_aug.errors import ItemFormatError, ObjectBankError, PocAugError, RecipeError, SampleReadError, SchemaError
from poc_aug.labels.schema import LabelSchema
from poc_aug.presets.object_sizes import known_sizes, real_size


def disc(height: int, width: int, colour: tuple[int, int, int], margin: int = 4) -> np.ndarray:
    """An ellipse with hard alpha on a magenta background: RGBA uint8 [height, width, 4]."""
    rows, cols = np.mgrid[:height, :width]
    y, x = (rows - (height - 1) / 2) / (height / 2 - margin), (cols - (width - 1) / 2) / (width / 2 - margin)
    inside = y**2 + x**2 <= 1
    pixels = np.empty((height, width, 4), dtype=np.uint8)
    pixels[..., :3] = np.where(inside[..., None], colour, (255, 0, 255))
    pixels[..., 3] = inside * 255
    return pixels


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "bank"
    write(root / "cone" / "a.png", disc(60, 41, (250, 120, 20)))
    write(root / "cone" / "b.png", disc(50, 47, (230, 90, 10)))
    write(root / "potted_plant_000003.png", disc(70, 55, (30, 140, 40)))
    write(root / "crumb.png", disc(17, 11, (200, 200, 200), margin=2))
    write(root / "flat.png", np.zeros((40, 40, 3), dtype=np.uint8))
    return root


# ---------------------------------------------------------------- folder


def test_folder_classes_come_from_subfolders_then_from_names(folder: Path) -> None:
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


def test_folder_index_decides(folder: Path) -> None:
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
def test_folder_bad_index(folder: Path, text: str) -> None:
    (folder / "objects.json").write_text(text)
    with pytest.raises(ObjectBankError, match="not an index of cut-outs"):
        ObjectBank.from_folder(folder)


def test_folder_include_exclude(folder: Path) -> None:
    assert ObjectBank.from_folder(folder, include=["cone"]).classes() == ("cone",)
    assert ObjectBank.from_folder(folder, exclude=["cone"]).classes() == ("potted plant",)


def test_empty_bank_counts_the_reasons(folder: Path) -> None:
    with pytest.raises(ObjectBankError) as caught:
        ObjectBank.from_folder(folder, min_size_px=65, include=["cone"])
    assert "3 of a class that is excluded, 2 smaller than 65 px" in str(caught.value)
    (folder / "nothing").mkdir()
    with pytest.raises(ObjectBankError, match="nothing found"):
        ObjectBank.from_folder(folder / "nothing")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ObjectBankError, match="no folder"):
        ObjectBank.from_folder(tmp_path / "none")


def test_pictures_that_cannot_be_read_are_left_out_counted_and_named(folder: Path) -> None:
    (folder / "cone" / "text.png").write_text("not a picture")
    (folder / "cone" / "empty.webp").write_bytes(b"")
    (folder / "cone" / "folder.png").mkdir()
    Image.fromarray(np.zeros((40, 40), dtype=np.float32)).save(folder / "cone" / "float.png", format="TIFF")
    bank = ObjectBank.from_folder(folder)
    assert len(bank) == 3
    assert bank.dropped["unreadable"] == 3
    assert bank.dropped["of float or 32-bit values, whose white is not known"] == 1
    told = bank.summary()
    assert "cone/empty.webp: it is empty" in told
    for name in ("cone/text.png", "cone/folder.png", "cone/float.png: mode 'F'"):
        assert name in told
    with pytest.raises(ObjectBankError, match=r"3 unreadable \(cone/empty\.webp"):
        ObjectBank.from_folder(folder, min_size_px=500)


def test_links_to_nothing_and_pointers_are_told(folder: Path) -> None:
    (folder / "cone" / "link.png").symlink_to(folder / "unmounted")
    (folder / "cone" / "pointer.png").write_text("version https://git-lfs.github.com/spec/v1")
    link, pointer = ObjectBank.from_folder(folder).dropped_names["unreadable"]
    assert link.startswith("cone/link.png: it is a link to ")
    assert link.endswith("unmounted, which is not there")
    assert pointer.startswith("cone/pointer.png: a pointer of Git LFS")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_above_pillows_limit_is_left_out_by_that_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
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


def test_an_index_that_names_a_file_that_is_not_there(folder: Path) -> None:
    rows = [{"file": "cone/a.png", "category": "cone"}, {"file": "cone/gone.png", "category": "cone"}]
    (folder / "objects.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(rows).encode())
    bank = ObjectBank.from_folder(folder)
    assert (len(bank), bank.dropped) == (1, {"unreadable": 1})
    assert "gone.png" in bank.dropped_names["unreadable"][0]


def test_truncated_file_is_found_when_it_is_drawn(folder: Path) -> None:
    path = folder / "cone" / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 4), dtype=np.uint8)
    write(path, noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    bank = ObjectBank.from_folder(folder)
    with pytest.raises(ObjectBankError, match=r"a\.png"):
        bank.cutout(0)


def test_vanished_file(folder: Path) -> None:
    bank = ObjectBank.from_folder(folder)
    (folder / "cone" / "a.png").unlink()
    with pytest.raises(ObjectBankError, match=r"a\.png"):
        bank.cutout(0)
    with pytest.raises(ObjectBankError, match=r"a\.png"):
        bank.describe()


def test_transparent_cutout_is_an_error(folder: Path) -> None:
    write(folder / "cone" / "a.png", np.zeros((40, 40, 4), dtype=np.uint8))
    with pytest.raises(ObjectBankError, match=r"a\.png' is empty"):
        ObjectBank.from_folder(folder).cutout(0)


def test_unknown_class_lists_the_known(folder: Path) -> None:
    with pytest.raises(RecipeError, match="cone, potted plant"):
        ObjectBank.from_folder(folder).by_class("dragon")


def test_pickles_without_pixels_and_reads_alike(folder: Path) -> None:
    bank = ObjectBank.from_folder(folder)
    first = bank.cutout(1)
    data = pickle.dumps(bank)
    assert len(data) < 3500
    again = pickle.loads(data).cutout(1)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.alpha, again.alpha)
    assert bank.cutout(1) is first


def test_fingerprint_follows_content_not_place(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    here, there = ObjectBank.from_folder(folder), ObjectBank.from_folder(moved)
    assert here.describe() == there.describe()
    assert json.loads(json.dumps(here.describe())) == here.describe()
    write(moved / "cone" / "a.png", disc(60, 41, (251, 120, 20)))
    assert ObjectBank.from_folder(moved).describe() != here.describe()


def test_hard_mask_is_pulled_in_and_no_background_colour_is_left(folder: Path) -> None:
    cutout = ObjectBank.from_folder(folder).cutout(0)
    raw = disc(60, 41, (250, 120, 20))[..., 3] > 0
    assert not cutout.soft
    assert set(cutout.alpha.unique().tolist()) == {0, 255}
    assert cutout.alpha.shape == (int(raw.any(1).sum()) - 2, int(raw.any(0).sum()) - 2)
    # The object is of one colour: so is the whole rectangle, where magenta was around it.
    assert int((cutout.image.int() - torch.tensor([250, 120, 20])[:, None, None]).abs().max()) <= 1


# ---------------------------------------------------------------- dataset


class Frames:
    """Two frames with three boxes each; one of them touches the border."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.zeros((71, 97), dtype=torch.int64)
        labels[10 + i : 50, 10:45] = 2
        labels[20:60, 50:90] = 2
        labels[40:71, 0:8] = 2
        labels[62:66, 60:64] = 1
        image = torch.full((3, 71, 97), 30, dtype=torch.uint8)
        image[0, labels == 2] = 150 + self.shift
        return image, labels


FRAMES_SCHEMA = LabelSchema("frames", {"road": 0, "cone": 1, "box": 2})


def test_dataset_components() -> None:
    bank = ObjectBank.from_dataset(Frames(), FRAMES_SCHEMA, ["box", "cone"], min_size_px=16)
    assert bank.classes() == ("box",)
    assert len(bank) == 4
    assert bank.dropped == {"smaller than 16 px": 2, "smaller than 512 px of area": 2}
    assert bank.cutout(0).alpha.shape == (36, 31)
    assert int((bank.cutout(3).image[0].int() - 150).abs().max()) <= 1
    again = pickle.loads(pickle.dumps(bank))
    assert again.describe() == bank.describe()
    assert torch.equal(again.cutout(2).image, bank.cutout(2).image)
    kept = ObjectBank.from_dataset(Frames(), FRAMES_SCHEMA, ["box"], min_size_px=9, min_area_px=1, drop_truncated=False)
    assert len(kept) == 6


def test_dataset_errors() -> None:
    with pytest.raises(SchemaError, match="'unicorn' is not in label schema"):
        ObjectBank.from_dataset(Frames(), FRAMES_SCHEMA, ["unicorn"])
    with pytest.raises(ObjectBankError, match="4 smaller than 9000 px of area"):
        ObjectBank.from_dataset(Frames(), FRAMES_SCHEMA, ["box"], min_area_px=9000)
    with pytest.raises(ItemFormatError, match="00000000"):
        ObjectBank.from_dataset([3], FRAMES_SCHEMA, ["box"])
    frames = Frames()
    bank = ObjectBank.from_dataset(frames, FRAMES_SCHEMA, ["box"])
    frames.shift = 9
    with pytest.raises(ObjectBankError, match="not what it was"):
        bank.cutout(0)


def test_a_dataset_whose_items_change_their_size() -> None:
    frames = Frames()
    bank = ObjectBank.from_dataset(frames, FRAMES_SCHEMA, ["box"])

    class Smaller(Frames):
        def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
            image, labels = super().__getitem__(i)
            return image[:, :30, :40], labels[:30, :40]

    frames.__class__ = Smaller
    with pytest.raises(ObjectBankError, match="not what it was"):
        bank.cutout(0)


def test_a_dataset_that_raises_is_named_with_its_key() -> None:
    class Broken(Frames):
        def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
            raise OSError("no disk")

    with pytest.raises(SampleReadError, match="'00000000' could not be read: OSError: no disk"):
        ObjectBank.from_dataset(Broken(), FRAMES_SCHEMA, ["box"])


def test_two_threads_read_one_bank(tmp_path: Path) -> None:
    for i in range(24):
        write(tmp_path / "dog" / f"{i:02d}.png", disc(40, 33, (i * 10, 50, 50)))
    bank = ObjectBank.from_folder(tmp_path)
    expected = [bank.cutout(i).image.clone() for i in range(24)]

    def read(seed: int) -> bool:
        order = np.random.default_rng(seed).integers(0, 24, 300)
        return all(torch.equal(bank.cutout(int(i)).image, expected[i]) for i in order)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))


# ---------------------------------------------------------------- sizes


def test_sizes_cover_coco_and_the_papers_lists() -> None:
    sizes = known_sizes()
    assert all(0.05 <= metres <= 15 for metres, _ in sizes.values())
    for name in (*CITYSCAPES_COCO_CLASSES, "zebra", "toaster", "bird flying", "wheelie bin", "arcade machine"):
        assert name in sizes
    assert real_size("Potted_Plant") == real_size("potted plant")
    assert real_size("knife").measure == "longest"


def test_unknown_size_says_how_to_give_it() -> None:
    with pytest.raises(RecipeError, match=r"'unicorn' is not known(.|\n)*sizes=\{'unicorn': 0.5\}") as caught:
        real_size("unicorn")
    assert "--sizes-file FILE.yaml" in caught.value.on_command_line()
    assert "sizes=" not in caught.value.on_command_line()


# ---------------------------------------------------------------- real data


def test_real_banks(real_data: Path) -> None:
    bank = ObjectBank.from_folder(real_data / "objects")
    assert len(bank) == 66
    for i in range(len(bank)):
        cutout = bank.cutout(i)
        assert not cutout.soft
        assert cutout.alpha.shape == cutout.image.shape[1:]
        assert bool((cutout.alpha > 0).any(0).all())
    soft = ObjectBank.from_folder(real_data / "objects" / "soft_alpha")
    assert all(soft.cutout(i).soft for i in range(len(soft)))
    coco = ObjectBank.from_coco(
        real_data / "objects/coco_mini/instances.json",
        real_data / "objects/coco_mini/images",
        exclude=CITYSCAPES_COCO_CLASSES,
    )
    assert not set(coco.classes()) & set(CITYSCAPES_COCO_CLASSES)
    for i in range(len(coco)):
        assert int((coco.cutout(i).alpha > 0).sum()) > 300


def test_real_sizes_are_known_for_the_whole_bank(real_data: Path) -> None:
    data = json.loads((real_data / "objects/coco_mini/instances.json").read_text())
    for row in data["categories"]:
        assert real_size(row["name"]).size_m is not None


def test_links_to_folders_are_followed_once(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (folder / "cone").rename(elsewhere)
    (folder / "cone").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    bank = ObjectBank.from_folder(folder)
    assert [bank.name(i) for i in range(len(bank))] == ["cone/a.png", "cone/b.png", "potted_plant_000003.png"]


def test_a_subfolder_that_may_not_be_listed_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_paths_at_which_no_bank_can_be(folder: Path, name: str) -> None:
    (folder / "file").write_text("no folder")
    path = folder / name
    for make in (ObjectBank.from_folder, ObjectBank.from_coco):
        with pytest.raises(ObjectBankError) as caught:
            make(path)
        assert repr(str(path)) in caught.value.problem
    with pytest.raises(PocAugError, match="no objects"):
        load_objects(str(path))
