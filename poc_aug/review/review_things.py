"""What can be reviewed, one by one: insertions, shifted frames and rejected attempts, from the headers of records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeAlias

import lmdb
import numpy as np
import numpy.typing as npt
import zstandard

from poc_aug.cache import Cache, registry
from poc_aug.cache.delta import decompress
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.record import header_of_record, record_hash
from poc_aug.cache.record_header import frame_bounds
from poc_aug.cache.record_keys import encode_key
from poc_aug.cache.registry import Environment
from poc_aug.cache.review_state import ReviewState
from poc_aug.cache.selection import StoredThings, things_in_header
from poc_aug.cache.shard import check_shard, shard_paths
from poc_aug.errors import CacheCorruptError, PocAugError
from poc_aug.items.image_digest import DIGEST_BYTES
from poc_aug.recipe import IGNORED
from poc_aug.types import Box

ThingKind: TypeAlias = Literal["insertions", "frames", "rejected attempts"]
"""Kinds of things, as a page names them."""
KINDS: tuple[ThingKind, ...] = ("insertions", "frames", "rejected attempts")

_RECORDS_PER_BATCH = 200
_MOST_MASK_PX = 1 << 26
_MOST_PROMPT_CHARS = 500
_MOST_ATTEMPTS = 500  # of one variant: no recipe tries so often, and a stranger may have written any number


class ThingPart(NamedTuple):
    """A part of an insertion: its class, the annotator's confidence, and the pixels of its mask."""

    name: str
    score: float
    area: int | None


@dataclass(slots=True, eq=False)
class Thing:
    """Something to be reviewed.

    Attributes:
        id: opaque; the same in every process that reviews the same caches.
        source: number of its cache among those of the review, members counted.
        key: key of the record.
        variant: number of the variant.
        insertion: number of the insertion in its variant; 0 of a frame, number of the rejection of an attempt.
        kind: what it is.
        class_name: name of the object; the domain of a frame.
        stored: what selections of a journal ask for; of all insertions of the variant.
        parts: its parts.
        box_yxhw: where its patch is, which has shadow and feather around the object.
        size_hw: height and width of the object itself: of the box around its masks; of a frame, its own.
        area: pixels of its masks; of a frame, all.
        score: lowest confidence of its parts; agreement of a frame.
        mark: changes with the record.
        prompt: what was asked for.
        reason: why an attempt was rejected.
        detail: figures that explain it.
        attempt: number of the attempt.
        state: what was decided about it.
        version: that of the index when a decision about it changed last; 0: none has since it was listed.
    """

    id: str
    source: int
    key: str
    variant: int
    insertion: int
    kind: ThingKind
    class_name: str
    stored: StoredThings
    parts: tuple[ThingPart, ...] = ()
    box_yxhw: Box = (0, 0, 0, 0)
    size_hw: tuple[int, int] = (0, 0)
    area: int | None = None
    score: float | None = None
    mark: bytes = b""
    prompt: str = ""
    reason: str = ""
    detail: str = ""
    attempt: int = 0
    state: ReviewState = field(default_factory=ReviewState)
    version: int = 0

    @property
    def size_px(self) -> int:
        """The longer side of the object."""
        return max(self.size_hw)

    @property
    def label(self) -> str:
        """The class that it has now: another one than that of its object if it was relabelled."""
        names = self.state.names
        return ", ".join(names.get(part.name, part.name) for part in self.parts) if names else self.class_name

    @property
    def last(self) -> JournalEntry | None:
        """The last decision about it."""
        return self.state.decisions[-1] if self.state.decisions else None


def thing_id(source: int, fingerprint: str, *name: object) -> str:
    """The id of a thing: nothing of a key or a path can be read in it.

    Example:
        >>> thing_id(0, "3f2a", "insertions", "a.png", 0, 1)
        '...'
    """
    text = "\0".join(ascii(part) for part in (source, fingerprint, *name))
    return blake2b(text.encode(), digest_size=12).hexdigest()


@dataclass
class ThingScan:
    """The things of one cache, in batches, from headers alone: no picture is decoded.

    Args:
        cache: one recipe's cache, opened with everything that it stores (``journal=False``).
        source: its number among the caches of the review.

    Attributes:
        damaged: records that were left out, since their headers cannot be read; `poc-aug verify` names them.
    """

    cache: Cache
    source: int
    damaged: int = 0
    _seen: set[tuple[str, int]] = field(default_factory=set)

    def __iter__(self) -> Iterator[list[Thing]]:
        paths = [path for path in shard_paths(self.cache.path) if check_shard(path).transaction > 0]
        for path in paths:
            shard = registry.acquire(path)
            try:
                yield from self._of_shard(shard, several=len(paths) > 1)
            except lmdb.Error as error:
                raise CacheCorruptError(
                    f"shard {path.name!r} of {self.cache.path.name!r} cannot be listed: {error}",
                    expected="the bytes that were written",
                    hint="list all damage with `poc-aug verify`, then copy the shard again",
                ) from error
            finally:
                registry.release(shard)

    def _of_shard(self, shard: Environment, *, several: bool) -> Iterator[list[Thing]]:
        last: bytes | None = None
        while True:
            things: list[Thing] = []
            read = 0
            with shard.read(buffers=True) as transaction, transaction.cursor() as cursor:
                found = cursor.first() if last is None else cursor.set_range(last)
                if found and last is not None and bytes(cursor.key()) == last:
                    found = cursor.next()
                for name, view in islice(cursor.iternext(), _RECORDS_PER_BATCH if found else 0):
                    last, read = bytes(name), read + 1
                    things += self._of_record(last, view, several)
            if not read:
                return
            yield things

    def _of_record(self, name: bytes, view: memoryview, several: bool) -> list[Thing]:
        try:
            header = header_of_record(view)
            key, index = header["key"], header["index"]
            if encode_key(key, index) != name:
                raise ValueError("it is stored under another name")
            if several:
                if (key, index) in self._seen:
                    return []
                self._seen.add((key, index))
            return self._in_header(header, view)
        except (PocAugError, ValueError):  # damaged, or a stranger's
            self.damaged += 1
            return []

    def _in_header(self, header: Mapping[str, Any], view: memoryview) -> list[Thing]:
        mark = record_hash(view[:64].tobytes())[:8]
        stored = things_in_header(header)
        made = [self._insertion(header, number, stored, mark) for number in range(len(header["insertions"]))]
        at = len(view) - sum(nbytes for _, nbytes in _blobs(header))
        for item, thing in zip(header["insertions"], made, strict=True):
            thing.parts, thing.area, thing.size_hw = _parts(item, view, at + item["patch"][1])
            scores = [part.score for part in thing.parts]
            thing.score = min(scores) if scores else None
            at += sum(nbytes for _, nbytes in _blobs_of(item))
        if "frame" in header:
            made.append(self._frame(header, stored, mark))
        rejections = header["rejections"]
        made += [self._attempt(header, number, each, mark) for number, each in enumerate(rejections[:_MOST_ATTEMPTS])]
        if len(rejections) > _MOST_ATTEMPTS:
            made[-1].detail += f" (and {len(rejections) - _MOST_ATTEMPTS} further attempts)"
        return made

    def _id(self, *name: object) -> str:
        return thing_id(self.source, self.cache.manifest.fingerprint, *name)

    def _insertion(self, header: Mapping[str, Any], number: int, stored: StoredThings, mark: bytes) -> Thing:
        item, key, index = header["insertions"][number], header["key"], header["index"]
        prompt = item["provenance"].get("prompt")
        return Thing(
            self._id("insertions", key, index, number),
            self.source,
            key,
            index,
            number,
            "insertions",
            item["name"],
            stored,
            box_yxhw=tuple(item["box"]),
            mark=mark,
            prompt=prompt[:_MOST_PROMPT_CHARS] if isinstance(prompt, str) else "",
        )

    def _frame(self, header: Mapping[str, Any], stored: StoredThings, mark: bytes) -> Thing:
        item, key, index = header["frame"], header["key"], header["index"]
        digest = bytes.fromhex(header["digest"])
        height, width = frame_bounds(digest)[0] if len(digest) == DIGEST_BYTES else (0, 0)
        agreement, prompt = item["provenance"].get("agreement"), item["provenance"].get("prompt")
        known = type(agreement) in (int, float) and abs(agreement) <= 1
        return Thing(
            self._id("frames", key, index),
            self.source,
            key,
            index,
            0,
            "frames",
            item["domain"],
            stored,
            box_yxhw=(0, 0, height, width),
            size_hw=(height, width),
            area=height * width,
            score=float(agreement) if known else None,
            mark=mark,
            prompt=prompt[:_MOST_PROMPT_CHARS] if isinstance(prompt, str) else "",
        )

    def _attempt(self, header: Mapping[str, Any], number: int, rejection: list[Any], mark: bytes) -> Thing:
        reason, name, attempt, detail = rejection
        key, index = header["key"], header["index"]
        return Thing(
            self._id("rejected attempts", key, index, number),
            self.source,
            key,
            index,
            number,
            "rejected attempts",
            name,
            StoredThings((key,), index, (), ()),
            mark=mark,
            reason=reason,
            detail=detail,
            attempt=attempt,
        )


def _parts(
    item: Mapping[str, Any], view: memoryview, at: int
) -> tuple[tuple[ThingPart, ...], int | None, tuple[int, int]]:
    """Parts of an insertion with the pixels of their masks, those of all, and the size of the box around all masks."""
    height, width = item["box"][2:]
    parts: list[ThingPart] = []
    covered: npt.NDArray[np.uint8] | None = None  # eight pixels per byte
    for name, score, codec, nbytes in item["parts"]:
        if name != IGNORED:
            packed = _packed_mask(codec, view[at : at + nbytes], height, width)
            area = None if packed is None else int.from_bytes(packed.tobytes(), "little").bit_count()
            parts.append(ThingPart(name, float(score), area))
            if packed is not None:
                covered = packed if covered is None else covered | packed
        at += nbytes
    areas = [part.area for part in parts if part.area is not None]
    if len(areas) < len(parts) or covered is None:
        return tuple(parts), sum(areas) if len(areas) == len(parts) else None, (height, width)
    rows = np.flatnonzero(covered.any(axis=1))
    columns = np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(covered, axis=0)))
    size_hw = (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1) if rows.size else (0, 0)
    return tuple(parts), sum(areas), size_hw


def _packed_mask(codec: str, data: memoryview, height: int, width: int) -> npt.NDArray[np.uint8] | None:
    """A mask as it is stored, eight pixels per byte; ``None`` if it is damaged, or so large that all others waited."""
    if codec != "bits-zstd" or height * width > _MOST_MASK_PX:
        return None
    try:
        packed = decompress(data, height * -(-width // 8))
    except (ValueError, zstandard.ZstdError):
        return None
    return np.frombuffer(packed, np.uint8).reshape(height, -1)


def _blobs(header: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for item in header["insertions"]:
        yield from _blobs_of(item)
    if "frame" in header:
        yield header["frame"]["image"]


def _blobs_of(item: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    yield item["patch"]
    for _, _, *blob in item["parts"]:
        yield blob[0], blob[1]
    for name in ("alpha", "shade"):
        if item[name] is not None:
            yield item[name]
