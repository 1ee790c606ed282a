"""``python -m tests.kills``: kill what fills caches, in each of its forms, and print what was found as JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

from tests.helpers.kinds import KINDS
from tests.kills.job_kills import kill_jobs
from tests.kills.live_kills import kill_live
from tests.kills.ray_kills import kill_actors, kill_driver
from tests.kills.warm_kills import kill_warm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warm", type=int, default=200, help="SIGKILLs of warm_cache, and of warm-scenes")
    parser.add_argument("--live", type=int, default=100, help="SIGKILLs of the generation process")
    parser.add_argument("--jobs", type=int, default=100, help="SIGKILLs of numbered jobs")
    parser.add_argument("--actors", type=int, default=20, help="SIGKILLs of Ray actors")
    parser.add_argument("--driver", type=int, default=20, help="SIGKILLs of the command that they work for")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # what is forked must not hold threads
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for name, count, run in (
            ("warm", arguments.warm, kill_warm),
            ("live", arguments.live, kill_live),
            ("jobs", arguments.jobs, kill_jobs),
            ("actors", arguments.actors, kill_actors),
            ("driver", arguments.driver, kill_driver),
        ):
            for kind in KINDS if count else ():
                (place := Path(folder) / f"{name}-{kind.name}").mkdir()
                done = run(count, place, seed=arguments.seed, kind=kind)
                print(json.dumps({f"{name}, {kind.name}": dict(done)}), flush=True)


if __name__ == "__main__":
    main()
