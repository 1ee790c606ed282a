"""One record: a `Variant` as bytes that carry their own hash.

::

    4 bytes   b"PAUG"
    1 byte    record version
    16 bytes  xxh3_128 of everything that follows
    4 bytes   length of the compressed header, little endian
    header    zstd of canonical JSON: key, index, digest, label digest (if there is one), insertions (box, names,
              scores, blobs), rejections, the frame (in caches of scene shifts: domain, severity, blob)
    blobs     for each insertion: patch, a mask per part, matte, shade (the last two if the header names them);
              the frame's image

Equal variants give equal bytes, so a resumed cache has the records of an uninterrupted one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
import xxhash
import zstandard

from poc_aug.cache.codec import (
    Blob,
    decode_map,
    decode_mask,
    decode_patch,
    encode_frame,
    encode_map,
    encode_mask,
    encode_patch,
)
from poc_aug.cache.delta import decompress
from poc_aug.cache.record_header import MAX_HEADER_NBYTES, RecordError, check_header, check_name
from poc_aug.cache.strict_json import check_depth, load_json, load_json_fast
from poc_aug.errors import CacheError
from poc_aug.items.image_digest import DIGEST_BYTES, frame_size_of
from poc_aug.types import Insertion, Part, Rejection, ShiftedFrame, Variant

RECORD_VERSION = 1

_MAGIC = b"PAUG"
_HEAD = struct.Struct("<4sB16sI")
_HASHED_FROM = _HEAD.size - 4  # the header's length is hashed too


def encode_record(variant: Variant, codec: str) -> bytes:
    """Encode a variant, its patches with ``codec``.

    Raises:
        CacheError: an insertion whose tensors do not fit its box, or provenance that is not JSON.

    Example:
        >>> encode_record(Variant("a.png", 0, digest=b"", insertions=()), "delta-zstd")[:4]
        b'PAUG'
    """
    blobs: list[bytes] = []

    def add(blob: Blob) -> list[str | int]:
        blobs.append(blob[1])
        return [blob[0], len(blob[1])]

    def insertion_header(insertion: Insertion) -> dict[str, Any]:
        _check(variant, insertion)
        return {
            "box": [int(value) for value in insertion.box_yxhw],
            "name": insertion.object_name,
            "max_sigma_px": float(insertion.max_sigma_px),
            "patch": add(encode_patch(insertion.patch.cpu(), codec)),
            "parts": [[part.name, float(part.score), *add(encode_mask(part.mask.cpu()))] for part in insertion.parts],
            "alpha": None if insertion.alpha is None else add(encode_map(insertion.alpha.cpu())),
            "shade": None if insertion.shade is None else add(encode_map(insertion.shade.cpu())),
            "provenance": dict(insertion.provenance),
        }

    header: dict[str, Any] = {
        "key": variant.key,
        "index": int(variant.index),
        "digest": variant.digest.hex(),
        "insertions": [insertion_header(insertion) for insertion in variant.insertions],
        "rejections": [[r.reason, r.object_name, int(r.attempt), r.detail] for r in variant.rejections],
    }
    # Left out if it is empty, so that such records equal those of caches made before there were label digests.
    if variant.label_digest:
        header["label_digest"] = variant.label_digest.hex()
    if variant.frame is not None:
        _check_frame(variant, variant.frame)
        header["frame"] = {
            "domain": variant.frame.domain,
            "severity": int(variant.frame.severity),
            "image": add(encode_frame(variant.frame.image.cpu(), codec)),
            "provenance": dict(variant.frame.provenance),
        }
    return pack_record(header, blobs)


def pack_record(header: dict[str, Any], blobs: Sequence[bytes | memoryview]) -> bytes:
    """A record of a header, as `encode_record` and `split_record` make it, and the blobs that it declares.

    Raises:
        CacheError: a value that is not JSON, or a header that would be refused on reading.
    """
    key, index = header["key"], header["index"]
    try:
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CacheError(
            f"variant {index} of {key!r} holds a value that is not JSON: {error}",
            expected="provenance of None, bool, int, finite float, str, lists and dicts with str keys",
        ) from error
    encoded = text.encode("ascii")
    try:
        _check_written(encoded, header, blobs)
    except ValueError as error:
        raise CacheError(
            f"variant {index} of {key[:200]!r} would make a record that is refused on reading: {error}",
            expected=f"a header of at most {MAX_HEADER_NBYTES} bytes, and values as poc_aug.types describes them",
        ) from error
    packed = zstandard.compress(encoded, 9)
    body = b"".join([struct.pack("<I", len(packed)), packed, *blobs])
    return _MAGIC + bytes([RECORD_VERSION]) + xxhash.xxh3_128_digest(body) + body


def split_record(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """The checked header of a record, and the bytes of its blobs; the counterpart of `pack_record`.

    Raises:
        RecordError: as in `decode_record`, for the header.

    Example:
        >>> data = encode_record(Variant("a.png", 0, digest=b"", insertions=()), "delta-zstd")
        >>> header, blobs = split_record(data)
        >>> header["key"], pack_record(header, [blobs]) == data
        ('a.png', True)
    """
    header, offset = _read_header(data)
    check_header(header, len(data) - offset, None)
    return header, memoryview(data)[offset:]


def decode_record(data: bytes, key: str, index: int, names: Collection[str] | None = None) -> Variant:
    """Decode a record and check that it is that of ``key`` and ``index``.

    The tensors are new, contiguous, writable and on the CPU. Tuples inside provenance become lists. Everything is
    checked before it is decoded (`poc_aug.cache.record_header`): the memory that it takes is bounded by the frame.

    Args:
        data: the record's bytes, from any source.
        key: the sample's key.
        index: the variant's index.
        names: class names that the cache's recipe has; ``None``: any.

    Raises:
        RecordError: the hash does not fit, another record version, another key or index, or any content that
            `encode_record` does not write.

    Example:
        >>> variant = Variant("a.png", 0, digest=b"", insertions=())
        >>> decode_record(encode_record(variant, "delta-zstd"), "a.png", 0) == variant
        True
    """
    header, offset = _read_header(data)
    if (header["key"], header["index"]) != (key, index):
        raise RecordError(f"the record is that of variant {header['index']} of {header['key'][:200]!r}")
    digest, label_digest = check_header(header, len(data) - offset, names)
    view = memoryview(data)

    def take(
        decode: Callable[[str, memoryview, tuple[int, int]], torch.Tensor],
        blob: list[Any],
        size_hw: tuple[int, int],
    ) -> torch.Tensor:
        nonlocal offset
        codec, nbytes = blob
        offset += nbytes
        return decode(codec, view[offset - nbytes : offset], size_hw)

    def insertion(item: dict[str, Any]) -> Insertion:
        y, x, height, width = item["box"]
        size_hw = height, width
        patch = take(decode_patch, item["patch"], size_hw)
        parts = tuple(Part(name, take(decode_mask, blob, size_hw), score) for name, score, *blob in item["parts"])
        alpha = None if item["alpha"] is None else take(decode_map, item["alpha"], size_hw)
        shade = None if item["shade"] is None else take(decode_map, item["shade"], size_hw)
        return Insertion(
            box_yxhw=(y, x, height, width),
            patch=patch,
            parts=parts,
            alpha=alpha,
            shade=shade,
            object_name=item["name"],
            max_sigma_px=item["max_sigma_px"],
            provenance=item["provenance"],
        )

    def shifted_frame(item: dict[str, Any]) -> ShiftedFrame:
        image = take(decode_patch, item["image"], frame_size_of(digest))
        return ShiftedFrame(image, item["domain"], item["severity"], item["provenance"])

    try:
        return Variant(
            key=key,
            index=index,
            digest=digest,
            insertions=tuple(insertion(item) for item in header["insertions"]),
            rejections=tuple(Rejection(*item) for item in header["rejections"]),
            label_digest=label_digest,
            frame=shifted_frame(header["frame"]) if "frame" in header else None,
        )
    except (ValueError, zstandard.ZstdError) as error:
        # The hash fits, so a faulty or newer writer wrote it, or somebody who means harm.
        raise RecordError(f"the record cannot be decoded: {error}") from error


def record_name(data: bytes) -> tuple[str, int]:
    """Key and index in a record's header.

    Raises:
        RecordError: as `decode_record`.
    """
    header, _ = _read_header(data)
    return header["key"], header["index"]


def header_of_record(data: bytes | memoryview) -> dict[str, Any]:
    """A record's header, checked, without touching the bytes that follow it: the record's hash is not checked.

    For statistics over many records: of a record of megabytes, only the first kilobytes are read from disk.

    Raises:
        RecordError: as in `decode_record`, for the header.

    Example:
        >>> variant = Variant("a.png", 3, digest=b"", insertions=())
        >>> header_of_record(encode_record(variant, "delta-zstd"))["index"]
        3
    """
    header, offset = _read_header(data, check_hash=False)
    check_header(header, len(data) - offset, None)
    return header


def check_canonical(data: bytes) -> None:
    """Check that no name occurs twice in a record's header, of which decoding takes the last.

    Raises:
        RecordError: one does; or as `decode_record`.
    """
    _, end = _read_header(data)
    try:
        load_json(decompress(memoryview(data)[_HEAD.size : end], 1, MAX_HEADER_NBYTES))
    except ValueError as error:
        raise RecordError(f"the record's header cannot be decoded: {error}") from error


def record_hash(data: bytes) -> bytes:
    """The hash that a record carries (16 bytes); not checked."""
    return data[_HASHED_FROM - 16 : _HASHED_FROM]


def same_variant(a: Variant, b: Variant) -> bool:
    """Whether two variants are equal in every pixel.

    Example:
        >>> variant = Variant("a.png", 0, digest=b"", insertions=())
        >>> same_variant(variant, Variant("a.png", 1, digest=b"", insertions=()))
        False
    """

    def plain(variant: Variant) -> tuple[object, ...]:
        return (
            variant.key,
            variant.index,
            variant.digest,
            variant.label_digest,
            variant.rejections,
            len(variant.insertions),
            None if (frame := variant.frame) is None else (frame.domain, frame.severity, dict(frame.provenance)),
        )

    def plain_insertion(i: Insertion) -> tuple[object, ...]:
        names = [(part.name, part.score) for part in i.parts]
        return i.box_yxhw, names, i.object_name, i.max_sigma_px, dict(i.provenance)

    def tensors(i: Insertion) -> list[torch.Tensor | None]:
        return [i.patch, i.alpha, i.shade, *(part.mask for part in i.parts)]

    def equal(first: torch.Tensor | None, second: torch.Tensor | None) -> bool:
        if first is None or second is None:
            return first is second
        return first.dtype == second.dtype and torch.equal(first, second)

    def images_equal() -> bool:
        return a.frame is None or b.frame is None or equal(a.frame.image, b.frame.image)

    return (
        plain(a) == plain(b)
        and images_equal()
        and all(
            plain_insertion(i) == plain_insertion(j) and all(map(equal, tensors(i), tensors(j)))
            for i, j in zip(a.insertions, b.insertions, strict=True)
        )
    )


def _read_header(data: bytes | memoryview, *, check_hash: bool = True) -> tuple[dict[str, Any], int]:
    if len(data) < _HEAD.size:
        raise RecordError(f"{len(data)} bytes are too few for a record")
    magic, version, digest, header_nbytes = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise RecordError(f"the record begins with {magic!r} instead of {_MAGIC!r}")
    if check_hash and xxhash.xxh3_128_digest(memoryview(data)[_HASHED_FROM:]) != digest:
        raise RecordError("the record's hash does not fit its bytes")
    if version != RECORD_VERSION:
        raise RecordError(f"record version {version}, this poc_aug reads version {RECORD_VERSION}")
    end = _HEAD.size + header_nbytes
    try:
        header = load_json_fast(decompress(memoryview(data)[_HEAD.size : end], 1, MAX_HEADER_NBYTES))
    except (ValueError, zstandard.ZstdError) as error:
        raise RecordError(f"the record's header cannot be decoded: {error}") from error
    check_name(header)
    return header, end


def _check_written(text: bytes, header: dict[str, Any], blobs: Sequence[bytes | memoryview]) -> None:
    """Hold a header that was made here to what `decode_record` demands."""
    if len(text) > MAX_HEADER_NBYTES:
        raise ValueError(f"its header has {len(text)} bytes")
    check_depth(text)
    check_name(header)
    check_header(header, sum(map(len, blobs)), None)


def _check_frame(variant: Variant, frame: ShiftedFrame) -> None:
    if len(variant.digest) != DIGEST_BYTES:
        raise CacheError(
            f"the shifted frame of variant {variant.index} of {variant.key!r} has no digest of its base image",
            expected="the digest of the base image, which says how large the frame is",
        )
    shape = (3, *frame_size_of(variant.digest))
    if frame.image.dtype != torch.uint8 or tuple(frame.image.shape) != shape:
        raise CacheError(
            f"the shifted frame of variant {variant.index} of {variant.key!r} is {frame.image.dtype} "
            f"{list(frame.image.shape)}",
            expected=f"torch.uint8 {list(shape)}, the size of its base image",
        )


def _check(variant: Variant, insertion: Insertion) -> None:
    height, width = insertion.box_yxhw[2:]

    def check(what: str, tensor: torch.Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        if tensor.dtype != dtype or tuple(tensor.shape) != shape or min(shape) < 1:
            raise CacheError(
                f"{what} of {insertion.object_name!r} in variant {variant.index} of {variant.key!r} is "
                f"{tensor.dtype} {list(tensor.shape)}, its box {insertion.box_yxhw}",
                expected=f"{dtype} {list(shape)}, at least one pixel",
            )

    check("patch", insertion.patch, torch.uint8, (3, height, width))
    for part in insertion.parts:
        check(f"mask {part.name!r}", part.mask, torch.bool, (height, width))
    if insertion.alpha is not None:
        check("alpha", insertion.alpha, torch.uint8, (height, width))
    if insertion.shade is not None:
        check("shade", insertion.shade, torch.uint8, (height, width))
