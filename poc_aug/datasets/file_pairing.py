"""Pairing of files by globs: an image and a label map belong together if their wildcards match the same text."""

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
"""Folders left behind by operating systems; wildcards match no hidden ones (``._a.png``, ``.ipynb_checkpoints``)."""


def find_files(root: Path, pattern: str) -> list[str]:
    """Files below ``root`` that match a glob: relative paths with forward slashes, in natural order.

    ``*`` and ``?`` match within a folder, ``**`` through folders, ``[a-z]`` a character, ``{jpg,png}`` either.

    Raises:
        DatasetError: a folder that may not be listed, or a broken link: no file is left out silently.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets.file_pairing import find_files
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("a10.png", "a9.png", "b1.jpg", "notes.txt"):
        ...         Path(root, name).touch()
        ...     find_files(Path(root), "*.{jpg,png}")
        ['a9.png', 'a10.png', 'b1.jpg']
    """
    with _os_errors_as_dataset_errors(root):
        for glob_pattern in _expand(pattern):
            _check_listable(root, glob_pattern)
        return sorted(set(_matches(root, pattern)), key=natural_order)


def any_file(root: Path, pattern: str) -> bool:
    """Whether `find_files` would find a file; the search stops at the first one.

    Raises:
        DatasetError: a folder above that may not be read, or a broken link.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets.file_pairing import any_file
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "a.png").touch()
        ...     any_file(Path(root), "*.png"), any_file(Path(root), "*.jpg")
        (True, False)
    """
    with _os_errors_as_dataset_errors(root):
        return next(_matches(root, pattern), None) is not None


def folder_at(root: str | Path) -> Path:
    """The path of a dataset's folder, ``~`` resolved.

    Raises:
        DatasetError: there is no home folder for ``~``.

    Example:
        >>> from pathlib import Path
        >>> from poc_aug.datasets.file_pairing import folder_at
        >>> folder_at("~/data") == Path.home() / "data"
        True
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
        DatasetError: it cannot be checked because a folder above may not be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets.file_pairing import is_folder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     is_folder(Path(root)), is_folder(Path(root, "images"))
        (True, False)
    """
    with _os_errors_as_dataset_errors(root):
        return root.is_dir()


def natural_order(path: str) -> list[tuple[int, str]]:
    """Sort key that compares digits as numbers: "2.png" before "10.png".

    Example:
        >>> from poc_aug.datasets.file_pairing import natural_order
        >>> sorted(["10.png", "2.png"], key=natural_order)
        ['2.png', '10.png']
    """
    pieces = re.split(r"(\d+)", path)
    return [(int(piece), piece) if piece.isdecimal() else (-1, piece) for piece in pieces]


def pair_by_wildcards(root: Path, images: str, labels: str) -> list[tuple[str, str]]:
    """Pair files whose wildcards match the same text; ``{a,b}`` counts as text, not as a wildcard.

    A file that both globs match counts as labels.

    Args:
        root: folder of the dataset.
        images: glob of the images, such as ``leftImg8bit/train/*/*_leftImg8bit.png``.
        labels: glob of the labels, such as ``gtFine/train/*/*_gtFine_labelTrainIds.png``.

    Returns:
        Relative paths ``(image, labels)`` in the images' natural order.

    Raises:
        DatasetError: no files, or a file with no counterpart or with more than one.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets.file_pairing import pair_by_wildcards
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("ulm_1_image.jpg", "ulm_1_labels.png", "bonn_7_image.jpg", "bonn_7_labels.png"):
        ...         Path(root, name).touch()
        ...     pair_by_wildcards(Path(root), "*_image.jpg", "*_labels.png")
        [('bonn_7_image.jpg', 'bonn_7_labels.png'), ('ulm_1_image.jpg', 'ulm_1_labels.png')]
    """
    label_files = _files_of(root, labels, "labels")
    image_files = _files_of(root, images, "images", without=set(label_files))
    labels_by_text = _by_matched_text(label_files, labels)
    images_by_text = _by_matched_text(image_files, images)
    if images_by_text.keys() != labels_by_text.keys():
        lone_images = [path for text, path in images_by_text.items() if text not in labels_by_text]
        lone_labels = [path for text, path in labels_by_text.items() if text not in images_by_text]
        raise DatasetError(
            f"{len(lone_images)} of {len(image_files)} images and {len(lone_labels)} of {len(label_files)} labels "
            f"in {root} have no counterpart\n"
            f"  images {images!r}: {_first_names(lone_images)}\n  labels {labels!r}: {_first_names(lone_labels)}",
            expected="globs whose wildcards match the same text for the two files of a pair",
            hint="correct a glob, or pass pair= to say which label file belongs to an image",
        )
    return [(path, labels_by_text[text]) for text, path in images_by_text.items()]


def pair_by_function(root: Path, images: str, labels: str, pair: Callable[[str], str]) -> list[tuple[str, str]]:
    """Pair each image with the label file that ``pair`` returns; other label files are left out.

    Args:
        root: folder of the dataset.
        images: glob of the images.
        labels: glob of the labels.
        pair: function from an image's relative path to that of its labels.

    Returns:
        Relative paths ``(image, labels)`` in the images' natural order.

    Raises:
        DatasetError: no files, or an image whose labels are not among the files of ``labels``.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets.file_pairing import pair_by_function
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("a.jpg", "a_coarse.png", "a_fine.png"):
        ...         Path(root, name).touch()
        ...     pair_by_function(Path(root), "*.jpg", "*.png", lambda image: image.replace(".jpg", "_fine.png"))
        [('a.jpg', 'a_fine.png')]
    """
    label_files = set(_files_of(root, labels, "labels"))
    image_files = _files_of(root, images, "images", without=label_files)
    pairs = [(path, pair(path)) for path in image_files]
    missing = [f"{image} -> {label}" for image, label in pairs if label not in label_files]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(image_files)} images in {root} have no labels: {_first_names(missing)}",
            expected=f"files of {labels!r}, relative to the folder, such as {min(label_files)!r}",
            hint="correct pair=, which gets an image's relative path and returns that of its labels",
        )
    return pairs


def _matches(root: Path, pattern: str) -> Iterator[str]:
    for glob_pattern in _expand(pattern):
        for path in glob.iglob(glob_pattern, root_dir=root, recursive=True):
            relative = path.replace(os.sep, "/")
            if not _NO_DATA.isdisjoint(relative.split("/")[:-1]):
                continue
            if (root / path).is_file():
                yield relative
            elif (root / path).is_symlink() and not (root / path).exists():
                raise DatasetError(
                    f"{root / path} is a link to {(root / path).readlink()}, which is not there",
                    expected="files of the dataset, or links to them",
                    hint="mount or restore the target, or remove the link",
                )


def _check_listable(root: Path, pattern: str) -> None:
    """List each folder that the glob searches, because glob itself treats folders that it may not list as empty."""
    parts = pattern.split("/")
    for number, part in enumerate(parts):
        if not glob.has_magic(part):
            continue
        above = "".join(f"{folder}/" for folder in parts[:number])
        # For a pattern that begins with "**", glob leaves the root out.
        folders = glob.iglob(above + "**/" if part == "**" else above, root_dir=root, recursive=True)
        for folder in (*folders, *(() if above else ("",))):
            if _NO_DATA.isdisjoint(folder.split(os.sep)):
                os.scandir(root / folder).close()


@contextmanager
def _os_errors_as_dataset_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"cannot read {error.filename or root}: {error.strerror or error}",
            expected="folders that this user may list and files that it may read",
            hint="correct the path, or the permissions of that folder and of those above it",
        ) from error


def _files_of(root: Path, pattern: str, what: str, without: Iterable[str] = ()) -> list[str]:
    """`find_files`, but at least one file, and not those of ``without``."""
    if not is_folder(root):
        raise DatasetError(
            f"there is no folder {root}" + (", but a file" if root.is_file() else ""),
            expected="the folder of the dataset",
            hint="correct root=, or download the dataset there",
        )
    left_out = set(without)
    files = [path for path in find_files(root, pattern) if path not in left_out]
    if not files:
        with _os_errors_as_dataset_errors(root):
            contents = sorted((path.name for path in root.iterdir()), key=natural_order)
        raise DatasetError(
            f"no file in {root} matches {what}={pattern!r}; it holds {_first_names(contents) or 'nothing'}",
            expected=f"at least one file for {what}",
            hint="correct the glob; it is relative to root, and * does not cross folders",
        )
    return files


def _first_names(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _by_matched_text(files: list[str], pattern: str) -> dict[tuple[str, ...], str]:
    regex = _regex(pattern)
    by_text: dict[tuple[str, ...], str] = {}
    for path in files:
        match = regex.fullmatch(path)
        assert match is not None, (path, pattern)
        other = by_text.setdefault(match.groups(), path)
        if other != path:
            raise DatasetError(
                f"{other} and {path} match {pattern!r} with the same text {match.groups()}",
                expected="one file per text of the wildcards",
                hint="make the glob narrower, or pass pair=",
            )
    return by_text


def _expand(pattern: str) -> list[str]:
    """All patterns without braces that a pattern stands for."""
    parts = _BRACES.split(pattern)  # alternating: text, inside of braces
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def _regex(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression with one group per wildcard."""
    token = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|(\[!?[^\]]+\])|\{([^{}]*)\}")
    out, end = "", 0
    for match in token.finditer(pattern):
        out += re.escape(pattern[end : match.start()])
        folders, anything, star, character, choice, braces = match.groups()
        if folders:
            out += "((?:[^/]+/)*)"
        elif anything:
            out += "(.*)"
        elif star:
            out += "([^/]*)"
        elif character:
            out += "([^/])"
        elif choice:
            out += f"([{choice[1:-1].replace('!', '^', 1) if choice[1] == '!' else choice[1:-1]}])"
        else:
            out += f"(?:{'|'.join(re.escape(text) for text in braces.split(','))})"
        end = match.end()
    return re.compile(out + re.escape(pattern[end:]))
