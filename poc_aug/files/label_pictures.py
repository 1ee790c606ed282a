"""Label maps in picture files, read only if decoding returns the ids that were written."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from poc_aug.errors import PocAugError, SampleReadError
from poc_aug.files.pictures import open_picture

_LOSSY = frozenset(("JPEG", "MPO", "JPEG2000", "AVIF", "HEIF", "HEIC", "JXL"))
"""Formats whose files are lossy, or may be."""

_LOSSY_TIFF = frozenset(("jpeg", "tiff_jpeg", "webp", "tiff_sgilog", "tiff_sgilog24"))
_AGAIN = "write the label maps again from their source, as PNG; a mask of 0 and 255 may be thresholded at 128 first"


def open_labels(
    path: str | Path,
    *,
    key: str | None = None,
    error: type[PocAugError] = SampleReadError,
    hint: str = "restore the file, or take it out",
) -> Image.Image:
    """Open a label map as `poc_aug.files.pictures.open_picture` does, in its own mode: ids, or indices of a palette.

    Raises:
        PocAugError: of the class ``error``: as `open_picture`; and if the ids are not those that were written
            (`altered_ids`).
    """
    name = f"{'' if key is None else f'sample {key!r}: '}labels {path}"
    return open_picture(
        path, what="labels", key=key, error=error, hint=hint, refuse=lambda picture: refusal(picture, name, error)
    )


def refusal(picture: Image.Image, name: str, error: type[PocAugError]) -> PocAugError | None:
    """The error, of the class ``error``, if a picture's ids are not those of its file (`altered_ids`)."""
    why = altered_ids(picture)
    return error(f"{name}: {why}", expected="label ids, stored as they are", hint=_AGAIN) if why else None


def altered_ids(picture: Image.Image) -> str:
    """Why the picture's pixels are not the ids that were written to its file; "" if they are, or if it is unknown.

    Lossy compression mixes neighbouring ids. Grey of 2 or 4 bits, a PGM with another maximum than 255 or 65535, and a
    TIFF in which 0 is white are decoded to other values than the stored ones. A picture has its format until it is
    copied or converted, and the other properties until it is decoded.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> Image.new("L", (8, 8)).save(file, "JPEG")
        >>> altered_ids(Image.open(file))
        'JPEG is lossy, or may be: it makes ids that do not exist'
    """
    kind = picture.format
    if kind is None:
        return ""
    if kind in _LOSSY:
        return f"{kind} is lossy, or may be: it makes ids that do not exist"
    if kind == "TIFF" and picture.info.get("compression") in _LOSSY_TIFF:
        return f"a TIFF compressed as {picture.info['compression']} is lossy: it makes ids that do not exist"
    if kind == "WEBP" and _is_lossy_webp(picture):
        return "this WebP is lossy: it makes ids that do not exist"
    for tile in getattr(picture, "tile", ()):
        reason = _scaled(tile[0], tile[3])
        if reason:
            return reason
    return ""


def _scaled(codec: str, arguments: object) -> str:
    """How a decoder of Pillow changes values, by its arguments: a raw mode, or a tuple that begins with one."""
    raw = (
        arguments
        if isinstance(arguments, str)
        else arguments[0]
        if isinstance(arguments, tuple) and arguments
        else None
    )
    if not isinstance(raw, str):
        return ""
    if raw.startswith(("L;2", "L;4")):
        return f"grey of {raw[2]} bits is decoded to 0 to 255, so that id 1 becomes {255 // (2 ** int(raw[2]) - 1)}"
    if raw == "L;I":
        return "a TIFF in which 0 is white is decoded as 255 minus the stored value"
    if codec in ("ppm", "ppm_plain") and isinstance(arguments, tuple) and arguments[-1] not in (255, 65535):
        return f"values of 0 to {arguments[-1]} are decoded to 0 to 255 or 65535"
    return ""


def _is_lossy_webp(picture: Image.Image) -> bool:
    """Whether a chunk of the file, while it is still open, holds lossy pixels ("VP8 "); lossless ones are "VP8L"."""
    file = getattr(picture, "fp", None)
    if file is None:
        return False
    place = file.tell()
    try:
        file.seek(0)
        data = file.read()
    finally:
        file.seek(place)
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"VP8 ":
            return True
        at += 8 + 16 if name == b"ANMF" else 8 + size + size % 2  # a frame of an animation contains chunks
    return False
