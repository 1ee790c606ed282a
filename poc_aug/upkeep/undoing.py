"""Taking back one decision of a cache's journal, by its id."""

from __future__ import annotations

import os

from poc_aug.cache import Cache
from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.members import member_paths
from poc_aug.errors import CacheMissError


def undo_decision(cache: str | os.PathLike[str], decision: str, *, by: str = "") -> tuple[str, JournalEntry]:
    """Take back one decision, as if it had not been made; what was decided after it stays.

    Args:
        cache: the ``NAME.cache`` directory.
        decision: its `JournalEntry.id`, or the first characters of it; `decisions` gives them.
        by: name of whoever takes it back.

    Returns:
        The fingerprint of the recipe, and the decision that was taken back.

    Raises:
        CacheMissError: the journal has no such decision, or several, or it was undone already.
        SettingError: a name that no journal can hold.
        CacheError: the cache cannot be read, or its journal cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> from poc_aug.cache.selection import Selection
        >>> from poc_aug.upkeep import decisions
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})) as writer:
        ...         path = writer.path
        ...     with JournalWriter(path) as journal:
        ...         entry = journal.append("accept", Selection(key="a.png"))
        ...     undone = undo_decision(path, entry.id)
        ...     undone[1] == entry, [entry.op for _, entry in decisions(path)]
        (True, ['accept', 'undo'])
    """
    path = absolute_path(cache)
    Cache.open(path).close()
    found = []
    for member in member_paths(path):
        with Cache.open(member) as opened:
            fitting = [entry for entry in opened.journal.counting if decision and entry.id.startswith(decision)]
            found += [(member, opened.manifest.fingerprint, entry) for entry in fitting]
    if len({entry.id for _, _, entry in found}) != 1:
        raise CacheMissError(
            f"{len(found) or 'no'} decision{'s' * (len(found) != 1)} of cache {str(path)!r} with an id that begins "
            f"with {decision[:60]!a}",
            expected="one decision that was not undone",
            hint="poc_aug.upkeep.decisions lists them",
            command=f"`poc-aug drop {path} --list` prints their ids",
        )
    member, fingerprint, entry = found[0]
    with JournalWriter(member, by=by) as writer:
        writer.undo([entry])
    return fingerprint, entry
