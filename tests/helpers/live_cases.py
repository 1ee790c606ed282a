"""What the tests of generation while training share: inserters that wait, fail or die, and looking for what is left."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing import util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.augmented_dataset import AugmentedDataset
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.live.live_generator import LiveGenerator
from poc_aug.live.process_supervisor import GenerationProcess
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.waiting import wait_until as wait_until

LENGTH = 12


def tensors(image: Image.Image, labels: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(labels))


def keep(batch: list[Any]) -> list[Any]:
    return batch


def equal(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


class LoggedInserter(EllipseInserter):
    """Writes a line for each crop into a file: what was really generated, by which process."""

    def __init__(self, log: Path, *, reject: float = 0.0) -> None:
        super().__init__(reject=reject)
        self.log = log

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        with self.log.open("a") as file:
            file.write("".join(f"{os.getpid()} {crop.seed}\n" for crop in crops))
        return super().insert(crops)


class MeetingInserter(LoggedInserter):
    """Begins only when as many processes as there are to be have something to generate."""

    def __init__(self, log: Path, met: Path, count: int) -> None:
        super().__init__(log)
        self.met, self.count = met, count

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        self.met.mkdir(exist_ok=True)
        (self.met / str(os.getpid())).touch()
        assert wait_until(lambda: len(list(self.met.iterdir())) >= self.count)
        return super().insert(crops)


class HeldInserter(EllipseInserter):
    """Generates nothing until a file is there."""

    def __init__(self, gate: Path) -> None:
        super().__init__()
        self.gate = gate

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        assert wait_until(self.gate.exists)
        return super().insert(crops)


class FailingInserter(EllipseInserter):
    """Raises for every crop whose seed is even."""

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        if any(crop.seed % 2 == 0 for crop in crops):
            raise ArithmeticError("the model overflowed")
        return super().insert(crops)


class MemoryInserter(EllipseInserter):
    """Runs out of memory."""

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        raise torch.OutOfMemoryError("CUDA out of memory")


class ThreadInserter(EllipseInserter):
    """Starts a thread that never ends, prints, and has something to clean up: as a library may, at its first use."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.log = log
        self.started = False

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        if not self.started:
            self.started = True
            start_endless_thread()
            for priority in (0, -100):  # -100: as `multiprocessing` deletes its temporary folder
                util.Finalize(None, self.clean_up, args=(priority,), exitpriority=priority)
            print("the thread is started", end="")
        return super().insert(crops)

    def clean_up(self, priority: int) -> None:
        with self.log.open("a") as file:
            file.write(f"{priority}\n")


def start_endless_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=False).start()


def pipeline(inserter: EllipseInserter | None = None, **recipe: Any) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(**recipe), inserter or EllipseInserter(reject=0.3), batch_size=4)


def build_pipeline() -> InsertionPipeline:
    return pipeline()


def build_nothing() -> InsertionPipeline:
    raise FileNotFoundError("no weights at model.safetensors")


def build_nothing_with_a_thread() -> InsertionPipeline:
    start_endless_thread()
    return build_nothing()


def build_nothing_and_never_clean_up() -> InsertionPipeline:
    util.Finalize(None, threading.Event().wait, exitpriority=0)
    return build_nothing()


def live(cache: Path | None = None, **changes: Any) -> POCAugmentedDataset:
    settings = {"pipeline": pipeline(), "p": 1.0, "transforms": tensors, "redraw": "epoch", **changes}
    return POCAugmentedDataset(Frames(LENGTH), cache, **settings)


def read_all(ds: AugmentedDataset) -> list[Any]:
    return [ds[i] for i in range(len(ds))]


def generator_of(ds: AugmentedDataset) -> LiveGenerator:
    assert ds._live is not None
    return ds._live


def process_of(ds: AugmentedDataset) -> GenerationProcess:
    """What starts and watches the generation process, in the process that opened the dataset."""
    process = generator_of(ds)._process
    assert process is not None
    return process


def server_pid(ds: AugmentedDataset) -> int:
    """The id of the generation process, which has to be started."""
    pid = generator_of(ds).pid
    assert pid is not None
    return pid


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not collected yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def traces(*pids: int) -> set[str]:
    """Everything with a name that these processes have left: shared memory, temporary folders, sockets."""
    named = {entry.name for folder in ("/dev/shm", tempfile.gettempdir()) for entry in Path(folder).iterdir()}
    named |= {line.rpartition("@")[2] for line in Path("/proc/net/unix").read_text().splitlines()}
    starts = tuple(f"{what}{pid}{end}" for pid in pids for what, end in (("poc_aug-", "-"), ("torch_", "_")))
    return {name for name in named if name.startswith(starts)}


def shared_memory_of(pid: int) -> int:
    """How many segments of ours a process has mapped or open."""
    maps = Path(f"/proc/{pid}/maps").read_text().count("memfd:poc_aug")
    opened = sum(1 for fd in Path(f"/proc/{pid}/fd").iterdir() if "memfd:poc_aug" in _target(fd))
    return maps + opened


def _target(fd: Path) -> str:
    try:
        return os.readlink(fd)
    except FileNotFoundError:  # closed meanwhile
        return ""
