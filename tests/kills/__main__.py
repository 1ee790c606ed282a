"""``python -m tests.kills``: kill ``warm_cache`` and the generation process, and print what was found as JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

from tests.kills.live_kills import kill_live
from tests.kills.warm_kills import kill_warm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warm", type=int, default=200, help="SIGKILLs of warm_cache")
    parser.add_argument("--live", type=int, default=100, help="SIGKILLs of the generation process")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # what is forked must not hold threads
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for name, count, run in (("warm", arguments.warm, kill_warm), ("live", arguments.live, kill_live)):
            if count:
                (place := Path(folder) / name).mkdir()
                print(json.dumps({name: dict(run(count, place, seed=arguments.seed))}), flush=True)


if __name__ == "__main__":
    main()
