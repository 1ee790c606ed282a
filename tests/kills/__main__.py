"""``python -m tests.kills``: kill ``warm_cache`` and the generation process, and print what was found as JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

from tests.helpers.kinds import KINDS
from tests.kills.live_kills import kill_live
from tests.kills.warm_kills import kill_warm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warm", type=int, default=200, help="SIGKILLs of warm_cache, and of warm-scenes")
    parser.add_argument("--live", type=int, default=100, help="SIGKILLs of the generation process")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # what is forked must not hold threads
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for name, count, run in (("warm", arguments.warm, kill_warm), ("live", arguments.live, kill_live)):
            for kind in KINDS if count else ():
                (place := Path(folder) / f"{name}-{kind.name}").mkdir()
                done = run(count, place, seed=arguments.seed, kind=kind)
                print(json.dumps({f"{name}, {kind.name}": dict(done)}), flush=True)


if __name__ == "__main__":
    main()
