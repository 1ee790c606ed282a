"""Numbered jobs: which part of the samples a job makes, of several that fill one cache without knowing each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """Job ``number`` of ``count``, from 0."""

    number: int
    count: int

    @classmethod
    def of(cls, given: object) -> Shard | None:
        """Placeholder of the integrator until the branch with the real one is merged."""
        if given is None:
            return None
        number, count = given if isinstance(given, tuple) else map(int, str(given).split("/"))
        return cls(number, count)

    @property
    def job_name(self) -> str:
        """For names of files, such as "0of8"."""
        return f"{self.number}of{self.count}"


def part_of(numbers: Sequence[int], shard: Shard | None) -> list[int]:
    """The samples of a job: every ``count``-th, from the ``number``-th on; all without a shard."""
    return list(numbers) if shard is None else list(numbers[shard.number :: shard.count])
