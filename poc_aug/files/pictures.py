"""Picture files, read in one place: decoded completely, EXIF orientation reported, 8-bit RGB if that is exact.

Pillow alone is not enough: it clips 16-bit and float pictures to white, silently takes the first page of any stack, and
leaves it to the reader whether a photograph is rotated as its camera says.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from poc_aug.errors import PocAugError, SampleReadError

_ORIENTATION = ExifTags.Base.Orientation
_UNDO_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""The transposition that undoes an orientation; only 6 and 8 are not their own inverse."""

_ORIENTATION_FIELDS = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where Pillow finds an orientation in a picture's ``info``."""

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_BY_PILLOW = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"))
"""Modes of 8 bits (or 1) per channel, which Pillow converts to RGB correctly."""

_LEAST_OF_16_BITS = 4096

_TIFF = "a TIFF of a kind that Pillow does not decode, such as floats of 16 or 64 bits, float colours, or many bands"
_NOT_PILLOWS = {
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"II+\0": _TIFF,
    b"MM\0+": _TIFF,
    b"ftypheic": "an HEIC photograph, for which Pillow needs the plugin pillow-heif",
    b"version https://git-lfs": "a pointer of Git LFS: its data was not fetched (git lfs pull)",
}
"""The first bytes of files that Pillow cannot identify, and what they are."""


def open_picture(
    path: str | Path,
    *,
    what: str = "image",
    key: str | None = None,
    error: type[PocAugError] = SampleReadError,
    hint: str = "restore the file, or take it out",
    refuse: Callable[[Image.Image], PocAugError | None] | None = None,
) -> Image.Image:
    """Open a picture file and decode all of it, as its pixels are stored: an EXIF orientation is reported, not applied.

    This is true for TIFF files too, which Pillow rotates by itself. The picture keeps the tag for `exif_orientation`
    and `upright`.

    Args:
        path: the file.
        what: its name in messages: "image", "labels", "cut-out".
        key: the sample's key, for messages.
        error: class of the error.
        hint: the next step in messages about a broken file.
        refuse: gets the opened picture before it is decoded, and returns an error if it must not be.

    Raises:
        PocAugError: of the class ``error``: a file that does not exist, cannot be read, is no picture or is broken; one
            with several pictures of one size (an animation, a stack of pages; of an MPO photograph the main one is
            taken); or one above Pillow's limit, ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    problem = f"{'' if key is None else f'sample {key!r}: '}cannot read {what} {path}"
    try:
        check_regular(path)
        with Image.open(path) as picture:
            # Before EXIF is read: for that Pillow decodes the pixels of a PNG, and forgets how they were stored.
            deep = any(";16" in str(tile[3]) for tile in picture.tile) and picture.mode not in _SIXTEEN_BITS
            refused = refuse(picture) if refuse is not None else None
            frames = _frames(picture)
            orientation = exif_orientation(picture)
            inverted = picture.mode in _SIXTEEN_BITS and _zero_is_white(picture)
            if orientation >= 5 and picture.format == "TIFF":
                # If Pillow maps the file into memory (uncompressed, one band), it swaps width and height.
                picture.filename = ""
            picture.load()  # closes the file; the pixels stay
            decoded = _as_stored(picture, orientation)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as caught:
        raise error(
            f"{problem}: {caught}",
            expected=f"at most PIL.Image.MAX_IMAGE_PIXELS = {Image.MAX_IMAGE_PIXELS} pixels, up to twice that with a "
            "warning: Pillow's guard against files that claim to be huge",
            hint="make it smaller, or cut it into tiles; or, in Python and if the file is trusted, set "
            "PIL.Image.MAX_IMAGE_PIXELS = None before reading, in each process",
        ) from caught
    # Decoders of broken files raise nearly anything: struct.error, zlib.error, SyntaxError, IndexError.
    except Exception as caught:
        raise error(
            f"{problem}: {why_unreadable(Path(path), caught)}",
            expected="a picture file that Pillow can decode",
            hint=hint,
        ) from caught
    if refused is not None:
        raise refused
    if frames > 1:
        raise error(
            f"{problem}: it holds {frames} pictures of one size",
            expected="one picture per file, no animation and no stack of pages or bands",
            hint="save the right frame to a file of its own",
        )
    if inverted:
        raise error(
            f"{problem}: a 16-bit TIFF in which 0 is white, which Pillow reads as a negative",
            expected="a TIFF with PhotometricInterpretation BlackIsZero",
            hint="save it again with 0 for black",
        )
    if deep and what != "labels":
        _check_sensor_bits(decoded, problem, error)
    return decoded


def to_rgb(picture: Image.Image, name: object, *, error: type[PocAugError] = SampleReadError) -> Image.Image:
    """A decoded picture in mode "RGB", its EXIF orientation kept as it is.

    ===================  =========================================================================================
    mode                 becomes
    ===================  =========================================================================================
    "RGB"                the same object
    "1", "L"             three equal channels
    "P"                  the palette's colours
    "LA", "RGBA", "PA"   the stored colours without alpha, as a frame has nothing behind it
    "CMYK", "YCbCr", …   as Pillow converts them
    "I;16", "I;16B"      16-bit grey: the upper 8 bits, ``value >> 8``, as Pillow reads 16-bit RGB
    "I"                  the same, if the file is a PNG or PNM, whose deepest grey has 16 bits
    ===================  =========================================================================================

    Args:
        picture: a picture of `open_picture`, or any of PIL's.
        name: its name in messages: its path.
        error: class of the error.

    Raises:
        PocAugError: of the class ``error``: floats ("F") and 32-bit integers ("I" of a TIFF), whose mode does not say
            which value is white; or 16-bit values that are all below 4096: a sensor's 10 or 12 bits, nearly black in 8.

    Example:
        >>> to_rgb(Image.new("L", (1, 1), 7), "a.png").getpixel((0, 0))
        (7, 7, 7)
        >>> to_rgb(Image.new("I;16", (1, 1), 0x8000), "a.png").getpixel((0, 0))
        (128, 128, 128)
    """
    if picture.mode == "RGB":
        return picture
    if picture.mode == "P" and "transparency" in picture.info:
        return picture.convert("RGBA").convert("RGB")  # converting directly to RGB, Pillow warns
    if picture.mode in _BY_PILLOW:
        return picture.convert("RGB")
    if picture.mode in _SIXTEEN_BITS or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        return _upper_bits(picture, name, error).convert("RGB")
    raise error(
        f"{name} is a picture of mode {picture.mode!r}{_range(picture)}",
        expected="8 or 16 bits per channel: the mode of a float or 32-bit picture does not say which value is white",
        hint="scale it to 8 bits once, with one range for all pictures, and save that: "
        "Image.fromarray(((x - low) / (high - low) * 255).clip(0, 255).astype('uint8'))",
    )


def to_rgba(picture: Image.Image, name: object, *, error: type[PocAugError] = SampleReadError) -> Image.Image:
    """A decoded picture in mode "RGBA"; as `to_rgb`, with alpha 255 if the picture has none."""
    if picture.mode in _BY_PILLOW:
        return picture.convert("RGBA")
    colours = to_rgb(picture, name, error=error).convert("RGBA")
    clear = picture.info.get("transparency")
    if isinstance(clear, int):  # the transparent value of a 16-bit PNG
        colours.putalpha(Image.fromarray(np.where(np.asarray(picture) == clear, 0, 255).astype(np.uint8)))
    return colours


def exif_orientation(picture: Image.Image) -> int:
    """How the picture has to be rotated to be upright, 1 (not at all) to 8, as EXIF (or XMP) says.

    2 and 4 are mirrored, 3 is upside down, 5 to 8 swap width and height. A missing, unknown or unreadable tag counts as
    1, as in viewers.
    """
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, KeyError, struct.error, OSError):  # an EXIF block that is none
        return 1
    return orientation if orientation in _UNDO_ORIENTATION else 1


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height of the picture after rotation by its EXIF orientation."""
    return picture.size[::-1] if exif_orientation(picture) >= 5 else picture.size


def upright(picture: Image.Image) -> Image.Image:
    """The picture rotated by its EXIF orientation, without the tag; the same object if it has none.

    `ImageOps.exif_transpose` does the same, and writes the other tags anew, which fails on damaged ones.
    """
    orientation = exif_orientation(picture)
    if orientation == 1:
        return picture
    inverse = {6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    turned = picture.transpose(inverse.get(orientation, _UNDO_ORIENTATION[orientation]))
    for name in _ORIENTATION_FIELDS:
        turned.info.pop(name, None)
    return turned


def untagged(picture: Image.Image) -> Image.Image:
    """The same picture, not rotated, its orientation removed from EXIF and XMP, so that nothing rotates it later."""
    if exif_orientation(picture) == 1:
        return picture
    exif = picture.getexif()
    del exif[_ORIENTATION]
    for block in ("xmp", "XML:com.adobe.xmp", "Raw profile type exif"):
        picture.info.pop(block, None)
    picture.info["exif"] = exif.tobytes()
    return picture


def why_unreadable(path: Path, caught: Exception) -> str:
    """What is wrong with a picture file: by the file itself, if that shows it, otherwise by the error caught on it."""
    problem = "there is no such file" if isinstance(caught, FileNotFoundError) else str(caught) or type(caught).__name__
    try:
        if path.is_symlink() and not path.exists():
            return f"it is a link to {path.readlink()}, which is not there"
        if path.is_dir():
            return "it is a folder"
        if not isinstance(caught, UnidentifiedImageError):
            return problem
        with path.open("rb") as file:
            head = file.read(32)
    except (
        OSError,
        ValueError,
    ):  # a parent folder that cannot be read, or an impossible name: the caught error says the same
        return problem
    if not head:
        return "it is empty"
    return next(
        (kind for start, kind in _NOT_PILLOWS.items() if head.startswith(start) or head[4:12] == start), problem
    )


def check_regular(path: str | Path) -> None:
    """Check that reading a path does not wait: opening a FIFO lasts until something writes into it.

    Raises:
        OSError: it is neither a regular file nor a folder.

    Example:
        >>> from poc_aug.files.pictures import check_regular
        >>> check_regular("/dev/null")
        Traceback (most recent call last):
        OSError: it is a FIFO or another special file, not a regular one
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # whatever it is, opening the path says so
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError("it is a FIFO or another special file, not a regular one")


def _frames(picture: Image.Image) -> int:
    """Number of pictures in the file that have the first one's size, as overviews and thumbnails are smaller."""
    count = getattr(picture, "n_frames", 1)
    if count == 1 or picture.format == "MPO":
        return 1
    if picture.format != "TIFF":
        return int(count)
    first, same = picture.size, 1
    for number in range(1, count):
        picture.seek(number)
        same += picture.size == first
    picture.seek(0)
    return same


def _zero_is_white(picture: Image.Image) -> bool:
    tags = getattr(picture, "tag_v2", None)
    return tags is not None and tags.get(ExifTags.Base.PhotometricInterpretation) == 0


def _as_stored(picture: Image.Image, orientation: int) -> Image.Image:
    """Undo the rotation that Pillow applies to TIFF files only, and restore the tag."""
    if orientation == 1 or picture.format != "TIFF":
        return picture
    stored = picture.transpose(_UNDO_ORIENTATION[orientation])
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    stored.info["exif"] = exif.tobytes()
    stored.format = picture.format
    return stored


def _check_sensor_bits(picture: Image.Image, problem: str, error: type[PocAugError]) -> None:
    """Refuse 16-bit colours that Pillow converted to 8 bits if they used 12 bits or fewer, as `to_rgb` does of grey."""
    highest = int(np.asarray(picture.convert("RGB")).max())
    if 0 < highest < _LEAST_OF_16_BITS >> 8:
        raise error(
            f"{problem}: 16-bit colours of which none is above {highest * 256 + 255} of 65535",
            expected="values that use the 16 bits: in 8 bits this picture would be nearly black",
            hint="convert the sensor's values to 8 bits once, the same for all pictures, with a library that reads "
            "16-bit colours (cv2.imread(path, -1)), and save that",
        )


def _upper_bits(picture: Image.Image, name: object, error: type[PocAugError]) -> Image.Image:
    values = np.asarray(picture)
    highest = int(values.max())
    if 0 < highest < _LEAST_OF_16_BITS:
        raise error(
            f"{name} is a 16-bit picture (mode {picture.mode!r}) whose highest value is {highest} of 65535",
            expected="values that use the 16 bits: in 8 bits this picture would be nearly black",
            hint="convert the sensor's values to 8 bits once, the same for all pictures, and save that: "
            "Image.fromarray((x >> 4).astype('uint8')) of 12 bits, >> 2 of 10, >> 0 of 8",
        )
    grey = Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8))
    grey.info = {name: value for name, value in picture.info.items() if name != "transparency"}
    return grey


def _range(picture: Image.Image) -> str:
    if picture.mode not in ("F", "I"):
        return ""
    low, high = picture.getextrema()
    return f" with values from {low:g} to {high:g}"
