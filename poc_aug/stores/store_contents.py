"""The list of a cache's files on a store, ``contents.json``: names, sizes, hashes; a stranger may have written it.

It is written last. A push that was interrupted leaves no list, or the former one, which is still right: what is on a
store never changes. A file whose name is taken by another version of it is stored under its hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.manifest_checks import MAX_MANIFEST_NBYTES
from poc_aug.cache.strict_json import load_json
from poc_aug.errors import StoreError

CONTENTS = "contents.json"
"""Name of the list, at the top of a cache on a store and of its local copy."""

MAX_CONTENTS_NBYTES = 64 << 20
MAX_FILES = 200_000
MAX_FILE_NBYTES = 1 << 44

_FORMAT = "poc_aug-contents"
_VERSION = 1
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
_PICTURE = r"[A-Za-z0-9%][A-Za-z0-9._%~-]{0,239}\.png"
_NAME = re.compile(
    rf"(?P<member>recipes/{_PART}/)?"
    rf"(?:manifest\.json|shards/{_PART}\.lmdb|journal/{_PART}|rejected/(?:{_PART}/)?{_PICTURE})",
    re.ASCII,
)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a cache on a store.

    Attributes:
        name: its path within the cache, with ``/``.
        nbytes: its size.
        sha256: hash of its bytes, in hex.
        path: where it is on the store, below the cache's address: its name, or ``versions/`` and its hash.

    Example:
        >>> StoredFile("shards/local-0.lmdb", 4096, "0" * 64).what
        "shard 'local-0.lmdb'"
    """

    name: str
    nbytes: int
    sha256: str
    path: str = ""

    def __post_init__(self) -> None:
        if not self.path:
            object.__setattr__(self, "path", self.name)

    @property
    def member(self) -> str:
        """The folder of the recipe that it belongs to, with a slash at its end; "" for the cache's first one."""
        found = _NAME.fullmatch(self.name)
        return (found["member"] or "") if found else ""

    @property
    def is_manifest(self) -> bool:
        """Whether it is the manifest of the cache, or of one of its further recipes."""
        return self.name == f"{self.member}{MANIFEST}"

    @property
    def what(self) -> str:
        """What it is, for messages."""
        folder, _, last = self.name.removeprefix(self.member).rpartition("/")
        if folder != "shards":
            return repr(self.name)
        return f"shard {last!r}" + (f" of recipe {self.member.split('/')[1]!r}" if self.member else "")

    def under_its_hash(self) -> StoredFile:
        """The same file, stored under its hash."""
        return StoredFile(self.name, self.nbytes, self.sha256, f"versions/{self.sha256}")

    def is_same(self, other: StoredFile | None) -> bool:
        """Whether another one has the same name and bytes."""
        return other is not None and (self.name, self.nbytes, self.sha256) == (other.name, other.nbytes, other.sha256)


class StoreContents:
    """The files of a cache on a store, by their names.

    Example:
        >>> contents = StoreContents([StoredFile("manifest.json", 900, "0" * 64)])
        >>> StoreContents.parse(contents.to_bytes(), "s3://bucket/a.cache") == contents
        True
    """

    def __init__(self, files: Iterable[StoredFile]) -> None:
        self.files = {file.name: file for file in sorted(files, key=lambda file: file.name)}

    def __iter__(self) -> Iterator[StoredFile]:
        return iter(self.files.values())

    def __len__(self) -> int:
        return len(self.files)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreContents) and self.files == other.files

    __hash__ = None  # type: ignore[assignment]

    def get(self, name: str) -> StoredFile | None:
        """The file of a name; ``None`` if there is none."""
        return self.files.get(name)

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return sum(file.nbytes for file in self)

    def members(self) -> list[str]:
        """Folders of its recipes, with a slash at their ends; "" is the first one's."""
        return sorted({file.member for file in self})

    def to_bytes(self) -> bytes:
        """The list as JSON."""
        files = []
        for file in self:
            values: dict[str, Any] = {"name": file.name, "nbytes": file.nbytes, "sha256": file.sha256}
            files.append(values if file.path == file.name else {**values, "path": file.path})
        return (json.dumps({"format": _FORMAT, "version": _VERSION, "files": files}, indent=0) + "\n").encode()

    @classmethod
    def parse(cls, text: bytes, where: str, *, whole: bool = True) -> StoreContents:
        """Read a list, and check each name, size and hash in it.

        Args:
            text: its JSON.
            where: the cache that it is of, for messages.
            whole: it must have the manifest of each recipe.

        Raises:
            StoreError: it is no list, or one that no push writes; says which entry and why.
        """
        try:
            data = load_json(text)
        except ValueError as error:
            raise _refused(where, f"is not JSON ({error}); it begins with {text[:40]!r}") from error
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise _refused(where, f"is no list of a cache's files: {ascii(data)[:60]}")
        if data.get("version") != _VERSION:
            raise _refused(
                where,
                f"has version {ascii(data.get('version'))[:20]}; this poc_aug reads {_VERSION}",
                "install the poc_aug that pushed it",
            )
        entries = data.get("files")
        if not isinstance(entries, list) or len(entries) > MAX_FILES:
            size = f"{len(entries)} files" if isinstance(entries, list) else ascii(entries)[:40]
            raise _refused(where, f"lists {size}, expected a list of at most {MAX_FILES}")
        found = cls(_checked(entry, where) for entry in entries)
        folded = {name.casefold() for name in found.files}
        if len(folded) != len(entries):
            raise _refused(where, "lists a name twice, or two names that differ in upper and lower case only")
        manifests = [f"{member}{MANIFEST}" for member in {*found.members(), ""}]
        if whole and (missing := [name for name in manifests if name not in found.files]):
            raise _refused(where, f"lacks {missing[0]!r}")
        return found


def _checked(entry: object, where: str) -> StoredFile:
    if not isinstance(entry, dict):
        raise _refused(where, f"has an entry {ascii(entry)[:60]}, expected a mapping")
    name, nbytes, digest = entry.get("name"), entry.get("nbytes"), entry.get("sha256")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise _refused(where, f"has the name {ascii(name)[:80]}, which no file of a cache has")
    most = MAX_MANIFEST_NBYTES if name.endswith(f"/{MANIFEST}") or name == MANIFEST else MAX_FILE_NBYTES
    if type(nbytes) is not int or not 0 <= nbytes <= most:
        raise _refused(where, f"has {ascii(nbytes)[:40]} bytes for {name!r}, expected 0 to {most}")
    if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
        raise _refused(where, f"has the SHA-256 {ascii(digest)[:70]} for {name!r}, expected 64 hex digits")
    path = entry.get("path", name)
    if path not in (name, f"versions/{digest}"):
        raise _refused(where, f"has the path {ascii(path)[:80]} for {name!r}")
    return StoredFile(name, nbytes, digest, path)


def _refused(where: str, problem: str, hint: str = "push the cache again from its source") -> StoreError:
    return StoreError(
        f"{CONTENTS} of {where} {problem}", expected="the list of files that `poc-aug push` writes", hint=hint
    )
