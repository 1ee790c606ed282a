"""Pairing of files by globs: an image and a label map belong together where the wildcards matched the same text."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from poc_aug.errors import DatasetError

_BRACES = re.compile(r"\{([^{}]*)\}")
_SHOWN = 3
_NO_DATA = frozenset(("__MACOSX", "lost+found"))
"""Folders that systems leave behind; hidden ones (``._a.png``, ``.ipynb_checkpoints``) no wildcard matches."""


def find_files(root: Path, pattern: str) -> list[str]:
    """Files below ``root`` that match a glob, relative, with forward slashes, in natural order.

    ``*`` and ``?`` match within a folder, ``**`` through folders, ``[a-z]`` a character, ``{jpg,png}`` either.

    Raises:
        DatasetError: a folder that may not be listed, or a link to nothing: files must not go missing without a word.
    """
    with _named(root):
        for one in _expand(pattern):
            _check_listable(root, one)
        return sorted(set(_matches(root, pattern)), key=natural_order)


def any_file(root: Path, pattern: str) -> bool:
    """Whether `find_files` would find something, at the cost of the first file.

    Raises:
        DatasetError: a folder above that may not be read, or a link to nothing.
    """
    with _named(root):
        return next(_matches(root, pattern), None) is not None


def folder_at(root: str | Path) -> Path:
    """The path of a dataset's folder, ``~`` resolved.

    Raises:
        DatasetError: ``~`` stands for nobody's home.
    """
    try:
        return Path(root).expanduser()
    except RuntimeError as error:
        raise DatasetError(
            f"there is no home folder for {str(root)!r}", expected="a folder", hint="write the path out"
        ) from error


def is_folder(root: Path) -> bool:
    """Whether there is a folder at the path.

    Raises:
        DatasetError: it cannot be told, since a folder above may not be read.
    """
    with _named(root):
        return root.is_dir()


def natural_order(path: str) -> list[tuple[int, str]]:
    """Sort key that counts: "2.png" before "10.png"."""
    pieces = re.split(r"(\d+)", path)
    return [(int(piece), piece) if piece.isdecimal() else (-1, piece) for piece in pieces]


def pair_by_wildcards(root: Path, images: str, labels: str) -> list[tuple[str, str]]:
    """Pair files whose wildcards matched the same text; ``{a,b}`` counts as text, not as a wildcard.

    A file that both globs match counts as labels.

    Args:
        root: folder of the dataset.
        images: glob of the images, such as ``leftImg8bit/train/*/*_leftImg8bit.png``.
        labels: glob of the labels, such as ``gtFine/train/*/*_gtFine_labelTrainIds.png``.

    Returns:
        Relative paths ``(image, labels)`` in the images' natural order.

    Raises:
        DatasetError: nothing found, or a file without, or with more than one, counterpart.
    """
    label_files = _some(root, labels, "labels")
    image_files = _some(root, images, "images", without=set(label_files))
    by_text = _by_text(label_files, labels)
    of_images = _by_text(image_files, images)
    if of_images.keys() != by_text.keys():
        lone_images = [path for text, path in of_images.items() if text not in by_text]
        lone_labels = [path for text, path in by_text.items() if text not in of_images]
        raise DatasetError(
            f"{len(lone_images)} of {len(image_files)} images and {len(lone_labels)} of {len(label_files)} labels "
            f"in {root} have no counterpart\n"
            f"  images {images!r}: {_few(lone_images)}\n  labels {labels!r}: {_few(lone_labels)}",
            expected="the wildcards of both globs match the same text for the files of one pair",
            hint="correct a glob, or pass pair= to say which label file belongs to an image",
        )
    return [(path, by_text[text]) for text, path in of_images.items()]


def pair_by_function(root: Path, images: str, labels: str, pair: Callable[[str], str]) -> list[tuple[str, str]]:
    """Pair each image with the labels that ``pair`` names; further labels are left out.

    Raises:
        DatasetError: nothing found, or an image whose labels are not among the files of ``labels``.
    """
    label_files = set(_some(root, labels, "labels"))
    image_files = _some(root, images, "images", without=label_files)
    pairs = [(path, pair(path)) for path in image_files]
    missing = [f"{image} -> {label}" for image, label in pairs if label not in label_files]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(image_files)} images in {root} have no labels: {_few(missing)}",
            expected=f"files of {labels!r}, relative to the folder, such as {min(label_files)!r}",
            hint="correct pair=, which gets an image's relative path and returns that of its labels",
        )
    return pairs


def _matches(root: Path, pattern: str) -> Iterator[str]:
    for one in _expand(pattern):
        for path in glob.iglob(one, root_dir=root, recursive=True):
            found = path.replace(os.sep, "/")
            if not _NO_DATA.isdisjoint(found.split("/")[:-1]):
                continue
            if (root / path).is_file():
                yield found
            elif (root / path).is_symlink() and not (root / path).exists():
                raise DatasetError(
                    f"{root / path} is a link to {(root / path).readlink()}, which is not there",
                    expected="files of the dataset, or links to them",
                    hint="mount or restore what it links to, or remove the link",
                )


def _check_listable(root: Path, pattern: str) -> None:
    """List each folder that the glob goes through: glob itself takes those that it may not list for empty ones."""
    parts = pattern.split("/")
    for number, part in enumerate(parts):
        if not glob.has_magic(part):
            continue
        above = "".join(f"{each}/" for each in parts[:number])
        # Of a pattern that begins with "**", glob leaves the root out.
        folders = glob.iglob(above + "**/" if part == "**" else above, root_dir=root, recursive=True)
        for folder in (*folders, *(() if above else ("",))):
            if _NO_DATA.isdisjoint(folder.split(os.sep)):
                os.scandir(root / folder).close()


@contextmanager
def _named(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"cannot read {error.filename or root}: {error.strerror or error}",
            expected="folders that this user may list and files that it may read",
            hint="correct the path, or the permissions of that folder and of those above it",
        ) from error


def _some(root: Path, pattern: str, what: str, without: Iterable[str] = ()) -> list[str]:
    if not is_folder(root):
        raise DatasetError(
            f"there is no folder {root}" + (", but a file" if root.is_file() else ""),
            expected="the folder of the dataset",
            hint="correct root=, or download the dataset there",
        )
    left_out = set(without)
    found = [path for path in find_files(root, pattern) if path not in left_out]
    if not found:
        with _named(root):
            inside = sorted((path.name for path in root.iterdir()), key=natural_order)
        raise DatasetError(
            f"no file in {root} matches {what}={pattern!r}; it holds {_few(inside) or 'nothing'}",
            expected=f"at least one file for {what}",
            hint="correct the glob; it is relative to root, and * does not cross folders",
        )
    return found


def _few(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _by_text(files: list[str], pattern: str) -> dict[tuple[str, ...], str]:
    regex = _regex(pattern)
    found: dict[tuple[str, ...], str] = {}
    for path in files:
        match = regex.fullmatch(path)
        assert match is not None, (path, pattern)
        other = found.setdefault(match.groups(), path)
        if other != path:
            raise DatasetError(
                f"{other} and {path} match {pattern!r} with the same text {match.groups()}",
                expected="one file for each text of the wildcards",
                hint="make the glob narrower, or pass pair=",
            )
    return found


def _expand(pattern: str) -> list[str]:
    """Every pattern that the braces stand for."""
    parts = _BRACES.split(pattern)  # text and the inside of braces, alternating
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def _regex(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression with one group a wildcard."""
    token = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|(\[!?[^\]]+\])|\{([^{}]*)\}")
    out, end = "", 0
    for found in token.finditer(pattern):
        out += re.escape(pattern[end : found.start()])
        folders, anything, star, one, choice, braces = found.groups()
        if folders:
            out += "((?:[^/]+/)*)"
        elif anything:
            out += "(.*)"
        elif star:
            out += "([^/]*)"
        elif one:
            out += "([^/])"
        elif choice:
            out += f"([{choice[1:-1].replace('!', '^', 1) if choice[1] == '!' else choice[1:-1]}])"
        else:
            out += f"(?:{'|'.join(re.escape(text) for text in braces.split(','))})"
        end = found.end()
    return re.compile(out + re.escape(pattern[end:]))
