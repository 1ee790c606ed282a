"""A record without some of its insertions: what remains keeps its bytes, so that lossy patches lose nothing more."""

from __future__ import annotations

from typing import Any

from poc_aug.cache.journal import Journal, rejection_of
from poc_aug.cache.record import pack_record, split_record
from poc_aug.cache.selection import things_in_header
from poc_aug.types import Rejection


def cut_record(data: bytes, journal: Journal) -> bytes:
    """A record without what a journal leaves out; the same bytes if that is nothing.

    It is the record of the variant that `Journal.kept` gives, but for new class names, which stay in the journal: see
    `poc_aug.cache.journal_remaining`.

    Raises:
        RecordError: a damaged record.

    Example:
        >>> from poc_aug.cache import encode_record
        >>> from poc_aug.types import Variant
        >>> data = encode_record(Variant("a.png", 0, digest=b"", insertions=()), "delta-zstd")
        >>> cut_record(data, Journal([])) is data
        True
    """
    if not journal:
        return data
    header, body = split_record(data)
    dropped = journal.dropped(things_in_header(header))
    if not dropped:
        return data
    kept: list[dict[str, Any]] = []
    blobs: list[memoryview] = []
    rejections: list[Rejection] = []
    offset = 0
    for number, item in enumerate(header["insertions"]):
        nbytes = _nbytes(item)
        if number in dropped:
            rejections.append(rejection_of(item["name"], item["provenance"], dropped[number]))
        else:
            kept.append(item)
            blobs.append(body[offset : offset + nbytes])
        offset += nbytes
    header["insertions"] = kept
    if (frame := header.pop("frame", None)) is not None:
        rejections.append(rejection_of(frame["domain"], frame["provenance"], dropped[0]))
    header["rejections"] += [[one.reason, one.object_name, one.attempt, one.detail] for one in rejections]
    return pack_record(header, blobs)


def _nbytes(item: dict[str, Any]) -> int:
    """Bytes of the blobs of an insertion."""
    maps = [blob[1] for blob in (item["patch"], item["alpha"], item["shade"]) if blob is not None]
    masks = [part[3] for part in item["parts"]]
    return sum(int(nbytes) for nbytes in maps + masks)
