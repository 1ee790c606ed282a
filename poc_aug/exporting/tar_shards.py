"""Tar shards of a split: kept in agreement with the frames of an export, each appearing whole."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from poc_aug.errors import ExportError
from poc_aug.exporting.streamed_files import streamed_file

DIGEST = "digest"
"""Field of a sample's JSON: a hash of what the sample holds."""

_BLOCK = 512


@dataclass(frozen=True)
class ShardFrame:
    """A frame that a shard is to hold.

    Attributes:
        key: the sample's key, without dots.
        digest: hash of what it holds, as its JSON says.
        paths: files that it is made of, there until a shard holds them; what follows the first dot of a file's name is
            its name in the sample.
    """

    key: str
    digest: str
    paths: tuple[Path, ...]


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


def splits_with_shards(folder: Path) -> set[str]:
    """The splits that a folder has shards of."""
    matches = (re.fullmatch(r"(.+)-[0-9]{6}\.tar", path.name) for path in folder.iterdir())
    return {match[1] for match in matches if match}


def frames_in(shard: Path) -> dict[str, str]:
    """Key and digest of each frame of a shard.

    Raises:
        ExportError: it is no tar file of an export, or a truncated one.
    """
    found: dict[str, str] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                if ending == "json" and (content := tar.extractfile(member)) is not None:
                    found[key] = str(json.load(content)[DIGEST])
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{str(shard)!r} cannot be read: {error}",
            expected="a shard as this export wrote it",
            hint="export into another folder",
        ) from error
    return found


def agree_shards(folder: Path, split: str, frames: Sequence[ShardFrame], *, most_frames: int, most_nbytes: int) -> None:
    """Make the shards of a split hold these frames, and no others.

    Frames that no shard holds go into further ones. A shard that holds a frame that has changed, or is no longer
    exported, is written again; the others do not change. Once a shard is in place the files that it was made of are
    removed, so the frames take no more room than one shard beyond their size. It may be killed at any moment.

    Args:
        folder: the export's folder.
        split: the split.
        frames: the frames, in order.
        most_frames: frames per shard.
        most_nbytes: bytes per shard, unless a single frame has more.

    Raises:
        ExportError: a file or a shard is gone or damaged.
        OutputError: a shard cannot be written.
    """
    wanted = {frame.key: frame for frame in frames}
    held: set[str] = set()
    for shard in shards_of(folder, split):
        inside = frames_in(shard)
        if any(key not in wanted or wanted[key].digest != digest for key, digest in inside.items()):
            _write_again(folder, shard, inside, wanted)
        kept = [wanted[key] for key in inside if key in wanted]
        _remove_files(kept)
        held.update(frame.key for frame in kept)
    _close_gaps(folder, split)
    number = len(shards_of(folder, split))
    for chunk in _chunks([frame for frame in frames if frame.key not in held], most_frames, most_nbytes):
        with _new_shard(folder, shard_name(split, number)) as tar:
            for frame in chunk:
                _add(tar, frame)
        _remove_files(chunk)
        number += 1


def _write_again(folder: Path, shard: Path, inside: Mapping[str, str], wanted: Mapping[str, ShardFrame]) -> None:
    """Write a shard with the present form of its frames, without those that are not wanted."""
    if not inside.keys() & wanted.keys():
        shard.unlink()
        return
    with tarfile.open(shard, "r:") as old, _new_shard(folder, shard.name) as tar:
        last = ""
        for member in old:
            key = member.name.partition(".")[0]
            if key not in wanted:
                continue
            if wanted[key].digest == inside.get(key):
                tar.addfile(member, old.extractfile(member))
            elif key != last:
                _add(tar, wanted[key])
            last = key


def _close_gaps(folder: Path, split: str) -> None:
    """Number the shards from 0 on without gaps: readers are given their range."""
    for number in range(len(shards := shards_of(folder, split))):
        if not (folder / shard_name(split, number)).exists():
            shards.pop().rename(folder / shard_name(split, number))


@contextmanager
def _new_shard(folder: Path, name: str) -> Iterator[tarfile.TarFile]:
    """A tar file that appears whole."""
    with (
        streamed_file(folder, name) as file,
        tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        yield tar


def _add(tar: tarfile.TarFile, frame: ShardFrame) -> None:
    for path in frame.paths:
        _size(path)
        content = path.read_bytes()
        # Owner, time and permissions are the same on every machine.
        info = tarfile.TarInfo(f"{frame.key}{path.name[path.name.index('.') :]}")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def _remove_files(frames: Sequence[ShardFrame]) -> None:
    for frame in frames:
        for path in frame.paths:
            path.unlink(missing_ok=True)


def _chunks(frames: Sequence[ShardFrame], most_frames: int, most_nbytes: int) -> Iterator[list[ShardFrame]]:
    chunk: list[ShardFrame] = []
    nbytes = 0
    for frame in frames:
        size = sum(_BLOCK + -(-_size(path) // _BLOCK) * _BLOCK for path in frame.paths)
        if chunk and (len(chunk) >= most_frames or nbytes + size > most_nbytes):
            yield chunk
            chunk, nbytes = [], 0
        chunk.append(frame)
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
