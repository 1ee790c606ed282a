"""`benchmarks/live.py` on small frames: every arm runs, and generates what it says."""

from __future__ import annotations

import importlib
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.quick_start import run_script

ROOT = Path(__file__).resolve().parents[2]
BY_HAND = ("in each worker", "in each worker, whole batches", "in the main process")
PLAIN = "not augmented"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_script("benchmarks/live.py", "--smoke", *arguments)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("live") / "result.json"
    done = _run("--out", str(out))
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def _arms(told: dict[str, Any], part: str) -> dict[str, dict[str, Any]]:
    (only,) = told["results"][part]
    return {arm["arm"]: arm for arm in only["arms"]}


def test_the_result_carries_what_it_was_measured_with(told: dict[str, Any]) -> None:
    assert told["benchmark"] == "live"
    assert told["environment"]["cpu"]
    assert told["environment"]["torch"]
    assert (told["call_s"], told["item_s"]) == (0.04, 0.005)
    assert told["frames"] == "synthetic"
    assert told["workers"] == 2
    assert tuple(_arms(told, "throughput")) == (PLAIN, *BY_HAND, "generate")
    assert tuple(_arms(told, "background")) == (PLAIN, "background")


def test_one_device_limits_all_processes(told: dict[str, Any]) -> None:
    arms = _arms(told, "throughput")
    for name in (*BY_HAND, "generate"):
        arm = arms[name]
        assert arm["crops_per_call"] >= 1
        assert arm["device_busy"] > 0
    alone = arms["in each worker"]
    assert alone["crops_per_call"] == 1
    assert alone["over_in_worker"]["median"] == 1


def test_the_device_takes_one_call_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    live_inserter = importlib.import_module("live_inserter")
    device, inside, most = live_inserter.Device(tmp_path / "device"), [], []

    def sleep(seconds: float) -> None:
        inside.append(seconds)
        time.sleep(0.001)  # a call that does not wait for the others begins meanwhile
        most.append(len(inside))
        inside.pop()

    monkeypatch.setattr(live_inserter, "time", SimpleNamespace(sleep=sleep))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda crops: device.run(crops, 0.045), range(1, 21)))
    assert most == [1] * 20
    assert device.counts() == (20, 210)


def test_a_loader_that_augments_nothing_uses_no_device(told: dict[str, Any]) -> None:
    plain = _arms(told, "throughput")[PLAIN]
    assert plain["crops_per_call"] == 0
    assert plain["device_busy"] == 0
    assert plain["items_per_s"]["median"] > 0


def test_ours_makes_batches_in_a_process_of_its_own(told: dict[str, Any]) -> None:
    arm = _arms(told, "throughput")["generate"]
    assert arm["crops_per_call"] > 1
    assert arm["processor_ms_per_item"]["generation"] > 0


@pytest.mark.parametrize("name", [PLAIN, "background"])
def test_loops_that_train_take_at_least_their_step(told: dict[str, Any], name: str) -> None:
    arm = _arms(told, "background")[name]
    assert arm["batch_s"]["median"] > 0
    assert [loop["step_over_batch"] for loop in arm["loops"]] == [1.0, 1.5]
    for loop in arm["loops"]:
        # A step with its wait is nothing else.
        assert loop["loop_s"]["median"] >= loop["step_s"] + loop["wait_s"]["median"]
        assert loop["wait_s"]["median"] >= 0


def test_the_plain_loader_is_what_background_is_compared_with(told: dict[str, Any]) -> None:
    plain = _arms(told, "background")[PLAIN]
    assert plain["time_over_plain"]["median"] == 1
    assert plain["made_per_item"] == 0
    assert plain["processor_ms_per_item"]["generation"] == 0
