"""Loading models of transformers: another kind, damage, missing tensors and unreachable ids are named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from poc_aug.backends.finders.grounded_finder import GroundedFinder
from poc_aug.backends.finders.sam3 import Sam3Annotator, Sam3Finder
from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator
from poc_aug.backends.finders.transformers_detector import TransformersDetector
from poc_aug.backends.finders.transformers_segmenter import TransformersSegmenter
from poc_aug.errors import ModelError
from tests.helpers.annotator_contract import picture
from tests.helpers.tiny_transformers import sam2_video, sam3_video, tiny_models  # noqa: F401
from tests.helpers.transformers_cases import BOXES, Models


@pytest.mark.parametrize(("name", "build"), [("sam2", sam2_video), ("sam3", sam3_video)])
def test_checkpoints_of_the_video_models_hold_the_image_model(
    tiny_models: Models,  # noqa: F811
    tmp_path: Path,
    name: str,
    build: Callable[[Path, Path], None],
) -> None:
    folder = tmp_path / "video"
    build(folder, tiny_models(name))
    assert json.loads((folder / "config.json").read_text())["model_type"] == f"{name}_video"
    image = picture(97, 131, 0)
    if name == "sam2":
        one, other = (TransformersSegmenter(each, device="cpu") for each in (folder, tiny_models(name)))
        assert torch.equal(one.segment([image], [BOXES])[0], other.segment([image], [BOXES])[0])
        return
    found = [
        Sam3Finder(each, score_threshold=0, device="cpu").find([image], [["a dog"]])[0][0]
        for each in (folder, tiny_models(name))
    ]
    assert len(found[0].scores) > 0
    assert torch.equal(found[0].masks, found[1].masks)


def test_loading_changes_nothing_global(tiny_models: Models) -> None:  # noqa: F811
    folders = [tiny_models(name) for name in ("grounding_dino", "sam", "sam3")]
    environment, state = dict(os.environ), torch.get_rng_state()
    grad = torch.is_grad_enabled()
    annotator = TransformersAnnotator(folders[0], folders[1], device="cpu")
    Sam3Annotator(folders[2], device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert dict(os.environ) == environment
    assert torch.is_grad_enabled() == grad
    assert isinstance(annotator.finder, GroundedFinder)
    assert isinstance(annotator.finder.detector, TransformersDetector)
    assert not annotator.finder.detector.model.training


WRONG = [("sam", "sam"), ("sam3", "sam"), ("grounding_dino", "owlv2"), ("grounding_dino", "sam3"), ("bert", "sam")]


@pytest.mark.parametrize(("detector", "segmenter"), WRONG)
def test_models_of_another_kind_are_named_before_any_weights(
    tiny_models: Models,  # noqa: F811
    tmp_path: Path,
    detector: str,
    segmenter: str,
) -> None:
    folders = []
    for number, name in enumerate((detector, segmenter)):
        source = tiny_models("grounding_dino") / "bert" if name == "bert" else tiny_models(name)
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        shutil.copy(source / "config.json", folders[-1])  # there are no weights to read
    if detector == "grounding_dino":
        role, kind, expected = "segmenter", segmenter, "SAM 2"
    else:
        role, kind, expected = "detector", detector, "OWLv2"
    with pytest.raises(ModelError, match=rf"is of kind '{kind}', which is no {role}(.|\n)*{expected}"):
        TransformersAnnotator(*folders, device="cpu")


def test_another_model_is_no_sam3(tiny_models: Models) -> None:  # noqa: F811
    with pytest.raises(ModelError, match=r"is of kind 'sam2'(.|\n)*SAM 3(.|\n)*'sam3', 'sam3_video'"):
        Sam3Annotator(tiny_models("sam2"), device="cpu")


def test_damaged_folders_are_named(tiny_models: Models, tmp_path: Path) -> None:  # noqa: F811
    good = tiny_models("owlv2")

    def copy(name: str) -> Path:
        return Path(shutil.copytree(good, tmp_path / name))

    def refused(path: str | Path, match: str) -> None:
        with pytest.raises(ModelError, match=match):
            TransformersDetector(path, device="cpu")

    refused(tmp_path / "none", "no detector at")
    refused("a name", "no detector at 'a name'")
    refused(good / "config.json", "no detector at")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"has no config.json(.|\n)*grounded-sam")
    (copy("text") / "config.json").write_text("no JSON")
    refused(tmp_path / "text", "is not JSON")
    (copy("list") / "config.json").write_text("[]")
    refused(tmp_path / "list", "names no model_type")
    (copy("bare") / "config.json").write_text('{"architectures": ["Owlv2ForObjectDetection"]}')
    refused(tmp_path / "bare", "names no model_type")
    config = json.loads((good / "config.json").read_text())
    config["text_config"]["hidden_size"] = "large"
    (copy("values") / "config.json").write_text(json.dumps(config))
    refused(tmp_path / "values", "cannot be loaded")
    for name in ("processor_config.json", "tokenizer.json"):
        (copy(f"no {name}") / name).unlink()
    refused(tmp_path / "no processor_config.json", "the processor of the detector(.|\n)*cannot be loaded")
    (copy("no weights") / "model.safetensors").unlink()
    refused(tmp_path / "no weights", "the weights of the detector(.|\n)*cannot be loaded")
    weights = (good / "model.safetensors").read_bytes()
    (copy("short") / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused(tmp_path / "short", "the weights of the detector(.|\n)*cannot be loaded")


@pytest.mark.parametrize("change", ["absent", "of another shape"])
def test_weights_that_lack_tensors_are_not_filled_up_at_random(
    tiny_models: Models,  # noqa: F811
    tmp_path: Path,
    change: str,
) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_models("sam"), tmp_path / "sam"))
    weights = load_file(folder / "model.safetensors")
    name = "mask_decoder.iou_token.weight"
    if change == "absent":
        del weights[name]
    else:
        weights[name] = torch.zeros(3, 7)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    told = f"lacks 1 of the model's tensors, '{name}' first" if change == "absent" else "weights of the segmenter"
    with pytest.raises(ModelError, match=told):
        TransformersSegmenter(folder, device="cpu")


def test_an_unreachable_id_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for build in (TransformersDetector, TransformersSegmenter, Sam3Finder):
        with pytest.raises(ModelError, match=r"'nobody/nothing' is neither a folder(.|\n)*hf download nobody/nothing"):
            build("nobody/nothing", device="cpu")
