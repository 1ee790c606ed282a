"""Grounding DINO with small random weights in its original format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from poc_aug.backends.finders.finder_protocols import Detections, Detector
from poc_aug.backends.finders.grounding_dino import GroundingDinoDetector, grounding_caption
from tests.helpers.grounded_sam_cases import Files, detector, make_detector, picture  # noqa: F401
from tests.helpers.tiny_grounded_sam import grounding_dino_files  # noqa: F401

TEXTS = ("A sheep ", "the traffic cone on the road")
# The library's own call warns of a name that it uses itself.
library_warns = pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.autocast.*:FutureWarning")


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


def own_detections(detector: GroundingDinoDetector, image: torch.Tensor, text: str) -> Detections:  # noqa: F811
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
def test_boxes_are_those_of_the_librarys_own_call(detector: GroundingDinoDetector, h: int, w: int, text: str) -> None:  # noqa: F811
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
def test_images_are_resized_as_the_library_does(detector: GroundingDinoDetector, h: int, w: int) -> None:  # noqa: F811
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
def test_input_sizes_are_the_librarys_at_full_size_too(detector: GroundingDinoDetector, h: int, w: int) -> None:  # noqa: F811
    from groundingdino.datasets.transforms import resize

    size_px, detector.size_px = detector.size_px, 800
    try:
        own = resize(Image.new("L", (w, h)), None, 800, 1333)[0]
        assert detector._input_hw(h, w) == (own.height, own.width)
    finally:
        detector.size_px = size_px


def test_what_is_found_does_not_depend_on_the_batch(detector: GroundingDinoDetector) -> None:  # noqa: F811
    images = [picture(97, 97, 1), picture(97, 97, 2), picture(64, 111, 3), picture(97, 97, 4)]
    texts = ["a sheep", "the traffic cone on the road", "dog", "a dog"]
    together = detector.detect(images, texts)
    for image, text, detections in zip(images, texts, together, strict=True):
        (alone,) = detector.detect([image], [text])
        assert len(detections.scores) == 30
        assert torch.allclose(alone.scores, detections.scores, atol=1e-4)
        assert torch.allclose(alone.boxes_xyxy, detections.boxes_xyxy, atol=1e-2)
        assert bool((detections.boxes_xyxy >= 0).all())
    assert not torch.allclose(together[0].scores, together[3].scores, atol=1e-3)


def test_the_text_and_the_image_both_matter(detector: GroundingDinoDetector) -> None:  # noqa: F811
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
    (detections,) = half.detect([image], ["a sheep"])
    assert detections.scores.dtype == detections.boxes_xyxy.dtype == torch.float32
    assert not torch.equal(detections.scores, full.scores)
    # Three digits of precision; queries may change places, as above.
    assert torch.allclose(detections.scores, full.scores, atol=0.1)


def test_texts_of_one_caption_do_not_see_each_other(
    detector: GroundingDinoDetector,  # noqa: F811
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
    assert [grounding_caption(text) for text in ("A Sheep ", "dog.", " The  road")] == [
        "a sheep.",
        "dog.",
        "the  road.",
    ]


def test_it_says_all_that_decides_what_is_found(
    detector: GroundingDinoDetector,  # noqa: F811
    grounding_dino_files: Files,  # noqa: F811
    tmp_path: Path,
) -> None:
    config, _, text_encoder = grounding_dino_files
    assert isinstance(detector, Detector)
    description = detector.describe()
    assert json.loads(json.dumps(description)) == description
    assert description["text_encoder"].startswith("bert#")
    same = tmp_path / "same.py"
    same.write_bytes(config.read_bytes())
    assert make_detector(grounding_dino_files, config=same).describe() == description
    other = tmp_path / "other" / config.name
    other.parent.mkdir()
    other.write_text(config.read_text() + "\ntext_dropout = 0.1\n")
    assert make_detector(grounding_dino_files, config=other).describe()["config"] != description["config"]
    encoder = tmp_path / "bert"
    encoder.mkdir()
    for file in text_encoder.iterdir():
        (encoder / file.name).write_bytes(file.read_bytes())
    assert make_detector(grounding_dino_files, text_encoder=encoder).describe() == description
    settings = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps({**settings, "hidden_dropout_prob": 0.2}))
    changed = make_detector(grounding_dino_files, text_encoder=encoder).describe()
    assert changed["text_encoder"] != description["text_encoder"]


def test_the_smallest_input_that_is_allowed_works(grounding_dino_files: Files) -> None:  # noqa: F811
    (detections,) = make_detector(grounding_dino_files, size_px=33).detect([picture(40, 40)], ["a dog"])
    assert len(detections.scores) == 30
