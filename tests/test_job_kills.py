"""A few of the kills of ``python -m tests.kills`` where several processes and machines fill one cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.kinds import FRAMES, KINDS, Kind
from tests.helpers.ray_cases import doubles
from tests.helpers.warming_cases import content
from tests.kills.job_kills import DIED, end, kill_jobs, start_jobs
from tests.kills.ray_kills import kill_actors, kill_driver
from tests.kills.warm_kills import LENGTH, NUM_VARIANTS

pytestmark = [
    pytest.mark.timeout(1500),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def whole(kind: Kind, path: Path) -> dict[tuple[str, int], bytes]:
    """What one process makes."""
    kind.warm(path, LENGTH // kind.per_sample, num_variants=NUM_VARIANTS)
    return content(path)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_two_jobs_at_once_make_what_one_process_makes(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "two.cache"
    for job in start_jobs(kind, path, 2):
        end(job, 0)
    assert content(path) == whole(kind, tmp_path / "one.cache")
    assert not doubles(path)
    shards = sorted(file.name.split("-20")[0].rpartition("-")[2] for file in path.glob("shards/*.lmdb"))
    assert shards == ["0of2", "1of2"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_three_of_four_jobs_die_and_run_again_as_five(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "jobs.cache"
    # The first three have 21 variants or more, so at least as many attempts; 16 are stored at once.
    for number, job in enumerate(start_jobs(kind, path, 4, dying=3, after=20)):
        end(job, DIED if number < 3 else 0)
    stored = content(path)
    expected = whole(kind, tmp_path / "one.cache")
    assert stored.items() < expected.items()
    for job in start_jobs(kind, path, 5):
        end(job, 0)
    assert content(path) == expected
    assert not doubles(path)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_numbered_jobs_killed_at_random_moments(kind: Kind, tmp_path: Path) -> None:
    counts = kill_jobs(4, tmp_path, seed=2, kind=kind)
    assert counts["kills"] == 4
    assert counts["caches completed, equal to the bit"] >= 1


def test_a_ray_actor_killed_at_a_random_moment(tmp_path: Path) -> None:
    counts = kill_actors(1, tmp_path, seed=2)
    assert counts["kills"] == counts["caches completed, equal to the bit"] == 1


def test_the_driver_of_ray_actors_killed_at_a_random_moment(tmp_path: Path) -> None:
    counts = kill_driver(1, tmp_path, seed=2, kind=FRAMES)
    assert counts["kills"] == counts["caches completed, equal to the bit"] == 1
