"""`Shard`: which of several jobs this is, as arguments and schedulers say it."""

from __future__ import annotations

from typing import Any

import pytest

from poc_aug.errors import ClusterError
from poc_aug.generation.numbered_jobs import Shard, part_of, shard_of_environment


def array(number: object, least: object, most: object, count: object, step: object = 1) -> dict[str, str]:
    values = {"ID": number, "MIN": least, "MAX": most, "COUNT": count, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def srun(number: int, count: int) -> dict[str, str]:
    return {"SLURM_PROCID": str(number), "SLURM_NTASKS": str(count), "SLURM_STEP_ID": "0"}


def torchrun(number: int, count: int) -> dict[str, str]:
    return {"RANK": str(number), "WORLD_SIZE": str(count)}


@pytest.mark.parametrize("value", [(1, 4), [1, 4], "1/4", " 1 / 4 ", Shard(1, 4)])
def test_forms_of_one_job(value: Any) -> None:
    assert Shard.of(value) == Shard(1, 4)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("3/2", "0/2 to 1/2"),
        ((3, 2), "0/2 to 1/2"),
        ("2/2", "numbered 0 to 1"),
        ("-1/2", "0/2 to 1/2"),
        ("1/1", "0/1, the only job"),
        ("0/0", "at least one job"),
        ("1/-2", "at least one job"),
        ("x", "counted from 0"),
        ("", "counted from 0"),
        ("1/2/3", "counted from 0"),
        ("¹/2", "counted from 0"),
        ("0/" + "9" * 5000, "counted from 0"),
        ((0,), "counted from 0"),
        (3, "counted from 0"),
        ((0.0, 2), "0/2 to 1/2"),
        ((False, 2), "0/2 to 1/2"),
        (("0", "2"), "at least one job"),
    ],
)
def test_what_is_no_job(value: Any, said: str) -> None:
    with pytest.raises(ClusterError, match=said) as caught:
        Shard.of(value)
    assert "shard=(0, 2)" in str(caught.value)
    assert "--shard 0/2" in caught.value.on_command_line()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (array(0, 0, 7, 8), "0/8"),
        (array(7, 0, 7, 8), "7/8"),
        (array(3, 1, 4, 4), "2/4"),
        (array(5, 1, 7, 4, 2), "2/4"),
        (array(9, 0, 10, 4, 3), "3/4"),
        (srun(3, 16), "3/16"),
        (torchrun(5, 8), "5/8"),
        # srun starts torchrun on each node: its ranks are those of all nodes.
        ({**srun(1, 2), **torchrun(9, 16)}, "9/16"),
        # A script of sbatch that starts torchrun itself.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "3", **torchrun(1, 2)}, "1/2"),
        # Each task of an array starts ranks.
        ({**array(2, 1, 3, 3), **srun(1, 4)}, "5/12"),
        ({**array(2, 1, 3, 3), **torchrun(3, 4)}, "7/12"),
        ({**array(2, 1, 3, 3), "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, "1/3"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, "0/1"),
    ],
)
def test_jobs_of_schedulers(variables: dict[str, str], expected: str) -> None:
    assert str(shard_of_environment(variables)) == expected


def test_all_ranks_of_all_tasks_are_different_jobs() -> None:
    jobs = [shard_of_environment({**array(task, 2, 6, 3, 2), **srun(r, 4)}) for task in (2, 4, 6) for r in range(4)]
    assert sorted(job.number for job in jobs) == list(range(12))
    assert {job.count for job in jobs} == {12}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "does not say which job"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "no SLURM_ARRAY_TASK_MIN"),
        (array("x", 0, 7, 8), "SLURM_ARRAY_TASK_ID='x'"),
        (array(1, 0, 7, "8.0"), "SLURM_ARRAY_TASK_COUNT='8.0'"),
        (array(3, 1, 7, 3), "gaps.*--array=0-2"),
        (array(2, 1, 7, 4, 2), "gaps"),
        (array(9, 0, 7, 8), "SLURM_ARRAY_TASK_ID=9"),
        (array(0, 7, 0, 8), "SLURM_ARRAY_TASK_ID=0"),
        (array(0, 0, 7, 8, 0), "_STEP=0"),
        ({**srun(4, 4)}, "SLURM_PROCID=4.*SLURM_NTASKS=4"),
        ({"RANK": "0"}, "no WORLD_SIZE"),
        ({"WORLD_SIZE": "2"}, "no RANK"),
        (torchrun(2, 2), "RANK=2.*WORLD_SIZE=2"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK='-1'"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK='one'"),
        ({**srun(1, 4), **torchrun(0, 2)}, "contradict"),
        # Without srun the script of sbatch would fill the first part, and nobody the others.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, "srun did not start"),
    ],
)
def test_variables_that_say_nothing_or_contradict(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ClusterError, match=said) as caught:
        Shard.of("auto", variables)
    assert "shard=(0, 8)" in str(caught.value)
    assert "--shard 0/8" in caught.value.on_command_line()


def test_the_variables_of_this_process_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in array(1, 0, 1, 2).items():
        monkeypatch.setenv(name, value)
    assert Shard.of("auto") == Shard.of(" AUTO ") == Shard(1, 2)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("in_a_row", [1, 4])
def test_the_parts_are_all_samples_once(count: int, in_a_row: int) -> None:
    numbers = [3 * number for number in range(14)]
    parts = [part_of(numbers, Shard(number, count), in_a_row=in_a_row) for number in range(count)]
    assert sorted(number for part in parts for number in part) == numbers
    sizes = sorted(len(part) for part in parts)
    assert sizes[-1] - sizes[0] <= in_a_row
    for part in parts:  # samples of one image are one job's
        places = {numbers.index(number) // in_a_row for number in part}
        assert len(part) == sum(min(in_a_row, len(numbers) - in_a_row * place) for place in places)


def test_without_a_job_all_samples_are_its_own() -> None:
    assert Shard.of(None) is None
    assert part_of([5, 2], None) == [5, 2]
