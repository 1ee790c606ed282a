"""Detectors, segmenters and SAM 3 of transformers, small and random, loaded from disk as a user would."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.backends.finders.finder_protocols import Detections, Detector, Finder, Segmenter
from poc_aug.backends.finders.prompt_locator import PromptLocator
from poc_aug.backends.finders.sam3 import Sam3Annotator, Sam3Finder
from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator
from poc_aug.backends.finders.transformers_detector import TransformersDetector
from poc_aug.backends.finders.transformers_segmenter import TransformersSegmenter
from poc_aug.errors import DeviceError, ModelError, RecipeError
from poc_aug.types import Annotation, Rejection, Sample
from tests.helpers.annotator_contract import pair, picture
from tests.helpers.fakes import make_recipe
from tests.helpers.tiny_transformers import sam2_video, sam3_video, tiny_models  # noqa: F401

Models = Callable[[str], Path]
DETECTORS = ("grounding_dino", "mm_grounding_dino", "owlv2", "owlvit")
SEGMENTERS = ("sam", "sam_hq", "sam2")
BOXES = torch.tensor([[20.0, 10.0, 90.0, 80.0], [0.0, 0.0, 131.0, 97.0], [60.5, 30.25, 64.0, 50.0]])


def detector_of(folder: Path, **settings: Any) -> TransformersDetector:
    return TransformersDetector(folder, **{"box_threshold": 0, "text_threshold": 0, "device": "cpu", **settings})


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
    (told,) = processor.post_process_grounded_object_detection(output, threshold=0.0, target_sizes=[(h, w)])
    boxes = told["boxes"].clamp(min=0).minimum(torch.tensor([w, h, w, h]))
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    order = told["scores"][inside].argsort(descending=True, stable=True)
    assert len(order) > 3
    assert torch.allclose(ours.scores, told["scores"][inside][order], atol=1e-5)
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


def test_sam3_finds_what_the_librarys_own_call_does(tiny_models: Models) -> None:  # noqa: F811
    from transformers import AutoModel, AutoProcessor

    images = [picture(97, 131, 0), picture(17, 11, 1)]
    finder = Sam3Finder(tiny_models("sam3"), score_threshold=0, nms_iou=1, device="cpu")
    with counting(finder.model.vision_encoder) as batches:
        found = finder.find(images, [["rider"], ["a dog", "the cat"]])
    assert batches == [2]
    assert [len(row) for row in found] == [1, 2]
    model, processor = (cls.from_pretrained(tiny_models("sam3")) for cls in (AutoModel, AutoProcessor))
    for image, row, texts in zip(images, found, (["rider"], ["a dog", "the cat"]), strict=True):
        size = tuple(image.shape[-2:])
        for masks, text in zip(row, texts, strict=True):
            inputs = processor(images=image, text=text, return_tensors="pt", input_data_format="channels_first")
            inputs.pop("original_sizes")
            with torch.no_grad():
                output = model.eval()(**inputs)
            (told,) = processor.post_process_instance_segmentation(output, threshold=0.0, target_sizes=[size])
            order = told["scores"].argsort(descending=True, stable=True)
            assert torch.allclose(masks.scores, told["scores"][order], atol=1e-5)
            assert float((masks.masks == told["masks"][order].bool()).float().mean()) > 0.999
            assert masks.masks.dtype == torch.bool
            limits = torch.tensor([size[1], size[0]] * 2)
            assert torch.allclose(masks.boxes_xyxy, told["boxes"][order].clamp(min=0).minimum(limits), atol=1e-2)


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


def test_they_keep_the_protocols_and_describe_themselves(tiny_models: Models) -> None:  # noqa: F811
    detector = TransformersDetector(tiny_models("owlv2"), device="cpu")
    segmenter = TransformersSegmenter(tiny_models("sam2"), device="cpu")
    finder = Sam3Finder(tiny_models("sam3"), device="cpu")
    assert isinstance(detector, Detector)
    assert isinstance(segmenter, Segmenter)
    assert isinstance(finder, Finder)
    for backend in (detector, segmenter, finder):
        told = backend.describe()
        assert json.loads(json.dumps(told)) == told
        assert str(tiny_models("sam3").parent) not in json.dumps(told)  # a path says nothing about a model
        assert told["dtype"] == "float32"
    assert detector.describe() != TransformersDetector(tiny_models("owlv2"), box_threshold=0.1, device="cpu").describe()


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


def test_other_dtypes_run_by_autocasting(tiny_models: Models) -> None:  # noqa: F811
    image, text = picture(97, 131, 0), "a dog"
    for name in DETECTORS:
        exact, rough = (
            detector_of(tiny_models(name), dtype=each).detect([image], [text])[0] for each in (None, "bf16")
        )
        assert rough.scores.dtype == torch.float32
        assert abs(float(exact.scores[0] - rough.scores[0])) < 0.05
    for name in SEGMENTERS:
        exact_masks, rough_masks = (
            TransformersSegmenter(tiny_models(name), dtype=each, device="cpu").segment([image], [BOXES])[0]
            for each in (None, "bf16")
        )
        assert float((exact_masks == rough_masks).float().mean()) > 0.9
    told = Sam3Finder(tiny_models("sam3"), score_threshold=0, dtype="bf16", device="cpu")
    ((masks,),) = told.find([image], [[text]])
    assert masks.scores.dtype == torch.float32
    assert len(masks.scores) > 0
    assert told.describe()["dtype"] == "bfloat16"


def test_out_of_memory_halves_the_batch(tiny_models: Models, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    images = [picture(64, 64, seed) for seed in range(3)]
    detector = detector_of(tiny_models("owlv2"))
    segmenter = TransformersSegmenter(tiny_models("sam2"), device="cpu")
    finder = Sam3Finder(tiny_models("sam3"), score_threshold=0, device="cpu")
    boxes = [BOXES / 2.1] * 3

    def all_found() -> tuple[Any, ...]:
        return (
            [each.scores for each in detector.detect(images, ["a dog"] * 3)],
            segmenter.segment(images, boxes),
            [row[0].scores for row in finder.find(images, [["a dog"]] * 3)],
        )

    before = all_found()
    for module in (detector.model.owlv2.vision_model, segmenter.model.vision_encoder, finder.model.vision_encoder):
        module.register_forward_pre_hook(_one_at_most, with_kwargs=True)
    for one, other in zip(before, all_found(), strict=True):
        assert len(one) == len(other) == 3
        for a, b in zip(one, other, strict=True):
            assert torch.allclose(a.float(), b.float(), atol=1e-4)
    for name in ("TransformersDetector", "TransformersSegmenter", "Sam3Finder"):
        assert f"{name}: out of memory with a batch of 3, going on with 1" in caplog.text


def _one_at_most(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    pixels = args[0] if args else kwargs["pixel_values"]
    if len(pixels) > 1:
        raise torch.OutOfMemoryError("made for the test")


@contextmanager
def counting(module: torch.nn.Module) -> Iterator[list[int]]:
    """Batch sizes with which a module is run."""
    batches: list[int] = []

    def count(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        batches.append(len(args[0] if args else kwargs["pixel_values"]))

    handle = module.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield batches
    finally:
        handle.remove()


def test_what_is_not_found_is_rejected_with_its_texts(tiny_models: Models) -> None:  # noqa: F811
    crop, filled = pair(61, 47, 1, ("rider", "bicycle"))
    annotator = TransformersAnnotator(
        tiny_models("mm_grounding_dino"), tiny_models("sam"), box_threshold=0.999, device="cpu"
    )
    (result,) = annotator.annotate([crop], [filled])
    assert isinstance(result, Rejection)
    assert result.reason == "not detected"
    assert "'a bicycle'" in result.detail
    (result,) = Sam3Annotator(tiny_models("sam3"), score_threshold=0.99, device="cpu").annotate([crop], [filled])
    assert isinstance(result, Rejection)
    loose = {"min_inside_box": 0, "min_area_of_crop": 0, "keep": "best", "device": "cpu"}
    (result,) = Sam3Annotator(tiny_models("sam3"), score_threshold=0, **loose).annotate([crop], [filled])
    assert isinstance(result, Annotation)


def test_their_finders_serve_as_locators(tiny_models: Models) -> None:  # noqa: F811
    annotators = [
        TransformersAnnotator(tiny_models("owlv2"), tiny_models("sam2"), box_threshold=0, device="cpu"),
        Sam3Annotator(tiny_models("sam3"), score_threshold=0, device="cpu"),
    ]
    sample = Sample(picture(61, 97, 0), torch.zeros(61, 97, dtype=torch.uint8), "a")
    for annotator in annotators:
        area = PromptLocator(annotator.finder).locate(sample, "the road")
        assert (area.shape, area.dtype) == ((61, 97), torch.bool)
        assert bool(area.any())


def test_loading_changes_nothing_global(tiny_models: Models) -> None:  # noqa: F811
    folders = [tiny_models(name) for name in ("grounding_dino", "sam", "sam3")]
    environment, state = dict(os.environ), torch.get_rng_state()
    grad = torch.is_grad_enabled()
    annotator = TransformersAnnotator(folders[0], folders[1], device="cpu")
    Sam3Annotator(folders[2], device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert dict(os.environ) == environment
    assert torch.is_grad_enabled() == grad
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


def test_settings_outside_their_limits_are_named(tiny_models: Models) -> None:  # noqa: F811
    detector, segmenter, sam3 = (tiny_models(name) for name in ("owlv2", "sam2", "sam3"))
    for setting in ({"box_threshold": 1.0}, {"text_threshold": -0.1}, {"nms_iou": 0.0}, {"batch_size": 0}):
        ((name, value),) = setting.items()
        with pytest.raises(RecipeError, match=f"{name}={value}"):
            TransformersAnnotator(detector, segmenter, device="cpu", **setting)
    with pytest.raises(RecipeError, match="keep='some'"):
        TransformersAnnotator(detector, segmenter, device="cpu", keep="some")
    with pytest.raises(RecipeError, match="batch_size=0"):
        TransformersSegmenter(segmenter, device="cpu", batch_size=0)
    for setting in ({"score_threshold": 1.0}, {"mask_threshold": -1.0}, {"nms_iou": 2.0}, {"batch_size": 0}):
        ((name, value),) = setting.items()
        with pytest.raises(RecipeError, match=f"{name}={value}"):
            Sam3Annotator(sam3, device="cpu", **setting)
    with pytest.raises(RecipeError, match="max_masks=0"):
        Sam3Finder(sam3, device="cpu", max_masks=0)
    for settings in ({"dtype": "fp16"}, {"detector_dtype": "fp16"}, {"dtype": "int8"}):
        with pytest.raises(DeviceError, match="dtype"):
            TransformersAnnotator(detector, segmenter, device="cpu", **settings)
    with pytest.raises(DeviceError, match="device"):
        Sam3Annotator(sam3, device="cuda:99")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares CUDA with the CPU")
def test_cuda_finds_what_the_cpu_does(tiny_models: Models) -> None:  # noqa: F811
    images, texts = [picture(97, 131, 0), picture(17, 11, 1)], ["a dog", "the cat"]
    for name in DETECTORS:
        for exact, quick in zip(
            detector_of(tiny_models(name)).detect(images, texts),
            detector_of(tiny_models(name), device="cuda").detect(images, texts),
            strict=True,
        ):
            assert quick.boxes_xyxy.device.type == "cpu"
            assert torch.allclose(exact.scores[:3], quick.scores[:3], atol=0.01)
        assert detector_of(tiny_models(name), device="cuda", dtype="fp16").detect(images, texts)
    boxes = [BOXES, torch.tensor([[1.0, 2.0, 9.0, 15.0]])]
    for name in SEGMENTERS:
        for exact, quick in zip(
            TransformersSegmenter(tiny_models(name), device="cpu").segment(images, boxes),
            TransformersSegmenter(tiny_models(name), device="cuda").segment(images, boxes),
            strict=True,
        ):
            assert float((exact == quick).float().mean()) > 0.9
    slow, fast = (Sam3Finder(tiny_models("sam3"), score_threshold=0, device=each) for each in ("cpu", "cuda"))
    for exact_row, quick_row in zip(slow.find(images, [texts, texts]), fast.find(images, [texts, texts]), strict=True):
        for one, other in zip(exact_row, quick_row, strict=True):
            assert torch.allclose(one.scores[:3], other.scores[:3], atol=0.01)
