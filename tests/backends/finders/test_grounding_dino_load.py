"""Loading Grounding DINO: damaged, foreign and missing files are named, and libraries are left as they were."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug.backends.common.checkpoints import load_checkpoint
from poc_aug.backends.finders.grounding_dino import GroundingDinoDetector, build_model
from poc_aug.errors import ModelError
from tests.helpers.grounded_sam_cases import Files, detector, make_detector, picture  # noqa: F401
from tests.helpers.tiny_grounded_sam import grounding_dino_files, segment_anything_path  # noqa: F401


def test_building_leaves_libraries_and_process_as_they_were(grounding_dino_files: Files) -> None:  # noqa: F811
    import transformers
    from groundingdino.models.GroundingDINO import bertwarper, groundingdino
    from groundingdino.util import get_tokenlizer
    from transformers.models.bert import modeling_bert

    def state() -> dict[str, Any]:
        return {
            "class": get_tokenlizer.BertModel,
            "attributes": dict(vars(modeling_bert.BertModel)),
            "forward": modeling_bert.BertModel.forward,
            "warper": groundingdino.BertModelWarper,
            "environment": dict(os.environ),
            "filters": list(warnings.filters),
            "path": list(sys.path),
            "random": torch.random.get_rng_state().tolist(),
            "stdout": sys.stdout,
        }

    config, _, text_encoder = grounding_dino_files
    with torch.random.fork_rng():
        before = state()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            build_model(config, text_encoder)
        after = state()
    drawn = {"random"}  # the network's initial weights
    assert {name for name in before if before[name] != after[name]} <= drawn
    assert before["warper"] is bertwarper.BertModelWarper
    assert before["class"] is modeling_bert.BertModel is transformers.BertModel
    assert not hasattr(modeling_bert.BertModel, "get_head_mask")
    with pytest.raises(ModelError):
        build_model(config, text_encoder.parent)
    assert groundingdino.BertModelWarper is bertwarper.BertModelWarper
    assert dict(os.environ) == before["environment"]


def test_warnings_that_are_not_known_are_shown(grounding_dino_files: Files, tmp_path: Path) -> None:  # noqa: F811
    config, _, text_encoder = grounding_dino_files
    loud = tmp_path / "loud.py"
    loud.write_text(config.read_text() + "\nimport warnings\nwarnings.warn('a new one', UserWarning)\ndel warnings\n")
    with pytest.warns(UserWarning, match="a new one"):
        build_model(loud, text_encoder)


def test_what_published_checkpoints_hold_besides_is_left_out(
    detector: GroundingDinoDetector,  # noqa: F811
    grounding_dino_files: Files,  # noqa: F811
    tmp_path: Path,
) -> None:
    weights = torch.load(grounding_dino_files[1], weights_only=True)["model"]
    besides = {"label_enc.weight": torch.zeros(3, 256), "bert.embeddings.position_ids": torch.arange(512)[None]}
    forms = [
        {"model": {**weights, **besides}, "epoch": 3},
        {"model": {f"module.{name}": value for name, value in weights.items()}},
        weights,
    ]
    (expected,) = detector.detect([picture(97, 131)], ["a dog"])
    for number, form in enumerate(forms):
        torch.save(form, tmp_path / f"{number}.pth")
        (detections,) = make_detector(grounding_dino_files, checkpoint=tmp_path / f"{number}.pth").detect(
            [picture(97, 131)], ["a dog"]
        )
        assert torch.equal(detections.scores, expected.scores)
        assert torch.equal(detections.boxes_xyxy, expected.boxes_xyxy)


def test_checkpoints_that_do_not_fit_are_told(
    grounding_dino_files: Files,  # noqa: F811
    segment_anything_path: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    weights = torch.load(grounding_dino_files[1], weights_only=True)["model"]
    name = "feat_map.bias"
    cases = [
        ({"model": 3}, "holds a value of type int among its tensors"),
        ({"model": {"a": 3}}, "holds a value of type int among its tensors"),
        ({**weights, "args": "a name"}, "holds a value of type str among its tensors"),
        ([weights], "holds a list"),
        ({"model": {}}, r"lacks \d+ of the model's tensors"),
        ({key: value for key, value in weights.items() if key != name}, f"lacks 1 of the model's tensors, '{name}'"),
        ({**weights, "extra.weight": torch.zeros(1)}, "holds 1 tensors that the model does not have, 'extra.weight'"),
        (
            {**weights, name: torch.zeros(7)},
            rf"holds 1 tensors of another size, '{name}' first: \[7\] instead of \[256\](.|\n)*detector_config=",
        ),
    ]
    path = tmp_path / "other.pth"
    for held, message in cases:
        torch.save(held, path)
        with pytest.raises(ModelError, match=message):
            make_detector(grounding_dino_files, checkpoint=path)
    with pytest.raises(ModelError, match=r"lacks \d+ of the model's tensors"):
        make_detector(grounding_dino_files, checkpoint=segment_anything_path)
    with pytest.raises(ModelError, match=r"no checkpoint at .*none.pth"):
        make_detector(grounding_dino_files, checkpoint=tmp_path / "none.pth")
    with pytest.raises(ModelError, match="no checkpoint at"):
        make_detector(grounding_dino_files, checkpoint=tmp_path)
    path.write_text("no tensors")
    with pytest.raises(ModelError, match="is not a checkpoint"):
        make_detector(grounding_dino_files, checkpoint=path)


# What is damaged may also name another protocol of pickle, which torch warns of.
@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_damaged_checkpoints_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.pth"
    reported = 0
    for zipped in (True, False):
        torch.save({"model": {"a": torch.zeros(30, 30)}}, path, _use_new_zipfile_serialization=zipped)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for number in range(200):
            damaged = whole[: rng.integers(len(whole))] if number % 2 else whole.copy()
            if number % 2 == 0:
                damaged[rng.integers(len(whole), size=4)] = rng.integers(256, size=4)
            path.write_bytes(damaged.tobytes())
            with contextlib.suppress(ModelError):
                load_checkpoint(path, "a checkpoint")  # a changed value is no fault of form
                continue
            reported += 1
    assert 200 < reported < 400


def test_a_checkpoint_of_another_configuration_is_told(grounding_dino_files: Files, tmp_path: Path) -> None:  # noqa: F811
    config = tmp_path / "deeper.py"
    config.write_text(grounding_dino_files[0].read_text().replace("dec_layers = 1", "dec_layers = 2"))
    with pytest.raises(ModelError, match=r"lacks \d+ of the model's tensors(.|\n)*detector_config="):
        make_detector(grounding_dino_files, config=config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("num_queries = 30", "num_queries = "), "cannot be read: SyntaxError"),
        (("num_queries = 30", "num_queries = unknown"), "cannot be read: NameError"),
        (("num_queries = 30", "import no_such_module"), "cannot be read: ModuleNotFoundError"),
        (("num_queries = 30", ""), r"no model can be built .*tiny-\w+.py.*bert.*num_queries"),
        (('modelname = "groundingdino"', 'modelname = "other"'), "no model can be built"),
        (('backbone = "swin_T_224_1k"', 'backbone = "other"'), "no model can be built"),
        (('position_embedding = "sine"', 'position_embedding = "other"'), "no model can be built .*ValueError"),
        (("nheads = 8", "nheads = 7"), "no model can be built"),
    ],
)
def test_broken_configurations_are_told(
    grounding_dino_files: Files,  # noqa: F811
    tmp_path: Path,
    change: tuple[str, str],
    message: str,
) -> None:
    text = grounding_dino_files[0].read_text()
    assert change[0] in text
    config = tmp_path / "tiny-broken.py"
    config.write_text(text.replace(*change))
    searched = list(sys.path)
    with pytest.raises(ModelError, match=message):
        make_detector(grounding_dino_files, config=config)
    assert sys.path == searched


# groundingdino-py leaves a half-closed temporary file behind.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broken_base_of_a_configuration_is_told(grounding_dino_files: Files, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "base.py").write_text("num_queries = unknown\n")
    (tmp_path / "heir.py").write_text("_base_ = 'base.py'\n" + grounding_dino_files[0].read_text())
    searched = list(sys.path)
    with pytest.raises(ModelError, match=r"heir.py' cannot be read: NameError"):
        make_detector(grounding_dino_files, config=tmp_path / "heir.py")
    assert sys.path == searched
    gc.collect()


def test_configurations_and_text_encoders_that_are_not_there_are_told(
    grounding_dino_files: Files,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelError, match="no configuration at"):
        make_detector(grounding_dino_files, config=tmp_path / "none.py")
    with pytest.raises(ModelError, match=r"text encoder .*none' cannot be loaded(.|\n)*hf download"):
        make_detector(grounding_dino_files, text_encoder=tmp_path / "none")
    with pytest.raises(ModelError, match=r"text encoder .*none/hub-id' cannot be loaded"):
        make_detector(grounding_dino_files, text_encoder="none/hub-id")
    with pytest.raises(ModelError, match=re.escape(repr(str(tmp_path)))):
        make_detector(grounding_dino_files, text_encoder=tmp_path)
