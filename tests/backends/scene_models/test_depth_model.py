"""Depth models of transformers, small and random, loaded from disk as a user would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from poc_aug.backends.scene_models.depth_model import TransformersDepth
from poc_aug.errors import ModelError, SettingError
from poc_aug.scenes.shifter_protocol import DepthEstimator
from tests.helpers.annotator_contract import picture
from tests.helpers.tiny_scene_models import tiny_scene_models  # noqa: F401
from tests.helpers.transformers_cases import Models, counting

FRAMES = [picture(64, 96, 0), picture(64, 96, 1), picture(51, 40, 2), picture(64, 96, 3)]
METRIC = ("depth_anything", "zoedepth", "depth_pro")


@pytest.mark.parametrize("name", METRIC)
def test_depth_is_metric_and_of_the_frames_size(name: str, tiny_scene_models: Models) -> None:  # noqa: F811
    model = TransformersDepth(tiny_scene_models(name), device="cpu")
    assert isinstance(model, DepthEstimator)
    depths = model.depth(FRAMES)
    for frame, depth in zip(FRAMES, depths, strict=True):
        assert depth.shape == frame.shape[-2:]
        assert depth.dtype == torch.float32
        assert bool(depth.isfinite().all())
        assert float(depth.min()) > 0
    assert not torch.equal(depths[0], depths[1])
    described = model.describe()
    assert json.loads(json.dumps(described)) == described
    assert "#" in str(described["model"])
    assert "/" not in str(described["model"])


@pytest.mark.parametrize("name", METRIC)
def test_a_batch_gives_what_single_frames_give(name: str, tiny_scene_models: Models) -> None:  # noqa: F811
    model = TransformersDepth(tiny_scene_models(name), device="cpu")
    for depth, frame in zip(model.depth(FRAMES), FRAMES, strict=True):
        torch.testing.assert_close(depth, model.depth([frame])[0], rtol=1e-4, atol=1e-4)


def test_frames_of_one_size_run_together(tiny_scene_models: Models) -> None:  # noqa: F811
    model = TransformersDepth(tiny_scene_models("depth_anything"), device="cpu", batch_size=2)
    with counting(model.model) as batches:
        model.depth(FRAMES)
    assert batches == [2, 1, 1]
    assert model.depth([]) == []


def test_metres_are_the_models_own(tiny_scene_models: Models) -> None:  # noqa: F811
    # The largest depth that this one's configuration names is 80 m; a sigmoid of small weights is about half of it.
    depth = TransformersDepth(tiny_scene_models("depth_anything"), device="cpu").depth(FRAMES[:1])[0]
    assert 20 < float(depth.median()) < 60


def test_other_dtypes_run_by_autocasting(tiny_scene_models: Models) -> None:  # noqa: F811
    exact, rough = (
        TransformersDepth(tiny_scene_models("depth_anything"), device="cpu", dtype=dtype).depth(FRAMES[:1])[0]
        for dtype in (None, "bf16")
    )
    assert rough.dtype == torch.float32
    assert 0 < float((rough / exact - 1).abs().mean()) < 0.05


def test_relative_depth_is_refused_before_weights_are_read(tiny_scene_models: Models, tmp_path: Path) -> None:  # noqa: F811
    relative = tiny_scene_models("relative_depth")
    (tmp_path / "config.json").write_text((relative / "config.json").read_text())  # and nothing besides
    with pytest.raises(
        ModelError, match=r"relative depth, without metres\n.*Depth Pro, ZoeDepth: .*\n.*Metric-Outdoor"
    ):
        TransformersDepth(tmp_path, device="cpu")
    (tmp_path / "config.json").write_text('{"model_type": "dpt"}')
    with pytest.raises(ModelError, match="relative depth"):
        TransformersDepth(tmp_path, device="cpu")


def test_errors_name_what_is_wrong(tiny_scene_models: Models, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ModelError, match="no depth model at"):
        TransformersDepth(tmp_path / "missing")
    with pytest.raises(ModelError, match="kind 'blip', which is no depth model"):
        TransformersDepth(tiny_scene_models("blip"))
    with pytest.raises(SettingError, match="batch_size=0"):
        TransformersDepth(tiny_scene_models("depth_anything"), batch_size=0)
