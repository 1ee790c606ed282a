from __future__ import annotations

import errno
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from poc_aug.errors import ObjectBankError, SampleReadError
from poc_aug.files.pictures import exif_orientation, open_picture, to_rgb, to_rgba, upright, upright_size
from tests.helpers.picture_files import png, tiff, with_orientation

H, W = 17, 11
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (H, W), dtype=np.uint16)
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")


def saved(path: Path, picture: Image.Image, **how: Any) -> Path:
    picture.save(path, **how)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", FORMATS)
def test_orientation_is_reported_and_upright_turns(tmp_path: Path, kind: str, orientation: int) -> None:
    lossless = {"lossless": True} if kind == "WEBP" else {}
    path = saved(tmp_path / "a", Image.fromarray(RGB), format=kind, exif=with_orientation(orientation), **lossless)
    picture = open_picture(path)
    assert picture.size == (W, H)  # as stored, TIFF too, which Pillow turns by itself
    assert exif_orientation(picture) == orientation
    turned = upright(picture)
    assert turned.size == upright_size(picture) == ((H, W) if orientation >= 5 else (W, H))
    assert exif_orientation(turned) == 1
    assert (turned is picture) == (orientation == 1)
    if kind != "JPEG":
        assert np.array_equal(np.asarray(picture), RGB)
        alone = Image.fromarray(RGB)
        alone.info["exif"] = with_orientation(orientation).tobytes()
        assert np.array_equal(np.asarray(turned), np.asarray(ImageOps.exif_transpose(alone)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "P", "I;16", "I", "1"])
def test_tiff_files_of_one_band_are_turned_right(tmp_path: Path, mode: str, orientation: int) -> None:
    """Pillow 13 alone turns uncompressed ones into garbage where width and height swap."""
    picture = Image.fromarray(DEEP) if mode in ("I;16", "I") else Image.fromarray(RGB[..., 0])
    if mode == "I":
        picture = Image.fromarray(DEEP.astype(np.int32))
    elif mode in ("1", "P"):
        picture = picture.convert(mode)
    path = saved(tmp_path / "a.tif", picture, exif=with_orientation(orientation))
    stored = open_picture(path)
    assert stored.mode == mode
    assert exif_orientation(stored) == orientation
    assert np.array_equal(np.asarray(stored), np.asarray(picture))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_unknown_orientations_count_as_none(tmp_path: Path, orientation: int) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(RGB), exif=with_orientation(orientation))
    assert exif_orientation(open_picture(path)) == 1


def test_an_exif_block_that_is_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(RGB), exif=b"Exif\0\0no such block")
    picture = open_picture(path)
    assert exif_orientation(picture) == 1
    assert upright(picture) is picture


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_that_pillow_converts(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), Image.fromarray(RGB).convert(mode))
    picture = open_picture(path)
    assert picture.mode == mode
    assert np.array_equal(np.asarray(to_rgb(picture, path)), np.asarray(picture.convert("RGB")))
    assert to_rgba(picture, path).mode == "RGBA"


def test_a_palette_with_transparency_gives_its_colours_without_a_warning(tmp_path: Path) -> None:
    picture = Image.fromarray(RGB[..., 0] % 4).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    path = saved(tmp_path / "a.png", picture, transparency=b"\x00\x80\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rgb, rgba = to_rgb(open_picture(path), path), to_rgba(open_picture(path), path)
    assert np.array_equal(np.asarray(rgb)[..., 0], 10 + 30 * (RGB[..., 0] % 4))
    assert np.array_equal(np.asarray(rgba)[..., 3], np.array([0, 128, 255, 255])[RGB[..., 0] % 4])


def sixteen_bits(path: Path, kind: str) -> Path:
    if kind == "png":
        return png(path, DEEP, 16, 0)
    if kind == "pgm":
        path.write_bytes(b"P5 %d %d 65535\n" % (W, H) + DEEP.astype(">u2").tobytes())
        return path
    return tiff(path, DEEP, big_endian=kind == "tiff, big-endian")


@pytest.mark.parametrize("kind", ["png", "pgm", "tiff", "tiff, big-endian"])
def test_sixteen_bits_of_grey_are_scaled_as_sixteen_bits_of_colour(tmp_path: Path, kind: str) -> None:
    path = sixteen_bits(tmp_path / "a", kind)
    grey = np.asarray(to_rgb(open_picture(path), path))
    assert grey.dtype == np.uint8
    assert all(np.array_equal(grey[..., channel], DEEP >> 8) for channel in range(3))
    colour = open_picture(png(tmp_path / "b.png", np.repeat(DEEP[..., None], 3, axis=2), 16, 2))
    assert np.array_equal(grey, np.asarray(to_rgb(colour, "b")))  # Pillow's own way with 16-bit colours
    assert np.array_equal(np.asarray(to_rgba(open_picture(path), path))[..., 3], np.full((H, W), 255))


def test_a_transparent_value_of_sixteen_bits_becomes_alpha(tmp_path: Path) -> None:
    clear = int(DEEP[3, 4])
    path = saved(tmp_path / "a.png", Image.fromarray(DEEP), transparency=clear)
    alpha = np.asarray(to_rgba(open_picture(path), path))[..., 3]
    assert np.array_equal(alpha, np.where(DEEP == clear, 0, 255))
    assert to_rgb(open_picture(path), path).mode == "RGB"


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_sensor_bits_in_sixteen_are_an_error(tmp_path: Path, bits: int) -> None:
    path = png(tmp_path / "night.png", DEEP >> (16 - bits), 16, 0)
    with pytest.raises(ObjectBankError, match=r"night\.png[\s\S]*highest value is"):
        to_rgb(open_picture(path), path, error=ObjectBankError)
    black = png(tmp_path / "black.png", DEEP * 0, 16, 0)
    assert not np.asarray(to_rgb(open_picture(black), black)).any()


@pytest.mark.parametrize("dtype", ["f4", "i4", "u4"])
def test_modes_without_a_scale_are_errors_that_name_them(tmp_path: Path, dtype: str) -> None:
    path = tiff(tmp_path / "depth.tif", (DEEP / 65535).astype("f4") if dtype == "f4" else DEEP.astype(dtype))
    for convert in (to_rgb, to_rgba):
        with pytest.raises(
            SampleReadError, match=rf"depth\.tif is a picture of mode '{'F' if dtype == 'f4' else 'I'}'"
        ):
            convert(open_picture(path), path)


def test_a_negative_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SampleReadError, match="in which 0 is white"):
        open_picture(tiff(tmp_path / "a.tif", DEEP, photometric=0))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_several_pictures_in_a_file(tmp_path: Path, kind: str) -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    path = saved(tmp_path / "two", frames[0], format=kind, save_all=True, append_images=frames[1:])
    with pytest.raises(SampleReadError, match=r"two: it holds 2 pictures of one size"):
        open_picture(path)


def test_overviews_and_second_pictures_of_photographs_are_no_second_picture(tmp_path: Path) -> None:
    first, small = Image.fromarray(RGB), Image.fromarray(RGB[::2, ::2])
    pages = saved(tmp_path / "geo.tif", first, save_all=True, append_images=[small])
    assert np.array_equal(np.asarray(open_picture(pages)), RGB)
    photo = saved(tmp_path / "phone.jpg", first, format="MPO", save_all=True, append_images=[first])
    assert open_picture(photo).size == (W, H)


@pytest.mark.parametrize(
    "how", ["no picture", "truncated", "empty", "gone", "folder", "dangling", "long", "null", "file"]
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, how: str) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    expected = ""
    if how == "no picture":
        path.write_bytes(b"hello")
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif how == "empty":
        path.write_bytes(b"")
        expected = "it is empty"
    elif how == "gone":
        path.unlink()
    elif how == "folder":
        path.unlink()
        path.mkdir()
        expected = "it is a folder"
    elif how == "dangling":
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere.png")
        expected = "a link to .*elsewhere.png, which is not there"
    elif how == "long":
        path = tmp_path / ("a" * 300 + ".png")
    elif how == "null":
        path = tmp_path / "a\0.png"
    else:
        path = path / "a.png"  # its parent is a file
    with pytest.raises(ObjectBankError, match=rf"sample 'k': cannot read labels [\s\S]*{expected}") as caught:
        open_picture(path, what="labels", key="k", error=ObjectBankError, hint="delete it")
    assert str(path) in caught.value.problem
    assert caught.value.hint == "delete it"


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "an HEIC photograph"),
        (b"", "a TIFF of a kind that Pillow does not decode"),
    ],
)
def test_files_that_are_pictures_elsewhere_are_told(tmp_path: Path, start: bytes, told: str) -> None:
    path = tmp_path / "a.jpg"
    if start:
        path.write_bytes(start)
    else:
        tiff(path, RNG.random((H, W)))  # float64
    with pytest.raises(SampleReadError, match=rf"a\.jpg: {told}"):
        open_picture(path)


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a.png"))

    monkeypatch.setattr("builtins.open", forbidden)
    monkeypatch.setattr(Path, "stat", forbidden)
    with pytest.raises(SampleReadError, match=r"a\.png: .*Permission denied"):
        open_picture(tmp_path / "a.png")


def test_pictures_above_pillows_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "wide.png", Image.fromarray(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W // 2 - 1)
    with pytest.raises(SampleReadError, match=r"wide\.png: Image size \(187 pixels\)") as caught:
        open_picture(path)
    assert "MAX_IMAGE_PIXELS = 92" in caught.value.expected
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SampleReadError, match=r"wide\.png: Image size \(187 pixels\)"):
            open_picture(path)
    with pytest.warns(Image.DecompressionBombWarning):
        assert open_picture(path).size == (W, H)
    assert Image.MAX_IMAGE_PIXELS == H * W - 1


@pytest.mark.parametrize(("bits", "dark"), [(16, False), (13, False), (12, True), (10, True)])
def test_sensor_bits_in_sixteen_bits_of_colour_are_an_error(tmp_path: Path, bits: int, dark: bool) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (17, 11, 3)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    path = png(tmp_path / "a.png", values, 16, 2)
    if dark:
        with pytest.raises(SampleReadError, match=r"a\.png: 16-bit colours of which none is above"):
            open_picture(path)
    else:
        assert np.array_equal(np.asarray(open_picture(path)), values >> 8)
    black = png(tmp_path / "black.png", values * 0, 16, 2)
    assert not np.asarray(open_picture(black)).any()


def test_a_damaged_tag_does_not_stop_the_rotation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "a maker", 6
    # The tag of the maker becomes that of the width, which is a number.
    damaged = exif.tobytes().replace(b"\x01\x0f\x00\x02", b"\x01\x00\x00\x02", 1)
    assert damaged != exif.tobytes()
    columns = np.arange(11, dtype=np.uint8)[None, :, None] * 20
    Image.fromarray(np.broadcast_to(columns, (7, 11, 3)).copy()).save(tmp_path / "a.png", exif=damaged)
    with Image.open(tmp_path / "a.png") as picture:
        turned = upright(picture)
    assert turned.size == (7, 11)
    assert exif_orientation(turned) == 1
    assert np.asarray(turned)[:, 0, 0].tolist() == list(range(0, 220, 20))  # the left column is the top row
