"""Reading a bank's pictures: headers when the bank is built, pixels when a cut-out is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, TiffImagePlugin

from poc_aug.backends.paste.bank_cutouts import is_resource_error
from poc_aug.backends.paste.bank_left_out import Unusable
from poc_aug.errors import ObjectBankError
from poc_aug.files.pictures import exif_orientation, open_picture, to_rgb, to_rgba, upright, why_unreadable

UNREADABLE = "unreadable"
TOO_LARGE = "above Pillow's limit (if the file is trusted, PIL.Image.MAX_IMAGE_PIXELS = None lifts it)"


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file's first bytes say.

    Attributes:
        size_wh: width and height in pixels, as stored.
        orientation: EXIF orientation, 1 to 8; 1: as stored.
        transparent: whether it has an alpha channel, or a transparent colour.
    """

    size_wh: tuple[int, int]
    orientation: int
    transparent: bool


def read_header(path: Path, name: str) -> Header:
    """Read a picture's header, no pixels.

    Raises:
        Unusable: not a picture, above Pillow's limit, or of a mode whose white level is not known.
        ObjectBankError: the process is out of memory or of file descriptors.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode == "F" or (picture.mode == "I" and picture.format == "TIFF"):
                raise Unusable(
                    "of float or 32-bit values, whose white level is not known", f"{name}: mode {picture.mode!r}"
                )
            # Pillow would decode a whole PNG to look for EXIF after its pixels: checked when the cut-out is read.
            behind = picture.format == "PNG" and not picture.info.keys() & {"exif", "Raw profile type exif"}
            orientation = 1 if behind else exif_orientation(picture)
            size = picture.size
            if isinstance(picture, TiffImagePlugin.TiffImageFile):  # Pillow gives the size of the rotated picture
                width, height = (picture.tag_v2[tag] for tag in (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength))
                size = int(width), int(height)
            return Header(size, orientation, picture.has_transparency_data)
    except Unusable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unusable(TOO_LARGE, f"{name}: {error}") from error
    except Exception as error:  # decoders raise almost anything for broken files
        if is_resource_error(error):
            raise ObjectBankError(f"cannot read {str(path)!r}: {error}", hint="run it again") from error
        raise Unusable(UNREADABLE, f"{name}: {why_unreadable(path, error)}") from error


def read_cutout(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode a picture with alpha, rotated as its EXIF says: image uint8 ``[3, h, w]``, alpha uint8 ``[h, w]``.

    Raises:
        ObjectBankError: it cannot be read; the message names the file.
    """
    picture = upright(_open(path))
    pixels = _tensor(to_rgba(picture, path, error=ObjectBankError))
    return pixels[:3], pixels[3]


def read_photo(path: Path, size_wh: tuple[int, int], orientation: int, turn: bool) -> torch.Tensor:
    """Decode a photograph: uint8 ``[3, h, w]``.

    Args:
        path: the file.
        size_wh: stored width and height when the bank was built.
        orientation: EXIF orientation when the bank was built.
        turn: whether to rotate it as the orientation says.

    Raises:
        ObjectBankError: it cannot be read, or has changed since; the message names the file.
    """
    picture = _open(path)
    current = exif_orientation(picture)
    if picture.size != size_wh or current != orientation:
        raise ObjectBankError(
            f"{str(path)!r} is {_size_text(picture.size, current)}, but its header said "
            f"{_size_text(size_wh, orientation)} when the bank was made",
            expected="unchanged files, with EXIF before the pixels",
            hint="make the bank again; or save the picture upright, without EXIF",
        )
    if turn:
        picture = upright(picture)
    return _tensor(to_rgb(picture, path, error=ObjectBankError))


def _open(path: Path) -> Image.Image:
    return open_picture(path, what="cut-out", error=ObjectBankError, hint="restore or delete the file")


def _tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def _size_text(size_wh: tuple[int, int], orientation: int) -> str:
    return f"{size_wh[0]}x{size_wh[1]} pixels (w x h) with EXIF orientation {orientation}"
