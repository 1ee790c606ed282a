"""SAM 3 of transformers, small and random, loaded from disk as a user would."""

from __future__ import annotations

import torch

from poc_aug.backends.finders.sam3 import Sam3Finder
from tests.helpers.annotator_contract import picture
from tests.helpers.tiny_transformers import tiny_models  # noqa: F401
from tests.helpers.transformers_cases import Models, counting


def test_sam3_finds_what_the_librarys_own_call_does(tiny_models: Models) -> None:  # noqa: F811
    from transformers import AutoModel, AutoProcessor

    images = [picture(97, 131, 0), picture(17, 11, 1)]
    finder = Sam3Finder(tiny_models("sam3"), score_threshold=0, nms_iou=1, device="cpu")
    with counting(finder.model.vision_encoder) as batches:
        answers = finder.find(images, [["rider"], ["a dog", "the cat"]])
    assert batches == [2]
    assert [len(row) for row in answers] == [1, 2]
    model, processor = (cls.from_pretrained(tiny_models("sam3")) for cls in (AutoModel, AutoProcessor))
    for image, row, texts in zip(images, answers, (["rider"], ["a dog", "the cat"]), strict=True):
        size = tuple(image.shape[-2:])
        for masks, text in zip(row, texts, strict=True):
            inputs = processor(images=image, text=text, return_tensors="pt", input_data_format="channels_first")
            inputs.pop("original_sizes")
            with torch.no_grad():
                output = model.eval()(**inputs)
            (reference,) = processor.post_process_instance_segmentation(output, threshold=0.0, target_sizes=[size])
            order = reference["scores"].argsort(descending=True, stable=True)
            assert torch.allclose(masks.scores, reference["scores"][order], atol=1e-5)
            assert float((masks.masks == reference["masks"][order].bool()).float().mean()) > 0.999
            assert masks.masks.dtype == torch.bool
            limits = torch.tensor([size[1], size[0]] * 2)
            assert torch.allclose(masks.boxes_xyxy, reference["boxes"][order].clamp(min=0).minimum(limits), atol=1e-2)


def test_sam3_drops_doubles_and_what_is_under_its_thresholds(tiny_models: Models) -> None:  # noqa: F811
    images, texts = [picture(97, 131, 0)], [["a dog"]]
    folder = tiny_models("sam3")
    ((everything,),) = Sam3Finder(folder, score_threshold=0, nms_iou=1, device="cpu").find(images, texts)
    ((apart,),) = Sam3Finder(folder, score_threshold=0, nms_iou=1e-6, device="cpu").find(images, texts)
    assert 0 < len(apart.scores) < len(everything.scores)
    assert apart.scores[0] == everything.scores[0]
    ((two,),) = Sam3Finder(folder, score_threshold=0, nms_iou=1, max_masks=2, device="cpu").find(images, texts)
    assert torch.equal(two.masks, everything.masks[:2])
    threshold = float(everything.scores[3])
    ((best,),) = Sam3Finder(folder, score_threshold=threshold, nms_iou=1, device="cpu").find(images, texts)
    assert torch.equal(best.scores, everything.scores[everything.scores > threshold])
    ((none,),) = Sam3Finder(folder, score_threshold=0.99, device="cpu").find(images, texts)
    assert (none.masks.shape, none.scores.shape, none.boxes_xyxy.shape) == ((0, 97, 131), (0,), (0, 4))
    strict = Sam3Finder(folder, score_threshold=0, mask_threshold=0.99, nms_iou=1, device="cpu")
    ((small,),) = strict.find(images, texts)
    assert bool((small.masks <= everything.masks).all())
    assert int(small.masks.sum()) < int(everything.masks.sum())
    assert strict.find(images, [[]]) == [[]]
    assert strict.find([], []) == []
