"""One decision of a cache's journal, as a line of JSON that carries its own hash; see `poc_aug.cache.journal`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias, get_args

import xxhash

from poc_aug.cache.selection import Selection
from poc_aug.cache.strict_json import load_json
from poc_aug.recipe import IGNORED

MAX_NAME_CHARS = 200
"""Characters of the name of whoever decided."""
MAX_CLASS_CHARS = 1 << 10
"""Characters of a class name."""

JournalOp: TypeAlias = Literal["drop", "restore", "accept", "relabel", "skip", "undo"]
"""What a decision does; newer versions may know more."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)
_HASH = re.compile(rb'"hash":"[0-9a-f]{16}",')
_ID = re.compile("[0-9a-f]{16}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_YEAR = 9000  # a decision may have to be later than the latest one
_FIELDS = frozenset(("by", "hash", "op", "time", "where"))
_FIELDS_OF: Mapping[str, frozenset[str]] = {
    op: _FIELDS | {"relabel": {"to", "part"}, "undo": {"of"}}.get(op, set()) for op in get_args(JournalOp)
}


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One decision.

    Attributes:
        op: "drop" leaves out; "restore" takes back what was dropped; "accept": somebody looked at it and keeps it;
            "relabel" gives another class name; "skip": somebody looked at it and left it to others; "undo" takes back
            one decision, as if it had not been made.
        where: what it is about.
        time_ms: when it was made, in milliseconds since 1970, UTC.
        by: who made it; may be empty.
        to: the class name that a "relabel" gives.
        part: name of the part that a "relabel" renames, as it is stored; ``None``: the only part. Insertions that have
            no such part, or several parts, are not relabelled.
        of: `id` of the decision that an "undo" takes back.

    Example:
        >>> entry = JournalEntry("drop", Selection(class_name="cow"), time_ms=1_764_354_600_123, by="anna")
        >>> print(entry.line().decode())
        {"by":"anna","hash":"62660d617d8409ec","op":"drop","time":"2025-11-28T18:30:00.123Z","where":{"class":"cow"}}
        >>> JournalEntry.parse(entry.line()) == entry, entry.id
        (True, '62660d617d8409ec')
    """

    op: JournalOp
    where: Selection
    time_ms: int
    by: str = ""
    to: str | None = None
    part: str | None = None
    of: str | None = None
    _hash: str = field(default="", compare=False, repr=False)

    @property
    def time(self) -> str:
        """When it was made: ISO 8601, UTC, with milliseconds."""
        return f"{(_EPOCH + timedelta(milliseconds=self.time_ms)).isoformat(timespec='milliseconds')[:-6]}Z"

    @property
    def id(self) -> str:
        """What an "undo" names it by: the hash of its line, 16 hexadecimal digits."""
        return self._hash or _hash(self._values())

    def line(self) -> bytes:
        """The line of a journal, without its end."""
        values = self._values()
        return _canonical(values | {"hash": _hash(values)})

    def _values(self) -> dict[str, Any]:
        given = {"by": self.by or None, "to": self.to, "part": self.part, "of": self.of}
        values = {name: value for name, value in given.items() if value is not None}
        return values | {"op": self.op, "time": self.time, "where": self.where.to_dict()}

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
        op, time, by = values.get("op"), values.get("time"), values.get("by", "")
        if unknown := sorted(values.keys() - _FIELDS_OF.get(op if isinstance(op, str) else "", _FIELDS)):
            raise LookupError(f"it has the field {unknown[0][:60]!a}")
        if type(op) is not str:
            raise ValueError(f"its op is {str(op)[:60]!a}")
        if op not in _FIELDS_OF:
            raise LookupError(f"its op is {op[:60]!a}")
        if type(time) is not str or not _TIME.fullmatch(time):
            raise ValueError(f"its time is {str(time)[:60]!a}")
        check_reviewer(by)
        made = datetime.fromisoformat(time)
        if made.year > _LAST_YEAR:
            raise ValueError(f"its time is {time}")
        to, part, of = values.get("to"), values.get("part"), values.get("of")
        if op == "relabel":
            check_relabel(to, part)
        elif op == "undo" and (type(of) is not str or not _ID.fullmatch(of)):
            raise ValueError(f"it undoes {str(of)[:60]!a}, not a decision")
        known: Any = op
        time_ms = (made - _EPOCH) // _MILLISECOND
        return cls(known, Selection.from_dict(values.get("where")), time_ms, by, to, part, of, stated)


def check_reviewer(by: object) -> None:
    """Check the name of whoever decided.

    Raises:
        ValueError: not one printable line, or too long.
    """
    if type(by) is not str or len(by) > MAX_NAME_CHARS or not by.isprintable():
        raise ValueError(f"its name is {str(by)[:60]!a}, not one line of at most {MAX_NAME_CHARS} printable characters")


def check_relabel(to: object, part: object = None) -> None:
    """Check the class name that a "relabel" gives, and the part that it renames.

    Raises:
        ValueError: not one printable line, or too long, or the name of what is ignored.

    Example:
        >>> check_relabel("")
        Traceback (most recent call last):
        ValueError: its new class name is '', not one line of 1 to 1024 printable characters
    """
    for what, name in (("new class name", to), ("part", part)):
        if name is None and what == "part":
            continue
        valid = type(name) is str and 0 < len(name) <= MAX_CLASS_CHARS and name.isprintable() and name != IGNORED
        if not valid:
            expected = f"one line of 1 to {MAX_CLASS_CHARS} printable characters"
            raise ValueError(f"its {what} is {ascii(name)[:60]}, not {expected}")


def _canonical(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _hash(values: Mapping[str, Any]) -> str:
    return xxhash.xxh3_64_hexdigest(_canonical(values))
