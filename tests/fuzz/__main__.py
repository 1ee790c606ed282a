"""``python -m tests.fuzz --records 1000000 [--shards N] [--seed S] [--processes P]``."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.outcome import Outcome
from tests.fuzz.records import fuzz_records
from tests.fuzz.shards import fuzz_shards


def main() -> int:
    """Run mutated records and print what became of them; 1 if anything left the errors of the package."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--records", type=int, default=0, help="mutated records to run")
    parser.add_argument("--shards", type=int, default=0, help="damaged shards to run")
    parser.add_argument("--read-every", type=int, default=10, help="each so-many-th 200 records are also in a cache")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    seed, processes = arguments.seed, arguments.processes
    failed = 0
    if arguments.records:
        outcome = fuzz_records(arguments.records, seed, processes, arguments.read_every, progress=60.0)
        failed += _report(f"{arguments.records} records of seed {seed}", outcome)
    if arguments.shards:
        failed += _report(f"{arguments.shards} shards of seed {seed}", fuzz_shards(arguments.shards, seed, processes))
    return 1 if failed else 0


def _report(what: str, outcome: Outcome) -> int:
    for failure in outcome.failures:
        print(failure)
    seconds, number, name = outcome.slowest
    counts = ", ".join(f"{count} {name}" for name, count in outcome.counts.most_common())
    print(f"{what}: {counts}")
    print(f"slowest: {number} ({name}), {seconds:.2f} s; peak memory of a process: {outcome.peak_nbytes >> 20} MB")
    print(f"{len(outcome.failures)} failures")
    return len(outcome.failures)


if __name__ == "__main__":
    sys.exit(main())
