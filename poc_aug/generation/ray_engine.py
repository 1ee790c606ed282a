"""Filling a cache with Ray actors: the driver hands out keys; no frame and no result passes through it.

Each actor has a model set and a shard of its own. One that is slow keeps no other waiting, since it is handed less.
What an actor had in work when it died is tried again, one sample after the other: what ends two actors by itself is
recorded as failed, and the others go on. What was committed stays in its shard, and is not made again.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from poc_aug.cache.manifest import MANIFEST
from poc_aug.counting import count_of
from poc_aug.errors import ClusterError, PocAugError, in_one_line
from poc_aug.generation.filling_plan import FillingPlan
from poc_aug.generation.ray_actor import Ended, FillingActor, Introduction, SentPlan, Told, Unit, crash_text
from poc_aug.generation.ray_cluster import ActorResources, RayEngine, connected, require_ray, resources_of
from poc_aug.generation.report_sums import add_up, copied, summed
from poc_aug.generation.warm_report import WarmReport

_logger = logging.getLogger("poc_aug")
_POLL_S = 0.5
_MOST_STRIKES = 2
_SLOW_START_S = 60.0
_LEAVING_S = 10.0
_LONGEST_TRACE = 2000


def fill_with_ray(plan: FillingPlan, engine: RayEngine, report: WarmReport, on_progress: Callable[[], None]) -> None:
    """Generate what a plan lacks with Ray actors; see `poc_aug.generation.filling.fill`.

    Args:
        plan: what is missing.
        engine: which cluster, and how many actors.
        report: counts what all of them do.
        on_progress: called as they go.

    Raises:
        ClusterError: no cluster, or actors that cannot begin.
        PocAugError: what an actor raised; see `poc_aug.warm_cache`.
    """
    if not plan.missing:
        return
    data = _packed(SentPlan.of(plan, engine.make_pipeline))
    with connected(engine, len(data)) as ray:
        fixed = engine.address is None and len(ray.nodes()) == 1
        resources = resources_of(engine, ray.cluster_resources(), plan.workers, fixed=fixed)
        _Driver(ray, plan, data, resources, report, on_progress).run()


def _packed(sent: SentPlan) -> bytes:
    """The plan as it is sent to the actors.

    Raises:
        ClusterError: it cannot be pickled; says what of it.
    """
    cloudpickle = require_ray().cloudpickle
    try:
        return bytes(cloudpickle.dumps(sent))
    except Exception as error:  # of other code: whatever its __reduce__ or __getstate__ raise
        parts = {name: getattr(sent.plan, name) for name in ("dataset", "pipeline", "adapt")}
        culprit = "the plan"
        for name, part in {**parts, "function that builds the pipeline": sent.make_pipeline}.items():
            try:
                cloudpickle.dumps(part)
            except Exception:
                culprit = f"the {name} ({type(part).__name__})"
                break
        raise ClusterError(
            f"{culprit} cannot be sent to Ray's actors: {in_one_line(error)}",
            expected="a dataset and a pipeline that can be pickled: no open files, locks or connections",
            hint="open them when the first item is read; a pipeline can be a function at module level that builds it",
            command="open them when the first item is read; or leave out --engine ray",
        ) from error


class ActorTraceback(Exception):
    """The traceback of an exception in an actor, as its text: the cause of the exception that the driver raises."""


@dataclass
class _Actor:
    """An actor, and what it has been handed."""

    number: int
    handle: Any
    prepared: Any = None  # the futures of its calls
    filling: Any = None
    told: Any = None
    introduction: Introduction | None = None
    node: str = ""
    run: int = 0
    one_by_one: bool = False
    given: dict[str, Unit] = field(default_factory=dict)
    report: WarmReport = field(default_factory=WarmReport)

    @property
    def is_idle(self) -> bool:
        return self.prepared is None and self.filling is None

    @property
    def futures(self) -> list[Any]:
        return [future for future in (self.prepared, self.filling, self.told) if future is not None]


class _Driver:
    """Hands out what is missing, and takes care of actors that die."""

    def __init__(
        self,
        ray: Any,
        plan: FillingPlan,
        data: bytes,
        resources: ActorResources,
        report: WarmReport,
        on_progress: Callable[[], None],
    ) -> None:
        self._ray, self._plan, self._resources = ray, plan, resources
        self._report, self._on_progress, self._before = report, on_progress, copied(report)
        self._data = ray.put(data)
        self._token = (plan.cache / MANIFEST).read_bytes()
        gpus = resources.gpus
        options = {"num_cpus": resources.cpus, "num_gpus": gpus, "max_concurrency": 4, "max_restarts": 0}
        self._make: Any = ray.remote(FillingActor).options(
            **options, **({} if gpus else {"scheduling_strategy": "SPREAD"})
        )
        self._units: deque[Unit] = deque((key, tuple(indices)) for key, indices in plan.missing.items())
        self._suspects: deque[Unit] = deque()
        self._strikes: Counter[Unit] = Counter()
        self._actors: list[_Actor] = []
        self._started = 0
        self._done = WarmReport()  # of actors' runs that are over, and of what is known to fail
        self._crashes = 0
        self._crashes_before_any = 2 * resources.actors + 2 * max(map(len, plan.missing.values()), default=1) + 2
        self._elsewhere: dict[str, str] = {}
        self._waited_s = 0.0

    def run(self) -> None:
        try:
            while self._work_left():
                self._start_actors()
                self._begin_runs()
                for actor, future in self._arrived():
                    self._receive(actor, future)
                    self._sum_up()
                    self._on_progress()
        except BaseException:  # also Ctrl-C
            self._stop()
            raise
        finally:
            self._sum_up()
            for actor in self._actors:
                self._release(actor)
            if self._elsewhere:
                _logger.warning("%s", self._merge_text())

    def _work_left(self) -> bool:
        return bool(self._units or self._suspects or any(actor.filling is not None for actor in self._actors))

    def _start_actors(self) -> None:
        """Start actors, also in the place of those that died, as far as there is work for them."""
        while True:
            starting = sum(actor.prepared is not None for actor in self._actors)
            if len(self._actors) >= self._resources.actors or starting >= len(self._units) + len(self._suspects):
                return
            actor = _Actor(self._started, self._make.remote())
            self._started += 1
            job = f"{self._plan.job}-ray{actor.number}"
            gpus = self._resources.gpus > 0
            actor.prepared = actor.handle.prepare.remote([self._data], job, gpus, self._token)
            self._actors.append(actor)

    def _begin_runs(self) -> None:
        """Give idle actors what there is to do; those for which there is nothing give back what they hold."""
        for actor in [actor for actor in self._actors if actor.is_idle]:
            if not self._units and not self._suspects:
                self._release(actor)
                self._actors.remove(actor)
                continue
            actor.run += 1
            actor.one_by_one = bool(self._suspects)
            actor.report = WarmReport()
            actor.filling = actor.handle.fill.remote(actor.run, actor.one_by_one)
            self._exchange(actor, 1)

    def _exchange(self, actor: _Actor, wanted: int) -> None:
        """Hand an actor as many units as it wants, and ask how far it is."""
        source = self._suspects if actor.one_by_one else self._units
        # Towards the end less at a time, so that no actor has much left when the others have nothing.
        share = -(-len(source) // (2 * max(1, len(self._actors))))
        units = [source.popleft() for _ in range(min(wanted, share, len(source)))]
        actor.given |= {unit[0]: unit for unit in units}
        actor.told = actor.handle.exchange.remote(actor.run, units, not source)

    def _arrived(self) -> Iterator[tuple[_Actor, Any]]:
        """The answers that have come, after waiting for one."""
        of = {future: actor for actor in self._actors for future in actor.futures}
        futures = list(of)
        self._ray.wait(futures, num_returns=1, timeout=_POLL_S, fetch_local=False)
        arrived, _ = self._ray.wait(futures, num_returns=len(futures), timeout=0, fetch_local=False)
        if all(actor.prepared is not None for actor in self._actors) and not arrived:
            self._waited_s += _POLL_S
            if self._waited_s >= _SLOW_START_S:
                self._waited_s = 0.0
                _logger.warning("%s", self._waiting_text())
        for future in arrived:
            if of[future] in self._actors:  # not one that turned out to be dead a moment ago
                yield of[future], future

    def _receive(self, actor: _Actor, future: Any) -> None:
        """Take an answer of an actor, or notice that it died."""
        try:
            value = self._ray.get(future)
        except self._ray.exceptions.RayTaskError as error:
            raise self._unusable(error) from error
        except self._ray.exceptions.RayError as error:
            self._bury(actor, error)
            return
        if isinstance(value, Introduction):
            actor.introduction, actor.prepared = value, None
            if not value.sees_cache:
                self._elsewhere.setdefault(value.host, value.node)
        elif isinstance(value, Told):
            if value.number != actor.run:
                return
            actor.told = None
            for key in value.finished:
                actor.given.pop(key, None)
            if actor.filling is not None:
                actor.report = value.report
                self._exchange(actor, value.wanted)
        elif isinstance(value, Ended):
            actor.filling = None
            actor.given.clear()
            actor.report = WarmReport()
            add_up(self._done, value.report)
            if value.error is not None:
                raise value.error from ActorTraceback(value.trace)

    def _bury(self, actor: _Actor, error: Exception) -> None:
        """An actor died: what it had in work is tried again, and what ended it twice is recorded."""
        self._actors.remove(actor)
        add_up(self._done, actor.report)
        with suppress(Exception):  # it may only have been unreachable
            self._ray.kill(actor.handle)
        reason = self._reason(actor, error)
        _logger.warning("an actor that fills the cache died (%s)", reason.splitlines()[0])
        self._crashes += 1
        if not (self._done.made or self._done.elsewhere) and self._crashes > self._crashes_before_any:
            raise ClusterError(
                f"{count_of(self._crashes, 'actor')} died before one of them stored anything: {reason}",
                expected="memory for as many model sets as there are actors on a machine, and code that does not crash",
                hint="fewer actors: RayEngine(actors=1); or fill in this process: engine='local'",
                command="fewer actors: --actors 1; or leave out --engine ray",
            )
        if not actor.one_by_one:
            self._suspects.extend(actor.given.values())
            return
        for unit in actor.given.values():
            self._strikes[unit] += 1
            key, indices = unit
            if len(indices) > 1:
                parts = [(key, (index,)) for index in indices]
                self._strikes.update(dict.fromkeys(parts, self._strikes[unit]))
                self._suspects.extend(parts)
            elif self._strikes[unit] < _MOST_STRIKES:
                self._suspects.append(unit)
            else:
                self._done.failed.append((key, indices[0], reason))

    def _reason(self, actor: _Actor, error: Exception) -> str:
        """Why an actor died, as far as anything is known; with the traceback of a crash in compiled code."""
        text = " ".join(str(error).split())
        _, found, detail = text.partition("Worker exit detail: ")
        detail = detail.partition(" Some common causes")[0] if found else text.partition(" class_name:")[0]
        host = actor.introduction.host if actor.introduction else "a machine"
        reason = f"its process on {host} was killed, ran out of memory or crashed: {detail.strip()}"
        trace = self._crash_text(actor)
        trace = trace.partition("\n\nThread ")[0].partition("\n\nExtension modules")[0]  # the thread that crashed
        return f"{reason}\n{trace[:_LONGEST_TRACE]}" if trace else reason

    def _crash_text(self, actor: _Actor) -> str:
        """What its process wrote when it crashed, wherever that was."""
        if actor.introduction is None:
            return ""
        if actor.introduction.host == socket.gethostname() and os.path.exists(actor.introduction.crash_file):
            return crash_text(actor.introduction.crash_file)
        ray = self._ray
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(actor.introduction.node, soft=False)
        read = ray.remote(crash_text).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
        try:
            return str(ray.get(read.remote(actor.introduction.crash_file), timeout=_SLOW_START_S))
        except ray.exceptions.RayError as error:  # the node is gone, too
            return f"(there is no traceback: {type(error).__name__})"

    def _unusable(self, error: Any) -> BaseException:
        """The exception of an actor that could not begin."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, PocAugError):
            return cause
        return ClusterError(
            f"an actor cannot begin: {in_one_line(cause or error)}",
            expected="the same packages, files and modules on every machine of the cluster as on this one",
            hint="install them there; ray job submit --working-dir . sends the modules of a folder",
        )

    def _stop(self) -> None:
        """End all actors: what they have finished is stored, the batches that run are waited for."""
        running = [actor for actor in self._actors if actor.filling is not None]
        for actor in running:
            actor.handle.stop.remote()
        for actor in running:
            try:
                ended = self._ray.get(actor.filling)
            except self._ray.exceptions.RayError as error:
                _logger.warning("an actor died while it was to end: %s", in_one_line(error))
                ended = Ended(actor.report)
            actor.filling = None
            actor.report = WarmReport()
            add_up(self._done, ended.report)

    def _release(self, actor: _Actor) -> None:
        """Give back what an idle actor holds."""
        with suppress(self._ray.exceptions.RayError):  # it is dead
            if actor.introduction is not None:
                self._ray.get(actor.handle.leave.remote(), timeout=_LEAVING_S)
            self._ray.kill(actor.handle)

    def _sum_up(self) -> None:
        total = summed([self._before, self._done, *(actor.report for actor in self._actors)])
        for name in ("made", "elsewhere", "objects", "without_object", "rejections", "rejected", "cutouts"):
            setattr(self._report, name, getattr(total, name))
        self._report.unreadable, self._report.failed = total.unreadable, total.failed
        self._report.stored = total.stored
        self._report.statistics = total.statistics

    def _waiting_text(self) -> str:
        needs = f"{self._resources.cpus:g} CPU" + (f" and {self._resources.gpus:g} GPU" if self._resources.gpus else "")
        return (
            f"no actor has begun yet: each needs {needs}, the cluster has {self._ray.available_resources()} free; "
            "models may also take a while to load"
        )

    def _merge_text(self) -> str:
        hosts = ", ".join(sorted(self._elsewhere))
        return (
            f"these machines do not see this machine's {self._plan.cache}, and have written to their own disks under "
            f"the same path: {hosts}. Copy their folders here and unite them: poc-aug merge {self._plan.cache} "
            "HOST.cache ... --out ALL.cache"
        )
