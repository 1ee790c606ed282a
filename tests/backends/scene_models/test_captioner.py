"""Captioners of transformers, small and random, loaded from disk as a user would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from poc_aug.backends.scene_models.captioner import TransformersCaptioner
from poc_aug.errors import DeviceError, ModelError, SettingError
from poc_aug.scenes.shifter_protocol import Captioner
from tests.helpers.annotator_contract import picture
from tests.helpers.tiny_scene_models import tiny_scene_models  # noqa: F401
from tests.helpers.transformers_cases import Models, counting

FRAMES = [picture(97, 131, 0), picture(97, 131, 1), picture(60, 40, 2)]


@pytest.fixture(scope="module")
def blip(tiny_scene_models: Models) -> TransformersCaptioner:  # noqa: F811
    return TransformersCaptioner(tiny_scene_models("blip"), device="cpu", max_new_tokens=6)


def test_it_keeps_the_protocol_and_describes_itself(blip: TransformersCaptioner, tmp_path: Path) -> None:
    assert isinstance(blip, Captioner)
    described = blip.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["dtype"] == "float32"
    assert "/" not in str(described["model"])  # a path says nothing about a model
    assert "#" in str(described["model"])  # its files do


@pytest.mark.parametrize("name", ["blip", "git"])
def test_a_batch_says_what_single_frames_say_and_says_it_again(
    name: str, tiny_scene_models: Models  # noqa: F811
) -> None:  # fmt: skip
    captioner = TransformersCaptioner(tiny_scene_models(name), device="cpu", max_new_tokens=6)
    state = torch.random.get_rng_state()
    together = captioner.caption(FRAMES)
    assert together == [captioner.caption([frame])[0] for frame in FRAMES]
    assert len(set(together)) == 3
    assert all(together)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", ["blip", "git"])
def test_a_prefix_is_continued(name: str, tiny_scene_models: Models) -> None:  # noqa: F811
    captioner = TransformersCaptioner(tiny_scene_models(name), device="cpu", max_new_tokens=4, prefix="a street")
    captions = captioner.caption(FRAMES[:2])
    assert all(caption.startswith("a street") for caption in captions)
    assert max(captions, key=len) != "a street"


def test_settings_are_part_of_its_identity(blip: TransformersCaptioner, tiny_scene_models: Models) -> None:  # noqa: F811
    for other in ({"num_beams": 1}, {"max_new_tokens": 5}, {"prefix": "a road"}, {"dtype": "bf16"}):
        settings = {"max_new_tokens": 6, **other}
        changed = TransformersCaptioner(tiny_scene_models("blip"), device="cpu", **settings)  # type: ignore[arg-type]
        assert changed.describe() != blip.describe()
        assert len(changed.caption(FRAMES[:1])) == 1


def test_frames_run_in_batches(blip: TransformersCaptioner, tiny_scene_models: Models) -> None:  # noqa: F811
    small = TransformersCaptioner(tiny_scene_models("blip"), device="cpu", batch_size=2, num_beams=1, max_new_tokens=3)
    with counting(small.model.vision_model) as batches:
        small.caption(FRAMES)
    assert batches == [2, 1]
    assert small.caption([]) == []


def test_errors_name_what_is_wrong(tiny_scene_models: Models, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ModelError, match=r"no captioner at .*missing.*\n.*BLIP, GIT"):
        TransformersCaptioner(tmp_path / "missing")
    with pytest.raises(ModelError, match="kind 'depth_anything', which is no captioner"):
        TransformersCaptioner(tiny_scene_models("depth_anything"), device="cpu")
    with pytest.raises(SettingError, match="num_beams=0"):
        TransformersCaptioner(tiny_scene_models("blip"), num_beams=0)
    with pytest.raises(DeviceError, match="float16 on the CPU"):
        TransformersCaptioner(tiny_scene_models("blip"), device="cpu", dtype="float16")
    broken = tmp_path / "broken"
    shutil.copytree(tiny_scene_models("blip"), broken)
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="weights of the captioner"):
        TransformersCaptioner(broken, device="cpu")
