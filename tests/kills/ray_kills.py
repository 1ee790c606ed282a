"""Ray actors that fill a cache, and the command that they work for, killed at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

from tests.helpers.command_line import run
from tests.helpers.kinds import INSERTIONS, Kind
from tests.helpers.ray_cases import doubles
from tests.helpers.waiting import wait_until
from tests.helpers.warming_cases import content
from tests.kills.warm_kills import check_stored, command_line, write_recipe

_ACTOR = "ray::FillingActor"
_AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
_BOUND_S = 900.0
_PAUSE_S = 0.1  # every look reads all processes, or the cache: without it that took a third of the processors' time
_PER_RUN = 4
_ACTORS = 2


def kill_actors(kills: int, folder: Path, *, seed: int, kind: Kind = INSERTIONS) -> Counter[str]:
    """Kill so many actors, several in each run, which goes on; returns counts of what was found.

    Raises:
        AssertionError: something was lost, made twice, different or left behind.
    """
    expected, moments, counts = _expected(kind, folder), random.Random(seed), Counter[str]()
    number = 0
    while counts["kills"] < kills:
        path = folder / f"{number}.cache"
        number += 1
        driver = _start(kind, folder, path)
        stored: dict[tuple[str, int], bytes] = {}
        for _ in range(min(_PER_RUN, kills - counts["kills"])):
            _wait_for_a_moment(driver, path, len(stored), moments)
            victims = _actors(driver.pid)
            if driver.poll() is not None or not victims:
                counts["complete before the kill"] += 1
                break
            _kill(moments.choice(victims))
            counts["kills"] += 1
            stored = check_stored(path, stored, expected, counts)
        assert driver.wait(_BOUND_S) == 0, _log(path)
        _check_whole(path, stored, expected, counts)
    return counts


def kill_driver(kills: int, folder: Path, *, seed: int, kind: Kind = INSERTIONS) -> Counter[str]:
    """Kill the command so often, several times for each cache: its actors end, and the same command goes on.

    Raises:
        AssertionError: something was lost, made twice, different or left behind.
    """
    expected, moments, counts = _expected(kind, folder), random.Random(seed), Counter[str]()
    number = 0
    while counts["kills"] < kills:
        path = folder / f"{number}.cache"
        number += 1
        stored: dict[tuple[str, int], bytes] = {}
        for _ in range(min(_PER_RUN, kills - counts["kills"])):
            driver = _start(kind, folder, path)
            _wait_for_a_moment(driver, path, len(stored), moments)
            # Ray's own two agents notice it a minute later.
            children = [pid for pid in _below(driver.pid) if not _title(pid).startswith(_AGENTS)]
            if driver.poll() is not None:
                counts["complete before the kill"] += 1
                break
            driver.kill()
            driver.wait()
            counts["kills"] += 1
            assert wait_until(partial(_none_runs, children), _BOUND_S, pause_s=_PAUSE_S), "actors are left"
            stored = check_stored(path, stored, expected, counts)
        driver = _start(kind, folder, path)
        assert driver.wait(_BOUND_S) == 0, _log(path)
        _check_whole(path, stored, expected, counts)
    return counts


def _wait_for_a_moment(driver: subprocess.Popen[bytes], path: Path, before: int, moments: random.Random) -> None:
    """Wait while actors import, which takes a few seconds, or until more than before is stored; and a little longer."""

    def actors_run() -> bool:
        return driver.poll() is not None or bool(_actors(driver.pid))

    def more_is_stored() -> bool:
        return driver.poll() is not None or _count(path) > before

    assert wait_until(actors_run, _BOUND_S, pause_s=_PAUSE_S), "no actor starts"
    if moments.random() < 0.8:
        assert wait_until(more_is_stored, _BOUND_S, pause_s=_PAUSE_S), "nothing is stored"
    time.sleep(moments.uniform(0, 0.5))


def _none_runs(pids: list[int]) -> bool:
    return not any(map(_runs, pids))


def _expected(kind: Kind, folder: Path) -> dict[tuple[str, int], bytes]:
    """What an undisturbed run of one process makes."""
    write_recipe(folder)
    path = folder / "whole.cache"
    run(*command_line(kind, folder, path, workers=0))
    return content(path)


def _check_whole(
    path: Path, stored: dict[tuple[str, int], bytes], expected: dict[tuple[str, int], bytes], counts: Counter[str]
) -> None:
    check_stored(path, stored, expected, counts)
    assert content(path) == expected
    assert not doubles(path)
    counts["caches completed, equal to the bit"] += 1


def _start(kind: Kind, folder: Path, path: Path) -> subprocess.Popen[bytes]:
    arguments = [*command_line(kind, folder, path, workers=0), "--engine", "ray", "--actors", str(_ACTORS)]
    with path.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "poc_aug", *arguments], stdout=log, stderr=log)


def _log(path: Path) -> str:
    return path.with_suffix(".log").read_text(encoding="utf-8", errors="replace")[-3000:]


def _count(path: Path) -> int:
    """Records that are stored so far; 0 while the cache is begun."""
    return len(content(path)) if (path / "manifest.json").exists() else 0


def _actors(driver: int) -> list[int]:
    """Processes of the actors of a driver."""
    return [pid for pid in _below(driver) if _title(pid).startswith(_ACTOR)]


def _title(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _below(pid: int) -> list[int]:
    """All processes that a process has started, and those that they have."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]


def _runs(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
        os.kill(pid, 9)
