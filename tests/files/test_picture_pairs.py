from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from poc_aug.datasets import PairedFolder, road_anomaly
from poc_aug.errors import DatasetError, SampleReadError
from poc_aug.files.pictures import exif_orientation
from tests.helpers.picture_files import png, tiff, with_orientation

H, W = 17, 11
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (H, W), dtype=np.uint16)
IDS = RNG.integers(0, 4, (H, W), dtype=np.uint8)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels as a viewer shows them."""
    picture = Image.fromarray(pixels)
    picture.info["exif"] = with_orientation(orientation).tobytes()
    return np.asarray(ImageOps.exif_transpose(picture))


def folder(
    root: Path, image: np.ndarray, labels: np.ndarray, image_tag: int = 1, labels_tag: int = 1, **options: Any
) -> PairedFolder:
    kind = options.pop("kind", "png")
    for name, pixels, tag in ((f"a.{kind}", image, image_tag), ("a_gt.png", labels, labels_tag)):
        Image.fromarray(pixels).save(root / name, **({} if tag == 1 else {"exif": with_orientation(tag)}))
    return PairedFolder(root, [f"a.{kind}"], ["a_gt.png"], **options)


def aligned(item: tuple[Image.Image, Image.Image]) -> bool:
    """Whether the labels, made as the image's red channel, still are that."""
    image, labels = item
    return image.size == labels.size and np.array_equal(np.asarray(image)[..., 0], np.asarray(labels))


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_sizes_decide_whether_the_labels_were_drawn_on_the_turned_image(
    tmp_path: Path, orientation: int, kind: str
) -> None:
    on_stored = folder(tmp_path, RGB, RGB[..., 0], orientation, kind=kind)[0]
    assert on_stored[0].size == (W, H)
    assert aligned(on_stored)
    on_turned = folder(tmp_path, RGB, turned(RGB, orientation)[..., 0], orientation, kind=kind)[0]
    assert on_turned[0].size == (H, W)
    assert aligned(on_turned)
    for image, _ in (on_stored, on_turned):
        assert exif_orientation(image) == 1  # nothing later may turn the image alone
        assert exif_orientation(image.copy()) == 1


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize(("orientation", "square"), [(2, False), (3, False), (4, False), (6, True), (8, True)])
def test_where_sizes_do_not_decide_the_caller_does(tmp_path: Path, orientation: int, square: bool, kind: str) -> None:
    image = RGB[:W] if square else RGB
    for rule, drawn_on in (("apply", turned(image, orientation)), ("ignore", image)):
        problem = rf"EXIF orientation {orientation} [\s\S]*both rotated and as stored"
        with pytest.raises(SampleReadError, match=problem) as caught:
            folder(tmp_path, image, drawn_on[..., 0], orientation, kind=kind)[0]
        assert f"a.{kind} is {W}x{len(image)} pixels" in caught.value.problem
        assert f"a_gt.png is {W}x{len(image)} pixels" in caught.value.problem
        assert "exif='apply'" in caught.value.hint
        item = folder(tmp_path, image, drawn_on[..., 0], orientation, kind=kind, exif=rule)[0]
        assert aligned(item)
        assert exif_orientation(item[0]) == 1


@pytest.mark.parametrize("orientation", range(2, 9))
def test_files_with_one_orientation_are_turned_together(tmp_path: Path, orientation: int) -> None:
    image, labels = folder(tmp_path, RGB, RGB[..., 0], orientation, orientation)[0]
    assert aligned((image, labels))
    assert np.array_equal(np.asarray(image), turned(RGB, orientation))
    assert aligned(folder(tmp_path, RGB, RGB[..., 0], orientation, orientation, exif="ignore")[0])


def test_labels_alone_may_carry_an_orientation(tmp_path: Path) -> None:
    stored = turned(RGB, 8)[..., 0]  # turned by 6, it lies on the image again
    assert aligned(folder(tmp_path, RGB, stored, 1, 6)[0])
    assert aligned(folder(tmp_path, RGB, RGB[..., 0], 1, 6)[0])
    with pytest.raises(SampleReadError, match=r"a_gt\.png is 11x17 pixels with EXIF orientation 3"):
        folder(tmp_path, RGB, RGB[..., 0], 1, 3)[0]


@pytest.mark.parametrize("tag", [1, 3, 6])
@pytest.mark.parametrize("rule", ["auto", "apply", "ignore"])
def test_other_sizes_are_an_error_that_names_both_files(tmp_path: Path, tag: int, rule: str) -> None:
    with pytest.raises(SampleReadError, match=r"sample 'a\.png': .*a\.png is 11x17 .*a_gt\.png is 10x17") as caught:
        folder(tmp_path, RGB, RGB[:, 1:, 0], tag, exif=rule)[0]
    assert (f"EXIF orientation {tag}" in caught.value.problem) == (tag != 1)


def test_transforms_may_mend_sizes_and_an_unknown_rule_is_named(tmp_path: Path) -> None:
    item = folder(tmp_path, RGB, RGB[::2, ::2, 0], target_transform=lambda labels: labels.resize((W, H), 0))[0]
    assert item[1].size == (W, H)
    with pytest.raises(DatasetError, match="exif='always'"):
        folder(tmp_path, RGB, RGB[..., 0], exif="always")


def test_a_copy_for_a_worker_keeps_the_rule(tmp_path: Path) -> None:
    dataset = folder(tmp_path, RGB, turned(RGB, 3)[..., 0], 3, exif="apply")
    assert aligned(pickle.loads(pickle.dumps(dataset))[0])


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "P"])
def test_labels_of_every_mode_are_turned(tmp_path: Path, mode: str) -> None:
    ids = IDS.astype("<u2") * 5000 if mode != "P" else IDS
    Image.fromarray(np.asarray(turned(RGB, 6))).save(tmp_path / "a.png")
    if mode == "P":
        labels = Image.frombytes("P", (W, H), ids.tobytes())
        labels.putpalette(range(256))
        labels.save(tmp_path / "gt", "PNG", exif=with_orientation(6))
    else:
        labels = Image.frombytes("I;16", (W, H), ids.tobytes())
        labels.save(tmp_path / "gt", "PNG" if mode == "I;16" else "TIFF", exif=with_orientation(6))
    image, labels = PairedFolder(tmp_path, ["a.png"], ["gt"])[0]
    assert image.size == labels.size == (H, W)
    assert np.array_equal(np.asarray(labels), np.rot90(ids, -1))


def test_the_named_datasets_take_the_rule_too(tmp_path: Path) -> None:
    for name, picture in (("images/a.jpg", Image.fromarray(RGB)), ("labels_masks/a.png", Image.fromarray(IDS))):
        (tmp_path / name).parent.mkdir()
        picture.save(tmp_path / name, exif=with_orientation(3 if "jpg" in name else 1))
    with pytest.raises(SampleReadError, match="EXIF orientation 3"):
        road_anomaly(tmp_path)[0]
    assert road_anomaly(tmp_path, exif="ignore")[0][0].size == (W, H)


def test_sixteen_bit_images_are_scaled_and_floats_are_errors(tmp_path: Path) -> None:
    Image.fromarray(IDS).save(tmp_path / "gt.png")
    png(tmp_path / "a.png", DEEP, 16, 0)
    tiff(tmp_path / "b.tif", (DEEP / 65535).astype("f4"))
    tiff(tmp_path / "c.tif", DEEP.astype("i4"))
    dataset = PairedFolder(tmp_path, ["a.png", "b.tif", "c.tif"], ["gt.png"] * 3)
    assert np.array_equal(np.asarray(dataset[0][0])[..., 1], DEEP >> 8)
    for index, named in ((1, r"'b\.tif': .*b\.tif is a picture of mode 'F'"), (2, r"c\.tif is a picture of mode 'I'")):
        with pytest.raises(SampleReadError, match=named):
            dataset[index]


def write_labels(path: Path, kind: str) -> None:
    picture = Image.fromarray(IDS)
    if kind.startswith("grey of"):
        png(path, IDS, int(kind[-1]), 0)
    elif kind == "tiff, white is 0":
        tiff(path, IDS, photometric=0)
    elif kind == "pgm to 19":
        path.write_bytes(b"P5 %d %d 19\n" % (W, H) + IDS.tobytes())
    elif kind == "tiff as jpeg":
        picture.save(path, "TIFF", compression="jpeg")
    elif kind == "webp, extended":
        picture.save(path, "WEBP", exif=with_orientation(1))
    elif kind == "mpo":
        picture.save(path, "MPO", save_all=True, append_images=[picture])
    else:
        picture.save(path, kind)


@pytest.mark.parametrize(
    "kind",
    [
        *("JPEG", "WEBP", "webp, extended", "JPEG2000", "mpo", "tiff as jpeg"),
        *("grey of 2", "grey of 4", "tiff, white is 0", "pgm to 19"),
    ],
)
def test_labels_whose_ids_are_not_those_written_are_refused(tmp_path: Path, kind: str) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    write_labels(tmp_path / "gt.png", kind)  # the content counts, not the name
    dataset = PairedFolder(tmp_path, ["a.png"], ["gt.png"])
    with pytest.raises(SampleReadError, match=r"sample 'a\.png': labels .*gt\.png: ") as caught:
        dataset[0]
    assert "PNG" in caught.value.hint


@pytest.mark.parametrize(
    "kind", ["PNG", "TIFF", "GIF", "BMP", "PPM", "lzw", "16 bits", "16 bits, big-endian", "palette of 2"]
)
def test_labels_come_as_they_were_written(tmp_path: Path, kind: str) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    path = tmp_path / "gt"
    if kind == "lzw":
        Image.fromarray(IDS).save(path, "TIFF", compression="tiff_lzw")
    elif kind == "16 bits":
        png(path, IDS, 16, 0)
    elif kind == "16 bits, big-endian":
        tiff(path, IDS.astype("u2"), big_endian=True)
    elif kind == "palette of 2":
        picture = Image.fromarray(IDS).convert("P")
        picture.putpalette([0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 9, 0])
        picture.save(path, "PNG", bits=2)
    else:
        Image.fromarray(IDS).save(path, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = PairedFolder(tmp_path, ["a.png"], ["gt"])[0][1]
    assert np.array_equal(np.asarray(labels), IDS)


def test_real_datasets_carry_no_orientation(real_data: Path) -> None:
    dataset = road_anomaly(real_data / "anomaly/RoadAnomaly")
    assert all(image.size == labels.size for image, labels in (dataset[number] for number in range(3)))
