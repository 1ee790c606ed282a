"""Large files of an export, written piece by piece and put in place whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from poc_aug.errors import ExportError
from poc_aug.exporting.whole_files import PARTIAL, placing


@contextmanager
def streamed_file(folder: Path, name: str) -> Iterator[BinaryIO]:
    """A file that appears in an export's folder, whole, when the context ends without an error.

    Args:
        folder: the export's folder.
        name: path of the file relative to it.

    Raises:
        OutputError: it cannot be written, such as on a full disk; what was there before stays.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with streamed_file(Path(folder), "annotations/a.json") as file:
        ...         _ = file.write(b"[]")
        ...     (Path(folder) / "annotations" / "a.json").read_bytes()
        b'[]'
    """
    target = folder / name
    temporary = folder / PARTIAL / f"{os.getpid()}-{name.replace('/', '-')}"
    with placing(target):
        temporary.parent.mkdir(exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def write_list(file: BinaryIO, values: Iterable[Any]) -> None:
    """Write JSON values as a list, one per line, without holding them all."""
    file.write(b"[")
    for number, value in enumerate(values):
        file.write(b"\n" if number == 0 else b",\n")
        file.write(json.dumps(value, separators=(",", ":"), allow_nan=False).encode())
    file.write(b"\n]")


def records_by_split(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """What layouts returned of their frames, by split."""
    splits: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        splits.setdefault(record["split"], []).append(record)
    return splits


def remove_others(folder: Path, pattern: str, names: Iterable[str]) -> None:
    """Remove what describes splits of which no frame is left.

    Args:
        folder: the export's folder.
        pattern: glob of the files that describe splits.
        names: those of splits that have frames.
    """
    kept = {folder / name for name in names}
    for path in sorted(set(folder.glob(pattern)) - kept):
        with placing(path):
            path.unlink()


def json_file(value: Any) -> bytes:
    """A JSON value as the content of a file."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def read_part(path: Path) -> dict[str, Any]:
    """What a layout has written of a frame for its `finish`.

    Raises:
        ExportError: it is gone, or damaged.
    """
    try:
        part: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{str(path)!r} cannot be read: {error}",
            expected="the file that this export wrote of the frame",
            hint="export into another folder",
        ) from error
    return part
