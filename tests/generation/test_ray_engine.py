"""Ray actors fill a cache together: as one process would, whatever dies."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from poc_aug.errors import ClusterError, GenerationError, MissingDependencyError, SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.ray_cluster import RayEngine, resources_of
from poc_aug.generation.ray_engine import ActorTraceback
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.kinds import INSERTIONS, KINDS, Kind, insertion_pipeline
from tests.helpers.ray_cases import Meet, doubles, fatal_pipeline, records_by_shard, take_a_moment
from tests.helpers.waiting import wait_until
from tests.helpers.warming_cases import content

# Ray's own files and sockets, some of which it leaves to the garbage collection.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

TWO = RayEngine(actors=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of this process, which every run of this module uses."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    yield
    ray.shutdown()


def length(kind: Kind) -> int:
    return 20 // kind.per_sample


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_two_actors_fill_what_one_process_would(kind: Kind, tmp_path: Path) -> None:
    expected = kind.warm(tmp_path / "one.cache", length(kind))
    path, seen = tmp_path / "two.cache", []
    pipeline = kind.pipeline(on_each=Meet(tmp_path))
    kind.warm(path, length(kind), num_variants=1, limit=1)  # a part is there
    report = kind.warm(
        path, length(kind), engine=TWO, pipeline=pipeline, on_progress=lambda report: seen.append(report.made)
    )
    assert content(path) == content(tmp_path / "one.cache")
    assert not doubles(path)
    before = kind.per_sample
    assert (report.present, report.made, report.stored) == (before, expected.made - before, expected.made)
    assert report.elsewhere == 0
    assert seen == sorted(seen)
    assert seen[-1] == report.made
    # Each actor has a shard of its own, and neither waited for the other to end.
    shards = {name: len(records) for name, records in records_by_shard(path).items() if "-ray" in name}
    assert len(shards) == 2
    assert sum(shards.values()) == report.made
    again = kind.warm(path, length(kind), engine=TWO)
    assert (again.made, again.present) == (0, expected.made)


@pytest.mark.usefixtures("cluster")
def test_what_always_crashes_is_recorded_and_the_rest_is_made(tmp_path: Path) -> None:
    frames = Frames(6, broken=(4,))
    # The same crops raise in one process.
    expected = warm_cache(
        frames, tmp_path / "one.cache", fatal_pipeline(crashes=False), workers=0, num_variants=2, on_error="skip"
    )
    assert len(expected.failed) == 1
    path = tmp_path / "two.cache"
    report = warm_cache(
        frames, path, fatal_pipeline(crashes=True), workers=0, num_variants=2, on_error="skip", engine=TWO
    )
    assert content(path) == content(tmp_path / "one.cache")
    assert [(key, index) for key, index, _ in report.failed] == [(key, index) for key, index, _ in expected.failed]
    assert "was killed, ran out of memory or crashed" in report.failed[0][2]
    assert "in _one" in report.failed[0][2]  # the traceback of the crash
    assert "Segmentation fault" in report.failed[0][2]
    assert [key for key, _ in report.unreadable] == ["frame-004"]
    assert report.made + report.elsewhere == expected.made
    assert not doubles(path)


def raising_pipeline() -> InsertionPipeline:
    return fatal_pipeline(crashes=False)


@pytest.mark.usefixtures("cluster")
def test_an_exception_ends_the_run_with_what_is_finished(tmp_path: Path) -> None:
    report = WarmReport()
    with pytest.raises(GenerationError, match="kernel is too large") as caught:  # of a pipeline that is built there
        warm_cache(Frames(30), tmp_path / "a.cache", raising_pipeline, workers=0, report=report, engine="ray")
    assert isinstance(caught.value.__cause__, ActorTraceback)
    assert "in _one" in str(caught.value.__cause__)
    assert report.made == report.stored == len(content(tmp_path / "a.cache"))


class Interrupted:
    """Acts as Ctrl-C once something is stored."""

    def __init__(self) -> None:
        self.report: WarmReport | None = None

    def __call__(self, report: WarmReport) -> None:
        if report.stored:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("cluster")
def test_an_interrupted_run_keeps_what_is_finished_and_goes_on(tmp_path: Path) -> None:
    path, report = tmp_path / "a.cache", WarmReport()
    pipeline = insertion_pipeline(on_each=take_a_moment)
    with pytest.raises(KeyboardInterrupt):
        INSERTIONS.warm(path, 40, pipeline=pipeline, engine=TWO, on_progress=Interrupted(), report=report)
    stored = content(path)
    assert 0 < report.stored == report.made == len(stored) < 120
    INSERTIONS.warm(path, 40)
    INSERTIONS.warm(tmp_path / "one.cache", 40)
    assert content(path) == content(tmp_path / "one.cache")
    assert not doubles(path)


class LocksFrames(Frames):
    """Cannot be pickled."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.lock = threading.Lock()


class Elsewhere(Frames):
    """Can be pickled, but not where it arrives."""

    def __init__(self, length: int, process: int) -> None:
        super().__init__(length)
        self.process = process

    def __setstate__(self, state: dict[str, Any]) -> None:
        if os.getpid() != state["process"]:
            raise ModuleNotFoundError("No module named 'streets'")
        self.__dict__.update(state)


def pipeline_of_this_process() -> InsertionPipeline:
    return InsertionPipeline(make_recipe(seed=os.getpid()), EllipseInserter())


@pytest.mark.usefixtures("cluster")
def test_what_cannot_be_sent_or_differs_where_it_arrives(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"the dataset \(LocksFrames\) cannot be sent"):
        fill_from(LocksFrames(2), tmp_path)
    with pytest.raises(ClusterError, match="cannot begin: ModuleNotFoundError: No module named 'streets'"):
        fill_from(Elsewhere(2, os.getpid()), tmp_path)
    with pytest.raises(ClusterError, match="has built differs from the driver's"):
        warm_cache(Frames(2), tmp_path / "a.cache", pipeline_of_this_process, engine=RayEngine(actors=1))
    assert wait_until(lambda: ray.available_resources().get("CPU") == 2)  # no actor is left


def fill_from(dataset: Any, folder: Path) -> None:
    warm_cache(dataset, folder / "a.cache", insertion_pipeline(), workers=0, engine=RayEngine(actors=1))


def test_ray_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'poc_aug\[ray\]'"):
        warm_cache(Frames(2), tmp_path / "a.cache", insertion_pipeline(), engine="ray")
    assert not (tmp_path / "a.cache").exists()


@pytest.mark.parametrize("engine", ["rays", None, 2, RayEngine])
def test_an_engine_that_does_not_exist(engine: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match='"local", "ray", or a RayEngine'):
        warm_cache(Frames(2), tmp_path / "a.cache", insertion_pipeline(), engine=engine)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"actors": count} for count in (0, -1, 10**9)),
        *({"gpus_per_actor": gpus} for gpus in (-1, 1.5, float("nan"), float("inf"))),
        {"address": " "},
    ],
)
def test_settings_out_of_their_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        RayEngine(**wrong)


@pytest.mark.parametrize(
    ("engine", "available", "workers", "expected"),
    [
        (RayEngine(), {"CPU": 64, "GPU": 8}, 2, (8, 1, 1)),
        (RayEngine(gpus_per_actor=0.5), {"CPU": 64, "GPU": 8}, 2, (16, 1, 0.5)),
        (RayEngine(gpus_per_actor=2), {"CPU": 64, "GPU": 8}, 2, (4, 1, 2)),
        (RayEngine(gpus_per_actor=0), {"CPU": 64, "GPU": 8}, 3, (16, 4, 0)),
        (RayEngine(), {"CPU": 2}, 2, (1, 2, 0)),
        (RayEngine(actors=2), {"CPU": 2}, 2, (2, 1, 0)),
        # More actors than processors share them.
        (RayEngine(actors=8), {"CPU": 2}, 2, (8, 0.25, 0)),
        (RayEngine(), {"CPU": 4, "GPU": 8}, 2, (8, 0.5, 1)),
    ],
)
def test_what_each_actor_is_given(
    engine: RayEngine, available: dict[str, float], workers: int, expected: tuple[float, ...]
) -> None:
    given = resources_of(engine, available, workers, fixed=True)
    assert [given.actors, given.cpus, given.gpus] == list(expected)
    assert given.actors * given.cpus <= available["CPU"]


def test_more_gpus_than_there_are() -> None:
    with pytest.raises(ClusterError, match="3 actors with 1 GPUs each; there are 2") as caught:
        resources_of(RayEngine(actors=3, gpus_per_actor=1), {"CPU": 8, "GPU": 2}, 0, fixed=True)
    assert "--gpus-per-actor 0" in caught.value.on_command_line()
    # A cluster that grows may have them in a while.
    assert resources_of(RayEngine(actors=3, gpus_per_actor=1), {"CPU": 8, "GPU": 2}, 0, fixed=False).actors == 3
