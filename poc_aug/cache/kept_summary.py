"""What a cache holds without what its journal leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from poc_aug.cache.cache_summary import summarize_cache
from poc_aug.cache.index_building import Progress, record_counts
from poc_aug.cache.reader import Cache
from poc_aug.cache.record import header_of_record
from poc_aug.cache.record_summary import RecordSummary
from poc_aug.cache.selection import things_in_header
from poc_aug.errors import CacheCorruptError
from poc_aug.scenes.scene_recipe import split_key


def summarize_kept(cache: Cache, progress: Progress | None = None) -> RecordSummary:
    """Count what a cache holds, without what its journal leaves out; each of that counts as rejected: "dropped".

    Without a journal, the counts of the index are all there is to read. Otherwise the records that a decision may be
    about are read, too: those of the keys that it names, or all.

    Args:
        cache: an opened cache.
        progress: called with the number of records that were read and their total.

    Raises:
        CacheError: as `summarize_cache`.
    """
    summary = summarize_cache(cache.path, progress)
    entries = [entry for entry in cache.journal.entries if entry.where.recipe in (None, cache.manifest.fingerprint)]
    if not entries:
        return summary
    keys = {entry.where.key for entry in entries}
    names: Iterable[tuple[str, int]] = cache
    total = len(cache)
    if None not in keys and cache.manifest.kind == "insertions":
        chosen = [(key, index) for key in sorted(filter(None, keys)) for index in cache.variants(key)]
        names, total = chosen, len(chosen)
    for done, (key, index) in enumerate(names, start=1):
        try:
            data = cache.raw(key, index)
        except CacheCorruptError:  # it is counted as unreadable already
            continue
        if data is not None:
            _count_kept(cache, data, summary)
        if progress is not None:
            progress(done, total)
    return summary


def _count_kept(cache: Cache, data: bytes, summary: RecordSummary) -> None:
    """Replace the counts of a record by those without what is left out of it."""
    counts = record_counts(data, cache.manifest.kind)
    if counts.unreadable:
        return
    header = header_of_record(data)
    dropped = cache.journal.dropped(things_in_header(header))
    if not dropped:
        return
    summary.remove(counts)
    shift = split_key(header["key"])[1:] if cache.manifest.kind == "frames" else None
    summary.add(_without(header, dropped), shift)


def _without(header: Mapping[str, Any], dropped: Mapping[int, Any]) -> dict[str, Any]:
    frame = header.get("frame")
    insertions = header["insertions"]
    names = [frame["domain"]] if frame is not None else [insertions[number]["name"] for number in dropped]
    return {
        **{name: value for name, value in header.items() if name != "frame"},
        "insertions": [insertion for number, insertion in enumerate(insertions) if number not in dropped],
        "rejections": [*header["rejections"], *(("dropped", name, 0, "") for name in names)],
    }
