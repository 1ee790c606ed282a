"""Tar shards of a split: what they hold, and further ones of frames that none holds yet."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from poc_aug.errors import ExportError
from poc_aug.exporting.streamed_files import streamed_file

_BLOCK = 512


def shard_name(split: str, number: int) -> str:
    """The name of a shard.

    Example:
        >>> shard_name("train", 7)
        'train-000007.tar'
    """
    return f"{split}-{number:06d}.tar"


def shards_of(folder: Path, split: str) -> list[Path]:
    """The shards of a split, in order."""
    pattern = re.compile(re.escape(split) + r"-[0-9]{6}\.tar")
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))


def keys_in(shard: Path) -> set[str]:
    """The keys of a shard's samples: the names of its files up to the first dot.

    Raises:
        ExportError: it is no tar file, or a truncated one.
    """
    try:
        with tarfile.open(shard, "r:") as tar:
            return {member.name.partition(".")[0] for member in tar}
    except (OSError, tarfile.TarError) as error:
        raise ExportError(
            f"{str(shard)!r} cannot be read: {error}",
            expected="a shard as this export wrote it",
            hint="remove it and its frames, or export into another folder",
        ) from error


def write_shards(
    folder: Path, split: str, frames: Sequence[tuple[str, Sequence[Path]]], *, most_frames: int, most_nbytes: int
) -> None:
    """Write frames that no shard of a split holds yet into further shards, each of which appears whole.

    Once a shard is there, the files that it was made of are removed, so the frames take no more room than one shard
    beyond their size. Equal frames make equal shards.

    Args:
        folder: the export's folder.
        split: the split.
        frames: key and files of each frame; a file's name from its first dot on is its name in the sample.
        most_frames: frames per shard.
        most_nbytes: bytes per shard, unless a single frame has more.

    Raises:
        ExportError: a file is gone.
        OutputError: a shard cannot be written.
    """
    held = shards_of(folder, split)
    number = 1 + max((int(path.stem[-6:]) for path in held), default=-1)
    for chunk in _chunks(frames, most_frames, most_nbytes):
        with (
            streamed_file(folder, shard_name(split, number)) as file,
            tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for key, paths in chunk:
                for path in paths:
                    content = path.read_bytes()
                    # Owner, time and permissions are the same on every machine.
                    info = tarfile.TarInfo(f"{key}{path.name[path.name.index('.') :]}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        remove_files(chunk)
        number += 1


def remove_files(frames: Sequence[tuple[str, Sequence[Path]]]) -> None:
    """Remove the files of frames that shards hold."""
    for _, paths in frames:
        for path in paths:
            path.unlink(missing_ok=True)


def _chunks(
    frames: Sequence[tuple[str, Sequence[Path]]], most_frames: int, most_nbytes: int
) -> Iterator[list[tuple[str, Sequence[Path]]]]:
    chunk: list[tuple[str, Sequence[Path]]] = []
    nbytes = 0
    for key, paths in frames:
        size = sum(_BLOCK + -(-_size(path) // _BLOCK) * _BLOCK for path in paths)
        if chunk and (len(chunk) >= most_frames or nbytes + size > most_nbytes):
            yield chunk
            chunk, nbytes = [], 0
        chunk.append((key, paths))
        nbytes += size
    if chunk:
        yield chunk


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise ExportError(
            f"{str(path)!r}, a file of a frame that was written, is gone, and no shard holds the frame",
            expected="the files of this export, which it removes itself",
            hint="export into another folder",
        ) from error
