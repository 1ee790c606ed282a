"""``python -m tests.fuzz --records 1000000 [--seed S] [--processes P]``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.records import fuzz_records


def main() -> int:
    """Run mutated records and print what became of them; 1 if anything left the errors of the package."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    outcome = fuzz_records(arguments.records, arguments.seed, arguments.processes, progress=60.0)
    for failure in outcome.failures:
        print(failure)
    seconds, number, what = outcome.slowest
    print(f"{arguments.records} records of seed {arguments.seed} in {time.monotonic() - started:.0f} s")
    print(", ".join(f"{count} {name}" for name, count in outcome.counts.most_common()))
    print(
        f"slowest: record {number} ({what}), {seconds:.2f} s; peak memory of a process: {outcome.peak_nbytes >> 20} MB"
    )
    print(f"{len(outcome.failures)} failures")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
