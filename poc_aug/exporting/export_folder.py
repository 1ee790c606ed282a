"""`ExportFolder`: the folder that frames are exported to: whose it is, what is in it, and what is recorded of it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeAlias

from poc_aug.cache.lock import FileLock
from poc_aug.errors import CacheBusyError, ExportError
from poc_aug.exporting.export_report import NO_INSERTION
from poc_aug.exporting.whole_files import PARTIAL, place_files, placing, remove_partial, sizes_of
from poc_aug.files.outputs import check_outputs

EXPORT_MANIFEST = "export.json"
"""Says what an export is: its recipe, labels, layout and counts."""
EXPORT_FRAMES = "export.frames.jsonl"
"""One line for each frame: where it came from, its files, what was inserted."""
_LOCK = ".export.lock"
_FORMAT = "poc_aug-export"
_AROUND = 24
_OWN = frozenset((EXPORT_MANIFEST, EXPORT_FRAMES, _LOCK, PARTIAL))

Line: TypeAlias = dict[str, Any]
"""What is recorded of a frame."""


class ExportFolder:
    """An export's folder while frames are written to it; nobody else may write meanwhile.

    Args:
        path: the folder, which need not exist.
        identity: what has to be equal for frames to belong together, as JSON values.

    Attributes:
        lines: what is recorded of each frame, by split and name.
        complete: whether the last export into it came to its end.

    Raises:
        ExportError: it holds another export, or files that are none; another process exports into it.
        OutputError: it cannot be written, or is inside a cache.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with ExportFolder(Path(folder), {"layout": "pebal"}) as export:
        ...         export.begin({"layout": "pebal"})
        ...     ExportFolder(Path(folder), {"layout": "coco"})
        Traceback (most recent call last):
        poc_aug.errors.ExportError: ... holds another export: layout: there "pebal", now "coco"
        Expected: the classes, recipe, labels, layout and feather of what is there, or an empty folder
        Next step: give another folder: all frames are written there
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = check_outputs(path)
        self._identity = dict(identity)
        self._journal: BinaryIO | None = None
        held = sorted(set(os.listdir(self.path)) - _OWN)
        if held and not (self.path / EXPORT_MANIFEST).exists():
            raise ExportError(
                f"{str(path)!r} holds {', '.join(held[:4])}{', ...' * (len(held) > 4)}, and no export",
                expected="an empty folder, or one that an export was begun in",
                hint="give another folder",
            )
        self._lock = _locked(self.path)
        try:
            self.manifest = self._read_manifest()
            remove_partial(self.path)
            self.lines = self._read_lines()
            self.complete = bool(self.manifest.get("complete"))
        except BaseException:
            self._lock.release()
            raise

    def begin(self, manifest: Mapping[str, Any]) -> None:
        """Record that frames are being written."""
        self._write_manifest({**manifest, "complete": False})
        self.complete = False
        with placing(self.path / EXPORT_FRAMES):
            self._journal = (self.path / EXPORT_FRAMES).open("ab")

    def is_done(self, split: str, name: str, origin: str, *, keep_empty: bool, with_objects: bool = False) -> bool:
        """Whether a frame was written whole from the same variant and is still there, or is left out."""
        line = self.lines.get((split, name))
        if line is None or line["origin"] != origin:
            return False
        if "skipped" in line:
            return not (keep_empty and line["skipped"] == NO_INSERTION)
        if with_objects and line["variant"] is not None and not line["objects"]:
            return False  # it was kept, and is to be left out now
        sizes: dict[str, int] = line["files"]
        return sizes_of(self.path, sizes) == sizes

    def record(self, line: str) -> Line:
        """Record a frame whose files are there."""
        assert self._journal is not None
        with placing(self.path / EXPORT_FRAMES):
            self._journal.write(line.encode() + b"\n")
            self._journal.flush()
        read: Line = json.loads(line)
        self.lines[read["split"], read["name"]] = read
        return read

    def finish(self, manifest: Mapping[str, Any], lines: Iterable[Line]) -> None:
        """Record that all frames are there, in order."""
        content = "".join(f"{json.dumps(line)}\n" for line in lines)
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        place_files(self.path, {EXPORT_FRAMES: content.encode()})
        self._write_manifest({**manifest, "complete": True})
        self.complete = True

    def __enter__(self) -> ExportFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            self._journal.close()
        remove_partial(self.path)
        self._lock.release()

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        self.manifest = {"format": _FORMAT, "version": 1, **manifest, "identity": self._identity}
        text = json.dumps(self.manifest, indent=1, allow_nan=False)
        place_files(self.path, {EXPORT_MANIFEST: text.encode() + b"\n"})

    def _read_manifest(self) -> dict[str, Any]:
        path = self.path / EXPORT_MANIFEST
        if not path.exists():
            return {}
        try:
            manifest = json.loads(path.read_bytes())
            stored = manifest["identity"]
            if manifest["format"] != _FORMAT or not isinstance(stored, dict):
                raise ValueError(f"format {manifest['format']!r}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExportError(
                f"{str(path)!r} is not the manifest of an export: {error}",
                expected="a file that an export wrote",
                hint="give another folder",
            ) from error
        if stored != self._identity:
            raise _another_export(self.path, stored, self._identity)
        return dict(manifest)

    def _read_lines(self) -> dict[tuple[str, str], Line]:
        path = self.path / EXPORT_FRAMES
        lines: dict[tuple[str, str], Line] = {}
        if not path.exists():
            return lines
        whole = 0
        with placing(path), path.open("r+b") as file:
            for content in file:
                if not content.endswith(b"\n"):
                    break  # the run was killed while it wrote this line
                try:
                    line = json.loads(content)
                    _ = line["origin"], line.get("skipped") or line["files"]
                    lines[line["split"], line["name"]] = line
                except (ValueError, KeyError, TypeError):
                    break
                whole += len(content)
            file.truncate(whole)
        return lines


def _locked(folder: Path) -> FileLock:
    with placing(folder / _LOCK):
        try:
            return FileLock(folder / _LOCK)
        except CacheBusyError as error:
            holder = error.problem.rpartition(" by ")[2]
            raise ExportError(
                f"{holder} is exporting into {str(folder)!r}",
                expected="one export into a folder at a time",
                hint="wait for it, or give another folder",
            ) from None


def _another_export(path: Path, there: Mapping[str, Any], now: Mapping[str, Any]) -> ExportError:
    """Of an export that is continued as another one: what differs, and what to do."""
    names = [name for name in {**there, **now} if there.get(name) != now.get(name)]
    said, next_step = [], "all frames are written there"
    before, after = there.get("label_ids"), now.get("label_ids")
    if "label_ids" in names and "recipes" not in names and isinstance(before, dict) and isinstance(after, dict):
        # Of equal recipes, only what was relabelled brings classes, or takes them away.
        new, gone = (_classes(one, other) for one, other in ((after, before), (before, after)))
        if all(after[name] == number for name, number in before.items() if name in after):
            names.remove("label_ids")
            said += [f"no frame there has the class {_listed(new)}, which something was relabelled to since"] * bool(
                new
            )
            said += [f"there is the class {_listed(gone)}, which nothing is relabelled to any more"] * bool(gone)
            next_step = "all frames are written there, with the ids that hold now"
    for name in names:
        one, other = _differing(there.get(name), now.get(name))
        said.append(f"{name}: there {_short(one)}, now {_short(other)}")
    return ExportError(
        f"{str(path)!r} holds another export: {'; '.join(said)}",
        expected="the classes, recipe, labels, layout and feather of what is there, or an empty folder",
        hint=f"give another folder: {next_step}",
        command=f"give another folder with --out: {next_step}",
    )


def _classes(of: Mapping[str, Any], besides: Mapping[str, Any]) -> dict[str, Any]:
    """The classes that only one of two tables of ids has."""
    return {name: number for name, number in of.items() if name not in besides}


def _listed(classes: Mapping[str, Any]) -> str:
    return ", ".join(f"{_short(name)} (id {number})" for name, number in classes.items())


def _differing(there: Any, now: Any) -> tuple[Any, Any]:
    """Of two tables what differs, of two texts where they do; of anything else the whole."""
    if isinstance(there, str) and isinstance(now, str):
        equal = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(there, now, strict=False))
        start = max(0, sum(1 for _ in equal) - _AROUND)
        dots = "..." if start else ""
        return f"{dots}{there[start:]}", f"{dots}{now[start:]}"
    if not (isinstance(there, dict) and isinstance(now, dict)):
        return there, now
    names = [name for name in {**there, **now} if there.get(name) != now.get(name)]
    return {name: there[name] for name in names if name in there}, {name: now[name] for name in names if name in now}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
