"""Cut-outs in a folder of pictures with an alpha channel."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xxhash
from PIL import Image, UnidentifiedImageError

from poc_aug.errors import ObjectBankError
from poc_aug.types import Json

INDEX_FILE = "objects.json"
SUFFIXES = (".png", ".webp")


@dataclass(frozen=True, slots=True)
class FileSource:
    """A picture with an alpha channel."""

    root: Path
    file: str
    category: str

    @property
    def name(self) -> str:
        """Path relative to the bank's folder."""
        return self.file

    def identity(self) -> Json:
        """Name, class, size and hash of the file."""
        try:
            data = (self.root / self.file).read_bytes()
        except OSError as error:
            raise unreadable(self.root / self.file, error) from error
        return [self.file, self.category, len(data), xxhash.xxh3_128_hexdigest(data)]

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw image and alpha."""
        pixels = read_pixels(self.root / self.file, "RGBA")
        return pixels[:3], pixels[3]


def folder_sources(
    root: Path, min_size_px: int, wanted: Callable[[str], bool], category: Callable[[Path], str] | None
) -> tuple[list[FileSource], Counter[str]]:
    """Find the cut-outs in a folder; see `ObjectBank.from_folder`. Reads headers, no pixels."""
    if not root.is_dir():
        raise ObjectBankError(f"no folder {str(root)!r}", hint="check the path")
    listed = _read_index(root) if category is None else None
    if listed is None:
        files = sorted(p.relative_to(root) for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
        listed = [(p.as_posix(), (category or category_of)(p)) for p in files]
    dropped: Counter[str] = Counter()
    sources = []
    for file, name in listed:
        width, height, transparent = _header(root / file)
        if not wanted(name):
            dropped["of a class that is excluded"] += 1
        elif not transparent:
            dropped["without an alpha channel"] += 1
        elif max(width, height) < min_size_px:
            dropped[f"smaller than {min_size_px} px"] += 1
        else:
            sources.append(FileSource(root, file, name))
    return sources, dropped


def category_of(path: Path) -> str:
    """Class of a picture: its subfolder's name, else the leading letters of its own name."""
    name = path.parent.name or "".join(re.findall(r"^[^\W\d]+", path.stem)[:1]) or path.stem
    return re.sub(r"[_\W]+", " ", name).strip()


def _read_index(root: Path) -> list[tuple[str, str]] | None:
    path = root / INDEX_FILE
    if not path.is_file():
        return None
    try:
        return sorted((str(row["file"]), str(row["category"])) for row in json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise ObjectBankError(
            f"{str(path)!r} is not an index of cut-outs: {type(error).__name__} {error}",
            expected='a JSON list of {"file": "path in the folder", "category": "class name"}',
        ) from error


def _header(path: Path) -> tuple[int, int, bool]:
    try:
        with Image.open(path) as picture:
            return picture.width, picture.height, picture.has_transparency_data
    except (OSError, UnidentifiedImageError) as error:
        raise unreadable(path, error) from error


def read_pixels(path: Path, mode: str) -> torch.Tensor:
    """Decode a picture: uint8 ``[channels, h, w]``; raises `ObjectBankError` naming the file."""
    try:
        with Image.open(path) as picture:
            pixels = np.array(picture.convert(mode))
    # PIL raises SyntaxError for a broken PNG chunk, ValueError for truncated data of some codecs.
    except (OSError, SyntaxError, ValueError) as error:
        raise unreadable(path, error) from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def unreadable(path: Path, error: Exception) -> ObjectBankError:
    """The error for a picture that cannot be read."""
    return ObjectBankError(
        f"cannot read {str(path)!r}: {error}", expected="a readable picture", hint="restore or delete the file"
    )
