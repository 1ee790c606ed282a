"""POC's published layout: names, differences with wrap-around, and files that nobody should trust."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.errors import ImportFilesError
from poc_aug.importing import classes_of_preset, matched_pairs, poc_release_pairs
from poc_aug.importing.base_names import BaseNames
from poc_aug.importing.difference_npz import edited_by_difference, read_difference
from poc_aug.importing.edited_files import read_edited
from poc_aug.importing.edited_pairs import EditedPair
from tests.helpers.edit_cases import CITY_KEY, base_sample, blob, edit_of, save_edit

ALT = classes_of_preset("poc-alt")
FRAME = "aachen_000000_000019_leftImg8bit"
SIZE = (47, 61)


def name_of(prompt: str, seed: int = 7) -> str:
    return f"{FRAME}_A-good-photo-of-{prompt}_{seed}"


def test_names_say_base_frame_object_and_order(tmp_path: Path) -> None:
    edit = edit_of(base_sample(), blob(1, ["dog"], (10, 20, 15, 15)))
    for prompt, seed in (("a-dog", 10), ("a-dog", 9), ("a-person-riding-a-bicycle", 3), ("an-alligator", 1)):
        save_edit(tmp_path, edit, name_of(prompt, seed))
    found = poc_release_pairs(tmp_path, [CITY_KEY], ALT)
    assert (found.layout, found.source, found.problems) == ("poc", tmp_path.name, ())
    assert [(pair.key, pair.index, pair.spec and pair.spec.name) for pair in found.pairs] == [
        (CITY_KEY, 0, "dog"),  # 9 before 10
        (CITY_KEY, 1, "dog"),
        (CITY_KEY, 2, "bicycle"),
        (CITY_KEY, 3, "alligator"),
    ]
    assert found.pairs[0].image.name.endswith("_9.npz")
    assert all(pair.labels.is_file() for pair in found.pairs)
    fewer = poc_release_pairs(tmp_path, [CITY_KEY], ALT)
    assert fewer.digest == found.digest
    found.pairs[0].image.unlink()
    assert poc_release_pairs(tmp_path, [CITY_KEY], ALT).digest != found.digest


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a-matress-dumped-on-the-street", "matress dumped on the street"),
        ("a-mattress-dumped-on-the-street", "matress dumped on the street"),
        ("A-SUV", "car"),
        ("scooter-with-rider", "motorcycle"),
        ("a-european-semi-truck", "truck"),
        ("a-man-walking-in-the-street", "person"),
        ("bird-flying", "bird flying"),
        ("a-elephant", None),
    ],
)
def test_prompts_name_objects(text: str, name: str | None) -> None:
    spec = ALT.object_called(text)
    assert (spec and spec.name) == name


def test_acdc_has_other_folders(tmp_path: Path) -> None:
    edit = edit_of(base_sample(), blob(1, ["dog"], (10, 20, 15, 15)))
    save_edit(tmp_path, edit, "GOPR0475_frame_000041_rgb_anon_A-good-photo-of-a-dog_3", acdc=True)
    key = "rgb_anon/fog/train/GOPR0475/GOPR0475_frame_000041_rgb_anon.png"
    (pair,) = poc_release_pairs(tmp_path, [key], ALT).pairs
    assert pair.key == key
    assert pair.labels == tmp_path / "gt_trainval/gt/fog/train/GOPR0475" / f"{pair.image.stem}.png"
    assert pair.labels.is_file()


def test_files_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    edit = edit_of(base_sample(), blob(1, ["dog"], (10, 20, 15, 15)))
    save_edit(tmp_path, edit, name_of("a-dog"))
    save_edit(tmp_path, edit, name_of("a-doog"))
    save_edit(tmp_path, edit, "bonn_000001_000019_leftImg8bit_A-good-photo-of-a-dog_1")
    save_edit(tmp_path, edit, "something-else")
    found = poc_release_pairs(tmp_path, [CITY_KEY], ALT)
    assert len(found.pairs) == 1
    reasons = dict(found.problems)
    assert len(reasons) == 3
    assert "'a doog'" in reasons[f"leftImg8bit/train/aachen/{name_of('a-doog')}.npz"]
    assert "similar: dog" in reasons[f"leftImg8bit/train/aachen/{name_of('a-doog')}.npz"]
    assert "no frame of the dataset" in next(text for path, text in reasons.items() if "bonn" in path)
    assert "A-good-photo-of-a-OBJECT_SEED" in reasons["leftImg8bit/train/aachen/something-else.npz"]
    with pytest.raises(ImportFilesError, match="no edited frame"):
        poc_release_pairs(tmp_path / "gtFine", [CITY_KEY], ALT)
    with pytest.raises(ImportFilesError, match="no edited frame"):
        poc_release_pairs(tmp_path / "nowhere", [CITY_KEY], ALT)


def test_base_frames_are_found_by_the_longest_name() -> None:
    names = BaseNames(["a/frame_1.png", "a/frame_10.png", "b/frame_1.png", "frame_1_b.png"])
    assert names.key_of("x/a/frame_10_v0.png") == "a/frame_10.png"
    assert names.key_of("x/b/frame_1_v0.png") == "b/frame_1.png"
    assert names.key_of("frame_1_b_2.png") == "frame_1_b.png"
    with pytest.raises(ImportFilesError, match="may be of"):
        names.key_of("frame_1.png")
    with pytest.raises(ImportFilesError, match="no frame of the dataset"):
        names.key_of("a/frame_11.png")
    with pytest.raises(ImportFilesError, match="no frame of the dataset"):
        names.key_of("a/frame_1_v0.png", exact=True)


def test_names_of_exported_frames() -> None:
    names = BaseNames(
        ["train/city/frame.0001.png", "train/town/frame.0001.png", "train/0/024541_image.jpg", "a b/1.png"]
    )
    assert names.key_of("gtFine/train/city/city_frame.0001_v0.png") == "train/city/frame.0001.png"
    assert names.key_of("images/train/town_frame.0001_v0.png") == "train/town/frame.0001.png"
    assert names.key_of("images/train/0_024541_v11.png") == "train/0/024541_image.jpg"
    assert names.key_of("a%20b_1_v0.png") == "a b/1.png"


def test_pairs_by_globs(tmp_path: Path) -> None:
    edit = edit_of(base_sample(), blob(1, ["dog"], (10, 20, 15, 15)))
    for number in (2, 10):
        save_edit(tmp_path, edit, f"aachen_000000_000019_v{number}", difference=False)
    globs = ("leftImg8bit/*/*/*.png", "gtFine/*/*/*.png")
    found = matched_pairs(tmp_path, *globs, [CITY_KEY])
    assert [(pair.index, pair.image.name) for pair in found.pairs] == [
        (0, "aachen_000000_000019_v2.png"),
        (1, "aachen_000000_000019_v10.png"),
    ]
    (tmp_path / "gtFine/train/aachen/aachen_000000_000019_v2.png").unlink()
    with pytest.raises(ImportFilesError, match="no counterpart"):
        matched_pairs(tmp_path, *globs, [CITY_KEY])
    with pytest.raises(ImportFilesError, match="there is no folder"):
        matched_pairs(tmp_path / "nowhere", *globs, [CITY_KEY])


def test_differences_wrap_around(tmp_path: Path) -> None:
    base = torch.tensor([[[250]], [[3]], [[7]]], dtype=torch.uint8)
    edited = torch.tensor([[[4]], [[255]], [[7]]], dtype=torch.uint8)
    change = (edited.to(torch.int16) - base).numpy().transpose(1, 2, 0).astype(np.uint8)  # -246, 252, 0
    np.savez_compressed(tmp_path / "a.npz", img=change)
    assert torch.equal(edited_by_difference(base, tmp_path / "a.npz"), edited)
    by_column = np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    np.savez(tmp_path / "b.npz", img=by_column)
    assert (read_difference(tmp_path / "b.npz", (2, 4)) == by_column).all()


class Exploding:
    """Whoever unpickles it runs code."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (pytest.fail, ("a pickle was loaded",))


def zipped(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)


def npy(array: np.ndarray[Any, Any], shape: tuple[int, ...] | None = None) -> bytes:
    """An array as .npy, whose header may claim another shape."""
    file = io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + array.tobytes()


def test_hostile_differences(tmp_path: Path) -> None:
    good = np.zeros((*SIZE, 3), np.uint8)

    def fails(write: Callable[[Path], object], text: str) -> None:
        path = tmp_path / "a.npz"
        path.unlink(missing_ok=True)
        write(path)
        with pytest.raises(ImportFilesError) as caught:
            read_difference(path, SIZE)
        assert "a.npz" in caught.value.problem
        assert text in str(caught.value)

    fails(lambda path: np.savez(path, img=good.astype(np.int16)), "int16")
    fails(lambda path: np.savez(path, img=good[:-1]), "[46, 61, 3]")
    fails(lambda path: np.savez(path, img=good[..., 0]), "[47, 61]")
    fails(lambda path: np.savez(path, image=good), "image.npy")
    fails(lambda path: np.savez(path), "nothing")
    fails(lambda path: np.savez(path, img=np.array([Exploding()], dtype=object)), "object")
    fails(lambda path: path.write_bytes(b""), "empty")
    fails(lambda path: path.write_bytes(b"no archive" * 100), "not a zip file")
    fails(lambda path: path.write_bytes(npy(good)), "not a zip file")
    fails(lambda path: path.mkdir(), "a folder")
    (tmp_path / "a.npz").rmdir()
    fails(lambda path: None, "there is no such file")
    fails(lambda path: zipped(path, "img.npy", b"\x93NUMPY\x01\x00\xff\xff" + b" " * 70000), "a.npz")
    fails(lambda path: zipped(path, "img.npy", npy(good)[:-5]), "another number of pixels")
    fails(lambda path: zipped(path, "img.npy", npy(good) + bytes(5000)), "declares")
    fails(lambda path: zipped(path, "img.npy", npy(good) + b"x"), "another number of pixels")

    def damaged(path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, good.shape).astype(np.uint8)
        np.savez(path, img=noise)
        content = bytearray(path.read_bytes())
        content[3000] ^= 255
        path.write_bytes(content)

    fails(damaged, "CRC")


def test_a_decompression_bomb_is_refused_before_it_is_decompressed(tmp_path: Path) -> None:
    import tracemalloc

    zipped(tmp_path / "a.npz", "img.npy", npy(np.zeros((1, 1, 3), np.uint8), (*SIZE, 3)) + bytes(40_000_000))
    tracemalloc.start()
    with pytest.raises(ImportFilesError, match="declares 40"):
        read_difference(tmp_path / "a.npz", SIZE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_label_maps_are_checked_before_they_are_decoded(tmp_path: Path) -> None:
    base = base_sample()
    np.savez(tmp_path / "a.npz", img=np.zeros((*SIZE, 3), np.uint8))

    def fails(picture: Image.Image | None, name: str = "a.png", **options: Any) -> str:
        path = tmp_path / name
        if picture is not None:
            picture.save(path, **options)
        with pytest.raises(ImportFilesError) as caught:
            read_edited(EditedPair(base.key, "a", tmp_path / "a.npz", path), base)
        assert name in caught.value.problem
        return str(caught.value)

    assert "48x61 pixels" in fails(Image.new("L", (61, 48)))
    assert "10000x8000" in fails(Image.new("1", (8000, 10000)))
    assert "mode 'RGB'" in fails(Image.new("RGB", (61, 47)))
    assert "lossy" in fails(Image.new("L", (61, 47)), "a.jpg")
    assert "no such file" in fails(None, "missing.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert "b.png" in fails(None, "b.png")
    Image.new("RGB", (60, 47)).save(tmp_path / "edited.png")
    Image.new("L", (61, 47)).save(tmp_path / "c.png")
    with pytest.raises(ImportFilesError, match=r"edited\.png: 47x60 pixels"):
        read_edited(EditedPair(base.key, "a", tmp_path / "edited.png", tmp_path / "c.png"), base)
