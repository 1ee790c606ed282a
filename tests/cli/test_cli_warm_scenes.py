"""``warm-scenes``, and ``preview``, ``info`` and ``verify`` of what it makes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from poc_aug.cache import Cache
from poc_aug.errors import PocAugError
from poc_aug.evaluation.frame_segmenter import ModelSegmenter
from poc_aug.generation.warming import warm_cache
from poc_aug.scene_dataset import SceneShiftDataset
from poc_aug.scenes.scene_recipe import SceneRecipe, split_key
from tests.helpers.command_line import FRAMES, run
from tests.helpers.fakes import Frames
from tests.helpers.kinds import NoiseShifter

NOISE = ["--shifter", "tests.helpers.kinds:NoiseShifter", "--shifter-arg", "domain=dusk"]
QUIET = ["--workers", 0]
ASKED: list[int] = []
"""How many frames the captioner was asked for, call by call."""


class _Rows(nn.Module):
    """Knows sky and road by their rows, and takes everything in dark frames for cars."""

    def __init__(self, cars: bool) -> None:
        super().__init__()
        self.cars = cars

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = images.shape
        logits = torch.zeros(batch, 3, height, width)
        logits[:, 1, : 60 // 3] = 1
        logits[:, 0, 60 // 3 :] = 1
        if self.cars and images.mean() < 40 / 255:
            logits[:, 2] = 2
        return logits


def rows_segmenter(cars: bool = True) -> nn.Module:
    return _Rows(cars)


def rows_segmenter_that_names() -> Any:
    return ModelSegmenter(_Rows(False), ("road", "sky", "car"))


def one_caption() -> Any:
    class Captioner:
        def describe(self) -> dict[str, Any]:
            return {"captioner": "one"}

        def caption(self, images: list[torch.Tensor]) -> list[str]:
            ASKED.append(len(images))
            return ["a grey noise"] * len(images)

    return Captioner()


def flat_depth() -> Any:
    class Depth:
        def describe(self) -> dict[str, Any]:
            return {"depth": "flat"}

        def depth(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
            return [torch.full(image.shape[1:], 12.0) for image in images]

    return Depth()


def scenes(out: Path, *options: Any, fails: bool = False) -> str:
    return run("warm-scenes", *FRAMES, *QUIET, "--out", out, *options, fails=fails)


def width_of(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.width


@pytest.fixture(scope="module")
def fog_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes") / "fog.cache"
    scenes(path, "--shift", "corruption:fog", "--shift", "corruption:jpeg_compression", "--severity", "2,4")
    return path


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Labels hold at severity 2, and not at severity 4."""
    path = tmp_path_factory.mktemp("scenes") / "checked.cache"
    options = [*NOISE, "--severity", "2,4", "--segmenter", "tests.cli.test_cli_warm_scenes:rows_segmenter"]
    return path, scenes(path, *options, "--keep-rejected", 1, "--attempts", 2)


def test_the_cache_is_the_one_that_python_makes(fog_cache: Path, tmp_path: Path) -> None:
    domains = ["corruption:fog", "corruption:jpeg_compression"]
    warm_cache(SceneShiftDataset(Frames(3, (60, 81)), domains, severity=(2, 4)), tmp_path / "own.cache", workers=0)
    with Cache.open(fog_cache) as ours, Cache.open(tmp_path / "own.cache") as theirs:
        assert ours.manifest == theirs.manifest
        assert sorted(ours) == sorted(theirs)
        assert len(ours) == 3 * 2 * 2
        assert all(ours.raw(*name) == theirs.raw(*name) for name in ours)


def test_running_it_again_does_nothing(fog_cache: Path) -> None:
    options = ["--shift", "corruption:fog,corruption:jpeg_compression", "--severity", "2,4"]
    assert "nothing to do: all 12 frames are in" in scenes(fog_cache, *options)


def test_a_stopped_run_is_continued(tmp_path: Path) -> None:
    options = ["--shift", "corruption:brightness", "--severity", "1-2"]
    assert "2 frames in" in scenes(tmp_path / "a.cache", *options, "--limit", 1)
    output = scenes(tmp_path / "a.cache", *options)
    assert "4 frames in" in output
    assert "2 were there before" in output


def test_options_come_from_yaml_too(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        yaml.safe_dump(
            {
                "dataset": {"type": "tests.helpers.fakes:Frames", "args": {"length": 2, "size_hw": [60, 81]}},
                "shift": ["corruption:contrast", "corruption:brightness"],
                "severity": [1, 5],
                "num_variants": 2,
                "seed": 7,
                "codec": "delta-zstd",
                "workers": 0,
                "out": str(tmp_path / "a.cache"),
            }
        )
    )
    run("warm-scenes", "--config", tmp_path / "job.yaml", "--shift", "corruption:contrast")
    with Cache.open(tmp_path / "a.cache") as cache:
        recipe = SceneRecipe.from_dict(dict(cache.manifest.recipe))
        assert (recipe.domains, recipe.severities, recipe.seed) == (("corruption:contrast",), (1, 5), 7)
        assert cache.manifest.codec == "delta-zstd"
        assert len(cache) == 2 * 2 * 2


def test_a_camera_can_be_given_by_name_and_by_its_fields(tmp_path: Path) -> None:
    for number, camera in enumerate(("kitti", "{horizon: 0.3}")):
        out = tmp_path / f"{number}.cache"
        scenes(out, *NOISE, "--limit", 1, "--camera", camera)
        with Cache.open(out) as cache:
            spec = SceneRecipe.from_dict(dict(cache.manifest.recipe)).camera
            assert (spec.height_m, spec.horizon) == ((1.65, None), (1.4, 0.3))[number]


def test_your_own_shifter_captioner_and_depth(tmp_path: Path) -> None:
    module = "tests.cli.test_cli_warm_scenes"
    options = ["--caption", f"{module}:one_caption", "--depth", f"{module}:flat_depth", "--limit", 1]
    scenes(tmp_path / "a.cache", *NOISE, *options)
    with Cache.open(tmp_path / "a.cache") as cache:
        ((key, index),) = cache
        variant = cache.get(key, index)
        assert variant is not None
        assert variant.frame is not None
        assert split_key(key)[1:] == ("dusk", 3)
        assert variant.frame.provenance["caption"] == "a grey noise"
        assert cache.manifest.backends["depth"] == {"depth": "flat"}
        assert cache.manifest.backends["shifters"] == {"dusk": NoiseShifter("dusk").describe()}


def test_a_frame_is_captioned_once_over_all_runs(tmp_path: Path) -> None:
    options = [*NOISE, "--caption", "tests.cli.test_cli_warm_scenes:one_caption"]
    ASKED.clear()
    scenes(tmp_path / "a.cache", *options)
    assert sum(ASKED) == 3
    captions = tmp_path / "a.captions.jsonl"
    assert len(captions.read_text().splitlines()) == 3
    scenes(tmp_path / "b.cache", *options, "--seed", 1, "--captions", captions)
    assert sum(ASKED) == 3
    assert not (tmp_path / "b.captions.jsonl").exists()


def test_a_file_without_captions_is_refused_before_the_captioner_is_made(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("not captions\n")
    options = [*NOISE, "--caption", tmp_path / "nothing", "--captions", tmp_path / "notes.jsonl"]
    assert "holds no captions" in scenes(tmp_path / "a.cache", *options, fails=True)
    assert not (tmp_path / "a.cache").exists()


def test_frames_whose_labels_do_not_hold_are_rejected_and_reported(checked: tuple[Path, str], tmp_path: Path) -> None:
    path, output = checked
    assert "3 frames in" in output
    assert "6 labels do not hold" in output  # three frames at severity 4, tried twice
    assert "3 of 6 frames were rejected" in output
    info = run("info", path)
    assert "road 1.00, sky 1.00" in info or "sky 1.00, road 1.00" in info
    assert "6 labels do not hold" in info
    rows = [line.split() for line in info.splitlines() if line.split()[:1] == ["dusk"]]
    assert [row[1:4] for row in rows] == [["2", "3", "1.00"], ["4", "0", "6"]]
    preview = run("preview", path, *FRAMES, "--out", tmp_path / "a.png", "--width", 600)
    assert "3 of 6 frames were rejected" in preview
    assert "1 rejected attempt" in run("preview", path, "--rejected", "--out", tmp_path / "rejected.png")
    assert width_of(tmp_path / "rejected.png") == 1800


def test_nothing_accepted_is_exit_code_3_and_says_what_rejects(tmp_path: Path) -> None:
    options = [*NOISE, "--shifter-arg", "reject=1", "--limit", 1, "--report", tmp_path / "run.json"]
    output = scenes(tmp_path / "a.cache", *options, fails=True)
    assert "nothing was accepted: all 3 attempts were rejected" in output
    assert "--min-agreement" in output
    assert "--sizes" not in output
    report = json.loads((tmp_path / "run.json").read_text())
    assert (report["command"], report["exit_code"], report["nothing_accepted"]) == ("warm-scenes", 3, True)
    assert report["rejections_by_object"] == {"dusk": {"black": 3}}
    problem = run("preview", tmp_path / "a.cache", *FRAMES, "--out", tmp_path / "a.png", fails=True)
    assert "the only frame of cache" in problem
    assert "dusk: 3 black" in problem
    assert "--min-agreement" in problem


def test_what_fails_can_be_skipped(tmp_path: Path) -> None:
    options = ["--shift", "corruption:brightness", "--severity", "1", "--on-error", "skip"]
    dataset = ["--dataset", "tests.helpers.fakes:Frames", "length=3", "size_hw=60,81", "broken=[1]"]
    output = run("warm-scenes", *dataset, *QUIET, "--out", tmp_path / "a.cache", *options)
    assert "2 frames in" in output
    assert "unreadable: frame-001@corruption:brightness-1" in output


def test_preview_shows_the_original_and_each_severity(fog_cache: Path, tmp_path: Path) -> None:
    output = run("preview", fog_cache, *FRAMES, "--out", tmp_path / "a.png", "--width", 900, "--count", 4)
    assert "4 frames: " in output
    assert width_of(tmp_path / "a.png") == 900
    problem = run("preview", fog_cache, *FRAMES, "--out", tmp_path / "a.png", "--sigma", 2, fails=True)
    assert "--sigma 2 with a cache of shifted frames" in problem


def test_info_lists_domains_and_severities(fog_cache: Path) -> None:
    info = run("info", fog_cache)
    rows = [line.split() for line in info.splitlines() if line.strip().startswith("corruption:")]
    assert [row[:3] for row in rows] == [
        ["corruption:fog", "2", "3"],
        ["corruption:fog", "4", "3"],
        ["corruption:jpeg_compression", "2", "3"],
        ["corruption:jpeg_compression", "4", "3"],
    ]
    assert "samples" in info
    assert "12 (4.0 per sample)" in info
    assert "not checked" in info
    assert yaml.safe_load(run("info", fog_cache, "--recipe"))["kind"] == "frames"


def test_verify_checks_every_frame(fog_cache: Path) -> None:
    assert "12 records in 1 shard checked, 0 corrupt" in run("verify", fog_cache)


@pytest.mark.parametrize(
    ("options", "problem", "instead"),
    [
        ([], "--shift is missing", "fog, night, rain, snow, low-sun"),
        (["--shift", "fogg"], "unknown domain 'fogg'", "did you mean fog"),
        (["--shift", "corruption:fogg"], "unknown corruption 'fogg'", "did you mean fog"),
        (["--shift", "fog", "--severity", "0-3"], "severity = '0-3'", "1 to 5"),
        (["--shift", "fog", "--severity", "6"], "severity = '6'", "1 to 5"),
        (["--shift", "fog", "--severity", "3,3"], "severity = '3,3'", "each once"),
        (["--shift", "fog", "--shift", "fog"], "--shift fog is given twice", "once"),
        (["--shift", "fog", "--model", "x"], "--model 'x' without a backend", "--backend diffusion"),
        (["--shift", "fog", "--strength", "0.4"], "--strength 0.4 without a backend", "need no model"),
        (["--shift", "fog", "--backend", "gan"], "--backend gan", "diffusion, edit"),
        (["--backend", "diffusion", *NOISE], "--backend diffusion without a domain", "--shift"),
        (["--shift", "fog", "--backend", "edit", "--strength", "0.4"], "--strength 0.4 with --backend edit", "leave"),
        (
            ["--shift", "fog", "--backend", "diffusion", "--mode", "text-to-image", "--strength", "0.4"],
            "--strength 0.4 with --mode text-to-image",
            "image-to-image",
        ),
        (["--shift", "fog", "--caption", "x"], "--caption 'x' without a shifter", "--backend diffusion"),
        ([*NOISE, "--captions", "x.jsonl"], "x.jsonl') without a captioner", "--caption"),
        (["--shift", "corruption:fog", "--depth", "x"], "--depth 'x' without weather", "fog, night"),
        (["--shift", "corruption:fog", "--camera", "kitti"], "--camera 'kitti' without weather", "fog, night"),
        (["--shift", "fog", "--min-agreement", "0.7"], "--min-agreement 0.7 without a segmenter", "--segmenter"),
        (["--shift", "fog", "--classes", "x"], "--classes 'x' without a segmenter", "--segmenter"),
        (["--shift", "fog", "--attempts", "5"], "--attempts 5 where no frame is rejected", "--segmenter"),
        (["--shift", "fog", "--keep-rejected", "5"], "--keep-rejected 5 where no frame is rejected", "--segmenter"),
        (["--shift", "fog", "--device", "cpu"], "--device 'cpu' without a model", "--depth"),
        (["--shift", "fog", "--shifter-arg", "a=1"], "--shifter-arg {'a': 1} without --shifter", "--shifter"),
    ],
)
def test_wrong_and_unused_options_are_errors(options: list[str], problem: str, instead: str, tmp_path: Path) -> None:
    text = scenes(tmp_path / "a.cache", *options, fails=True)
    assert problem in text
    assert instead in text
    assert not (tmp_path / "a.cache").exists()


@pytest.mark.parametrize("missing", ["--dataset", "--out"])
def test_missing_options_are_named(missing: str, tmp_path: Path) -> None:
    given: dict[str, list[Any]] = {"--dataset": FRAMES, "--out": ["--out", tmp_path / "a.cache"]}
    options = [part for name, own in given.items() if name != missing for part in own]
    assert f"{missing} is missing" in run("warm-scenes", *options, "--shift", "fog", fails=True)


def test_least_agreement_decides(tmp_path: Path) -> None:
    options = [*NOISE, "--severity", 4, "--limit", 1, "--attempts", 1]
    segmenter = ["--segmenter", "tests.cli.test_cli_warm_scenes:rows_segmenter cars=false"]
    assert "1 frame in" in scenes(tmp_path / "a.cache", *options, *segmenter, "--min-agreement", 1)
    segmenter[1] = segmenter[1].replace("false", "true")
    scenes(tmp_path / "b.cache", *options, *segmenter, "--min-agreement", 0.3, fails=True)


def test_the_channels_of_a_segmenter_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "rows.yaml").write_text(yaml.safe_dump({"name": "rows", "ids": {"grass": 0, "sky": 1, "car": 2}}))
    options = [*NOISE, "--limit", 1, "--severity", 1, "--classes", tmp_path / "rows.yaml"]
    segmenter = "tests.cli.test_cli_warm_scenes:rows_segmenter"
    scenes(tmp_path / "a.cache", *options, "--segmenter", segmenter)
    assert "sky 1.00" in run("info", tmp_path / "a.cache")
    assert "road" not in run("info", tmp_path / "a.cache")
    text = scenes(tmp_path / "b.cache", *options, "--segmenter", f"{segmenter}_that_names", fails=True)
    assert "which names its classes itself" in text


def test_what_is_no_shifter_is_named(tmp_path: Path) -> None:
    text = scenes(tmp_path / "a.cache", "--shifter", "tests.helpers.fakes:EllipseInserter", fails=True)
    assert "gave a EllipseInserter" in text
    assert "Shifter" in text


def test_a_missing_package_is_named_before_any_frame_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("imagecorruptions", "imagecorruptions.corruptions"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(Frames, "__getitem__", lambda self, index: pytest.fail("read"))
    text = scenes(tmp_path / "a.cache", "--shift", "corruption:fog", fails=True)
    assert "pip install 'poc_aug[corruptions]'" in text


def test_a_cache_of_insertions_is_not_continued_with_frames(fog_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(PocAugError):
        run("warm-cache", *FRAMES, "--objects", "rendered", "--num-variants", 1, "--out", fog_cache, *QUIET)
