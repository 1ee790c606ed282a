"""The images of a COCO file: where they are, their actual size, and whether they have to be rotated."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from poc_aug.backends.paste.bank_coco_rows import ImageRow
from poc_aug.backends.paste.bank_left_out import OTHER_SIZE, UNCLEAR_EXIF, Unusable, printable
from poc_aug.backends.paste.bank_pictures import Header, read_header
from poc_aug.errors import ObjectBankError

Exif: TypeAlias = Literal["auto", "apply", "ignore"]

NO_NAME = "whose image has no file name"
NO_FILE = "whose image file is missing"

_PROBES = 24
_FOLDERS = ("images", "data", "JPEGImages")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image that can be used.

    Attributes:
        path: the file.
        header: what its header says.
        turn: whether the annotations belong to the picture rotated as its EXIF orientation says.
    """

    path: Path
    header: Header
    turn: bool

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the picture that the annotations were drawn on."""
        width, height = self.header.size_wh
        return (height, width) if self.turn and self.header.orientation >= 5 else (width, height)


class ImageFolder:
    """The images in a folder, by their names in a COCO file.

    Args:
        folder: the folder.
        tails: of all images of the file, see `count_tails`: the last part of a name is used only if no other image
            has the same.
    """

    def __init__(self, folder: Path, tails: Counter[str]) -> None:
        self.folder = folder
        self._tails = tails

    def find(self, row: ImageRow) -> Path:
        """The file of an image.

        The name may be a path on another machine, a URL, or percent-encoded: then its last parts are tried.

        Raises:
            Unusable: it has no name, or there is no such file.
        """
        if not row.file_name:
            raise Unusable(NO_NAME)
        for name in _spellings(row.file_name):
            if _is_file(path := self.folder / name.lstrip("/")):
                return path
        for name in _tails(row.file_name):
            if self._tails[name] == 1 and _is_file(path := self.folder / name):
                return path
        if _is_file(path := Path(row.file_name)) and path.is_absolute():
            return path
        raise Unusable(NO_FILE, printable(row.file_name))


def count_tails(rows: Iterable[ImageRow]) -> Counter[str]:
    """How many images have each last part of a name: "b.jpg" and "a/b.jpg" of "a/b.jpg"."""
    return Counter(tail for name in {row.file_name for row in rows} for tail in _tails(name))


def find_image_folder(instances: Path, rows: Sequence[ImageRow], tails: Counter[str]) -> Path:
    """Guess the folder with the images of a COCO file: the one that has most of a few of the named files.

    Tried are, next to the file and one folder up: ``images``, ``data``, ``JPEGImages``, the split that the file is
    named after (``annotations/instances_train2017.json``: ``train2017/``), that split inside ``images``, and the
    folder itself.

    Raises:
        ObjectBankError: none of them has any.
    """
    with_name = [row for row in rows if row.file_name]
    probes = with_name[:: max(1, len(with_name) // _PROBES)][:_PROBES]
    split = instances.stem.rpartition("_")[2]
    inside = (*_FOLDERS, split, f"images/{split}", "")
    tried = list(dict.fromkeys(root / name for root in _roots(instances) for name in inside))
    hits = [(_hits(ImageFolder(folder, tails), probes), folder) for folder in tried if os.path.isdir(folder)]
    if not any(count for count, _ in hits):  # only a few of many images may have been downloaded
        hits = [(sum(name in tails for name in os.listdir(folder)), folder) for _, folder in hits]
    most = max((count for count, _ in hits), default=0)
    if most == 0:
        raise images_missing(instances, tried, probes)
    return next(folder for count, folder in hits if count == most)


def check_image_folder(instances: Path, folder: Path, rows: Sequence[ImageRow]) -> None:
    """Check that the given folder exists.

    Raises:
        ObjectBankError: it is not there.
    """
    if not os.path.isdir(folder):
        raise images_missing(instances, [folder], [row for row in rows if row.file_name])


def images_missing(instances: Path, tried: Sequence[Path], rows: Sequence[ImageRow]) -> ObjectBankError:
    """The error for images of a COCO file that are not found."""
    if len(tried) == 1 and not os.path.isdir(tried[0]):
        problem = f"no folder {str(tried[0])!r}, where the images of {str(instances)!r} should be"
    else:
        examples = ", ".join(repr(printable(row.file_name)) for row in rows[:3]) or "none that has a name"
        folders = ", ".join(repr(str(folder)) for folder in tried)
        problem = f"the images of {str(instances)!r} ({examples}) are in none of the folders {folders}"
    return ObjectBankError(
        problem,
        expected="the folder of the images that it names",
        hint="name it: images_dir=DIR",
        command="name it: --images DIR",
    )


def match_image(path: Path, row: ImageRow, exif: Exif) -> ImageFile:
    """Compare an image's size with its row's, as stored or rotated, whichever agrees.

    Args:
        path: the file.
        row: what the COCO file says.
        exif: "auto" rotates a picture if the sizes show that its annotations belong to the rotated one, and leaves it
            as stored if they show that; "apply" and "ignore" decide for all.

    Raises:
        Unusable: unreadable, sizes that differ, or an orientation that the sizes do not decide.
    """
    name = printable(row.file_name)
    header = read_header(path, name)
    as_stored, turned = ImageFile(path, header, False), ImageFile(path, header, True)
    if header.orientation == 1:
        choices = [as_stored]
    else:
        choices = {"auto": [as_stored, turned], "apply": [turned], "ignore": [as_stored]}[exif]
    fitting = [file for file in choices if row.size_wh is None or file.size_wh == row.size_wh]
    tag = f", EXIF orientation {header.orientation}" if header.orientation > 1 else ""
    if not fitting:
        assert row.size_wh is not None
        annotated = f"{row.size_wh[0]:g}x{row.size_wh[1]:g} in the annotations"
        raise Unusable(OTHER_SIZE, f"{name}: {annotated}, {header.size_wh[0]}x{header.size_wh[1]} in the file{tag}")
    if len(fitting) > 1:
        raise Unusable(UNCLEAR_EXIF, f"{name}: {header.size_wh[0]}x{header.size_wh[1]}{tag}")
    return fitting[0]


def _roots(instances: Path) -> tuple[Path, Path]:
    return instances.parent, instances.absolute().parent.parent


def _hits(images: ImageFolder, probes: Sequence[ImageRow]) -> int:
    count = 0
    for row in probes:
        try:
            images.find(row)
        except Unusable:
            continue
        count += 1
    return count


def _spellings(name: str) -> list[str]:
    """A name as given, with slashes for backslashes, decoded as a URL, and in both Unicode normal forms."""
    names = [name, name.replace("\\", "/"), unquote(name)]
    if not name.isascii():
        names += [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    return list(dict.fromkeys(names))


def _tails(name: str) -> Iterator[str]:
    """The last parts of a name, longest first, without the prefix of another machine."""
    yielded = set()
    for spelling in _spellings(name):
        path = _url_path(spelling) if "://" in spelling else spelling
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            if tail not in yielded:
                yielded.add(tail)
                yield tail


def _url_path(name: str) -> str:
    try:
        return unquote(urlsplit(name).path)
    except ValueError:  # not a URL after all
        return name


def _is_file(path: Path) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a name that no file can have
        return False
