"""`BaseNames`: the base frame that a file of an edited one is of, by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from poc_aug.errors import ImportFilesError
from poc_aug.files.safe_names import file_name

_ENDINGS = re.compile(r"_(leftImg8bit|rgb_anon|rgb|image)$")
_MOST_FOLDERS = 3


class BaseNames:
    """Finds keys of base frames.

    Args:
        keys: keys of the base dataset's samples: paths, or plain names.

    Example:
        >>> names = BaseNames(["leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"])
        >>> names.key_of("train/aachen/aachen_000000_000019_2.png")
        'leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png'
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys: dict[str, list[str]] = {}
        for key in dict.fromkeys(keys):
            for name in _names_of(key):
                self._keys.setdefault(name, []).append(key)

    def key_of(self, path: str, *, exact: bool = False) -> str:
        """The key of the base frame whose name a file's name is, or begins with; the longest one.

        A base frame's name may have those of its folders in front, as in exports: ``city_frame_7`` of ``city/frame_7``.

        Args:
            path: path of the file, relative to its dataset.
            exact: it has to be the whole name.

        Raises:
            ImportFilesError: no base frame has such a name, or several have.
        """
        name = base_name(path)
        for end in [len(name)] if exact else range(len(name), 0, -1):
            # A name ends where a number does not go on: frame 1 is not the base of 10.
            if end < len(name) and name[end].isalnum() and name[end - 1].isalnum():
                continue
            if name[:end] in self._keys:
                return self._one_of(self._keys[name[:end]], path)
        raise ImportFilesError(
            f"{path!r} is of no frame of the dataset: none is called {name[:80]!r}{'' if exact else ', or begins it'}",
            expected=f"names such as {', '.join(sorted(self._keys)[:2]) or 'none: the dataset is empty'}",
            hint="pass the dataset and the split that were edited; on_error='skip' counts frames of others",
            command="give the dataset and the split that were edited; --on-error skip counts frames of others",
        )

    def _one_of(self, keys: list[str], path: str) -> str:
        """The key in a folder of the same name, if there are several of one name."""
        if len(keys) == 1:
            return keys[0]
        folders = PurePosixPath(path).parts[:-1]
        shared = {key: len(set(folders) & set(PurePosixPath(key).parts[:-1])) for key in keys}
        best = max(shared.values())
        nearest = [key for key in keys if shared[key] == best]
        if len(nearest) > 1:
            raise ImportFilesError(
                f"{path!r} may be of {' or '.join(map(repr, nearest[:3]))}",
                expected="one base frame of its name, or one in folders of the same names",
                hint="import them one dataset or split at a time",
            )
        return nearest[0]


def _names_of(key: str) -> list[str]:
    """The names that files of a base frame may have: its own, and with the names of its folders in front."""
    name, folders = base_name(key), PurePosixPath(key).parts[:-1]
    names = [name]
    for folder in reversed(folders[-_MOST_FOLDERS:]):
        names.append(f"{folder}_{names[-1]}")
    return list(dict.fromkeys(one for plain in names for one in (plain, file_name(plain))))


def base_name(path: str) -> str:
    """Name of a frame: of its file, without folders, suffix and what datasets append to all of their images.

    Example:
        >>> base_name("leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png")
        'aachen_000000_000019'
    """
    pure = PurePosixPath(path)
    return _ENDINGS.sub("", pure.stem if re.fullmatch(r"\.[A-Za-z]{3,4}", pure.suffix) else pure.name)
