"""The files of a cache's journal; what their lines mean is in `poc_aug.cache.journal`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from poc_aug.cache.journal_entry import JournalEntry, JournalOp
from poc_aug.cache.regular_files import kind_of, open_regular
from poc_aug.cache.shard import read_error
from poc_aug.errors import CacheCorruptError, CacheFormatError
from poc_aug.files.stray_files import is_stray

JOURNAL = "journal"
"""Folder of a cache with its journal."""
JOURNAL_SUFFIX = ".jsonl"
MAX_LINE_NBYTES = 1 << 20
MAX_JOURNAL_NBYTES = 1 << 28
"""Bytes of one file: about a million decisions."""


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
    yield from parsed_lines(journal_lines(path), path, cache)


def parsed_lines(lines: Iterable[bytes], path: Path, cache: Path, first: int = 1) -> Iterator[tuple[int, JournalEntry]]:
    """Numbers and decisions of some lines of a file, of which the first has the number ``first``.

    Raises:
        CacheCorruptError, CacheFormatError: as `Journal.read`.
    """
    for number, line in enumerate(lines, start=first):
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
                expected="the line that was written: what was decided is not known without it",
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


def journal_bytes(path: Path, offset: int = 0) -> bytes:
    """A file of a journal, from a byte on.

    Raises:
        CacheFormatError: no regular file, or larger than any journal.
        CacheDiskError: it cannot be read.
    """
    try:
        with open(open_regular(path, os.O_RDONLY), "rb") as file:
            file.seek(offset)
            data = file.read(MAX_JOURNAL_NBYTES + 1)
    except OSError as error:
        raise read_error(path, error) from error
    if offset + len(data) > MAX_JOURNAL_NBYTES:
        raise CacheFormatError(
            f"{str(path)!r} has more than {MAX_JOURNAL_NBYTES} bytes",
            expected="one file of a journal, of at most a million decisions",
            hint="delete it, or copy the cache again from its source",
        )
    return data
