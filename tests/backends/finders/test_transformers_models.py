"""Detectors and segmenters of transformers against the libraries' own calls."""

from __future__ import annotations

import pytest
import torch

from poc_aug.backends.finders.finder_protocols import Detections
from poc_aug.backends.finders.sam3 import Sam3Finder
from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator
from poc_aug.backends.finders.transformers_segmenter import TransformersSegmenter
from poc_aug.errors import RecipeError
from tests.helpers.annotator_contract import picture
from tests.helpers.fakes import make_recipe
from tests.helpers.tiny_transformers import tiny_models  # noqa: F401
from tests.helpers.transformers_cases import BOXES, DETECTORS, SEGMENTERS, Models, counting, detector_of


def assert_boxes_in_order(found: Detections, h: int, w: int) -> None:
    boxes, scores = found.boxes_xyxy, found.scores
    assert boxes.dtype == scores.dtype == torch.float32
    assert boxes.shape == (len(scores), 4)
    assert bool((scores.diff() <= 0).all())
    assert bool((boxes[:, :2] >= 0).all())
    assert bool((boxes[:, 2:] > boxes[:, :2]).all())
    assert bool((boxes[:, 2:] <= torch.tensor([w, h])).all())
    assert bool(((scores >= 0) & (scores <= 1)).all())


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(("h", "w"), [(97, 131), (17, 11)])
def test_boxes_are_those_of_the_librarys_own_call(tiny_models: Models, name: str, h: int, w: int) -> None:  # noqa: F811
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    image = picture(h, w, 0)
    detector = detector_of(tiny_models(name))
    (ours,) = detector.detect([image], ["A dog"])
    assert_boxes_in_order(ours, h, w)

    model = AutoModelForZeroShotObjectDetection.from_pretrained(tiny_models(name)).eval()
    processor = AutoProcessor.from_pretrained(tiny_models(name))
    text = "A dog" if name.startswith("owl") else "a dog."
    inputs = processor(images=[image], text=[text], return_tensors="pt")
    with torch.no_grad():
        output = model(**inputs)
    (reference,) = processor.post_process_grounded_object_detection(output, threshold=0.0, target_sizes=[(h, w)])
    boxes = reference["boxes"].clamp(min=0).minimum(torch.tensor([w, h, w, h]))
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    order = reference["scores"][inside].argsort(descending=True, stable=True)
    assert len(order) > 3
    assert torch.allclose(ours.scores, reference["scores"][inside][order], atol=1e-5)
    assert torch.allclose(ours.boxes_xyxy, boxes[inside][order], atol=1e-2)


@pytest.mark.parametrize("name", DETECTORS)
def test_what_is_detected_does_not_depend_on_the_batch(tiny_models: Models, name: str) -> None:  # noqa: F811
    detector = detector_of(tiny_models(name), batch_size=2)
    sizes = [(97, 131), (97, 131), (64, 111), (17, 11), (97, 131), (131, 97), (97, 131), (33, 33), (97, 131)]
    images = [picture(h, w, seed) for seed, (h, w) in enumerate(sizes)]
    texts = ["a sheep", "the cone", "dog", "a cat", "a sheep", "Rider.", "on road", "box", "the bicycle"]
    images.append(images[0])  # two texts of one image
    texts.append("the cat")
    together = detector.detect(images, texts)
    assert len(together) == 10
    assert together[0].scores.tolist() != together[9].scores.tolist()
    for image, text, found in zip(images, texts, together, strict=True):
        (alone,) = detector.detect([image], [text])
        assert len(found.scores) > 3
        assert torch.allclose(alone.scores, found.scores, atol=1e-4)
        assert_boxes_in_order(found, image.shape[-2], image.shape[-1])
    assert detector.detect([], []) == []


def test_thresholds_keep_the_best(tiny_models: Models) -> None:  # noqa: F811
    images, texts = [picture(97, 131, 1)], ["a dog"]
    for name in ("mm_grounding_dino", "owlv2"):
        (everything,) = detector_of(tiny_models(name)).detect(images, texts)
        middle = float(everything.scores[len(everything.scores) // 2])
        kept = everything.scores[everything.scores > middle]
        assert 0 < len(kept) < len(everything.scores)
        (best,) = detector_of(tiny_models(name), box_threshold=middle).detect(images, texts)
        assert torch.allclose(best.scores, kept)
        # Under the text threshold a box names nothing; the OWLs score no tokens.
        (named,) = detector_of(tiny_models(name), text_threshold=middle).detect(images, texts)
        assert torch.allclose(named.scores, everything.scores if name == "owlv2" else kept)
    (none,) = detector_of(tiny_models("mm_grounding_dino"), box_threshold=0.999).detect(images, texts)
    assert (none.boxes_xyxy.shape, none.scores.shape) == ((0, 4), (0,))


def test_texts_are_counted_with_the_models_own_limit(tiny_models: Models) -> None:  # noqa: F811
    grounded, owl = detector_of(tiny_models("grounding_dino")), detector_of(tiny_models("owlv2"))
    assert grounded.text_limit("A dog") == grounded.text_limit(" a dog.") == (5, 256)
    assert owl.text_limit("a dog") == (6, 16)
    finder = Sam3Finder(tiny_models("sam3"), device="cpu")
    assert finder.text_limit("a dog") == (6, 32)
    for backend, limit in ((grounded, 256), (owl, 16)):
        with pytest.raises(RecipeError, match=rf"the text to detect(.|\n)*at most {limit}"):
            backend.detect([picture(33, 17, 0)], ["dog " * 300])
    with pytest.raises(RecipeError, match=r"the text to find(.|\n)*at most 32"):
        finder.find([picture(33, 17, 0)], [["dog", "dog " * 300]])
    annotator = TransformersAnnotator(tiny_models("owlv2"), tiny_models("sam2"), device="cpu")
    annotator.check_recipe(make_recipe())
    with pytest.raises(RecipeError, match=r"object 'dog': the text to detect(.|\n)*at most 16"):
        annotator.check_recipe(make_recipe(objects=[{"name": "dog", "detect": ["a very small dog on the road"]}]))


@pytest.mark.parametrize("name", SEGMENTERS)
def test_masks_are_those_of_the_librarys_own_call(tiny_models: Models, name: str) -> None:  # noqa: F811
    from transformers import AutoModelForMaskGeneration, AutoProcessor

    image = picture(97, 131, 0)
    segmenter = TransformersSegmenter(tiny_models(name), device="cpu")
    ours, none = segmenter.segment([image, picture(50, 61, 1)], [BOXES, torch.zeros(0, 4)])
    assert (ours.shape, ours.dtype, none.shape, none.dtype) == ((3, 97, 131), torch.bool, (0, 50, 61), torch.bool)

    model = AutoModelForMaskGeneration.from_pretrained(tiny_models(name)).eval()
    processor = AutoProcessor.from_pretrained(tiny_models(name))
    inputs = processor(images=image, input_boxes=[BOXES.tolist()], return_tensors="pt")
    sizes = [inputs[key] for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
    with torch.no_grad():
        output = model(pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float())
    masks = processor.post_process_masks(output.pred_masks, *sizes)[0]
    best = output.iou_scores[0].argmax(dim=1)
    expected = torch.stack([masks[box, number] for box, number in enumerate(best.tolist())])
    assert float((ours == expected).float().mean()) > 0.999
    assert 0.05 < float(ours.float().mean()) < 0.95


@pytest.mark.parametrize("name", SEGMENTERS)
def test_each_image_is_encoded_once_and_apart_from_the_others(tiny_models: Models, name: str) -> None:  # noqa: F811
    segmenter = TransformersSegmenter(tiny_models(name), device="cpu", batch_size=2)
    images = [picture(h, w, seed) for seed, (h, w) in enumerate([(97, 131), (17, 11), (64, 64), (97, 131)])]
    boxes = [BOXES, torch.tensor([[1.0, 2.0, 9.0, 15.0]]), torch.zeros(0, 4), BOXES[:2]]
    with counting(segmenter.model.vision_encoder) as batches:
        together = segmenter.segment(images, boxes)
    assert batches == [2, 1]
    for image, own, found in zip(images, boxes, together, strict=True):
        (alone,) = segmenter.segment([image], [own])
        assert alone.shape == found.shape == (len(own), *image.shape[-2:])
        assert int((alone != found).sum()) <= 0.01 * found.numel()
    assert not torch.equal(together[0][:2], together[3])
    assert segmenter.segment([], []) == []
