"""`FillingActor`: one of the processes that fill a cache together; it is handed keys, and reads, generates and writes.

The driver (`poc_aug.generation.ray_engine`) makes it a Ray actor. Two of its methods run at once: `fill`, for as long
as there is work, and `exchange`, through which the driver hands over keys and learns how far it is.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import socket
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from poc_aug.cache.manifest import MANIFEST
from poc_aug.errors import ClusterError, GenerationError, in_one_line
from poc_aug.generation.base_pipeline import GenerationPipeline, built_pipeline
from poc_aug.generation.filling import Filling, frames_of
from poc_aug.generation.filling_plan import FillingPlan
from poc_aug.generation.frame_loading import load_frames
from poc_aug.generation.ray_cluster import require_ray
from poc_aug.generation.report_sums import copied
from poc_aug.generation.warm_report import WarmReport
from poc_aug.labels.schema import LabelSchema

Unit: TypeAlias = tuple[str, tuple[int, ...]]
"""What is handed over: a key and the numbers of the variants that are missing."""

_TOLD_S = 0.5
_CRASH = "poc-aug-crash-"
_CRASH_KEPT_S = 86400.0


@dataclass(frozen=True)
class SentPlan:
    """A plan as it is sent: with its pipeline, or with the function that builds it where it arrives.

    Attributes:
        plan: the plan.
        make_pipeline: builds the pipeline in the place of the plan's, which is not sent.
        schema: label schema of that pipeline.
        fingerprint: of the driver's pipeline, for which the cache was begun.
    """

    plan: FillingPlan
    make_pipeline: Callable[[], GenerationPipeline] | None
    schema: LabelSchema | None
    fingerprint: str

    @classmethod
    def of(cls, plan: FillingPlan, make_pipeline: Callable[[], GenerationPipeline] | None) -> SentPlan:
        """The plan of the driver."""
        pipeline = plan.pipeline
        nothing = cast(GenerationPipeline, None)
        sent = plan if make_pipeline is None else replace(plan, pipeline=nothing)
        return cls(sent, make_pipeline, pipeline.schema, pipeline.fingerprint)

    def built(self) -> GenerationPipeline:
        """The pipeline that the function builds.

        Raises:
            ClusterError: another one than the driver's.
        """
        assert self.make_pipeline is not None
        pipeline = built_pipeline(self.make_pipeline).with_schema(self.schema)
        if pipeline.fingerprint != self.fingerprint:
            raise ClusterError(
                f"the pipeline that an actor on {socket.gethostname()} has built differs from the driver's",
                expected="equal recipes, models and settings everywhere; a device decides the dtype if none is given",
                hint="give the dtype, and run the driver on a machine with the same devices",
                command="give --dtype, and run the command on a machine with the same devices",
            )
        return pipeline


@dataclass(frozen=True)
class Introduction:
    """What an actor says of itself when it is ready.

    Attributes:
        host: name of its machine.
        node: the id of its node.
        sees_cache: whether it sees the cache that the driver has begun: on the same disk.
        crash_file: where its process writes a traceback if it crashes.
    """

    host: str
    node: str
    sees_cache: bool
    crash_file: str


@dataclass(frozen=True)
class Told:
    """How far an actor is.

    Attributes:
        number: of the call of `FillingActor.fill`.
        report: what it did since `FillingActor.fill` began, as of the last time that all of it was on disk.
        finished: units of which nothing is left to do, since the last time.
        wanted: how many more units it could take.
    """

    number: int
    report: WarmReport
    finished: Sequence[str]
    wanted: int


@dataclass(frozen=True)
class Ended:
    """What `FillingActor.fill` did.

    Attributes:
        report: counts what it did.
        error: what ended it, if it did not come to its end.
        trace: that exception's traceback.
    """

    report: WarmReport
    error: BaseException | None = None
    trace: str = ""


class _Stopped(Exception):
    """The driver wants no more: what runs is finished and stored."""


@dataclass
class _Work:
    """What one call of `FillingActor.fill` is handed, and what it has done."""

    number: int
    plan: FillingPlan
    one_by_one: bool
    at_once: int
    report: WarmReport = field(default_factory=WarmReport)
    snapshot: WarmReport = field(default_factory=WarmReport)
    queue: deque[Unit] = field(default_factory=deque)
    open: dict[str, set[int]] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    counted: tuple[int, int] = (0, 0)
    waits: bool = False
    ended: bool = False


class FillingActor:
    """Fills a cache by a plan with what it is handed; see `poc_aug.generation.ray_engine`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._plan: FillingPlan | None = None
        self._work: _Work | None = None
        self._stopped = False
        self._crash_file = ""

    def prepare(self, data: Sequence[Any], job: str, uses_gpus: bool, token: bytes) -> Introduction:
        """Fetch the plan, once.

        Args:
            data: Ray's reference to it, as it was pickled.
            job: this actor's name, for the shard's.
            uses_gpus: whether it may use those that it sees.
            token: content of the manifest file that the driver has written.
        """
        ray = require_ray()
        if not uses_gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # newer versions of Ray show all of them to such an actor
        _remove_old_crash_files()
        handle, self._crash_file = tempfile.mkstemp(prefix=_CRASH, suffix=".txt")
        faulthandler.enable(os.fdopen(handle, "w"))
        sent: SentPlan = pickle.loads(ray.get(data[0]))  # only now: its modules may look for GPUs
        plan = sent.plan if sent.make_pipeline is None else replace(sent.plan, pipeline=sent.built())
        self._plan = replace(plan, job=job)
        sees = False
        with suppress(OSError):
            sees = (plan.cache / MANIFEST).read_bytes() == token
        node = ray.get_runtime_context().get_node_id()
        return Introduction(socket.gethostname(), node, sees, self._crash_file)

    def fill(self, number: int, one_by_one: bool) -> Ended:
        """Fill the cache with what `exchange` hands over, until that says that there is no more.

        Args:
            number: of this call.
            one_by_one: one unit after the other, in this process, so that it is known which of them ends it.
        """
        plan = self._plan
        assert plan is not None
        # As many samples as the engine and the loader processes take while the driver answers.
        variants = max(len(indices) for indices in plan.missing.values())
        at_once = -(-plan.pipeline.batch_size // variants) + 1 + 2 * plan.workers
        with self._changed:
            work = self._work = _Work(number, plan, one_by_one, at_once)
            self._changed.notify_all()
        try:
            if one_by_one:
                self._fill_one_by_one(work)
            else:
                self._fill_all(work)
        except _Stopped:
            pass
        except BaseException as error:  # also sys.exit of other code, which would end this process without a word
            return Ended(copied(work.report), _sendable(error), traceback.format_exc())
        return Ended(copied(work.report))

    def exchange(self, number: int, units: Sequence[Unit], ended: bool) -> Told:
        """Hand units over, and wait until more are needed, or for half a second.

        Args:
            number: of the call of `fill`, which may not have begun.
            units: what to do next.
            ended: whether these are the last.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._work is not None and self._work.number >= number)
            work = self._work
            assert work is not None
            if work.number > number:  # that call is over
                return Told(number, WarmReport(), (), 0)
            work.queue.extend(units)
            work.ended |= ended
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._wanted(work) > 0, timeout=_TOLD_S)
            finished, work.finished = work.finished, []
            return Told(number, work.snapshot, finished, self._wanted(work))

    def stop(self) -> None:
        """End `fill` soon: the batch that runs is waited for, and all that is finished is stored."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Remove what this actor keeps outside of the cache; it is not used any more."""
        with suppress(FileNotFoundError):
            os.unlink(self._crash_file)

    def _wanted(self, work: _Work) -> int:
        if work.ended or self._stopped:
            return 0
        if work.one_by_one:
            return 1 if work.waits and not work.queue else 0
        return max(0, work.at_once - len(work.queue))

    def _units(self, work: _Work) -> Iterator[Unit]:
        """What is handed over, as it comes."""
        while True:
            with self._changed:
                work.waits = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: work.queue or work.ended or self._stopped)
                work.waits = False
                if self._stopped:
                    raise _Stopped
                if not work.queue:
                    return
                unit = work.queue.popleft()
                work.open[unit[0]] = set(unit[1])
                self._changed.notify_all()
            yield unit

    def _fill_all(self, work: _Work) -> None:
        plan = work.plan
        place = {key: number for number, key in enumerate(plan.missing)}
        order = (place[key] for key, _ in self._units(work))
        # The loader's workers start before the writer opens its file: a forked child must not inherit it (lmdb).
        frames = load_frames(frames_of(plan, plan.missing), plan.workers, order)
        with frames.deaths_explained(), self._filling(work) as filling:
            filling.generate(frames, plan.missing)
            filling.make_what_others_left()

    def _fill_one_by_one(self, work: _Work) -> None:
        with self._filling(work) as filling:
            for key, indices in self._units(work):
                missing = {key: indices}
                filling.generate(load_frames(frames_of(work.plan, missing), 0), missing)
                filling.make_what_others_left()
                with self._changed:
                    self._finish(work, key)
                    work.snapshot = copied(work.report)

    def _filling(self, work: _Work) -> Filling:
        def progress() -> None:
            if self._stopped:
                raise _Stopped
            with self._changed:
                self._count_skipped(work)
                if work.report.made == work.report.stored:  # all of it is on disk
                    work.snapshot = copied(work.report)

        def stored(key: str, index: int) -> None:
            with self._changed:
                self._do(work, key, index)

        return Filling(work.plan, work.report, progress, stored)

    def _count_skipped(self, work: _Work) -> None:
        unreadable, failed = work.counted
        for key, _ in work.report.unreadable[unreadable:]:
            self._finish(work, key)
        for key, index, _ in work.report.failed[failed:]:
            self._do(work, key, index)
        work.counted = len(work.report.unreadable), len(work.report.failed)

    def _do(self, work: _Work, key: str, index: int) -> None:
        left = work.open.get(key, set())
        left.discard(index)
        if not left:
            self._finish(work, key)

    def _finish(self, work: _Work, key: str) -> None:
        if work.open.pop(key, None) is not None:
            work.finished.append(key)


def crash_text(path: str) -> str:
    """What a process that crashed has written of it, on its node; the file is removed.

    Example:
        >>> crash_text("no such file")
        ''
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        os.unlink(path)
    except FileNotFoundError:
        return ""
    return text.strip()


def _remove_old_crash_files() -> None:
    """Remove what actors left that were killed together with their driver."""
    for path in Path(tempfile.gettempdir()).glob(f"{_CRASH}*.txt"):
        with suppress(OSError):  # another actor does the same, or it is another user's
            if time.time() - path.stat().st_mtime > _CRASH_KEPT_S:
                path.unlink()


def _sendable(error: BaseException) -> BaseException:
    """An exception that the driver can receive: the one that was raised, or what it said."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # of other code: a class within a function, a file that it holds
        return GenerationError(in_one_line(error), expected="a dataset and backends that do not raise")
    return error
