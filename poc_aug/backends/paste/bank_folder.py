"""Cut-outs in a folder of pictures with an alpha channel."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import torch
import xxhash

from poc_aug.backends.paste.bank_left_out import LeftOut, Unusable, printable
from poc_aug.backends.paste.bank_licences import NO_LICENCE, ObjectLicence, licence_of_path, licence_of_row
from poc_aug.backends.paste.bank_pictures import read_cutout, read_header
from poc_aug.errors import ObjectBankError
from poc_aug.files.stray_files import is_stray
from poc_aug.types import Json

INDEX_FILE = "objects.json"
SUFFIXES = (".png", ".webp")
_EXPECTED = "a folder of cut-outs: PNG or WebP pictures with an alpha channel"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A picture with an alpha channel."""

    root: Path
    file: str
    category: str
    licence: ObjectLicence = NO_LICENCE

    @property
    def name(self) -> str:
        """Path relative to the bank's folder."""
        return printable(self.file)

    def identity(self) -> Json:
        """Name, class, size and hash of the file."""
        path = self.root / self.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ObjectBankError(
                f"cannot read {str(path)!r}: {error}", hint="restore the file, or make the bank again"
            ) from error
        return [self.name, self.category, len(data), xxhash.xxh3_128_hexdigest(data)]

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw image and alpha."""
        return read_cutout(self.root / self.file)


def folder_sources(
    root: Path, min_size_px: int, wanted: Callable[[str], bool], category: Callable[[Path], str] | None
) -> tuple[list[FileSource], LeftOut]:
    """Find the cut-outs in a folder; see `ObjectBank.from_folder`. Reads only headers, no pixels."""
    if not os.path.isdir(root):
        raise ObjectBankError(f"no folder {str(root)!r}", expected=_EXPECTED, hint="check the path")
    listed = _read_index(root) if category is None else None
    if listed is None:
        files = sorted(path for path in _files(root) if path.suffix.lower() in SUFFIXES)
        listed = [(path.as_posix(), (category or category_of)(path), NO_LICENCE) for path in files]
    left_out = LeftOut()
    sources = []
    for file, name, licence in listed:
        try:
            source = _source(root, file, name, min_size_px, wanted)
            known = licence if licence.name else replace(licence, name=licence_of_path(PurePath(file)).name)
            sources.append(replace(source, licence=known))
        except Unusable as error:
            left_out.add(error.reason, error.name)
    return sources, left_out


def _source(root: Path, file: str, category: str, min_size_px: int, wanted: Callable[[str], bool]) -> FileSource:
    if not wanted(category):
        raise Unusable("of a class that is excluded")
    name = printable(file)
    header = read_header(root / file, name)
    if not header.transparent:
        raise Unusable("without an alpha channel", name)
    if max(header.size_wh) < min_size_px:
        raise Unusable(f"smaller than {min_size_px} px")
    return FileSource(root, file, printable(category))


def category_of(path: Path) -> str:
    """Class of a picture: its subfolder's name, otherwise the leading letters of its own name."""
    name = path.parent.name or "".join(re.findall(r"^[^\W\d]+", path.stem)[:1]) or path.stem
    return re.sub(r"[_\W]+", " ", name).strip()


def _files(root: Path) -> Iterator[Path]:
    """All files below a folder, relative to it, without stray files; links to folders are followed, once each."""
    visited: set[tuple[int, int]] = set()
    for name, folders, files in os.walk(root, onerror=_not_listed, followlinks=True):
        folder = Path(name).relative_to(root)
        status = os.stat(name)
        place = (status.st_dev, status.st_ino)
        if place in visited:  # a link back
            folders.clear()
            continue
        visited.add(place)
        folders[:] = sorted(subfolder for subfolder in folders if not is_stray(subfolder))
        yield from (folder / entry for entry in (*folders, *files) if not is_stray(entry))


def _not_listed(error: OSError) -> None:
    raise ObjectBankError(
        f"cannot list {error.filename!r}: {error.strerror}",
        expected="a folder of cut-outs whose subfolders this user may read",
        hint="correct its permissions, or move that subfolder away",
    ) from error


def _read_index(root: Path) -> list[tuple[str, str, ObjectLicence]] | None:
    path = root / INDEX_FILE
    if not os.path.isfile(path):
        return None
    try:
        rows = [(str(row["file"]), str(row["category"]), row) for row in json.loads(path.read_bytes())]
        return [(file, name, licence_of_row(row)) for file, name, row in sorted(rows, key=lambda row: row[:2])]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ObjectBankError(
            f"{str(path)!r} is not an index of cut-outs: {type(error).__name__} {error}",
            expected='a JSON list of {"file": "path in the folder", "category": "class name"}',
        ) from error
