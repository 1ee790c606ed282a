"""The options of commands that fill a cache as one of several processes, or as Ray actors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.ray_cluster import RayEngine
from poc_aug.generation.warm_report import WarmReport
from tests.helpers.command_line import run
from tests.helpers.ray_cases import doubles
from tests.helpers.warming_cases import content

FRAMES = ["--dataset", "tests.helpers.fakes:Frames", "length=5", "size_hw=60,81", "--workers", "0"]
OBJECTS = ["warm-cache", *FRAMES, "--objects", "rendered", "--num-variants", "1"]
PAINTED = ["warm-cache", *FRAMES, "--objects", "poc-alt", "--backend", "tests.helpers.fakes:EllipseInserter"]
SCENES = ["warm-scenes", *FRAMES, "--shift", "corruption:jpeg_compression"]


@pytest.mark.parametrize("command", [OBJECTS, SCENES], ids=["insertions", "frames"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--actors", "2"], "--actors 2 without --engine ray"),
        (["--address", "auto"], "--address 'auto' without --engine ray"),
        (["--gpus-per-actor", "0"], "--gpus-per-actor 0.0 without --engine ray"),
        (["--engine", "local", "--actors", "2"], "--actors 2 without --engine ray"),
        (["--engine", "rays"], "local or ray"),
        (["--engine", "ray", "--actors", "0"], "actors = 0"),
        (["--engine", "ray", "--gpus-per-actor", "1.5"], "gpus_per_actor=1.5"),
        (["--engine", "ray", "--address", " "], "address=' '"),
        (["--shard", "3/2"], "0/2 to 1/2"),
        (["--shard", "2/2"], "0/2 to 1/2"),
        (["--shard", "x"], "--shard 0/2, or --shard auto"),
        (["--shard", "auto"], "SLURM_ARRAY_TASK_ID"),
    ],
)
def test_what_makes_no_sense(
    command: list[str], options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "SLURM_NTASKS", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert said in run(*command, "--out", tmp_path / "a.cache", *options, fails=True)
    assert not (tmp_path / "a.cache").exists()


def test_ray_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = run(*OBJECTS, "--out", tmp_path / "a.cache", "--engine", "ray", fails=True)
    assert "pip install 'poc_aug[ray]'" in said


def test_numbered_jobs_make_what_one_command_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*OBJECTS, "--out", tmp_path / "one.cache")
    path = tmp_path / "two.cache"
    assert "2 variants" in run(*OBJECTS, "--out", path, "--shard", "1/2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "3 variants" in run(*OBJECTS, "--out", path, "--shard", "auto")
    assert content(path) == content(tmp_path / "one.cache")
    assert not doubles(path)
    assert "nothing to do: all 5" in run(*OBJECTS, "--out", path)


class Called:
    """Takes the place of `warm_cache`, and remembers with what it was called."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def __call__(self, dataset: Any, cache: Path, pipeline: GenerationPipeline, **given: Any) -> WarmReport:
        self.given = {**given, "pipeline": pipeline}
        return WarmReport(total=1, present=1, stored=1)


@pytest.mark.parametrize("command", [OBJECTS, PAINTED, SCENES], ids=["pasted", "painted", "frames"])
def test_what_ray_is_given(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = Called()
    monkeypatch.setattr("poc_aug.cli.fill_cache.warm_cache", called)
    settings = ["--engine", "ray", "--address", "ray://head:10001", "--actors", "4", "--gpus-per-actor", "0.5"]
    run(*command, "--out", tmp_path / "a.cache", *settings, "--shard", "0/3")
    engine = called.given["engine"]
    assert isinstance(engine, RayEngine)
    assert (engine.address, engine.actors, engine.gpus_per_actor) == ("ray://head:10001", 4, 0.5)
    assert called.given["shard"] == "0/3"
    # Models are loaded by each actor, not sent to it.
    assert (engine.make_pipeline is None) == (command is OBJECTS)
    if engine.make_pipeline is not None:
        assert engine.make_pipeline().fingerprint == called.given["pipeline"].fingerprint
