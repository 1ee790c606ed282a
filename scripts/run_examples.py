"""Runs examples one after the other, as ``python examples/NAME.py ARGUMENTS`` would, and prints how long each took.

    python scripts/run_examples.py examples/quickstart.py examples/streams.py -- --smoke

Each runs in a process that is forked from one that has loaded torch, torchvision and the package, for which a process
of its own would take three to five seconds of processor time, as often as there are examples.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NoReturn

LOADED_ONCE = ("torch", "torch.utils.data", "torchvision.datasets", "torchvision.transforms.v2", "poc_aug.cli")


def run(path: str, arguments: list[str], output: int) -> NoReturn:
    """In the forked process: be the interpreter of one file."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = [path, *arguments]
    sys.path[0] = str(Path(path).parent)  # where Python looks first
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as error:
        sys.exit(error.code)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def main() -> int:
    """Run the files that are named; 1 if one of them failed."""
    paths, arguments = sys.argv[1:], list[str]()
    if "--" in paths:
        at = paths.index("--")
        paths, arguments = paths[:at], paths[at + 1 :]
    for name in LOADED_ONCE:
        importlib.import_module(name)
    failed = []
    for path in paths:
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                run(path, arguments, output.fileno())
            status = os.waitpid(child, 0)[1]
            output.seek(0)
            printed = output.read().decode(errors="replace")
        if status:
            failed.append(path)
        print(
            f"-- {' '.join(['python', path, *arguments])} ({time.monotonic() - began:.0f} s)\n{printed}",
            end="",
            flush=True,
        )
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
