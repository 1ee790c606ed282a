from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import ConcatDataset, Subset

from poc_aug.cache import Cache, CacheWriter
from poc_aug.errors import ExportError, SettingError
from poc_aug.exporting.exporter import export
from poc_aug.exporting.frame_names import FramePlace, frame_name, frame_places, told_apart
from poc_aug.exporting.layouts.cityscapes import CityscapesLayout
from tests.helpers.export_cases import LENGTH, SPLIT
from tests.helpers.fakes import Frames

CITYSCAPES = "leftImg8bit/train/ulm/ulm_000004_000019_leftImg8bit.png"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (CITYSCAPES, ("train", "ulm", "ulm_000004_000019")),
        (f"1/{CITYSCAPES}", ("train", "ulm", "ulm_000004_000019")),
        (CITYSCAPES.replace("/", "\\"), ("train", "ulm", "ulm_000004_000019")),
        ("rgb_anon/fog/train/GOPR0475/GOPR0475_frame_41_rgb_anon.png", ("train", "GOPR0475", "GOPR0475_frame_41")),
        ("leftImg8bit/val/0/024541_image.jpg", ("val", "0", "0_024541")),
        ("Validation/0016E5_07959.PNG", ("val", "", "0016E5_07959")),
        ("testing/a/b/x.webp", ("test", "a_b", "a_b_x")),
        ("train/ulm/ulm_1.png@fog-3", ("train", "ulm", "ulm_1_fog-3")),
        ("train/a b/ü#?.png", ("train", "a%20b", "a%20b_%C3%BC%23%3F")),
        ("train/x_leftImg8bit_A-good-photo_gtFine_7.npz", ("train", "", "x_image_A-good-photo_image_7")),
        ("train/.png", ("train", "", "frame")),
        ("train/100.5_deg", ("train", "", "100.5_deg")),
    ],
)
def test_places_of_keys(key: str, place: tuple[str, str, str]) -> None:
    (found,) = frame_places([key], None, None)
    assert (found.split, found.group, frame_name(found, None)) == place


def test_a_key_without_a_split_takes_that_of_its_dataset() -> None:
    class Val(Frames):
        split = "valid"

    class Wrapper(Frames):
        def __init__(self, dataset: Frames) -> None:
            super().__init__(len(dataset))
            self.dataset = dataset

    val, train = Val(2), Frames(3)
    train.split = "train"  # type: ignore[attr-defined]
    both: Any = ConcatDataset([val, Subset(train, [2, 0])])
    keys = ["ulm/a.png", "b.png", "images/c.png", "train/d.png"]
    assert [place.split for place in frame_places(keys, both, None)] == ["val", "val", "train", "train"]
    assert frame_places(["ulm/a.png", "x"], Wrapper(val), None)[0] == FramePlace("val", "ulm", "ulm_a")
    with pytest.raises(ExportError, match=r"the split of 1 of 2 samples is not known: key 'a\.png'"):
        frame_places(["a.png", "val/b.png"], None, None)


def test_a_given_split_holds_unless_the_keys_say_otherwise() -> None:
    assert frame_places(["a.png", "train/b.png"], None, "train")[0].split == "train"
    assert frame_places(["train/b.png"], None, "train2017")[0].split == "train2017"  # as COCO names it
    with pytest.raises(ExportError, match="split='train', but 1 of 2 samples are of 'val'"):
        frame_places(["a.png", "val/b.png"], None, "train")
    for split in ("", "..", "a/b", "-x", "a" * 99, "\udcff"):
        with pytest.raises(SettingError, match="split="):
            frame_places(["a.png"], None, split)


def test_names_that_would_be_equal_are_told_apart_by_their_keys() -> None:
    names = told_apart(
        [("train", "x_v0"), ("train", "X_v0"), ("val", "x_v0"), ("train", "y_v0")], ["a/x", "b/X", "x", "y"]
    )
    assert names[2:] == ["x_v0", "y_v0"]
    assert re.fullmatch(r"x~[0-9a-f]{16}_v0", names[0])
    assert re.fullmatch(r"X~[0-9a-f]{16}_v0", names[1])
    assert names[0].casefold() != names[1].casefold()


class Odd(Frames):
    """Keys of which two give the same name, and others that no file can have."""

    def keys(self) -> list[str]:
        return ["a/train/x.png", "b/train/x.png", f"train/{'long' * 400}.png", 'train/\n:*?"<>|~ü.png']


def test_frames_of_odd_keys_have_files_of_their_own(halos: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.cache"
    with Cache.open(halos) as cache, CacheWriter(renamed, cache.manifest) as writer:
        for key, odd in zip(Frames(LENGTH).keys(), Odd(LENGTH).keys(), strict=True):
            variant = cache.get(key, 0)
            assert variant is not None
            writer.put(replace(variant, key=odd))
    for layout, count in (("cs-synth", 2), ("pebal", 2), ("cityscapes", 5)):
        chosen = CityscapesLayout("objects") if layout == "cityscapes" else layout
        out = tmp_path / layout
        report = export(Odd(LENGTH), renamed, chosen, out, workers=0, **SPLIT)
        assert report.written == LENGTH
        files = [path for path in out.rglob("*") if path.is_file() and path.suffix in (".png", ".json")]
        assert len([path for path in files if path.parent != out]) == count * LENGTH
