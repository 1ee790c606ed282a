"""Whether the labels of shifted frames hold: figures by class, what is refused, the original's prediction, errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.transforms.v2 import functional

from poc_aug.cli.arguments import load_callable
from poc_aug.cli.label_check import label_check
from poc_aug.errors import ItemFormatError, ModelError, SchemaError, SettingError
from poc_aug.evaluation.frame_segmenter import ModelSegmenter, channel_names
from poc_aug.evaluation.label_agreement import LabelConsistency
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.scenes.shifter_protocol import AgreementCheck, SceneFrame

SCHEMA = LabelSchema("view", {"road": 4, "car": 9, "sky": 7, "pole": 2}, ignore=(255,))
CLASSES = ("road", "car", "sky")


class Colours(nn.Module):
    """Calls red road, green car and blue sky; counts its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.frames: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.frames.append(tuple(images.shape))
        return images * self.gain


def colours() -> Colours:
    return Colours()


def all_road(images: torch.Tensor) -> torch.Tensor:
    return torch.zeros(images.shape[0], *images.shape[2:], dtype=torch.int64)


def frame(key: str = "a", size: tuple[int, int] = (40, 60), **changed: Any) -> SceneFrame:
    """Sky over road with a car of 10x20 pixels."""
    labels = torch.full(size, 4, dtype=torch.uint8)
    labels[: size[0] // 2] = 7
    labels[25:35, 20:40] = 9
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for channel, label_id in enumerate((4, 9, 7)):
        image[channel][labels == label_id] = 200
    return SceneFrame(image, labels, key, 3, 0, **{"schema": SCHEMA, **changed})


def without_car(original: SceneFrame) -> torch.Tensor:
    image = original.image.clone()
    car = original.labels == 9
    image[1, car], image[0, car] = 0, 200
    return image


def check_of(model: Any = None, **settings: Any) -> LabelConsistency:
    return LabelConsistency(ModelSegmenter(model or Colours(), CLASSES), **settings)


@pytest.mark.parametrize("size", [(40, 60), (41, 61), (64, 96)])
def test_what_is_found_as_before_is_one_and_a_car_that_is_gone_is_refused(size: tuple[int, int]) -> None:
    check, original = check_of(), frame(size=size)
    assert isinstance(check, AgreementCheck)
    same, darker, gone = check.check([original] * 3, [original.image, original.image // 2, without_car(original)])
    assert same.holds
    assert same.value == darker.value == 1
    assert same.by_class == darker.by_class == {"road": 1.0, "car": 1.0, "sky": 1.0}
    road = int((original.labels == 4).sum())
    expected = road / (road + 200)  # the car's pixels are called road
    assert gone.by_class == pytest.approx({"road": expected, "car": 0, "sky": 1})
    assert gone.value == pytest.approx((expected + 1) / 3)
    assert gone.value > check.threshold  # it is the car alone that refuses it
    assert not gone.holds
    assert "0.10 needed for each class; worst: car 0.00, road" in gone.detail
    (kept,) = check_of(least_by_class=0).check([original], [without_car(original)])
    assert kept.holds
    assert kept.value == gone.value


def test_the_threshold_decides_and_the_worst_classes_are_named() -> None:
    original = frame()
    swapped = original.image[[2, 1, 0]]
    (refused,) = check_of(threshold=0.4, least_by_class=0).check([original], [swapped])
    assert refused.by_class == {"road": 0.0, "car": 1.0, "sky": 0.0}
    assert not refused.holds
    assert refused.detail == "agreement 0.33, at least 0.40 needed; worst: road 0.00, sky 0.00, car 1.00"
    (kept,) = check_of(threshold=1 / 3, least_by_class=0).check([original], [swapped])
    assert kept.holds


def test_classes_are_a_ratio_of_ious_capped_at_one() -> None:
    original = frame()
    image = original.image.clone()
    image[:, 25:35, 30:40] = image[:, 39:, :1]  # half of the car is taken for road on the original already
    worse = SceneFrame(image, original.labels, "b", 3, 0, schema=SCHEMA)
    quarter = image.clone()
    quarter[:, 25:35, 25:30] = image[:, 39:, :1]
    check = check_of(least_by_class=0)
    less, better = check.check([worse, worse], [quarter, original.image])
    assert less.by_class["car"] == pytest.approx(0.25 / 0.5)
    assert better.by_class["car"] == better.value == 1


def test_classes_that_are_small_or_not_found_or_unknown_are_left_out() -> None:
    original = frame()
    labels = original.labels.clone()
    labels[0, :5] = 2  # a pole, which the segmenter does not know
    labels[1] = 255
    pole = SceneFrame(original.image, labels, "pole", 3, 0, schema=SCHEMA)
    (answer,) = check_of().check([pole], [original.image])
    assert set(answer.by_class) == set(CLASSES)
    (answer,) = check_of(least_share=0.09).check([original], [original.image])
    assert set(answer.by_class) == {"road", "sky"}  # 200 of 2400 pixels are of the car
    blind = without_car(original)
    (answer,) = check_of().check([SceneFrame(blind, original.labels, "blind", 3, 0, schema=SCHEMA)], [blind])
    assert set(answer.by_class) == {"road", "sky"}
    assert answer.value == 1


def test_a_frame_that_cannot_be_checked_is_refused() -> None:
    black = torch.zeros(3, 40, 60, dtype=torch.uint8)
    labels = torch.full((40, 60), 7, dtype=torch.uint8)
    (answer,) = check_of().check([SceneFrame(black, labels, "black", 3, 0, schema=SCHEMA)], [black])
    assert not answer.holds
    assert answer.value == 0
    assert "finds no class" in answer.detail


def test_the_original_runs_once_and_batches_are_single_frames() -> None:
    model = Colours()
    check, frames = check_of(model, remembered=2), [frame("a"), frame("b", (41, 60))]
    shifted = [without_car(frames[0]), frames[1].image // 3]
    together = check.check(frames, shifted)
    assert model.frames == [(1, 3, 64, 64)] * 4
    alone = [check.check([each], [image])[0] for each, image in zip(frames, shifted, strict=True)]
    assert alone == together
    assert len(model.frames) == 6
    check.check([frame("c")], [frames[0].image])  # the first is forgotten
    check.check(frames[1:], shifted[1:])
    assert len(model.frames) == 9
    check.check(frames[:1], shifted[:1])
    assert len(model.frames) == 11
    other = SceneFrame(shifted[0], frames[0].labels, "a", 3, 0, schema=SCHEMA)
    check.check([other], [shifted[0]])  # another picture of the same key
    assert len(model.frames) == 13


def test_labels_functions_and_modes() -> None:
    original = frame(size=(41, 61))
    check = LabelConsistency(ModelSegmenter(all_road, CLASSES), least_iou=0.2)
    (answer,) = check.check([original], [original.image])
    assert answer.by_class == {"road": 1.0}
    assert check.describe()["segmenter"] == {"segmenter": f"{__name__}.all_road", "classes": list(CLASSES)}
    model = Colours().train()
    check_of(model).check([original], [original.image])
    assert model.training


def test_what_decides_is_described() -> None:
    first, second = Colours(), Colours()
    described = check_of(first).describe()
    assert json.loads(json.dumps(described)) == described
    assert check_of(second).describe() == described
    with torch.no_grad():
        second.gain.fill_(2)
    assert check_of(second).describe() != described
    for setting in ("threshold", "least_by_class", "least_iou", "least_share"):
        assert check_of(first, **{setting: 0.77}).describe() != described


def test_errors_name_what_is_wrong() -> None:
    original = frame()
    with pytest.raises(
        SchemaError, match=r"classes \(road, car, sky\) and those of schema 'cats' \(cat\) have no name"
    ):
        check_of().check_schema(LabelSchema("cats", {"cat": 0}))
    with pytest.raises(SchemaError, match="schema is not known"):
        check_of().check([frame(schema=None)], [original.image])
    labels = original.labels.clone()
    labels[0, 0] = 33
    with pytest.raises(SchemaError, match=r"'a' hold ids \[33\]"):
        check_of().check([SceneFrame(original.image, labels, "a", 3, 0, schema=SCHEMA)], [original.image])
    with pytest.raises(ItemFormatError, match=r"'a' has shape \[3, 20, 60\]"):
        check_of().check([original], [original.image[:, :20]])
    with pytest.raises(ModelError, match="2 channels for 3 classes"):
        check_of(nn.Conv2d(3, 2, 1)).check([original], [original.image])
    with pytest.raises(ModelError, match="failed on images"):
        check_of(nn.Conv2d(4, 3, 1)).check([original], [original.image])
    with pytest.raises(ModelError, match=r"returned torch.float32 \[1, 12288\]"):
        check_of(nn.Flatten()).check([original], [original.image])
    with pytest.raises(SettingError, match="without a name"):
        ModelSegmenter(lambda images: images, CLASSES)
    with pytest.raises(SettingError, match="segmenter of type Colours"):
        LabelConsistency(Colours())  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"threshold=1\.5"):
        check_of(threshold=1.5)
    with pytest.raises(SchemaError, match="no model's channels"):
        channel_names(SCHEMAS["cityscapes-labelIds"])


def test_the_command_lines_segmenters() -> None:
    here = f"{__name__}:colours"
    schema = LabelSchema("view", {"road": 0, "car": 1, "sky": 2})
    check = label_check(here, schema, threshold=0.6)
    assert isinstance(check, LabelConsistency)
    assert check.threshold == 0.6
    assert check.segmenter.classes == CLASSES  # the schema's ids are the channels
    assert label_check(f"{__name__}:check_of", None).describe() == check_of().describe()
    with pytest.raises(SettingError, match=r"--min-agreement .* with the check"):
        label_check(f"{__name__}:check_of", None, threshold=0.6)
    with pytest.raises(ModelError, match="no attribute `classes`"):
        label_check(here, None)
    with pytest.raises(ModelError, match="gave a SceneFrame"):
        label_check(f"{__name__}:frame", schema)


def test_the_trained_network_knows_frames_from_what_was_made_of_them(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    load_erfnet: Any = load_callable("examples.erfnet:load_erfnet")
    street_frames: Any = load_callable("examples.ood_proof:StreetFrames")
    schema = SCHEMAS["cityscapes-trainIds"]
    network = load_erfnet(real_data / "weights" / "erfnet_cityscapes_fp16.pth")
    check = LabelConsistency(ModelSegmenter(network, schema))
    camvid = street_frames(real_data)
    (image, labels), (unlike, _) = [
        (functional.pil_to_tensor(image), functional.pil_to_tensor(labels)[0])
        for image, labels in (camvid[100], camvid[60])
    ]
    whole = SceneFrame(image, labels, "whole", 3, 0, schema=schema)
    odd = SceneFrame(image[:, 3:, :-7], labels[3:, :-7], "odd", 3, 0, schema=schema)
    erased = image.clone()
    car = labels == 13
    assert float(car.float().mean()) > 0.01
    erased[:, car] = image[:, labels == 0].float().mean(dim=1).byte()[:, None]
    same, other, gone, odd_same = check.check([whole, whole, whole, odd], [image, unlike, erased, odd.image])
    for answer in (same, odd_same):
        assert answer.holds
        assert answer.value == 1
        assert set(answer.by_class) >= {"road", "building", "sky", "car"}
    assert not other.holds
    assert other.value < check.threshold
    assert gone.value > check.threshold
    assert not gone.holds
    assert "worst: car 0.0" in gone.detail
