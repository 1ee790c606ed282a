"""The journal of a cache: which insertions are left out. Records are never changed.

::

    NAME.cache/journal/<writer>.jsonl

One line per decision, a JSON object::

    {"by":"anna","hash":"0f...","op":"drop","time":"2026-11-28T18:30:00.123Z","where":{"class":"cow"}}

Each writing process has a file of its own, so journals are united by copying their files into one folder. Decisions
are ordered by time, then by file and line; of those that select an insertion, the last one counts.

A line is appended in one piece and is on disk before the writer goes on. What follows the last line end of a file is
what a killed writer left of a line, and is ignored. Any other line that is not as it was written is an error, and so is
one that only a newer version understands: a decision that is skipped would show what somebody has taken out.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias, get_args

import xxhash

from poc_aug.cache.regular_files import kind_of, open_regular
from poc_aug.cache.selection import Selection, StoredThings, things_of
from poc_aug.cache.shard import read_error
from poc_aug.cache.strict_json import load_json
from poc_aug.errors import CacheCorruptError, CacheFormatError
from poc_aug.files.stray_files import is_stray
from poc_aug.types import Rejection, Variant

JOURNAL = "journal"
"""Folder of a cache with its journal."""
JOURNAL_SUFFIX = ".jsonl"
MAX_NAME_CHARS = 200
"""Characters of the name of whoever decided."""
MAX_LINE_NBYTES = 1 << 20
MAX_JOURNAL_NBYTES = 1 << 28
"""Bytes of one file: about a million decisions."""

JournalOp: TypeAlias = Literal["drop", "restore"]
"""What a decision does; newer versions may know more."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)
_HASH = re.compile(rb'"hash":"[0-9a-f]{16}",')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR = 9000  # a decision may have to be later than the latest one
_FIELDS = {"by", "hash", "op", "time", "where"}


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One decision.

    Attributes:
        op: "drop" or "restore".
        where: what it is about.
        time_ms: when it was made, in milliseconds since 1970, UTC.
        by: who made it; may be empty.

    Example:
        >>> entry = JournalEntry("drop", Selection(class_name="cow"), time_ms=1_764_354_600_123, by="anna")
        >>> print(entry.line().decode())
        {"by":"anna","hash":"62660d617d8409ec","op":"drop","time":"2025-11-28T18:30:00.123Z","where":{"class":"cow"}}
        >>> JournalEntry.parse(entry.line()) == entry
        True
    """

    op: JournalOp
    where: Selection
    time_ms: int
    by: str = ""

    @property
    def time(self) -> str:
        """When it was made: ISO 8601, UTC, with milliseconds."""
        return f"{(_EPOCH + timedelta(milliseconds=self.time_ms)).isoformat(timespec='milliseconds')[:-6]}Z"

    def line(self) -> bytes:
        """The line of a journal, without its end."""
        values: dict[str, Any] = {"op": self.op, "time": self.time, "where": self.where.to_dict()}
        if self.by:
            values["by"] = self.by
        return _canonical(values | {"hash": _hash(values)})

    @classmethod
    def parse(cls, line: bytes) -> JournalEntry:
        """A line of a journal.

        Raises:
            ValueError: not a line that `line` gives.
            LookupError: a whole line, of a newer version.
        """
        values = load_json(line)
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        stated = values.pop("hash", None)
        # Usually the line is as `line` gives it, which saves writing it again.
        if stated != xxhash.xxh3_64_hexdigest(_HASH.sub(b"", line, count=1)) and stated != _hash(values):
            raise ValueError("its hash does not fit")
        if unknown := sorted(set(values) - _FIELDS):
            raise LookupError(f"it has the field {unknown[0][:60]!a}")
        op, time, by = values.get("op"), values.get("time"), values.get("by", "")
        if type(op) is not str:
            raise ValueError(f"its op is {str(op)[:60]!a}")
        if op not in get_args(JournalOp):
            raise LookupError(f"its op is {op[:60]!a}")
        if type(time) is not str or not _TIME.fullmatch(time):
            raise ValueError(f"its time is {str(time)[:60]!a}")
        check_reviewer(by)
        made = datetime.fromisoformat(time)
        if made.year > _LAST_YEAR:
            raise ValueError(f"its time is {time}")
        known: Any = op
        time_ms = (made - _EPOCH) // timedelta(milliseconds=1)
        return cls(known, Selection.from_dict(values.get("where")), time_ms, by)


class Journal:
    """The decisions of a cache, in order.

    Args:
        entries: from first to last.
        fingerprint: of the cache's recipe: decisions about another one do not count; ``None``: all do.

    Example:
        >>> drop = JournalEntry("drop", Selection(key="a.png"), time_ms=0)
        >>> things = StoredThings(("a.png",), 0, (frozenset({"cow"}), frozenset({"dog"})))
        >>> restore = JournalEntry("restore", Selection(class_name="cow"), time_ms=1)
        >>> Journal([drop]).dropped(things).keys(), Journal([drop, restore]).dropped(things).keys()
        (dict_keys([0, 1]), dict_keys([1]))
    """

    def __init__(self, entries: list[JournalEntry], fingerprint: str | None = None) -> None:
        self.entries = tuple(entries)
        self._general: list[int] = []
        self._by_key: dict[str, list[int]] = defaultdict(list)
        for number, entry in enumerate(entries):
            if fingerprint is not None and entry.where.recipe not in (None, fingerprint):
                continue
            if entry.where.key is None:
                self._general.append(number)
            else:
                self._by_key[entry.where.key].append(number)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def dropped(self, things: StoredThings) -> dict[int, JournalEntry]:
        """Numbers of the insertions of a variant that are left out, and the decisions that say so."""
        decided: dict[int, JournalEntry] = {}
        numbers = merge(self._general, *(self._by_key.get(key, ()) for key in things.keys))
        for entry in (self.entries[number] for number in numbers):
            decided |= dict.fromkeys(entry.where.of(things), entry)
        return {number: entry for number, entry in sorted(decided.items()) if entry.op == "drop"}

    def kept(self, variant: Variant) -> Variant:
        """The variant without what is left out, each of which becomes a rejection with the reason "dropped".

        Example:
            >>> variant = Variant("a.png", 0, digest=b"", insertions=())
            >>> Journal([]).kept(variant) is variant
            True
        """
        if not self.entries or variant.is_empty:
            return variant
        dropped = self.dropped(things_of(variant))
        if not dropped:
            return variant
        insertions = (one for number, one in enumerate(variant.insertions) if number not in dropped)
        if (frame := variant.frame) is not None:
            reasons = [rejection_of(frame.domain, frame.provenance, dropped[0])]
        else:
            gone = ((variant.insertions[number], entry) for number, entry in dropped.items())
            reasons = [rejection_of(one.object_name, one.provenance, entry) for one, entry in gone]
        return replace(variant, insertions=tuple(insertions), rejections=(*variant.rejections, *reasons), frame=None)

    @classmethod
    def read(cls, cache: Path, fingerprint: str | None = None) -> Journal:
        """Read the journal of a cache; an empty one if there is none.

        Args:
            cache: the ``NAME.cache`` directory.
            fingerprint: that of its manifest.

        Raises:
            CacheCorruptError: a line is damaged.
            CacheFormatError: a line is of a newer version, or a file is a link, or larger than any journal.
            CacheDiskError: a file cannot be read.
        """
        lines = [
            (entry.time_ms, path.name, number, entry)
            for path in journal_paths(cache)
            for number, entry in read_journal_file(path, cache)
        ]
        lines.sort(key=lambda line: line[:3])
        return cls([line[-1] for line in lines], fingerprint)


def journal_paths(cache: Path) -> list[Path]:
    """Files of a cache's journal, sorted by name.

    Raises:
        CacheFormatError: the journal is no folder.
        CacheDiskError: it cannot be read.
    """
    folder = cache / JOURNAL
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise CacheFormatError(
            f"{str(folder)!r} is {kind_of(folder, os.lstat(folder).st_mode)}",
            expected="the folder of the cache's journal",
            hint="delete it, or copy the cache again from its source",
        ) from None
    except OSError as error:
        raise read_error(folder, error) from error
    return [folder / name for name in sorted(names) if name.endswith(JOURNAL_SUFFIX) and not is_stray(name)]


def read_journal_file(path: Path, cache: Path) -> Iterator[tuple[int, JournalEntry]]:
    """Numbers, from 1, and decisions of the lines of one file; a line that a killed writer left unfinished is none.

    Raises:
        CacheCorruptError, CacheFormatError, CacheDiskError: as `Journal.read`.
    """
    for number, line in enumerate(journal_lines(path), start=1):
        try:
            yield number, JournalEntry.parse(line)
        except LookupError as error:
            raise CacheFormatError(
                f"line {number} of {str(path)!r} is of a newer version: {error.args[0]}",
                expected=f"one of the decisions {get_args(JournalOp)}, which this version knows",
                hint="install the poc_aug that wrote it, or a newer one",
            ) from error
        except ValueError as error:
            raise CacheCorruptError(
                f"line {number} of {str(path)!r} is damaged: {error}",
                expected="the line that was written: which insertions are left out is not known without it",
                hint=f"copy this file again from its source, or set the line aside with `poc-aug repair {cache}`",
            ) from error


def journal_problems(cache: Path) -> list[tuple[str, str]]:
    """What is wrong with a cache's journal: paths within the cache, and problems.

    Raises:
        CacheError: it cannot be read.

    Example:
        >>> journal_problems(Path("no such folder"))
        []
    """
    problems = []
    for path in journal_paths(cache):
        name = f"{JOURNAL}/{path.name}"
        try:
            lines = journal_lines(path)
        except CacheFormatError as error:
            problems.append((name, error.problem))
            continue
        for number, line in enumerate(lines, start=1):
            try:
                JournalEntry.parse(line)
            except LookupError as error:
                problems.append((name, f"line {number} is of a newer version: {error.args[0]}"))
            except ValueError as error:
                problems.append((name, f"line {number} is damaged: {error}"))
    return problems


def journal_lines(path: Path) -> list[bytes]:
    """Finished lines of a file of a journal.

    Raises:
        CacheFormatError, CacheDiskError: as `journal_bytes`.
    """
    return journal_bytes(path).split(b"\n")[:-1]


def journal_bytes(path: Path) -> bytes:
    """A file of a journal.

    Raises:
        CacheFormatError: no regular file, or larger than any journal.
        CacheDiskError: it cannot be read.
    """
    try:
        with open(open_regular(path, os.O_RDONLY), "rb") as file:
            data = file.read(MAX_JOURNAL_NBYTES + 1)
    except OSError as error:
        raise read_error(path, error) from error
    if len(data) > MAX_JOURNAL_NBYTES:
        raise CacheFormatError(
            f"{str(path)!r} has more than {MAX_JOURNAL_NBYTES} bytes",
            expected="one file of a journal, of at most a million decisions",
            hint="delete it, or copy the cache again from its source",
        )
    return data


def check_reviewer(by: object) -> None:
    """Check the name of whoever decided.

    Raises:
        ValueError: not one printable line, or too long.
    """
    if type(by) is not str or len(by) > MAX_NAME_CHARS or not by.isprintable():
        _wrong_reviewer(by)


def _wrong_reviewer(by: object) -> NoReturn:
    raise ValueError(f"its name is {str(by)[:60]!a}, not one line of at most {MAX_NAME_CHARS} printable characters")


def rejection_of(name: str, provenance: Mapping[str, Any], entry: JournalEntry) -> Rejection:
    """What is left of an insertion, or a frame, that was dropped.

    Args:
        name: name of its object, or its domain.
        provenance: how it was made.
        entry: the decision.

    Example:
        >>> rejection_of("cow", {"attempt": 2}, JournalEntry("drop", Selection(), time_ms=0, by="anna"))
        Rejection(reason='dropped', object_name='cow', attempt=2, detail='by anna')
    """
    attempt = provenance.get("attempt")
    known = attempt if type(attempt) is int and 0 <= attempt < 1 << 63 else 0
    return Rejection("dropped", name, known, f"by {entry.by}" if entry.by else "")


def _canonical(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _hash(values: Mapping[str, Any]) -> str:
    return xxhash.xxh3_64_hexdigest(_canonical(values))
