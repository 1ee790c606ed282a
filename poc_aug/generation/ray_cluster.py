"""The connection to a Ray cluster, and how many actors with which resources it is asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from poc_aug.errors import ClusterError, SettingError, in_one_line
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.optional_imports import require

_MOST_ACTORS = 100_000
_STORE_NBYTES = 100 * 2**20
_LOCAL = "local"


@dataclass(frozen=True)
class RayEngine:
    """Ray actors fill a cache: one model set and one shard each, on one machine or many.

    Attributes:
        address: ``None``: a cluster on this machine, which ends with the run, or that of the environment variable
            ``RAY_ADDRESS``; "auto": the one that this machine is part of; "ray://head:10001", "head:6379": that one. A
            cluster that this process is connected to already is used in any case.
        actors: how many; ``None``: one per GPU, and without GPUs one per ``1 + workers`` processors.
        gpus_per_actor: GPUs of each; a part of one lets several actors share it, 0 hides them. ``None``: 1 if the
            cluster has any.
        make_pipeline: builds the pipeline in each actor, so that models are loaded there and not sent. ``None``: the
            pipeline is sent as it is, or, if `poc_aug.warm_cache` got a function in its place, that function.

    Raises:
        SettingError: a number out of its range.

    Example:
        >>> RayEngine(actors=2).actors
        2
    """

    address: str | None = None
    actors: int | None = None
    gpus_per_actor: float | None = None
    make_pipeline: Callable[[], GenerationPipeline] | None = None

    def __post_init__(self) -> None:
        if self.actors is not None and not 1 <= self.actors <= _MOST_ACTORS:
            raise SettingError(f"actors={self.actors}", expected=f"1 to {_MOST_ACTORS}, or None for one per GPU")
        gpus = self.gpus_per_actor
        if gpus is not None and not (0 <= gpus < 1 or (1 <= gpus < math.inf and gpus == int(gpus))):
            raise SettingError(
                f"gpus_per_actor={gpus}", expected="a whole number of GPUs, 0 for none, or a part of one such as 0.5"
            )
        if self.address is not None and not self.address.strip():
            raise SettingError(f"address={self.address!r}", expected='"auto", "ray://head:10001", or None')


@dataclass(frozen=True)
class ActorResources:
    """How many actors there are, and what each of them is given."""

    actors: int
    cpus: float
    gpus: float


def require_ray() -> Any:
    """The package ``ray``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    return require("ray", extra="ray", purpose='engine="ray"')


@contextmanager
def connected(engine: RayEngine, plan_nbytes: int) -> Iterator[Any]:
    """The package ``ray``, connected to the cluster that is asked for; a cluster that is started here ends with it.

    Args:
        engine: which cluster.
        plan_nbytes: what its object store has to hold.

    Raises:
        MissingDependencyError: Ray is not installed.
        ClusterError: it cannot be connected to.
    """
    ray = require_ray()
    if ray.is_initialized():
        yield ray
        return
    address = engine.address or os.environ.get("RAY_ADDRESS") or _LOCAL
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == _LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        os.environ.setdefault("RAY_worker_niceness", "0")  # by default actors yield to everything else that runs
        options |= {"include_dashboard": False, "object_store_memory": _STORE_NBYTES + 2 * plan_nbytes}
    try:
        ray.init(address=address, **options)
    except Exception as error:  # Ray raises what its parts raise: ConnectionError, RuntimeError, ValueError, ...
        started = address == _LOCAL
        raise ClusterError(
            f"Ray cannot {'start on this machine' if started else f'connect to {address!r}'}: {in_one_line(error)}",
            expected="room in /tmp and memory for Ray's processes" if started else "the address of a running cluster",
            hint="see /tmp/ray/session_latest/logs" if started else 'ray start --head, then RayEngine(address="auto")',
            command="" if started else "ray start --head, then --address auto; without --address, one starts here",
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def resources_of(engine: RayEngine, available: dict[str, float], workers: int, *, fixed: bool) -> ActorResources:
    """How many actors a cluster gets, and what each of them is given.

    Args:
        engine: what was asked for.
        available: all that the cluster has.
        workers: loader processes per actor.
        fixed: whether the cluster will not grow.

    Raises:
        ClusterError: more GPUs than a cluster has that does not grow.

    Example:
        >>> resources_of(RayEngine(), {"CPU": 16, "GPU": 2}, workers=2, fixed=True)
        ActorResources(actors=2, cpus=1, gpus=1.0)
        >>> resources_of(RayEngine(), {"CPU": 6}, workers=2, fixed=True)
        ActorResources(actors=2, cpus=3, gpus=0.0)
    """
    all_cpus, all_gpus = available.get("CPU", 1.0), available.get("GPU", 0.0)
    gpus = float(min(all_gpus, 1.0) if engine.gpus_per_actor is None else engine.gpus_per_actor)
    actors = engine.actors
    if actors is None:
        actors = max(1, int(all_gpus / gpus if gpus else all_cpus / (1 + workers)))
    if fixed and gpus and int(all_gpus / gpus) < actors:
        problem = f"{actors} actor{'' if actors == 1 else 's'} with {gpus:g} GPUs each; there are {all_gpus:g}"
        raise ClusterError(
            problem,
            expected="GPUs for all actors",
            hint="RayEngine(gpus_per_actor=0), or fewer actors, or a part of a GPU each, such as 0.5",
            command="--gpus-per-actor 0, or fewer --actors, or a part of a GPU each: --gpus-per-actor 0.5",
        )
    if gpus or engine.actors is not None:
        per_actor = min(1.0, all_cpus / actors)
    else:
        per_actor = min(1.0 + workers, all_cpus)
    cpus: float = int(per_actor) if per_actor >= 1 else math.floor(100 * per_actor) / 100  # Ray knows parts of one
    return ActorResources(actors, cpus, gpus)
