"""The folder of a fine-tuning: what it was begun with, its checkpoints, and files that are whole or not there."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from poc_aug.cache.lock import FileLock
from poc_aug.cache.manifest import fsync_directory
from poc_aug.errors import CacheBusyError, OutputError, SettingError
from poc_aug.files.outputs import check_outputs, make_folder, writing

MODEL_FOLDER = "controlnet"
"""The folder of the finished model within that of its run."""
PICTURES_FOLDER = "validation"
EVENTS_FOLDER = "tensorboard"
CAPTIONS_FILE = "captions.jsonl"

_RUN = "run.json"
_CHECKPOINTS = "checkpoints"
_STATE = "state.pt"
_LOCK = ".lock"
_TEMPORARY = ".unfinished-"
_STEP = re.compile(r"step-\d{8}")


class RunFolder:
    """A folder in which a fine-tuning runs, and continues after it was killed.

    Args:
        path: the folder; made by `begin`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     run = RunFolder(Path(folder) / "run")
        ...     run.begin({"seed": 0})
        ...     run.save_checkpoint(2, {"weights": torch.ones(1)}, keep=2)
        ...     RunFolder(run.path).load_checkpoint()
        (2, {'weights': tensor([1.])})
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def model(self) -> Path:
        """Where the finished model is."""
        return self.path / MODEL_FOLDER

    def check(self, wanted: Mapping[str, Any], later: Sequence[str] = ()) -> bool:
        """Check, without writing anything, that a run can begin or continue here.

        Args:
            wanted: JSON values of everything that decides its result.
            later: names of those that are not known yet.

        Returns:
            Whether it continues one.

        Raises:
            SettingError: the folder holds another run; names what differs.
            OutputError: it holds something else.
        """
        file = self.path / _RUN
        if not file.exists():
            self._check_empty()
            return False
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{str(file)!r} cannot be read: {error}", expected="what a run wrote", hint="give another folder"
            ) from error
        differing = sorted(name for name in {*stored, *wanted} - {*later} if stored.get(name) != wanted.get(name))
        if differing:
            listed = "\n".join(f"  {name}: {stored.get(name)!r} there, {wanted.get(name)!r} now" for name in differing)
            raise SettingError(
                f"{str(self.path)!r} holds another run:\n{listed}",
                expected="the settings and data that it was begun with",
                hint="correct these, or give another folder",
            )
        return True

    def _check_empty(self) -> None:
        if not self.path.exists():
            return
        others = []
        if self.path.is_dir():
            names = sorted(each.name for each in self.path.iterdir())
            others = [name for name in names if name not in (_LOCK, CAPTIONS_FILE) and not name.startswith(_TEMPORARY)]
            if not others:
                return
        raise OutputError(
            f"{str(self.path)!r} {f'holds {others[0]!r}' if others else 'is a file'}, and is no folder of a "
            "fine-tuning",
            expected="a new or empty folder, or that of an earlier run",
            hint="give another folder",
        )

    def begin(self, wanted: Mapping[str, Any]) -> None:
        """Begin or continue a run, see `check`; what a killed one left half written is removed."""
        continues = self.check(wanted)
        check_outputs(self.path)
        for folder in (self.path, self.path / _CHECKPOINTS, self.path / PICTURES_FOLDER):
            for left in folder.glob(f"{_TEMPORARY}*"):
                with writing(left):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        if not continues:
            self.write_file(_RUN, json.dumps(dict(wanted), indent=1, sort_keys=True).encode() + b"\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context in which no other process trains into this folder.

        Raises:
            OutputError: one does already.
        """
        make_folder(self.path)
        with writing(self.path / _LOCK):
            try:
                lock = FileLock(self.path / _LOCK)
            except CacheBusyError as error:
                raise OutputError(
                    f"another process trains into {str(self.path)!r}",
                    expected="one process per folder",
                    hint="wait for it or stop it, or give another folder",
                ) from error
        try:
            yield
        finally:
            lock.release()

    def save_checkpoint(self, step: int, state: Mapping[str, Any], keep: int) -> None:
        """Write a checkpoint, and remove all but the newest ``keep``."""
        make_folder(self.path / _CHECKPOINTS)
        with self.new_folder(f"{_CHECKPOINTS}/step-{step:08d}") as folder:
            torch.save(dict(state), folder / _STATE)
        for old in self._checkpoints()[:-keep]:
            # Renamed first: a folder that is removed in part is no checkpoint.
            hidden = old.with_name(f"{_TEMPORARY}{old.name}")
            with writing(old):
                old.rename(hidden)
                shutil.rmtree(hidden)

    def load_checkpoint(self) -> tuple[int, dict[str, Any]] | None:
        """Step and state of the newest checkpoint, on the CPU; ``None``: there is none.

        Raises:
            OutputError: it cannot be read.
        """
        known = self._checkpoints()
        if not known:
            return None
        try:
            state: dict[str, Any] = torch.load(known[-1] / _STATE, map_location="cpu", weights_only=True)
        except Exception as error:  # what torch raises for broken files is of many kinds
            raise OutputError(
                f"the checkpoint {str(known[-1])!r} cannot be read: {type(error).__name__}",
                expected="a checkpoint as it was written",
                hint="remove it: the run then continues from the one before",
            ) from error
        return int(known[-1].name.removeprefix("step-")), state

    def _checkpoints(self) -> list[Path]:
        return sorted(path for path in (self.path / _CHECKPOINTS).glob("step-*") if _STEP.fullmatch(path.name))

    @contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """A folder to fill, which gets its name once all of it is on the disk; replaces one of that name."""
        target = self.path / name
        temporary = target.with_name(f"{_TEMPORARY}{target.name}-{os.getpid()}")
        old = target.with_name(f"{_TEMPORARY}{target.name}-old")
        with writing(target):
            for left in (temporary, old):
                if left.exists():
                    shutil.rmtree(left)
            temporary.mkdir(parents=True)
            yield temporary
            for file in sorted(temporary.rglob("*")):
                if file.is_file():
                    with file.open("rb") as stream:
                        os.fsync(stream.fileno())
            fsync_directory(temporary)
            if target.exists():
                target.rename(old)
            temporary.rename(target)
            fsync_directory(target.parent)
            if old.exists():
                shutil.rmtree(old)

    def write_file(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        target = self.path / name
        make_folder(target.parent)
        temporary = target.with_name(f"{_TEMPORARY}{target.name}-{os.getpid()}")
        with writing(target):
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
            fsync_directory(target.parent)
