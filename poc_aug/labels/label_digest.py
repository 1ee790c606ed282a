"""A cheap digest of base labels by class name, to notice labels that are read with a wrong schema.

It holds the classes of the schema that warmed, and which of them 256 points show (the grid of the image's digest), or
that they are ignored there. Names, not ids, so a cache that was warmed on Cityscapes' labelIds can be read on trainIds.

It takes 0.04 ms to make, and 0.05 ms to compare if both are equal, 0.2 to 0.4 ms if not, on a frame of any size. It
adds 225 bytes to the record of a Cityscapes frame (19 classes), and under 900 to one with 150 classes.

**What is compared.** At each point, the class that was stored and the class that the reader's schema gives. They agree
if they share a name (several names may share an id). What either schema ignores, or has no name for, may be anything
in the other: "parking" of labelIds is ignored in trainIds, "terrain" may be part of somebody's "sidewalk".

**What is an error.**

- Over 5% of the points at which both schemas know both classes disagree, and at least 3 do.
- A class that the reader knows is never read as itself, but at 3 points as classes that both know (two ids
  swapped), or at 16 as classes that the stored schema does not know (IDD-Lite's sky read as a traffic light).
- No point agrees, and at 3 a class that the reader knows is read as another one, or at 16 a class that one of the two
  knows is another one or ignored: Cityscapes read as VOC, or by a schema that ignores the ids of road and sky.

Measured on 364 label maps of five real datasets: the same maps, saved again or in other ids, disagree at 1 point of
230. All mirrored maps are detected (7 to 62% disagree), and all that are read by another known schema, with two
exceptions.
IDD-Lite without a sky, read as trainIds: road and sidewalk have ids 0 and 1 in both, no other name is shared.
IDD-Lite, and CamVid without a car, read as VOC: nothing can be compared, which is logged once.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np

from poc_aug.errors import CacheFormatError, SchemaError
from poc_aug.items.image_digest import GRID, grid_of
from poc_aug.items.open_item import LabelCanvas
from poc_aug.items.tensor_canvas import TensorLabelCanvas
from poc_aug.labels.schema import SCHEMAS, LabelSchema, class_key
from poc_aug.types import Sample

_HEADER = struct.Struct("<I")
_POINTS = GRID * GRID
_MAX_SHARE = 0.05
_FEW = 3
_MANY = _POINTS // 16

_UNNAMED = ""  # no class of a schema is called so

_Names: TypeAlias = frozenset[str]
_Agreement: TypeAlias = Literal["agree", "both", "reader", "stored", "lost"]
"""The classes at a point agree; or differ, and both schemas, only the reader's or only the stored one know them; or the
point is ignored now."""


def label_digest_of(labels: LabelCanvas, schema: LabelSchema, key: str, *, checked: bool = False) -> bytes:
    """Digest of a label map by a schema that knows all its ids.

    Args:
        labels: the label map.
        schema: the schema that it is read by.
        key: the sample's key, for messages.
        checked: the schema is known to have all ids of the map (`LabelSchema.check_ids`): not checked again.

    Returns:
        Length of the text that follows, as little-endian uint32; that text: the classes that are not ignored, one per
        line, their names separated by tabs; the class at 256 points, row by row, counted from 1 (0: ignored), in
        uint8, or in little-endian uint16 if there are over 255 classes.

    Raises:
        SchemaError: a point shows an id that the schema does not know.
    """
    return _encoded(_probed(labels), schema, key, checked=checked)


def label_digest_of_sample(sample: Sample, schema: LabelSchema | None, *, checked: bool = False) -> bytes:
    """Digest of a sample's labels: equal to that of the item it was made from; empty without a schema.

    ``checked`` is that of `label_digest_of`.
    """
    if schema is None:
        return b""
    canvas = TensorLabelCanvas(sample.labels, sample.key, "the labels")
    return label_digest_of(canvas, schema, sample.key, checked=checked)


class ProbesLabels(Protocol):
    """A label map of which single points can be read: a `LabelCanvas`, or points that have been read already."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> list[int]:
        """The ids where these rows and columns cross, row by row."""
        ...


def check_labels(
    stored: bytes,
    labels: ProbesLabels,
    schema: LabelSchema,
    key: str,
    cache: Path | None,
    stored_schema: str | None = None,
    *,
    partial: bool = False,
    checked: bool = False,
) -> bool:
    """Check that labels, read by a schema, show the classes that a sample's insertions were made for.

    Args:
        stored: digest that the cache holds; empty if it was made without a schema, or before there were digests.
        labels: the labels under the same key now.
        schema: the schema that they are read by.
        key: the sample's key.
        cache: path of the cache; ``None`` if it is not known here.
        stored_schema: name of the schema that the cache was made with.
        partial: ``schema`` names only some of the base's classes; any other id is another class.
        checked: the schema is known to have all ids of the labels (`LabelSchema.check_ids`): not checked again.

    Returns:
        Whether they could be compared: ``False`` if no point shows a class that both schemas name, or nothing is
        stored.

    Raises:
        SchemaError: they show other classes, and the message names some points; or an id that the schema does not
            know.
        CacheFormatError: not a digest.
    """
    if not stored:
        return False
    ids = _probed(labels)
    current = _encoded(ids, schema, key, partial=partial, checked=checked)
    if current == stored:
        return True
    comparison = _Comparison(stored, current)
    if comparison.same():
        return comparison.compared_any
    known, again = ", ".join(SCHEMAS), "if the cache was made with a wrong schema, make it again"
    made = "the variant was made" if cache is None else f"the cache {str(cache)!r} was made (schema {stored_schema!r})"
    height, width = labels.size_hw
    rows, cols = grid_of(height), grid_of(width)
    points = "".join(
        f"\n  row {rows[place // GRID]}, column {cols[place % GRID]}: {classes} (id {ids[place]})"
        for place, classes in comparison.examples()
    )
    raise SchemaError(
        f"labels of {key!r}, read by schema {schema.name!r}, show other classes than when {made}: "
        f"{comparison.off} of {comparison.compared} points differ, such as{points}",
        expected="the labels that the cache was made from, in any ids, and their schema",
        hint=f"pass the schema of these labels: schema=FILE, or one of {known}; if they are another annotation of "
        f"the same images, such as predictions: check_labels=False; {again}",
        command=f"give the schema of these labels: --schema FILE.yaml, or one of {known}; {again}",
    )


class _Comparison:
    """Two digests of one sample's labels, point by point."""

    def __init__(self, stored: bytes, current: bytes) -> None:
        self._stored, stored_points = _parse(stored)
        self._current, current_points = _parse(current)
        self._stored_all = frozenset().union(*self._stored)
        self._current_all = frozenset().union(*self._current)
        self._pairs = list(zip(stored_points, current_points, strict=True))
        self._agreements = {pair: self._agreement(*pair) for pair in set(self._pairs)}
        self._counts: Counter[_Agreement | None] = Counter(self._agreements[pair] for pair in self._pairs)

    @property
    def compared_any(self) -> bool:
        """Whether a point agrees, or nothing is stored that could."""
        return self._counts["agree"] > 0 or all(was == 0 for was, _ in self._pairs)

    @property
    def compared(self) -> int:
        """Points that agree or disagree."""
        return _POINTS - self._counts[None]

    @property
    def off(self) -> int:
        """Points that disagree."""
        return self.compared - self._counts["agree"]

    def same(self) -> bool:
        """Whether both are of the same labels, by the rules in the module's docstring."""
        agree, both = self._counts["agree"], self._counts["both"]
        if both >= _FEW and both > _MAX_SHARE * (agree + both):
            return False
        if agree == 0 and (both + self._counts["reader"] >= _FEW or self.off >= _MANY):
            return False
        classes: dict[int, Counter[_Agreement | None]] = defaultdict(Counter)
        for was, now in self._pairs:
            classes[was][self._agreements[was, now]] += 1
        return not any(
            count["agree"] == 0 and (count["both"] >= _FEW or count["both"] + count["reader"] >= _MANY)
            for count in classes.values()
        )

    def examples(self) -> list[tuple[int, str]]:
        """A point of each of the three pairs of classes that disagree most, and what it was and is."""
        off = Counter(pair for pair in self._pairs if self._agreements[pair] not in ("agree", None))
        return [
            (self._pairs.index((was, now)), f"stored {_named(self._stored, was)}, read as {_named(self._current, now)}")
            for (was, now), _ in off.most_common(3)
        ]

    def _agreement(self, was: int, now: int) -> _Agreement | None:
        if was == 0:
            return None
        stored = self._stored[was - 1]
        reader_knows = bool(stored & self._current_all)
        if now == 0:
            return "lost" if reader_knows else None
        current = self._current[now - 1]
        if stored & current:
            return "agree"
        if reader_knows and (current & self._stored_all or current == {_UNNAMED}):
            return "both"
        # If only one side knows the class, it must know all of it: "sidewalk/non-drivable" may become "terrain".
        if stored <= self._current_all and current != {_UNNAMED}:
            return "reader"
        return "stored" if current <= self._stored_all else None


def _named(classes: Sequence[_Names], index: int) -> str:
    return repr("/".join(sorted(classes[index - 1])) or "another class") if index else "ignored"


def _probed(labels: ProbesLabels) -> list[int]:
    height, width = labels.size_hw
    return labels.probe(grid_of(height), grid_of(width))


def _encoded(
    ids: Sequence[int], schema: LabelSchema, key: str, *, partial: bool = False, checked: bool = False
) -> bytes:
    if partial:  # all ids that the schema does not know are one class without a name
        taken = max(*schema.known_ids, *ids) + 1
        named = {**schema.ids, _UNNAMED: taken}
        ids = [label_id if label_id in schema.known_ids else taken for label_id in ids]
    else:
        named = {**schema.ids}
        if not checked:
            schema.check_ids(frozenset(ids), key)
    head, index_of, dtype = _coding(tuple(named.items()), schema.ignore)
    points = [index_of[label_id] for label_id in ids]
    return head + np.array(points, dtype).tobytes()


@lru_cache(maxsize=16)
def _coding(
    ids: tuple[tuple[str, int], ...], ignore: tuple[int, ...]
) -> tuple[bytes, dict[int, int], np.dtype[np.uint8 | np.uint16]]:
    """The beginning of a digest, the index of each id, and the dtype of the indices.

    Classes are in the order of their names: two schemas with equal names give equal digests, whatever their ids.
    """
    names: dict[int, set[str]] = defaultdict(set)
    for name, label_id in ids:
        if label_id not in ignore:
            names[label_id].add(class_key(name))
    ordered = sorted(names, key=lambda label_id: sorted(names[label_id]))
    text = "\n".join("\t".join(sorted(names[label_id])) for label_id in ordered).encode()
    index_of = dict.fromkeys(ignore, 0) | {label_id: index for index, label_id in enumerate(ordered, start=1)}
    return _HEADER.pack(len(text)) + text, index_of, _dtype(len(ordered))


def _dtype(classes: int) -> np.dtype[np.uint8 | np.uint16]:
    return np.dtype("u1") if classes < 256 else np.dtype("<u2")


def check_label_digest(digest: bytes) -> None:
    """Check that bytes are a digest of labels; empty ones are, too: no schema was known.

    Raises:
        CacheFormatError: not a digest.
    """
    if digest:
        _parse(digest)


def _parse(digest: bytes) -> tuple[tuple[_Names, ...], list[int]]:
    """The names of each class, and the class index of each point."""
    start = _HEADER.size + (_HEADER.unpack_from(digest)[0] if len(digest) >= _HEADER.size else 0)
    hint = "make the cache again with this version"
    try:
        classes = _classes(digest[_HEADER.size : start])
    except UnicodeDecodeError as error:
        raise CacheFormatError(f"not a label digest: {error}", expected="class names in UTF-8", hint=hint) from error
    dtype = _dtype(len(classes))
    if len(digest) != start + _POINTS * dtype.itemsize:
        raise CacheFormatError(
            f"not a label digest: {len(digest)} bytes",
            expected=f"{start + _POINTS * dtype.itemsize} bytes",
            hint=hint,
        )
    points: list[int] = np.frombuffer(digest, dtype, offset=start).tolist()
    if max(points) > len(classes):
        raise CacheFormatError(
            f"not a label digest: a point shows class {max(points)} of {len(classes)}",
            expected="0 (ignored), or a class, counted from 1",
            hint=hint,
        )
    return classes, points


@lru_cache(maxsize=16)
def _classes(text: bytes) -> tuple[_Names, ...]:
    return tuple(frozenset(line.split("\t")) for line in text.decode().split("\n"))
