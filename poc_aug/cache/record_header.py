"""The header of a record, checked before anything of the record is decoded or allocated.

A cache is made to be shared, and the hash of a record is no signature: whoever shares a cache can write any header. So
every value is checked for its type and range. What is decoded is bounded by the frame, whose size is in the digest of
the base image:

- every box lies inside the frame, which has at most `MAX_FRAME_PX` pixels;
- all tensors of a record take at most `_BYTES_PER_FRAME_PX` bytes per pixel of the frame, and `_MAX_NBYTES` in total. A
  real record takes 0.1 to 10 per pixel: 3 for each pixel of a patch, 1 for each of its masks and maps;
- the header takes at most `MAX_HEADER_NBYTES`, and holds no more insertions, parts and rejections than stated below.

Names that a newer version may add to a header are ignored.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NoReturn

from poc_aug.errors import CacheError
from poc_aug.items.image_digest import DIGEST_BYTES, frame_size_of
from poc_aug.recipe import IGNORED
from poc_aug.types import MAX_SEVERITY

MAX_HEADER_NBYTES = 4 << 20
"""Bytes of the header's JSON."""
MAX_FRAME_PX = 1 << 30
"""Pixels of a frame."""

_BYTES_PER_FRAME_PX = 64
_MIN_NBYTES, _MAX_NBYTES = 16 << 20, 256 << 20  # what any record, however small its frame, and no record may take
MAX_RECORD_NBYTES = _MAX_NBYTES + (16 << 20)
"""Most bytes that are read of a shard for one record: tensors that cannot be compressed, and a header."""
_UNKNOWN_FRAME_HW, _UNKNOWN_FRAME_NBYTES = (1 << 16, 1 << 16), 64 << 20
# Decoding WebP takes several copies of the picture.
_PATCH_NBYTES = {"webp": 12, "webp-lossy": 12}
_MAX_INSERTIONS, _MAX_PARTS, _MAX_REJECTIONS = 4096, 1024, 1 << 16
_MAX_KEY_CHARS, _MAX_NAME_CHARS = 1 << 16, 1 << 10
_MAX_LABEL_DIGEST_NBYTES = 1 << 20
_MAX_SIGMA_PX = _MAX_SCORE = 1e6
_NUMBERS = (float, int)
_NAME = f"a string of at most {_MAX_NAME_CHARS} characters"
_BLOB = "codec and number of bytes"


class RecordError(CacheError, ValueError):
    """Bytes that are not a whole, sound record; readers turn it into a `CacheCorruptError` that names the shard.

    Example:
        >>> from poc_aug.cache import decode_record
        >>> decode_record(b"short", "a.png", 0)
        Traceback (most recent call last):
        ...
        poc_aug.cache.record_header.RecordError: 5 bytes are too few for a record
    """


def check_name(header: Any) -> tuple[str, int]:
    """Key and index of a header.

    Raises:
        RecordError: there are none, or they cannot be those of a record.
    """
    if type(header) is not dict or not {"key", "index"} <= header.keys():
        raise RecordError("the record's header has no key or no index")
    key, index = header["key"], header["index"]
    if type(key) is not str or len(key) > _MAX_KEY_CHARS:
        _wrong("key", key, f"a string of at most {_MAX_KEY_CHARS} characters")
    if type(index) is not int or not 0 <= index < 1 << 32:
        _wrong("index", index, "an integer from 0 to 2**32 - 1")
    return key, index


def check_header(header: dict[str, Any], nbytes: int, names: Collection[str] | None) -> tuple[bytes, bytes]:
    """Check everything else that a header holds; see the module's docstring.

    Args:
        header: as it was parsed, its name checked.
        nbytes: bytes that follow the header.
        names: class names that parts may have, besides `poc_aug.recipe.IGNORED`; ``None``: any.

    Returns:
        The digests of the base image and of its labels.

    Raises:
        RecordError: a value of a wrong type or out of its range.
    """
    digest = _digest(header, "digest", DIGEST_BYTES)
    label_digest = _digest(header, "label_digest", _MAX_LABEL_DIGEST_NBYTES) if "label_digest" in header else b""
    frame_hw, most = frame_bounds(digest)
    decoded = blobs = 0
    for insertion in _list(header, "insertions", _MAX_INSERTIONS):
        taken, stored = _check_insertion(insertion, frame_hw, names)
        decoded += taken
        blobs += stored
    if "frame" in header:
        taken, stored = _check_frame(header["frame"], header["key"], frame_hw if len(digest) == DIGEST_BYTES else None)
        decoded += taken
        blobs += stored
    if blobs != nbytes:
        raise RecordError(f"the record cannot be decoded: {nbytes} bytes follow its header, which declares {blobs}")
    if decoded > most:
        raise RecordError(
            f"the record cannot be decoded: its tensors would take {decoded} bytes, a record of this frame at most "
            f"{most}"
        )
    for rejection in _list(header, "rejections", _MAX_REJECTIONS):
        _check_rejection(rejection)
    return digest, label_digest


def frame_bounds(digest: bytes) -> tuple[tuple[int, int], int]:
    """The size of the frame that a digest is of, and how many bytes the tensors of its record may take.

    Raises:
        RecordError: a frame without pixels, or of more than `MAX_FRAME_PX`.
    """
    if len(digest) != DIGEST_BYTES:
        return _UNKNOWN_FRAME_HW, _UNKNOWN_FRAME_NBYTES
    height, width = frame_size_of(digest)
    if not 0 < height * width <= MAX_FRAME_PX:
        _wrong("digest", digest[:8].hex(), f"that of a frame of 1 to {MAX_FRAME_PX} pixels, not {height}x{width}")
    return (height, width), min(_MAX_NBYTES, max(_MIN_NBYTES, _BYTES_PER_FRAME_PX * height * width))


def _check_insertion(item: Any, frame_hw: tuple[int, int], names: Collection[str] | None) -> tuple[int, int]:
    """Bytes that the tensors of an insertion take, and that its blobs take."""
    # In one piece: this runs each time that a record is read, and calls would take more time than the checks.
    if type(item) is not dict:
        _wrong("insertion", item, "an object")
    try:
        box, parts = item["box"], item["parts"]
        name, sigma_px, provenance = item["name"], item["max_sigma_px"], item["provenance"]
        blobs, alpha, shade = [item["patch"]], item["alpha"], item["shade"]
    except KeyError as error:
        raise RecordError(f"the record cannot be decoded: an insertion without {error}") from error
    if alpha is not None:
        blobs.append(alpha)
    if shade is not None:
        blobs.append(shade)
    if type(box) is not list or len(box) != 4:
        _wrong("box", box, "four integers")
    y, x, height, width = box
    if not (type(y) is type(x) is type(height) is type(width) is int):
        _wrong("box", box, "four integers")
    if not (y >= 0 and x >= 0 and 0 < height <= frame_hw[0] - y and 0 < width <= frame_hw[1] - x):
        _wrong("box", box, f"(y, x, h, w) of at least one pixel inside a frame of {frame_hw[0]}x{frame_hw[1]} pixels")
    if type(name) is not str or len(name) > _MAX_NAME_CHARS:
        _wrong("name", name, _NAME)
    if type(sigma_px) not in _NUMBERS or not 0 <= sigma_px <= _MAX_SIGMA_PX:
        _wrong("max_sigma_px", sigma_px, "a number of pixels")
    if type(provenance) is not dict:
        _wrong("provenance", provenance, "an object")
    if type(parts) is not list or len(parts) > _MAX_PARTS:
        _wrong("parts", parts, f"a list of at most {_MAX_PARTS}")
    for part in parts:
        if type(part) is not list or len(part) != 4:
            _wrong("part", part, "name, score, codec and number of bytes")
        part_name, score, *blob = part
        if type(part_name) is not str or len(part_name) > _MAX_NAME_CHARS:
            _wrong("part", part_name, _NAME)
        if names is not None and part_name not in names and part_name != IGNORED:
            _wrong("part", part_name, "a class of the cache's recipe")
        if type(score) not in _NUMBERS or not -_MAX_SCORE <= score <= _MAX_SCORE:
            _wrong("score", score, "a confidence")
        blobs.append(blob)
    stored = 0
    for blob in blobs:
        if type(blob) is not list or len(blob) != 2:
            _wrong("blob", blob, _BLOB)
        codec, nbytes = blob
        if type(codec) is not str or type(nbytes) is not int or nbytes < 0:
            _wrong("blob", blob, _BLOB)
        stored += nbytes
    return height * width * (_PATCH_NBYTES.get(blobs[0][0], 3) + len(blobs) - 1), stored


def _check_frame(item: Any, key: str, frame_hw: tuple[int, int] | None) -> tuple[int, int]:
    """Bytes that the image of a shifted frame takes, and that its blob takes."""
    if type(item) is not dict or not {"domain", "severity", "image", "provenance"} <= item.keys():
        _wrong("frame", item, "domain, severity, image and provenance")
    if frame_hw is None:
        _wrong("frame", item, "none without a digest of its base image, which says how large it is")
    _check_name_of("domain", item["domain"])
    if type(item["severity"]) is not int or not 1 <= item["severity"] <= MAX_SEVERITY:
        _wrong("severity", item["severity"], f"an integer from 1 to {MAX_SEVERITY}")
    if not key.endswith(f"@{item['domain']}-{item['severity']}"):
        _wrong("frame", f"{item['domain']}-{item['severity']}", f"what the key {_short(key)} says")
    if type(item["provenance"]) is not dict:
        _wrong("provenance", item["provenance"], "an object")
    blob = item["image"]
    if type(blob) is not list or len(blob) != 2 or type(blob[0]) is not str or type(blob[1]) is not int or blob[1] < 0:
        _wrong("blob", blob, _BLOB)
    return frame_hw[0] * frame_hw[1] * _PATCH_NBYTES.get(blob[0], 3), blob[1]


def _check_rejection(item: Any) -> None:
    if type(item) is not list or len(item) != 4:
        _wrong("rejection", item, "reason, object, attempt and detail")
    reason, name, attempt, detail = item
    _check_name_of("reason", reason)
    _check_name_of("object", name)
    if type(attempt) is not int or not 0 <= attempt < 1 << 63:
        _wrong("attempt", attempt, "an integer from 0")
    if type(detail) is not str:
        _wrong("detail", detail, "a string")


def _check_name_of(what: str, value: Any) -> None:
    if type(value) is not str or len(value) > _MAX_NAME_CHARS:
        _wrong(what, value, _NAME)


def _list(owner: dict[str, Any], what: str, most: int) -> list[Any]:
    try:
        value = owner[what]
    except KeyError as error:
        raise RecordError(f"the record cannot be decoded: {error} is missing") from error
    if type(value) is not list or len(value) > most:
        _wrong(what, value, f"a list of at most {most}")
    return value


def _digest(owner: dict[str, Any], what: str, most: int) -> bytes:
    text = owner.get(what)
    if text is None:
        raise RecordError(f"the record cannot be decoded: {what!r} is missing")
    try:
        if type(text) is str and len(text) <= 2 * most:
            return bytes.fromhex(text)
    except ValueError as error:
        raise RecordError(f"the record cannot be decoded: {what} is not hexadecimal: {error}") from error
    _wrong(what, text, f"at most {most} bytes in hexadecimal")


def _wrong(what: str, value: Any, expected: str) -> NoReturn:
    raise RecordError(f"the record cannot be decoded: {what} is {_short(value)}, expected {expected}")


def _short(value: Any) -> str:
    if isinstance(value, str):
        return ascii(value[:60]) + ("..." if len(value) > 60 else "")
    if isinstance(value, list) and len(value) <= 4 and not any(isinstance(inner, list | dict) for inner in value):
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
