"""Numbered jobs: each of any number of processes fills its own part of a cache, without knowing of the others.

A job is number ``i`` of ``n``, counted from 0. Which samples are its own follows from ``i`` and ``n`` alone, not from
what the cache holds already: jobs that start at different moments agree. Any of them may fail and run again, also as
another ``n``: what is there is not made again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, overload

from poc_aug.errors import ClusterError

AUTO = "auto"
_TEXT = re.compile(r"\s*(-?[0-9]{1,9})\s*/\s*(-?[0-9]{1,9})\s*", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_FORMS = "the job's number, counted from 0, and the number of jobs"
_ARRAY = "SLURM_ARRAY_TASK_ID"


@dataclass(frozen=True)
class Shard:
    """One of several jobs that fill a cache together.

    Attributes:
        number: which of them, counted from 0.
        count: how many there are.

    Raises:
        ClusterError: a number that none of so many jobs has.

    Example:
        >>> str(Shard(0, 2)), Shard.of("1/2")
        ('0/2', Shard(number=1, count=2))
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if all(type(value) is int for value in (self.number, self.count)) and 0 <= self.number < self.count:
            return
        if type(self.count) is int and self.count > 0:
            last = self.count - 1
            several = f"0/{self.count} to {last}/{self.count}: {self.count} jobs are numbered 0 to {last}"
            raise _wrong(f"{self}", "0/1, the only job" if self.count == 1 else several)
        raise _wrong(f"{self}", "at least one job, such as 0/1")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def job_name(self) -> str:
        """For names of files, such as "0of8"."""
        return f"{self.number}of{self.count}"

    @overload
    @classmethod
    def of(cls, value: None, environ: Mapping[str, str] | None = None) -> None: ...
    @overload
    @classmethod
    def of(cls, value: ShardLike, environ: Mapping[str, str] | None = None) -> Shard: ...
    @classmethod
    def of(cls, value: ShardLike | None, environ: Mapping[str, str] | None = None) -> Shard | None:
        """The job that an argument means.

        Args:
            value: ``(0, 2)``, "0/2", or "auto": what the variables of SLURM or torchrun say, see
                `shard_of_environment`; ``None``: no such job, and so ``None``.
            environ: the environment's variables; ``None``: those of this process.

        Raises:
            ClusterError: none of these forms, a number that none of the jobs has, or variables that say nothing, or
                contradict each other.

        Example:
            >>> Shard.of((1, 4)), Shard.of("auto", {"RANK": "3", "WORLD_SIZE": "8"})
            (Shard(number=1, count=4), Shard(number=3, count=8))
        """
        if value is None or isinstance(value, Shard):
            return value
        if isinstance(value, str):
            if value.strip().lower() == AUTO:
                return shard_of_environment(os.environ if environ is None else environ)
            found = _TEXT.fullmatch(value)
            if found is not None:
                return cls(int(found[1]), int(found[2]))
        elif isinstance(value, list | tuple) and len(value) == 2:
            return cls(value[0], value[1])
        raise _wrong(value if isinstance(value, str) else repr(value), f"{_FORMS}, or {AUTO}")


ShardLike: TypeAlias = Shard | tuple[int, int] | Sequence[int] | str
"""What `Shard.of` takes."""


def part_of(numbers: Sequence[int], shard: Shard | None, *, in_a_row: int = 1) -> list[int]:
    """The samples of a job: every n-th of all that are wanted, whatever of them is stored already.

    Args:
        numbers: all samples that are wanted, in order.
        shard: the job; ``None``: the only one.
        in_a_row: how many samples in a row stay together, because they are of one image, which is decoded once.

    Example:
        >>> part_of([3, 5, 7, 9, 11], Shard(1, 2)), part_of([0, 1, 2, 3, 4, 5], Shard(1, 2), in_a_row=2)
        ([5, 9], [2, 3])
    """
    if shard is None:
        return list(numbers)
    return [number for place, number in enumerate(numbers) if place // in_a_row % shard.count == shard.number]


def shard_of_environment(environ: Mapping[str, str]) -> Shard:
    """The job that the variables of a scheduler describe.

    The tasks of a SLURM array (also one that does not start at 0, or has a step), the ranks of ``srun`` or those of
    ``torchrun``; if each task of an array starts several ranks, all of them together.

    Raises:
        ClusterError: no such variables; values that are no numbers, or contradict each other; an array with gaps.

    Example:
        >>> array = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "7",
        ...          "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_STEP": "2"}
        >>> str(shard_of_environment(array))
        '2/4'
        >>> str(shard_of_environment({**array, "RANK": "1", "WORLD_SIZE": "2"}))
        '5/8'
    """
    array, rank = _array_task(environ), _rank(environ)
    if array is None and rank is None:
        raise _unusable(
            "the environment does not say which job this is",
            f"{_ARRAY} (sbatch --array), SLURM_PROCID and SLURM_NTASKS (srun), or RANK and WORLD_SIZE (torchrun)",
        )
    array, rank = array or Shard(0, 1), rank or Shard(0, 1)
    return Shard(array.number * rank.count + rank.number, array.count * rank.count)


def _array_task(environ: Mapping[str, str]) -> Shard | None:
    """The task of a SLURM array."""
    if not environ.get(_ARRAY):
        return None
    number, least, most, count = (_value(environ, f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "MAX", "COUNT"))
    step = _value(environ, "SLURM_ARRAY_TASK_STEP") if environ.get("SLURM_ARRAY_TASK_STEP") else 1
    said = f"SLURM_ARRAY_TASK_MIN={least}, _MAX={most}, _STEP={step}, _COUNT={count}"
    if step < 1 or most < least or not least <= number <= most:
        raise _unusable(f"{_ARRAY}={number} does not go with {said}", "variables as sbatch --array sets them")
    if (most - least) // step + 1 != count or (number - least) % step:
        raise _unusable(
            f"the SLURM array has gaps: {_ARRAY}={number}, {said}",
            f"an array without gaps, such as --array=0-{max(count, 1) - 1}: to run some jobs again, any number of them "
            "will do, since what is stored is not made again",
        )
    return Shard((number - least) // step, count)


def _rank(environ: Mapping[str, str]) -> Shard | None:
    """The rank of torchrun, which may run below srun; otherwise that of srun."""
    ranks = _pair(environ, "RANK", "WORLD_SIZE")
    in_step = bool(environ.get("SLURM_STEP_ID") or environ.get("SLURM_STEPID"))
    tasks = _pair(environ, "SLURM_PROCID", "SLURM_NTASKS") if in_step or ranks is None else None
    if tasks is not None and ranks is not None and ranks.count % tasks.count:
        raise _unusable(
            f"RANK={ranks.number}, WORLD_SIZE={ranks.count} contradict SLURM_PROCID={tasks.number}, "
            f"SLURM_NTASKS={tasks.count}",
            "ranks of torchrun, as many in each task of srun, or the variables of one of the two",
        )
    if ranks is None and tasks is not None and tasks.count > 1 and not in_step:
        # The script of sbatch itself: one process, which would do the first part and leave out the others.
        raise _unusable(
            f"SLURM_NTASKS={tasks.count}, but srun did not start this process (there is no SLURM_STEP_ID)",
            f"{tasks.count} processes that srun starts: srun in front of the command",
        )
    return ranks or tasks


def _pair(environ: Mapping[str, str], number: str, count: str) -> Shard | None:
    """A number and how many there are; ``None`` if there is no such number, or nothing says of how many."""
    if not environ.get(number) and not environ.get(count):
        return None
    if not environ.get(number) or not environ.get(count):
        if number.startswith("SLURM"):  # an allocation without processes has one of the two
            return None
        there, missing = (number, count) if environ.get(number) else (count, number)
        raise _unusable(f"{there}={environ[there]}, but there is no {missing}", "both, as torchrun sets them")
    values = _value(environ, number), _value(environ, count)
    if not values[0] < values[1]:
        raise _unusable(f"{number}={values[0]} does not go with {count}={values[1]}", f"{number} below {count}")
    return Shard(*values)


def _value(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    if not _NUMBER.fullmatch(text):
        raise _unusable(f"{name}={text!r}" if text else f"there is no {name}", f"a whole number in {name}")
    return int(text)


def _unusable(problem: str, expected: str) -> ClusterError:
    return ClusterError(
        f"shard 'auto': {problem}",
        expected=expected,
        hint="give the job's number: shard=(0, 8)",
        command="give the job's number: --shard 0/8",
    )


def _wrong(value: str, expected: str) -> ClusterError:
    return ClusterError(
        f"shard {value!r}",
        expected=expected,
        hint='shard=(0, 2), or shard="auto"',
        command="--shard 0/2, or --shard auto",
    )
