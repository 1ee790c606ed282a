"""Grounding DINO and Segment Anything with small random weights in their original formats."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.backends.common.checkpoints import load_checkpoint
from poc_aug.backends.finders.finder_protocols import Detections, Detector, Segmenter
from poc_aug.backends.finders.grounded_sam import GroundedSamAnnotator
from poc_aug.backends.finders.grounding_dino import GroundingDinoDetector, build_model, caption_of
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.backends.finders.prompt_locator import PromptLocator
from poc_aug.backends.finders.segment_anything import SegmentAnythingSegmenter, build_sam
from poc_aug.errors import DeviceError, MissingDependencyError, ModelError, RecipeError
from poc_aug.types import Annotation, Crop, Filled, Rejection, Sample
from tests.helpers.fakes import make_recipe
from tests.helpers.tiny_grounded_sam import grounding_dino_files, segment_anything_path  # noqa: F401

Files = tuple[Path, Path, Path]
TEXTS = ("A sheep ", "the traffic cone on the road")
# The library's own call warns of a name that it uses itself.
library_warns = pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.autocast.*:FutureWarning")


def picture(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def make_detector(files: Files, **settings: Any) -> GroundingDinoDetector:
    config, checkpoint, text_encoder = files
    told: dict[str, Any] = {
        "config": config,
        "text_encoder": text_encoder,
        "box_threshold": 0,
        "text_threshold": 0,
        "size_px": 96,
        "device": "cpu",
    }
    return GroundingDinoDetector(**{"checkpoint": checkpoint, **told, **settings})


@pytest.fixture(scope="module")
def detector(grounding_dino_files: Files) -> GroundingDinoDetector:  # noqa: F811
    return make_detector(grounding_dino_files)


@pytest.fixture(scope="module")
def segmenter(segment_anything_path: Path) -> SegmentAnythingSegmenter:  # noqa: F811
    return SegmentAnythingSegmenter(segment_anything_path, device="cpu")


def own_input(image: torch.Tensor, size_px: int) -> torch.Tensor:
    """An image as groundingdino-py's own `load_image` makes it, whose limits are 800 and 1333."""
    from groundingdino.datasets import transforms

    steps = transforms.Compose(
        [
            transforms.RandomResize([size_px], max_size=round(size_px * 1333 / 800)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    made: torch.Tensor = steps(Image.fromarray(image.permute(1, 2, 0).numpy()), None)[0]
    return made


def own_detections(detector: GroundingDinoDetector, image: torch.Tensor, text: str) -> Detections:
    """What the library's own preprocessing and `predict` find, best first, in pixels inside the image."""
    from groundingdino.util.inference import predict
    from torchvision.ops import box_convert

    h, w = image.shape[-2:]
    boxes, scores, _ = predict(detector.model, own_input(image, detector.size_px), text, 0.0, 0.0, device="cpu")
    order = scores.argsort(descending=True, stable=True)
    limits = torch.tensor([w, h, w, h])
    corners = box_convert(boxes[order], "cxcywh", "xyxy") * limits
    return Detections(corners.clamp(min=0).minimum(limits), scores[order])


@library_warns
@pytest.mark.parametrize(("h", "w"), [(96, 131), (119, 96), (96, 96)])
@pytest.mark.parametrize("text", TEXTS)
def test_boxes_are_those_of_the_librarys_own_call(detector: GroundingDinoDetector, h: int, w: int, text: str) -> None:
    image = picture(h, w)
    (ours,) = detector.detect([image], [text])
    own = own_detections(detector, image, text)
    # These sizes need no resizing: what is left is the order of sums.
    assert torch.allclose(ours.scores, own.scores, atol=1e-5)
    assert torch.allclose(ours.boxes_xyxy, own.boxes_xyxy, atol=1e-2)
    assert 0.1 < float(ours.scores.min()) < 0.3 < 0.5 < float(ours.scores.max()) < 0.9
    assert len(set(ours.scores.tolist())) > 20
    assert float(ours.boxes_xyxy.std(dim=0).min()) > 5


@library_warns
@pytest.mark.parametrize(("h", "w"), [(97, 131), (64, 111), (300, 131), (50, 200), (61, 61), (200, 97)])
def test_images_are_resized_as_the_library_does(detector: GroundingDinoDetector, h: int, w: int) -> None:
    image = picture(h, w, h)
    own = own_input(image, 96)
    size_hw = detector._input_hw(h, w)
    assert size_hw == tuple(own.shape[-2:])
    # They resize in 8-bit levels, we in floating point: at most one level apart.
    assert float((detector._input(image, size_hw) - own).abs().max()) < 1.01 / 255 / 0.224
    for text in TEXTS:
        (ours,) = detector.detect([image], [text])
        # Half a level may let another place of the image become a query, which has another score and box.
        assert torch.allclose(ours.scores, own_detections(detector, image, text).scores, atol=0.1)


@pytest.mark.parametrize(("h", "w"), [(800, 800), (375, 1242), (1024, 2048), (1, 900), (333, 555), (720, 577)])
def test_input_sizes_are_the_librarys_at_full_size_too(detector: GroundingDinoDetector, h: int, w: int) -> None:
    from groundingdino.datasets.transforms import resize

    size_px, detector.size_px = detector.size_px, 800
    try:
        own = resize(Image.new("L", (w, h)), None, 800, 1333)[0]
        assert detector._input_hw(h, w) == (own.height, own.width)
    finally:
        detector.size_px = size_px


def test_what_is_found_does_not_depend_on_the_batch(detector: GroundingDinoDetector) -> None:
    images = [picture(97, 97, 1), picture(97, 97, 2), picture(64, 111, 3), picture(97, 97, 4)]
    texts = ["a sheep", "the traffic cone on the road", "dog", "a dog"]
    together = detector.detect(images, texts)
    for image, text, found in zip(images, texts, together, strict=True):
        (alone,) = detector.detect([image], [text])
        assert len(found.scores) == 30
        assert torch.allclose(alone.scores, found.scores, atol=1e-4)
        assert torch.allclose(alone.boxes_xyxy, found.boxes_xyxy, atol=1e-2)
        assert bool((found.boxes_xyxy >= 0).all())
    assert not torch.allclose(together[0].scores, together[3].scores, atol=1e-3)


def test_the_text_and_the_image_both_matter(detector: GroundingDinoDetector) -> None:
    image = picture(97, 131)
    sheep, cone, other = detector.detect([image, image, picture(97, 131, 1)], ["a sheep", "a cone", "a sheep"])
    assert float((sheep.scores - cone.scores).abs().max()) > 0.01
    assert float((sheep.scores - other.scores).abs().max()) > 0.01


def test_boxes_under_a_threshold_are_left_out(grounding_dino_files: Files, detector: GroundingDinoDetector) -> None:  # noqa: F811
    image = picture(97, 131)
    (every,) = detector.detect([image], ["a sheep"])
    for settings in ({"box_threshold": 0.4, "text_threshold": 0.25}, {"box_threshold": 0.25, "text_threshold": 0.4}):
        (strict,) = make_detector(grounding_dino_files, **settings).detect([image], ["a sheep"])
        expected = every.scores > 0.4
        assert 0 < int(expected.sum()) < 30
        assert torch.equal(strict.scores, every.scores[expected])
        assert torch.equal(strict.boxes_xyxy, every.boxes_xyxy[expected])
        assert bool((strict.scores[:-1] >= strict.scores[1:]).all())


def test_half_precision_finds_nearly_the_same(grounding_dino_files: Files, detector: GroundingDinoDetector) -> None:  # noqa: F811
    half = make_detector(grounding_dino_files, dtype="bfloat16")
    assert half.describe()["dtype"] == "bfloat16"
    image = picture(97, 131)
    (full,) = detector.detect([image], ["a sheep"])
    (found,) = half.detect([image], ["a sheep"])
    assert found.scores.dtype == found.boxes_xyxy.dtype == torch.float32
    assert not torch.equal(found.scores, full.scores)
    # Three digits of precision; queries may change places, as above.
    assert torch.allclose(found.scores, full.scores, atol=0.1)


def test_texts_of_one_caption_do_not_see_each_other(
    detector: GroundingDinoDetector,
    grounding_dino_files: Files,  # noqa: F811
) -> None:
    from groundingdino.models.GroundingDINO.bertwarper import generate_masks_with_special_tokens_and_transfer_map
    from transformers import BertModel

    model = detector.model
    tokens = model.tokenizer(["traffic cone. dog."], return_tensors="pt")
    pairs, positions, _ = generate_masks_with_special_tokens_and_transfer_map(
        tokens, model.specical_tokens, model.tokenizer
    )
    plain = BertModel.from_pretrained(grounding_dino_files[2])  # in evaluation mode
    with torch.no_grad():
        together = model.bert(
            input_ids=tokens["input_ids"],
            token_type_ids=tokens["token_type_ids"],
            attention_mask=pairs,
            position_ids=positions,
        )["last_hidden_state"][0]
        # [CLS], two words and a full stop, a word and a full stop, [SEP]: each by itself through transformers' BERT.
        alone = [plain(input_ids=ids[None]).last_hidden_state[0] for ids in tokens["input_ids"][0].split([1, 3, 2, 1])]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_captions_have_the_form_of_training() -> None:
    assert [caption_of(text) for text in ("A Sheep ", "dog.", " The  road")] == ["a sheep.", "dog.", "the  road."]


def test_it_says_all_that_decides_what_is_found(
    detector: GroundingDinoDetector,
    grounding_dino_files: Files,  # noqa: F811
    tmp_path: Path,
) -> None:
    config, _, text_encoder = grounding_dino_files
    assert isinstance(detector, Detector)
    told = detector.describe()
    assert json.loads(json.dumps(told)) == told
    assert told["text_encoder"].startswith("bert#")
    same = tmp_path / "same.py"
    same.write_bytes(config.read_bytes())
    assert make_detector(grounding_dino_files, config=same).describe() == told
    other = tmp_path / "other" / config.name
    other.parent.mkdir()
    other.write_text(config.read_text() + "\ntext_dropout = 0.1\n")
    assert make_detector(grounding_dino_files, config=other).describe()["config"] != told["config"]
    encoder = tmp_path / "bert"
    encoder.mkdir()
    for file in text_encoder.iterdir():
        (encoder / file.name).write_bytes(file.read_bytes())
    assert make_detector(grounding_dino_files, text_encoder=encoder).describe() == told
    settings = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps({**settings, "hidden_dropout_prob": 0.2}))
    changed = make_detector(grounding_dino_files, text_encoder=encoder).describe()
    assert changed["text_encoder"] != told["text_encoder"]


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
    detector: GroundingDinoDetector,
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
        (found,) = make_detector(grounding_dino_files, checkpoint=tmp_path / f"{number}.pth").detect(
            [picture(97, 131)], ["a dog"]
        )
        assert torch.equal(found.scores, expected.scores)
        assert torch.equal(found.boxes_xyxy, expected.boxes_xyxy)


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
    told = 0
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
            told += 1
    assert 200 < told < 400


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"box_threshold": 2}, r"box_threshold=2(.|\n)*less than 1"),
        ({"text_threshold": -0.1}, r"text_threshold=-0.1"),
        ({"size_px": 0}, r"size_px=0(.|\n)*1 or more"),
        ({"size_px": 32}, r"size_px=32(.|\n)*at least 33: the model has 30 queries"),
        ({"batch_size": 0}, r"batch_size=0(.|\n)*1 or more"),
    ],
)
def test_settings_outside_their_limits_are_named(
    grounding_dino_files: Files,  # noqa: F811
    settings: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(RecipeError, match=message):
        make_detector(grounding_dino_files, **settings)


def test_the_smallest_input_that_is_allowed_works(grounding_dino_files: Files) -> None:  # noqa: F811
    (found,) = make_detector(grounding_dino_files, size_px=33).detect([picture(40, 40)], ["a dog"])
    assert len(found.scores) == 30


def test_what_is_not_there_is_told(
    grounding_dino_files: Files,  # noqa: F811
    segment_anything_path: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def detector(**settings: Any) -> object:
        return make_detector(grounding_dino_files, **settings)

    def segmenter(**settings: Any) -> object:
        return SegmentAnythingSegmenter(segment_anything_path, **settings)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = re.escape("pip install 'poc_aug[generate]'")
    for module, make in (("groundingdino", detector), ("segment_anything", segmenter)):
        with pytest.raises(DeviceError, match=r"device 'cuda' was asked for(.|\n)*Expected: cpu"):
            make(device="cuda")
        with pytest.raises(DeviceError, match="float16 on the CPU"):
            make(device="cpu", dtype="float16")
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingDependencyError, match=rf"'{module}' is not installed(.|\n)*{line}$"):
            make(device="cpu")


def test_masks_are_those_of_the_librarys_own_call(segmenter: SegmentAnythingSegmenter) -> None:
    from segment_anything import SamPredictor

    image = picture(97, 131)
    boxes = torch.tensor([[20.0, 10.0, 90.0, 80.0], [0.0, 0.0, 131.0, 97.0]])
    masks = segmenter.segment([image, picture(50, 60)], [boxes, torch.zeros(0, 4)])
    assert [tuple(each.shape) for each in masks] == [(2, 97, 131), (0, 50, 60)]
    predictor = SamPredictor(segmenter.model)
    predictor.set_image(image.permute(1, 2, 0).numpy())
    for box, mask in zip(boxes, masks[0], strict=True):
        found, quality, _ = predictor.predict(box=box.numpy(), multimask_output=True)
        # They resize in 8-bit levels, we in floating point.
        assert float(np.mean(found[quality.argmax()] == mask.numpy())) > 0.98
        assert 0.01 < float(mask.float().mean()) < 0.99


def test_masks_do_not_depend_on_the_batch(segment_anything_path: Path, segmenter: SegmentAnythingSegmenter) -> None:  # noqa: F811
    images = [picture(97, 131, 1), picture(40, 33, 2), picture(128, 128, 3)]
    boxes = [torch.tensor([[5.0, 6.0, 30.0, 31.0]] * n) for n in (1, 3, 2)]
    single = SegmentAnythingSegmenter(segment_anything_path, device="cpu", batch_size=1)
    for image, own, masks in zip(images, boxes, segmenter.segment(images, boxes), strict=True):
        assert (masks.dtype, tuple(masks.shape)) == (torch.bool, (len(own), *image.shape[-2:]))
        (alone,) = single.segment([image], [own])
        assert float((alone == masks).float().mean()) > 0.99


def test_the_encoder_in_half_precision_finds_nearly_the_same(
    segment_anything_path: Path,  # noqa: F811
    segmenter: SegmentAnythingSegmenter,
) -> None:
    half = SegmentAnythingSegmenter(segment_anything_path, device="cpu", dtype="bfloat16")
    assert isinstance(half, Segmenter)
    assert half.describe() == {**segmenter.describe(), "dtype": "bfloat16"}
    boxes = [torch.tensor([[20.0, 10.0, 90.0, 80.0]])]
    (full,), (found,) = segmenter.segment([picture(97, 131)], boxes), half.segment([picture(97, 131)], boxes)
    assert float((full == found).float().mean()) > 0.95


@pytest.mark.parametrize(
    ("kind", "depth", "heads", "all_seeing"),
    [("vit_b", 12, 12, [2, 5, 8, 11]), ("vit_l", 24, 16, [5, 11, 17, 23]), ("vit_h", 32, 16, [7, 15, 23, 31])],
)
def test_the_published_models_are_known_by_their_tensors(
    kind: str, depth: int, heads: int, all_seeing: list[int]
) -> None:
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        original = sam_model_registry[kind]()
        sam = build_sam(original.state_dict(), kind)
    encoder = sam.image_encoder
    assert (encoder.img_size, len(encoder.blocks), encoder.blocks[0].attn.num_heads) == (1024, depth, heads)
    windows = [block.window_size for block in encoder.blocks]
    assert windows == [0 if i in all_seeing else 14 for i in range(depth)]
    assert str(sam) == str(original.eval())


def test_what_is_not_segment_anything_is_told(grounding_dino_files: Files, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ModelError, match="is not a Segment Anything checkpoint"):
        SegmentAnythingSegmenter(grounding_dino_files[1], device="cpu")
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(ModelError, match="is not a checkpoint"):
        SegmentAnythingSegmenter(tmp_path / "text.pth", device="cpu")
    torch.save({"image_encoder.pos_embed": 3}, tmp_path / "number.pth")
    with pytest.raises(ModelError, match="is not a Segment Anything checkpoint"):
        SegmentAnythingSegmenter(tmp_path / "number.pth", device="cpu")
    with pytest.raises(RecipeError, match=r"batch_size=0(.|\n)*1 or more"):
        SegmentAnythingSegmenter(tmp_path / "number.pth", device="cpu", batch_size=0)


@pytest.fixture(scope="module")
def annotator(grounding_dino_files: Files, segment_anything_path: Path) -> GroundedSamAnnotator:  # noqa: F811
    config, checkpoint, text_encoder = grounding_dino_files
    made = GroundedSamAnnotator(
        checkpoint,
        segment_anything_path,
        detector_config=config,
        text_encoder=text_encoder,
        box_threshold=0,
        text_threshold=0,
        device="cpu",
        min_inside_box=0,
        min_area_of_crop=0,
    )
    made.finder.detector.size_px = 96  # type: ignore[attr-defined]
    return made


def crop_of(h: int, w: int, seed: int, parts: tuple[str, ...] = ("dog",)) -> tuple[Crop, Filled]:
    crop = Crop(picture(h, w, seed), (4, 4, h - 8, w - 8), "dog", "a dog", parts, seed, detect=parts)
    return crop, Filled(picture(h, w, seed + 100))


def test_annotations_keep_their_form_and_do_not_depend_on_the_batch(annotator: GroundedSamAnnotator) -> None:
    pairs = [crop_of(64, 64, 1), crop_of(48, 71, 2, ("rider", "bicycle")), crop_of(64, 64, 3)]
    results = annotator.annotate([crop for crop, _ in pairs], [filled for _, filled in pairs])
    assert len(results) == 3
    for (crop, filled), result in zip(pairs, results, strict=True):
        (alone,) = annotator.annotate([crop], [filled])
        assert isinstance(result, Annotation)
        assert isinstance(alone, Annotation)
        assert tuple(part.name for part in result.parts) == crop.parts
        for part, other in zip(result.parts, alone.parts, strict=True):
            assert part.mask.dtype == torch.bool
            assert part.mask.shape == crop.image.shape[-2:]
            assert part.score == pytest.approx(other.score, abs=1e-4)
            assert 0.1 < part.score < 0.9
            assert float((part.mask == other.mask).float().mean()) > 0.99


def test_settings_reach_the_models(annotator: GroundedSamAnnotator) -> None:
    told = annotator.describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["min_inside_box"], told["finder"]["nms_iou"], told["finder"]["max_boxes"]) == (0, 0.8, 20)
    assert told["finder"]["detector"]["box_threshold"] == 0
    assert told["finder"]["segmenter"]["dtype"] == "float32"


def test_what_lies_outside_the_box_is_rejected_with_figures(annotator: GroundedSamAnnotator) -> None:
    crop, filled = crop_of(64, 64, 1)
    strict = PromptAnnotator(annotator.finder, min_inside_box=1.0)
    (result,) = strict.annotate([Crop(crop.image, (0, 0, 2, 2), "dog", "", ("dog",), 1)], [filled])
    assert isinstance(result, Rejection)
    assert result.reason == "outside the box"
    assert "of the mask inside the box" in result.detail


def test_a_location_is_searched_once_for_an_image(annotator: GroundedSamAnnotator) -> None:
    locator = PromptLocator(annotator.finder)
    sample = Sample(picture(60, 81), torch.zeros(60, 81, dtype=torch.uint8), "a")
    first = locator.locate(sample, "road")
    assert torch.equal(locator.locate(sample, "road"), first)
    assert (first.shape, first.dtype, locator.searched) == ((60, 81), torch.bool, 1)


def test_texts_over_the_limit_are_found_before_any_work(annotator: GroundedSamAnnotator) -> None:
    annotator.check_recipe(make_recipe())
    assert annotator.finder.text_limit("a dog") == (5, 256)  # with [CLS], the full stop and [SEP]
    with pytest.raises(RecipeError, match=r"object 'dog': the text to detect(.|\n)*at most 256"):
        annotator.check_recipe(make_recipe(objects=[{"name": "dog", "detect": ["dog " * 300]}]))
