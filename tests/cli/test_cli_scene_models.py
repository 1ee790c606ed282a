"""``warm-scenes`` with small models of the real classes: ControlNet, captioner and depth, loaded from disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poc_aug.cache import Cache
from poc_aug.types import Variant
from tests.helpers.command_line import FRAMES, run
from tests.helpers.tiny_controlnets import controlnets  # noqa: F401
from tests.helpers.tiny_scene_models import tiny_scene_models  # noqa: F401

ONE = [*FRAMES, "--workers", 0, "--limit", 1]


def stored(path: Path) -> list[Variant]:
    with Cache.open(path) as cache:
        found = [cache.get(*name) for name in sorted(cache)]
    return [variant for variant in found if variant is not None]


def painter(models: SimpleNamespace) -> list[Any]:
    quick = ["--backend-arg", "steps=2", "--backend-arg", "height_px=64", "--backend-arg", "tile_px=64"]
    return ["--backend", "diffusion", "--model", models.sd, "--controlnet", models.sd_seg, "--device", "cpu", *quick]


def test_a_controlnet_paints_the_domains_with_captions(
    controlnets: SimpleNamespace,  # noqa: F811
    tiny_scene_models: Callable[[str], Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    options = ["--shift", "dusk", "--severity", 3, "--caption", tiny_scene_models("blip")]
    options += ["--mode", "image-to-image", "--strength", 0.6]
    run("warm-scenes", *ONE, *options, *painter(controlnets), "--out", tmp_path / "a.cache")
    (variant,) = stored(tmp_path / "a.cache")
    assert variant.frame is not None
    assert variant.key == "frame-000@dusk-3"
    assert variant.frame.image.shape == (3, 60, 81)
    assert variant.frame.provenance["caption"]
    with Cache.open(tmp_path / "a.cache") as cache:
        described = str(cache.manifest.backends)
    assert "image-to-image" in described
    assert "0.6" in described


def test_a_controlnet_for_another_base_model_is_refused(controlnets: SimpleNamespace, tmp_path: Path) -> None:  # noqa: F811
    options = [*painter(controlnets), "--controlnet", controlnets.sdxl_seg]
    text = run("warm-scenes", *ONE, "--shift", "dusk", *options, "--out", tmp_path / "a.cache", fails=True)
    assert "base model" in text
    assert not (tmp_path / "a.cache").exists()


def test_arguments_that_the_backend_does_not_take_are_named(controlnets: SimpleNamespace, tmp_path: Path) -> None:  # noqa: F811
    options = [*painter(controlnets), "--backend-arg", "speed=9"]
    text = run("warm-scenes", *ONE, "--shift", "dusk", *options, "--out", tmp_path / "a.cache", fails=True)
    assert "--backend diffusion" in text
    assert "speed" in text


def test_depth_by_a_model_is_in_the_fog(tiny_scene_models: Callable[[str], Path], tmp_path: Path) -> None:  # noqa: F811
    options = ["--shift", "fog", "--codec", "zstd"]
    run("warm-scenes", *ONE, *options, "--out", tmp_path / "labels.cache")
    model = ["--depth", tiny_scene_models("depth_anything"), "--device", "cpu"]
    run("warm-scenes", *ONE, *options, *model, "--out", tmp_path / "model.cache")
    (by_labels,), (by_model,) = stored(tmp_path / "labels.cache"), stored(tmp_path / "model.cache")
    assert by_labels.frame is not None
    assert by_model.frame is not None
    assert by_labels.frame.provenance["depth_from"] == "labels"
    assert by_model.frame.provenance["depth_from"] == "given"
    assert (by_labels.frame.image != by_model.frame.image).any()


@pytest.mark.parametrize("option", ["--caption", "--depth", "--segmenter"])
def test_a_model_that_is_not_there_is_named_before_the_cache_is_made(option: str, tmp_path: Path) -> None:
    own = ["--shifter", "tests.helpers.kinds:NoiseShifter", "--shifter-arg", "domain=dusk"]
    text = run("warm-scenes", *ONE, *own, option, tmp_path / "nothing", "--out", tmp_path / "a.cache", fails=True)
    assert "nothing" in text
    assert "Expected: " in text
    assert not (tmp_path / "a.cache").exists()
