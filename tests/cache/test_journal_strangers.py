"""Journals of strangers: damaged lines, lines of newer versions, links and pipes in place of files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xxhash

from poc_aug.cache import Cache, CacheWriter, journal_files
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_files import JOURNAL
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from poc_aug.errors import CacheCorruptError, CacheFormatError
from tests.helpers.cache_cases import make_cache, make_manifest, stored_variant

LINE = JournalEntry("drop", Selection(class_name="cow", key="a/1.png", variant=2), 1_764_354_600_123, "anna").line()


RELABEL = JournalEntry("relabel", Selection(key="a", variant=2), 1_764_354_600_123, "anna", "horse", "rider").line()
UNDO = JournalEntry("undo", Selection(key="a"), 1_764_354_600_123, "anna", of="0123456789abcdef").line()


def put(folder: Path, data: bytes) -> Path:
    (folder / JOURNAL).mkdir(parents=True, exist_ok=True)
    (folder / JOURNAL / "one.jsonl").write_bytes(data)
    return folder


def signed(**values: Any) -> bytes:
    """A line whose hash fits, whatever is in it."""
    whole = {"op": "drop", "time": "2026-11-28T18:30:00.123Z", "where": {"class": "cow"}} | values
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return json.dumps(whole | {"hash": xxhash.xxh3_64_hexdigest(text.encode())}).encode()


@pytest.mark.parametrize("line", [LINE, RELABEL, UNDO])
def test_every_flipped_bit_is_noticed(tmp_path: Path, line: bytes) -> None:
    for place in range(len(line)):
        damaged = bytearray(line)
        damaged[place] ^= 1 << place % 8
        put(tmp_path, LINE + b"\n" + bytes(damaged) + b"\n" + LINE + b"\n")
        with pytest.raises((CacheCorruptError, CacheFormatError), match=r"line [23] of .*one\.jsonl"):
            Journal.read(tmp_path)


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"drop everything",
    "a number": b"5",
    "deep": b"[" * 100_000,
    "no hash": b'{"op":"drop"}',
    "twice": LINE.replace(b'"op"', b'"op":"restore","op"'),
    "no time": signed(time=None),
    "a time of another form": signed(time="2026-11-28"),
    "a time that is none": signed(time="2026-13-45T99:00:00.000Z"),
    "a time after which there is none": signed(time="9999-12-31T23:59:59.999Z"),
    "digits that are not ASCII": signed(time="２026-11-28T18:30:00.123Z"),
    "no selection": signed(where=None),
    "a list": signed(where=["cow"]),
    "a class that is a number": signed(where={"class": 5}),
    "a bool": signed(where={"variant": True}),
    "a negative number": signed(where={"insertion": -1}),
    "a long key": signed(where={"key": "x" * 70_000}),
    "an expensive pattern": signed(where={"keys": "*a" * 50}),
    "an escape sequence": signed(by="\x1b[31m"),
    "no name": signed(by=5),
    "no op": signed(op=None),
    "an op that is a list": signed(op=["drop"]),
    "no new name": signed(op="relabel"),
    "an empty new name": signed(op="relabel", to=""),
    "a new name that is a number": signed(op="relabel", to=5),
    "a new name with an escape sequence": signed(op="relabel", to="\x1b[31m"),
    "a new name that means nothing is labelled": signed(op="relabel", to="(ignored)"),
    "a long new name": signed(op="relabel", to="x" * 2000),
    "a part that is a list": signed(op="relabel", to="cow", part=["rider"]),
    "nothing to undo": signed(op="undo"),
    "an undo of what is no decision": signed(op="undo", of="0123456789ABCDEF"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_lines_of_strangers(tmp_path: Path, case: str) -> None:
    path = put(make_cache(tmp_path / "a.cache"), HOSTILE[case] + b"\n")
    readers: tuple[Callable[[Path], Any], ...] = (Cache.open, Journal.read)
    for read in readers:
        with pytest.raises(CacheCorruptError, match=r"line 1 of .*one\.jsonl' is damaged"):
            read(path)
    with Cache.open(path, journal=False) as cache:
        assert cache.get("street/0000", 1) is not None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"op": "praise"}, "its op is 'praise'"),
        ({"where": {"class": "cow", "size": 5}}, "it selects by 'size'"),
        ({"to": "bull"}, "it has the field 'to'"),
        ({"op": "accept", "of": "0123456789abcdef"}, "it has the field 'of'"),
        ({"op": "undo", "of": "0123456789abcdef", "part": "rider"}, "it has the field 'part'"),
    ],
)
def test_lines_of_newer_versions_are_not_skipped(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    path = put(make_cache(tmp_path / "a.cache"), signed(**changes) + b"\n")
    with pytest.raises(CacheFormatError, match=f"of a newer version: {named}") as caught:
        Cache.open(path)
    assert "install the poc_aug that wrote it" in caught.value.hint


PLACES: dict[str, Callable[[Path], None]] = {
    "a link": lambda file: file.symlink_to("/etc/passwd"),
    "a pipe": lambda file: os.mkfifo(file),
    "a folder": lambda file: file.mkdir(),
}


@pytest.mark.parametrize("case", PLACES)
def test_entries_of_strangers(tmp_path: Path, case: str) -> None:
    path = make_cache(tmp_path / "a.cache")
    (path / JOURNAL).mkdir()
    PLACES[case](path / JOURNAL / "one.jsonl")
    with pytest.raises(CacheFormatError, match=case):
        Cache.open(path)
    shutil.rmtree(path / JOURNAL)
    if case != "a folder":
        PLACES[case](path / JOURNAL)
        with pytest.raises(CacheFormatError, match=case):
            Cache.open(path)


def test_files_larger_than_any_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_files, "MAX_JOURNAL_NBYTES", 1000)
    put(tmp_path, (LINE + b"\n") * 10)
    with pytest.raises(CacheFormatError, match="more than 1000 bytes"):
        Journal.read(tmp_path)


def test_a_journal_that_appears_is_read_on_refresh(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    with Cache.open(path) as cache, JournalWriter(path) as writer:
        writer.append("drop", Selection(class_name="gnu"))
        assert not stored_variant(cache, "street/0000", 1).is_empty
        cache.refresh()
        assert stored_variant(cache, "street/0000", 1).is_empty
        with CacheWriter(path, make_manifest()):
            new = cache.get_new("street/0000", 1)
            assert new is not None
            assert new.is_empty
