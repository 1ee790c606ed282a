"""`benchmarks/generation.py` with small models: every arm runs, accepts everything and tells where its time went."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.quick_start import run_here

ROOT = Path(__file__).resolve().parents[2]
ARMS = ("poc", "ours", "ours-located", "ours-lcm")
PROMPTS = 4

for _package in ("diffusers", "groundingdino", "segment_anything", "peft"):
    pytest.importorskip(_package)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_here("benchmarks/generation.py", "--models", "small", "--smoke", *arguments)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("generation") / "result.json"
    # 4 insertions in batches of 3: the last batch is not full.
    counts = ("--inserts", "4", "--batch", "3", "--poc-inserts", "1")
    done = _run("--arms", ",".join(ARMS), *counts, "--out", str(out))
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def test_the_result_carries_what_it_was_measured_with(told: dict[str, Any]) -> None:
    assert told["benchmark"] == "generation"
    assert told["models"] == "small"
    assert told["device"]
    assert told["environment"]["cpu"]
    assert told["environment"]["torch"]
    assert told["environment"]["diffusers"]
    assert tuple(told["arms"]) == ARMS


def test_the_procedure_runs_every_stage_for_every_insertion(told: dict[str, Any]) -> None:
    poc = told["arms"]["poc"]
    stages = poc["seconds_per_insert"]
    assert set(stages) == {"location", "region", "insert", "annotate", "blend"}
    assert min(stages.values()) > 0
    # One after the other: the stages are parts of the whole.
    assert sum(stages.values()) <= 1.001 / poc["inserts_per_s"]["median"]
    assert poc["inserts_per_s"]["runs"] == 1
    assert poc["ratio_to_poc"]["median"] == 1


def test_every_step_of_the_procedure_belongs_to_a_stage() -> None:
    (procedure,) = [
        node
        for node in ast.walk(ast.parse((ROOT / "benchmarks" / "poc_procedure.py").read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "insert"
    ]
    _docstring, pixels, *steps = procedure.body
    assert ast.unparse(pixels) == "pixels = image.permute(1, 2, 0).contiguous().numpy()"
    assert all(isinstance(step, ast.With) for step in steps)
    assert [ast.unparse(step.items[0]) for step in steps if isinstance(step, ast.With)] == [
        f"self._stage({name!r})" for name in ("location", "region", "insert", "annotate", "blend")
    ]


@pytest.mark.parametrize("arm", ["ours", "ours-located", "ours-lcm"])
def test_ours_accepts_every_attempt(told: dict[str, Any], arm: str) -> None:
    ours = told["arms"][arm]
    assert ours["inserts"] == 4
    classes = ours["statistics"]["classes"].values()
    assert sum(one["attempts"] for one in classes) == 4
    assert all(one["attempts"] == one["accepted"] and not one["rejections"] for one in classes)
    assert sum(int(size) * count for size, count in ours["statistics"]["batches"].items()) == 4
    assert ours["inserts_per_s"]["median"] > 0
    ratio = ours["inserts_per_s"]["median"] / told["arms"]["poc"]["inserts_per_s"]["median"]
    assert ours["ratio_to_poc"]["median"] == pytest.approx(ratio, rel=1e-4)
    assert min(ours["seconds_per_insert"][stage] for stage in ("region", "insert", "annotate")) > 0


@pytest.mark.parametrize("arm", ["ours", "ours-located", "ours-lcm"])
def test_ours_encodes_each_text_once(told: dict[str, Any], arm: str) -> None:
    assert 1 <= told["arms"][arm]["texts_encoded"] <= PROMPTS


def test_arms_compare_at_equal_steps(told: dict[str, Any]) -> None:
    arms = told["arms"]
    assert arms["ours"]["steps"] == arms["ours-located"]["steps"] == told["steps"]
    assert arms["ours-lcm"]["steps"] == 4


def test_only_the_locator_pays_for_the_location(told: dict[str, Any]) -> None:
    arms = told["arms"]
    # Three variants a sample: 4 insertions see 2 samples, once while warming up and once measured.
    assert arms["ours-located"]["locations_searched"] == 4
    assert arms["ours"]["locations_searched"] == 0


def test_an_unknown_arm_is_named_before_any_work(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = _run("--arms", "poc,theirs", "--out", str(out))
    assert done.returncode == 2
    assert "theirs" in done.stderr
    assert "ours-located" in done.stderr
    assert not out.exists()
