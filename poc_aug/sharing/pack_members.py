"""What a packed cache holds: the names of its files, and the list of their hashes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from poc_aug.errors import CacheFormatError

SUMS, FACTS, README, ATTRIBUTIONS = "SHA256SUMS", "pack.json", "README.md", "attributions.csv"
PICTURES = "pictures"
"""Folder of the datasheet's pictures."""

_FILE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}"
_CACHE_FILE = rf"manifest\.json|shards/{_FILE}\.lmdb|journal/packed\.jsonl|rejected/[a-z0-9-]{{1,80}}/{_FILE}\.png"
_NAMES = re.compile(
    rf"{SUMS}|pack\.json|README\.md|attributions\.csv|{PICTURES}/{_FILE}\.png|(?:recipes/{_FILE}/)?(?:{_CACHE_FILE})"
)
_FOLDERS = re.compile(
    rf"{PICTURES}|(?:recipes/{_FILE}/)?(?:shards|journal|rejected(?:/[a-z0-9-]{{1,80}})?)|recipes(?:/{_FILE})?"
)
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_MOST_SHOWN = 200


def is_member(name: str) -> bool:
    """Whether a file of this name belongs into a packed cache.

    Example:
        >>> is_member("shards/packed-0.lmdb"), is_member("../manifest.json"), is_member("shards/a.lock")
        (True, False, False)
    """
    return _NAMES.fullmatch(name) is not None


def is_member_folder(name: str) -> bool:
    """Whether a packed cache may have a folder of this name."""
    return _FOLDERS.fullmatch(name) is not None


def sums_text(sums: Mapping[str, str]) -> str:
    r"""The list of hashes, as ``sha256sum -c`` reads it.

    Example:
        >>> sums_text({"manifest.json": "ab" * 32}) == "ab" * 32 + "  manifest.json\n"
        True
    """
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def read_sums(text: str) -> dict[str, str]:
    """The hashes by file name.

    Raises:
        CacheFormatError: a line that is none, a name that has no place in a packed cache, or one that comes twice.
    """
    sums: dict[str, str] = {}
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None or not is_member(found[2]) or found[2] in sums:
            raise CacheFormatError(
                f"{SUMS} holds the line {line[:_MOST_SHOWN]!r}",
                expected="for each file, once: its SHA-256, two spaces and its name",
                hint="download the archive again from its source",
            )
        sums[found[2]] = found[1]
    return sums
