"""Variants without an object: their samples are read as they are, so a cache of many of them changes little."""

from __future__ import annotations

from poc_aug.cache import Cache
from poc_aug.cache.record import split_record
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.selection import things_in_header
from poc_aug.errors import CacheCorruptError


def count_without_object(cache: Cache) -> int:
    """How many of a cache's variants hold no object, or only dropped ones; reads the heads of the records.

    A damaged one is not counted.

    Example:
        >>> import tempfile
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> from poc_aug.types import Variant
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with CacheWriter(f"{folder}/a.cache", Manifest("f", {})) as writer:
        ...         writer.put(Variant("a", 0, digest=b"", insertions=()))
        ...     count_without_object(Cache.open(f"{folder}/a.cache"))
        True
        1
    """
    empty = 0
    for key, index in cache:
        try:
            data = cache.raw(key, index)
            if data is not None:
                things = things_in_header(split_record(data)[0])
                empty += len(things.names) == len(cache.journal.dropped(things))
        except (CacheCorruptError, RecordError):  # `poc-aug verify` names it; whether it held an object is not known
            continue
    return empty


def without_object_text(count: int, total: int, *, frames: bool = False) -> str:
    """What is said of ``count`` variants of ``total`` without an object: a warning if they are most; "" for none.

    Args:
        count: variants without an object, or without a frame.
        total: all variants.
        frames: they are shifted frames: those without one were rejected.

    Example:
        >>> without_object_text(1, 8)
        '1 of 8 variants holds no object'
        >>> without_object_text(5, 8)
        'warning: 5 of 8 variants hold no object: with them a sample is read as it is'
    """
    if not count:
        return ""
    if frames:
        text = f"{count} of {total} frames {'was' if count == 1 else 'were'} rejected"
        return f"warning: {text}: in their place a sample is read as it is" if 2 * count > total else text
    text = f"{count} of {total} variants {'holds' if count == 1 else 'hold'} no object"
    return f"warning: {text}: with them a sample is read as it is" if 2 * count > total else text
