"""`EditedPair`: an edited frame and its labels on disk; `EditedPairs`: all of a folder, with what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import xxhash

from poc_aug.datasets.file_pairing import natural_order
from poc_aug.errors import ImportFilesError
from poc_aug.recipe import ObjectSpec


@dataclass(frozen=True)
class EditedPair:
    """An edited frame.

    Attributes:
        key: key of its base frame.
        name: path of the image relative to the source's folder, with forward slashes.
        image: the edited picture, or, ending in ``.npz``, its difference to the base.
        labels: its label map.
        spec: the object that was inserted, if its name says so; ``None``: any number of any.
        index: number of the variant.
    """

    key: str
    name: str
    image: Path
    labels: Path
    spec: ObjectSpec | None = None
    index: int = 0


@dataclass(frozen=True)
class EditedPairs:
    """The edited frames of a folder.

    Attributes:
        layout: how they are stored: "poc" or "pairs".
        source: name of the folder.
        pairs: the frames, numbered per base frame in the order of their names.
        problems: path and reason of each file that cannot be imported.
    """

    layout: str
    source: str
    pairs: tuple[EditedPair, ...]
    problems: tuple[tuple[str, str], ...] = field(default=())

    @property
    def digest(self) -> str:
        """Hash of the frames' names: with other ones, variants would have other numbers."""
        return xxhash.xxh3_128_hexdigest("\n".join(f"{pair.key}\t{pair.name}" for pair in self.pairs).encode())


def numbered(pairs: Sequence[EditedPair]) -> tuple[EditedPair, ...]:
    """The frames in the order of their names, numbered per base frame."""
    counts: dict[str, int] = {}
    result = []
    for pair in sorted(pairs, key=lambda one: natural_order(one.name)):
        index = counts.get(pair.key, 0)
        counts[pair.key] = index + 1
        result.append(replace(pair, index=index))
    return tuple(result)


def check_found(pairs: EditedPairs, looked_for: str, root: Path, hint: str, command: str) -> EditedPairs:
    """Check that a folder holds any edited frame.

    Raises:
        ImportFilesError: it holds none, whether they fit or not.
    """
    if not pairs.pairs and not pairs.problems:
        raise ImportFilesError(
            f"no edited frame in {str(root)!r}", expected=f"files as {looked_for}", hint=hint, command=command
        )
    return pairs
