"""What a cache holds without what its journal leaves out, and what was decided about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poc_aug.cache.cache_summary import summarize_cache
from poc_aug.cache.index_building import Progress, record_counts
from poc_aug.cache.manifest_checks import object_parts
from poc_aug.cache.reader import Cache
from poc_aug.cache.record import header_of_record
from poc_aug.cache.record_summary import RecordSummary
from poc_aug.cache.review_state import ReviewState
from poc_aug.cache.selection import things_in_header
from poc_aug.errors import CacheCorruptError
from poc_aug.recipe import IGNORED
from poc_aug.scenes.scene_recipe import split_key
from poc_aug.types import Insertion


@dataclass
class ReviewCounts:
    """What was decided about the insertions of a cache, or its frames.

    Attributes:
        outcomes: how many were dropped, accepted, relabelled or only skipped, see `ReviewState.outcome`.
        by: the same by name of whoever decided it, which may be empty.
        names: class names that were given, as pairs of the stored one and the new one.
        conflicts: how many reviewers disagree about.

    Example:
        >>> counts = ReviewCounts()
        >>> counts.add([ReviewState(outcome="skip")])
        >>> counts.outcomes
        Counter({'skip': 1})
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    by: dict[str, Counter[str]] = field(default_factory=dict)
    names: Counter[tuple[str, str]] = field(default_factory=Counter)
    conflicts: int = 0

    def add(self, states: Iterable[ReviewState]) -> None:
        """Count the insertions of a variant, or its frame."""
        for state in states:
            if state.outcome is not None:
                self.outcomes[state.outcome] += 1
                self.by.setdefault(state.entry.by if state.entry else "", Counter())[state.outcome] += 1
            if not state.is_dropped:
                self.names.update(state.names.items())
            self.conflicts += state.is_conflict


def summarize_kept(cache: Cache, progress: Progress | None = None, review: ReviewCounts | None = None) -> RecordSummary:
    """Count what a cache holds, without what its journal leaves out; each of that counts as rejected: "dropped".

    Without a journal, the counts of the index are all there is to read. Otherwise the records that a decision may be
    about are read, too: those of the keys that it names, or all.

    Args:
        cache: an opened cache.
        progress: called with the number of records that were read and their total.
        review: counts what was decided.

    Raises:
        CacheError: as `summarize_cache`.
    """
    summary = summarize_cache(cache.path, progress)
    names, total = _decided_names(cache)
    for done, (key, index) in enumerate(names, start=1):
        if decided := _decided(cache, key, index):
            _count_kept(cache, *decided, summary, review)
        if progress is not None:
            progress(done, total)
    return summary


def count_review(cache: Cache, *, most: int | None = None) -> ReviewCounts | None:
    """Count what was decided about what a cache holds, as `summarize_kept` does.

    Args:
        cache: an opened cache.
        most: records to read at most; ``None``: all that a decision may be about.

    Returns:
        The counts; ``None`` if more records would have to be read.

    Raises:
        CacheDiskError, CacheFormatError: a record cannot be read.
    """
    names, total = _decided_names(cache)
    if most is not None and total > most:
        return None
    review = ReviewCounts()
    for key, index in names:
        if decided := _decided(cache, key, index):
            review.add(decided[-1])
    return review


def _decided_names(cache: Cache) -> tuple[Iterable[tuple[str, int]], int]:
    """The records that a decision may be about, and how many they are."""
    keys = {entry.where.key for entry in cache.journal.counting}
    if None in keys or (keys and cache.manifest.kind == "frames"):
        return cache, len(cache)
    chosen = [(key, index) for key in sorted(filter(None, keys)) for index in cache.variants(key)]
    return chosen, len(chosen)


def counted_name(insertion: Insertion, recipe: Mapping[str, Any]) -> str:
    """The name that an insertion is counted under: that of its object, or its new class name if it was relabelled.

    Of an object with several parts it is always the object's.

    Args:
        insertion: as `Cache.get` returns it.
        recipe: of the cache's manifest.

    Example:
        >>> import torch
        >>> from poc_aug.types import Part
        >>> mask, patch = torch.ones(1, 1, dtype=torch.bool), torch.zeros(3, 1, 1, dtype=torch.uint8)
        >>> horse = Insertion((0, 0, 1, 1), patch, (Part("horse", mask),), None, None, "cow", max_sigma_px=0.0)
        >>> counted_name(horse, {"objects": ["cow"]})
        'horse'
        >>> counted_name(horse, {"objects": [{"name": "cow", "parts": "horse"}]})
        'cow'
    """
    name = insertion.object_name
    shown = [part.name for part in insertion.parts if part.name != IGNORED]
    return shown[0] if len(shown) == 1 and object_parts(recipe).get(name) == (name,) else name


def renamed_counts(
    objects: Mapping[str, int], names: Mapping[tuple[str, str], int], recipe: Mapping[str, Any]
) -> Counter[str]:
    """Counts of objects, of which those that were relabelled are counted under their new names; see `counted_name`.

    Args:
        objects: by the names that are stored.
        names: see `ReviewCounts.names`.
        recipe: of the cache's manifest.

    Example:
        >>> renamed_counts({"cow": 3, "dog": 1}, {("cow", "horse"): 1, ("dog", "cow"): 1}, {"objects": ["cow", "dog"]})
        Counter({'cow': 3, 'horse': 1})
    """
    parts = object_parts(recipe)
    counts = Counter(objects)
    for (stored, new), count in names.items():
        if parts.get(stored) == (stored,):
            counts[stored] -= count
            counts[new] += count
    return +counts


def _decided(cache: Cache, key: str, index: int) -> tuple[bytes, Mapping[str, Any], list[ReviewState]] | None:
    """A record, its header, and what was decided about its insertions, or its frame; ``None`` if it is unreadable."""
    try:
        data = cache.raw(key, index)
    except CacheCorruptError:  # it is counted as unreadable already
        return None
    if data is None or record_counts(data, cache.manifest.kind).unreadable:
        return None
    header = header_of_record(data)
    return data, header, cache.journal.states(things_in_header(header))


def _count_kept(
    cache: Cache,
    data: bytes,
    header: Mapping[str, Any],
    states: Sequence[ReviewState],
    summary: RecordSummary,
    review: ReviewCounts | None,
) -> None:
    """Replace the counts of a record by those without what is left out of it."""
    if review is not None:
        review.add(states)
    dropped = {number: state.entry for number, state in enumerate(states) if state.is_dropped}
    if not dropped:
        return
    summary.remove(record_counts(data, cache.manifest.kind))
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
