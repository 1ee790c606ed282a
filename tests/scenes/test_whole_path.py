"""The whole path of scenes on real frames, with small random models of the real classes: tune, warm, look, evaluate."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from poc_aug import Cache, SceneRecipe, SceneShiftDataset, ShiftPipeline, warm_cache
from poc_aug.backends.scene_models.captioner import TransformersCaptioner
from poc_aug.backends.scene_models.controlnet_shifter import ControlNetShifter
from poc_aug.cli.arguments import load_callable
from poc_aug.datasets import camvid
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.finetuning.finetune_controlnet import finetune_controlnet
from poc_aug.labels.schema import SCHEMAS
from tests.helpers.command_line import run
from tests.helpers.finetune_cases import tiny_base, tiny_settings  # noqa: F401
from tests.helpers.kinds import InPlace
from tests.helpers.tiny_scene_models import tiny_scene_models  # noqa: F401
from tests.helpers.warming_cases import content

QUICK: dict[str, Any] = {"steps": 2, "height_px": 64, "tile_px": 64}


@pytest.fixture(scope="module")
def tuned(
    real_data: Path,
    tiny_base: Path,  # noqa: F811
    tiny_scene_models: Callable[[str], Path],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> SimpleNamespace:
    """A ControlNet trained for two updates on real frames, with captions that a model wrote."""
    blip = tiny_scene_models("blip")
    train: Any = Subset(camvid(real_data / "scenes/camvid", "train"), range(0, 40, 10))
    report = finetune_controlnet(
        train,
        tmp_path_factory.mktemp("tuned") / "run",
        tiny_settings(tiny_base, steps=2, condition="one-hot"),
        captioner=TransformersCaptioner(str(blip), device="cpu"),
    )
    assert report.model is not None
    return SimpleNamespace(base=tiny_base, model=report.model, blip=blip, root=real_data / "scenes/camvid")


def shifter(base: Path, model: Path, domain: str = "night") -> ControlNetShifter:
    return ControlNetShifter(domain, str(base), str(model), palette="one-hot", device="cpu", **QUICK)


def warm(tuned: SimpleNamespace, out: Path, *more: Any, fails: bool = False) -> str:
    painter = ["--backend", "diffusion", "--model", tuned.base, "--controlnet", tuned.model, "--device", "cpu"]
    quick = [text for name, value in QUICK.items() for text in ("--backend-arg", f"{name}={value}")]
    dataset = ["--dataset", "poc_aug.datasets:camvid", f"root={tuned.root}", "split=val", "--limit", 2]
    options = ["--shift", "night", "--severity", "2,4", "--caption", tuned.blip, "--workers", 0, "--out", out]
    palette = ["--backend-arg", "palette=one-hot"]
    return run("warm-scenes", *dataset, *painter, *quick, *palette, *options, *more, fails=fails)


def test_tuned_warmed_looked_at_and_evaluated(tuned: SimpleNamespace, real_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "night.cache"
    warm(tuned, path)
    dataset = ["--dataset", "poc_aug.datasets:camvid", f"root={tuned.root}", "split=val"]
    assert "night" in run("info", path)
    assert "0 corrupt" in run("verify", path)
    run("preview", path, *dataset, "--out", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 10
    with Cache.open(path) as cache:
        frames = [variant.frame for name in cache if (variant := cache.get(*name)) is not None]
    assert len(frames) == 4
    assert all(frame is not None and frame.provenance["caption"] for frame in frames)

    base: Any = Subset(camvid(tuned.root, "val"), range(2))
    keys = [key for key in camvid(tuned.root, "val").keys()[:2]]
    night = SceneShiftDataset(base, InPlace("night"), path, severity=4, keys=keys)
    assert night[0][1].tobytes() == base[0][1].tobytes()
    assert night[0][0].tobytes() != base[0][0].tobytes()
    load_erfnet: Any = load_callable("examples.erfnet:load_erfnet")
    network = load_erfnet(real_data / "weights" / "erfnet_cityscapes_fp16.pth")
    schema = SCHEMAS["cityscapes-trainIds"]
    names = sorted(schema.ids, key=schema.id_of)
    small: Any = {"size_hw": (128, 160), "schema": "camvid"}
    clean = evaluate_classes(network, base, names, **small)
    shifted = evaluate_classes(network, night, names, **small)
    assert clean.mean_iou > shifted.mean_iou  # what a random model painted is no street


def test_labels_that_do_not_hold_are_refused_and_said(
    tuned: SimpleNamespace, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path, weights = tmp_path / "checked.cache", real_data / "weights" / "erfnet_cityscapes_fp16.pth"
    segmenter = ["--segmenter", f"examples.erfnet:load_erfnet weights={weights}", "--classes", "cityscapes-trainIds"]
    checked = [*segmenter, "--min-agreement", 0.5, "--attempts", 1, "--keep-rejected", 1]
    text = warm(tuned, path, *checked, "--limit", 1, fails=True)
    assert "labels do not hold" in text
    with Cache.open(path) as cache:
        variants = [variant for name in cache if (variant := cache.get(*name)) is not None]
    assert [variant.frame for variant in variants] == [None, None]
    assert all("worst" in variant.rejections[0].detail for variant in variants)
    assert len(list((path / "rejected").rglob("*.png"))) == 1


def _fill(tuned: SimpleNamespace, path: Path, kill_after: int | None) -> None:
    """Fill a cache in a forked process, which may kill itself."""
    from poc_aug.generation import filling

    torch.set_num_threads(1)
    filling._COMMIT_EVERY = 1
    # One frame at a time: sums of floats depend on what is in a batch, in the last bit.
    pipeline = ShiftPipeline(
        SceneRecipe(domains=("night",), severities=(1, 2, 3)), [shifter(tuned.base, tuned.model)], batch_size=1
    )
    base: Any = Subset(camvid(tuned.root, "val"), range(2))

    def end(report: Any) -> None:
        if report.made == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    warm_cache(base, path, pipeline, workers=0, on_progress=end)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_killed_run_ends_as_an_undisturbed_one(tuned: SimpleNamespace, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    codes = []
    for name, kill_after in (("whole", None), ("killed", 2), ("killed", 1), ("killed", None)):
        process = context.Process(target=_fill, args=(tuned, tmp_path / f"{name}.cache", kill_after))
        process.start()
        process.join()
        codes.append(process.exitcode)
        if kill_after is not None:
            assert 0 < len(content(tmp_path / "killed.cache")) < 6
    assert codes == [0, -signal.SIGKILL, -signal.SIGKILL, 0]
    assert content(tmp_path / "killed.cache") == content(tmp_path / "whole.cache")
    assert len(content(tmp_path / "whole.cache")) == 6


def build_pipeline(base: Path, model: Path) -> ShiftPipeline:
    """What the generation process calls."""
    return ShiftPipeline(SceneRecipe(domains=("night",), severities=(3,)), [shifter(base, model)])


@pytest.mark.usefixtures("quick_live")
def test_a_model_paints_while_training(tuned: SimpleNamespace, tmp_path: Path) -> None:
    base: Any = Subset(camvid(tuned.root, "val"), range(2))
    with SceneShiftDataset(base, partial(build_pipeline, tuned.base, tuned.model), tmp_path / "live.cache") as live:
        images = [np.asarray(live[index][0]) for index in range(2)]
        assert live.stats().made == 2
    again = SceneShiftDataset(base, InPlace("night"), tmp_path / "live.cache", severity=3)
    assert all((np.asarray(again[index][0]) == images[index]).all() for index in range(2))
