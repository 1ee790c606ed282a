from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poc_aug.backends.bank import CITYSCAPES_COCO_CLASSES, ObjectBank
from poc_aug.backends.bank_folder import category_of
from poc_aug.backends.matte import clean_cutout, extend_colours
from poc_aug.backends.rle import decode_counts, decode_rle, decode_segmentation
from poc_aug.components import connected_components
from poc_aug.errors import ItemFormatError, ObjectBankError, RecipeError, SchemaError
from poc_aug.schema import LabelSchema
from poc_aug.sizes import known_sizes, real_size


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
    assert repr(bank) == "ObjectBank(folder, 3 objects, 2 left out: cone: 2, potted plant: 1)"


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
    assert "3 of a class that is excluded; 2 smaller than 65 px" in str(caught.value)
    (folder / "nothing").mkdir()
    with pytest.raises(ObjectBankError, match="nothing found"):
        ObjectBank.from_folder(folder / "nothing")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ObjectBankError, match="no folder"):
        ObjectBank.from_folder(tmp_path / "none")


def test_unreadable_header_names_the_file(folder: Path) -> None:
    (folder / "cone" / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ObjectBankError, match=r"broken\.png"):
        ObjectBank.from_folder(folder)


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
    assert len(data) < 3000
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


# ---------------------------------------------------------------- cleaning


def test_hard_mask_is_pulled_in_and_no_background_colour_is_left(folder: Path) -> None:
    cutout = ObjectBank.from_folder(folder).cutout(0)
    raw = disc(60, 41, (250, 120, 20))[..., 3] > 0
    assert not cutout.soft
    assert set(cutout.alpha.unique().tolist()) == {0, 255}
    assert cutout.alpha.shape == (int(raw.any(1).sum()) - 2, int(raw.any(0).sum()) - 2)
    # The object is of one colour: so is the whole rectangle, where magenta was around it.
    assert int((cutout.image.int() - torch.tensor([250, 120, 20])[:, None, None]).abs().max()) <= 1


def test_fringe_colours_give_way_to_inner_ones() -> None:
    image = torch.zeros((3, 31, 23), dtype=torch.uint8)
    image[0] = 200
    alpha = torch.zeros((31, 23), dtype=torch.uint8)
    alpha[5:26, 5:18] = 255
    inner = torch.zeros_like(alpha, dtype=torch.bool)
    inner[8:23, 8:15] = True
    image[:, ~inner] = 255  # white fringe of 3 px
    cleaned = clean_cutout(image, alpha, erode_px=2)
    assert cleaned is not None
    colours, mask, _ = cleaned
    assert mask.shape == (17, 9)
    assert float(colours[1].float().mean()) < 110
    assert int(colours[1, 1:-1, 1:-1].float().amax()) <= 1


def test_thin_mask_is_not_pulled_away() -> None:
    alpha = torch.zeros((20, 9), dtype=torch.uint8)
    alpha[2:18, 3:5] = 255
    cleaned = clean_cutout(torch.full((3, 20, 9), 90, dtype=torch.uint8), alpha)
    assert cleaned is not None
    assert cleaned[1].shape == (16, 2)


def test_soft_matte_keeps_its_alpha_and_sheds_background_colour() -> None:
    ramp = torch.linspace(0, 255, 24).round().to(torch.uint8)
    alpha = torch.cat((ramp, torch.full((24,), 255, dtype=torch.uint8))).expand(17, 48).contiguous()
    share = alpha.float() / 255
    image = torch.stack((share * 40, share * 80, 255 - share * 135)).round().to(torch.uint8)  # blue behind
    cleaned = clean_cutout(image, alpha)
    assert cleaned is not None
    colours, kept, soft = cleaned
    assert soft
    assert torch.equal(kept, alpha[:, alpha[0] > 8])
    # Where the matte is half open, the object's own blue (120) shows, not the background's (255).
    half = int((kept[8].int() - 128).abs().argmin())
    assert abs(int(colours[2, 8, half]) - 120) < 25


def test_specks_are_dropped() -> None:
    alpha = torch.zeros((40, 31), dtype=torch.uint8)
    alpha[3:20, 3:28] = 255
    alpha[36:39, 10:13] = 255
    cleaned = clean_cutout(torch.zeros((3, 40, 31), dtype=torch.uint8), alpha, erode_px=0)
    assert cleaned is not None
    assert cleaned[1].shape == (36, 25)  # 9 of 425 pixels: more than a hundredth, kept
    alpha[36:39, 11:13] = 0
    cleaned = clean_cutout(torch.zeros((3, 40, 31), dtype=torch.uint8), alpha, erode_px=0)
    assert cleaned is not None
    assert cleaned[1].shape == (17, 25)


@pytest.mark.parametrize("size", [(17, 11), (1, 1), (8, 5), (1, 9)])
def test_extend_colours_keeps_what_is_trusted(size: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(3)
    colours = torch.rand((3, *size), generator=rng)
    trust = (torch.rand(size, generator=rng) < 0.3).float()
    trust[0, 0] = 1
    filled = extend_colours(colours, trust)
    known = trust > 0
    assert torch.allclose(filled[:, known], colours[:, known], atol=1e-6)
    low, high = colours[:, known].amin(1), colours[:, known].amax(1)
    assert bool((filled >= low[:, None, None] - 1e-4).all())
    assert bool((filled <= high[:, None, None] + 1e-4).all())


# ---------------------------------------------------------------- components


def flood(mask: np.ndarray, diagonal: bool) -> np.ndarray:
    labels = np.zeros(mask.shape, dtype=np.int32)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        labels[start] = count
        stack = [start]
        while stack:
            r, c = stack.pop()
            for dr in (-1, 0, 1):
                for dc in (-1, 0, 1):
                    n = (r + dr, c + dc)
                    reachable = diagonal or dr == 0 or dc == 0
                    inside = 0 <= n[0] < mask.shape[0] and 0 <= n[1] < mask.shape[1]
                    if reachable and inside and mask[n] and not labels[n]:
                        labels[n] = count
                        stack.append(n)
    return labels


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 19), st.integers(1, 19), st.floats(0.1, 0.9), st.booleans())
def test_components_equal_flood_fill(seed: int, height: int, width: int, share: float, diagonal: bool) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    labels, count = connected_components(torch.from_numpy(mask), diagonal=diagonal)
    expected = flood(mask, diagonal)
    assert count == expected.max(initial=0)
    assert np.array_equal(labels.numpy(), expected)


def test_components_of_a_long_spiral() -> None:
    size = 121
    mask = torch.zeros((size, size), dtype=torch.bool)
    mask[::2] = True
    mask[1::4, -1] = True
    mask[3::4, 0] = True
    assert connected_components(mask, diagonal=False)[1] == 1
    mask[1, -1] = False
    assert connected_components(mask, diagonal=False)[1] == 2


# ---------------------------------------------------------------- COCO


def encode_counts(counts: list[int]) -> str:
    """COCO's compressed counts, written from the format's description."""
    text = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 0x1F, value >> 5
            done = value == (-1 if bits & 0x10 else 0)
            text.append(chr(48 + (bits if done else bits | 0x20)))
            if done:
                break
    return "".join(text)


def runs_of(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flat.astype(int)))))
    return np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 60))
def test_run_lengths_round_trip(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.repeat(np.repeat(rng.random((height, width)) < 0.5, 3, axis=0), 2, axis=1)
    counts = runs_of(mask)
    text = encode_counts(counts)
    assert decode_counts(text) == counts
    assert decode_counts(text.encode()) == counts
    for form in (counts, text):
        decoded = decode_rle({"size": list(mask.shape), "counts": form})
        assert np.array_equal(decoded.numpy(), mask)


def test_compressed_counts_known_string() -> None:
    # Worked by hand: 5 -> "5", 40 -> 8|0x20, 1 -> "X1"; -3 is 0b11101 -> "M".
    assert decode_counts("5X1") == [5, 40]
    assert decode_counts("777M") == [7, 7, 7, 4]


@pytest.mark.parametrize(
    ("segmentation", "match"),
    [
        ({"size": [4, 5], "counts": [3, 4]}, "cover 7 pixels of a 4x5 mask"),
        ({"size": [4, 5], "counts": "~"}, "character '~'"),
        ({"size": [4, 5], "counts": "X"}, "ends inside a number"),
        ({"size": [2, 2], "counts": [4]}, r"mask is \(2, 2\), its image is \(4, 5\)"),
        ([[1, 2, 3, 4]], "polygons of at least 3 points"),
        (None, "polygons of at least 3 points"),
    ],
)
def test_bad_segmentations(segmentation: Any, match: str) -> None:
    with pytest.raises(ObjectBankError, match=match):
        decode_segmentation(segmentation, (4, 5))


def test_polygon_covers_its_pixels() -> None:
    square = [[3.0, 2.0, 9.0, 2.0, 9.0, 12.0, 3.0, 12.0]]
    mask = decode_segmentation(square, (17, 11))
    assert bool(mask[3:11, 4:8].all())
    assert 60 <= int(mask.sum()) <= 77


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    images = tmp_path / "images"
    picture = np.full((90, 130, 3), 60, dtype=np.uint8)
    write(images / "one.jpg", picture)
    crowd = np.zeros((90, 130), dtype=bool)
    crowd[20:70, 20:80] = True

    def square(x: int, y: int, side: int) -> list[list[float]]:
        return [[x, y, x + side, y, x + side, y + side, x, y + side]]

    def row(number: int, category: int, box: tuple[int, int, int], **changes: Any) -> dict[str, Any]:
        x, y, side = box
        return {
            "id": number,
            "image_id": 1,
            "category_id": category,
            "bbox": [x, y, side, side],
            "area": side * side,
            "iscrowd": 0,
            "segmentation": square(*box),
            **changes,
        }

    runs = runs_of(crowd)
    data = {
        "images": [
            {"id": 1, "file_name": "one.jpg", "height": 90, "width": 130},
            {"id": 2, "file_name": "two.jpg", "height": 90, "width": 130},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "cow"}],
        "annotations": [
            row(1, 1, (20, 20, 50)),
            row(2, 2, (20, 20, 50)),
            row(3, 2, (1, 20, 50)),
            row(4, 2, (30, 30, 34)),
            row(5, 2, (30, 30, 20)),
            row(6, 3, (20, 20, 50), iscrowd=1, segmentation={"size": [90, 130], "counts": runs}),
            row(7, 3, (20, 20, 50), segmentation={"size": [90, 130], "counts": encode_counts(runs)}),
            row(8, 3, (20, 20, 50), image_id=2),
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(data))
    return path, images, data


def test_coco_filters_and_reasons(coco: tuple[Path, Path, dict[str, Any]]) -> None:
    path, images, _ = coco
    bank = ObjectBank.from_coco(path, images)
    assert bank.classes() == ("cow", "dog")
    assert [source.name for source in bank._sources] == ["one.jpg#2", "one.jpg#4", "one.jpg#7"]
    assert sum(bank.dropped.values()) == 5
    assert bank.dropped["cut by their image's border"] == 1
    assert bank.dropped["crowds"] == 1
    assert bank.cutout(0).alpha.shape == bank.cutout(0).image.shape[1:]
    assert abs(bank.cutout(0).alpha.shape[0] - 49) <= 1
    assert bank.cutout(2).alpha.shape == (48, 58)
    everything = ObjectBank.from_coco(
        path, images, exclude=(), drop_crowd=False, drop_truncated=False, min_area_px=0, min_size_px=0
    )
    assert len(everything) == 7
    assert ObjectBank.from_coco(path, images, exclude=CITYSCAPES_COCO_CLASSES, include=["dog"]).classes() == ("dog",)


def test_coco_errors(coco: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    path, images, data = coco
    with pytest.raises(ObjectBankError, match="cannot read"):
        ObjectBank.from_coco(tmp_path / "none.json", images)
    with pytest.raises(ObjectBankError, match="no folder"):
        ObjectBank.from_coco(path, tmp_path / "none")
    with pytest.raises(ObjectBankError, match=r"no classes \['unicorn'\]"):
        ObjectBank.from_coco(path, images, include=["unicorn"])
    with pytest.raises(ObjectBankError, match="crowds"):
        ObjectBank.from_coco(path, images, exclude=("person", "dog"), min_area_px=9000)
    bad = tmp_path / "bad.json"
    bad.write_text("nope")
    with pytest.raises(ObjectBankError, match="not JSON"):
        ObjectBank.from_coco(bad, images)
    bad.write_text('{"images": []}')
    with pytest.raises(ObjectBankError, match="not a COCO instances file"):
        ObjectBank.from_coco(bad, images)
    data["annotations"][1]["image_id"] = 77
    bad.write_text(json.dumps(data))
    with pytest.raises(ObjectBankError, match=r"annotations \[2\]"):
        ObjectBank.from_coco(bad, images)


def test_coco_bad_outline_names_the_cutout(coco: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    path, images, data = coco
    data["annotations"][1]["segmentation"] = {"size": [9, 9], "counts": [81]}
    path.write_text(json.dumps(data))
    with pytest.raises(ObjectBankError, match=r"one\.jpg#2"):
        ObjectBank.from_coco(path, images).cutout(0)


def test_coco_vanished_image(coco: tuple[Path, Path, dict[str, Any]]) -> None:
    path, images, _ = coco
    bank = ObjectBank.from_coco(path, images)
    (images / "one.jpg").unlink()
    for use in (lambda: bank.cutout(0), bank.describe):
        with pytest.raises(ObjectBankError, match=r"one\.jpg"):
            use()


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


# ---------------------------------------------------------------- sizes


def test_sizes_cover_coco_and_the_papers_lists() -> None:
    sizes = known_sizes()
    assert all(0.05 <= metres <= 15 for metres, _ in sizes.values())
    for name in (*CITYSCAPES_COCO_CLASSES, "zebra", "toaster", "bird flying", "wheelie bin", "arcade machine"):
        assert name in sizes
    assert real_size("Potted_Plant") == real_size("potted plant")
    assert real_size("knife").measure == "longest"


def test_unknown_size_says_how_to_give_it() -> None:
    with pytest.raises(RecipeError, match=r"'unicorn' is not known(.|\n)*'unicorn': PerspectiveSize\(size_m=0.5\)"):
        real_size("unicorn")


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
