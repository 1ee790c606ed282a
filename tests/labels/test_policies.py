from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from poc_aug.errors import LabelPolicyError
from poc_aug.generation.parts import resolve_parts
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.recipe import IGNORED, ObjectSpec
from poc_aug.types import Part

TRAIN_IDS = SCHEMAS["cityscapes-trainIds"]


def box_mask(y: int, x: int, h: int, w: int) -> torch.Tensor:
    mask = torch.zeros(17, 11, dtype=torch.bool)
    mask[y : y + h, x : x + w] = True
    return mask


def test_ood_labels_keep_known_classes_known() -> None:
    assert OodLabels(254).resolve(["dog", "car"], TRAIN_IDS) == {"dog": 254, "car": 13}
    assert OodLabels(254).resolve(["dog", "Traffic-Light"], TRAIN_IDS) == {"dog": 254, "Traffic-Light": 6}
    assert OodLabels(254, known={}).resolve(["dog", "car"], None) == {"dog": 254, "car": 254}
    with pytest.raises(LabelPolicyError, match="schema is not known"):
        OodLabels(254).resolve(["dog", "car"], None)
    assert OodLabels(254, known={"dog": 7}).resolve(["dog", "car"], TRAIN_IDS) == {"dog": 7, "car": 254}


def test_an_ood_id_must_be_free() -> None:
    with pytest.raises(LabelPolicyError, match="'car'"):
        OodLabels(13).resolve(["dog"], TRAIN_IDS)
    with pytest.raises(LabelPolicyError, match="'car'"):
        OodLabels(7, known={"car": 7}).resolve(["dog"], None)
    assert OodLabels(255, void=True).resolve(["dog"], TRAIN_IDS) == {"dog": 255}


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: OodLabels("254"), "ood_id='254'"),  # type: ignore[arg-type]
        (lambda: OodLabels(254, ring_px=-3), "ring_px=-3"),
        (lambda: OodLabels(254, ring_px=1.5), r"ring_px=1\.5"),  # type: ignore[arg-type]
        (lambda: OodLabels(254, ignore_id=2.0), r"ignore_id=2\.0"),  # type: ignore[arg-type]
        (lambda: OodLabels(254, known={"car": "x"}), "car"),  # type: ignore[dict-item]
        (lambda: OodLabels(254, known=["car"]), "known="),  # type: ignore[arg-type]
        (lambda: OodLabels(True), "ood_id=True"),
        (lambda: OodLabels(254, ring_px=True), "ring_px=True"),
        (lambda: NewClassLabels({13: 13}), "ids="),  # type: ignore[dict-item]
        (lambda: NewClassLabels({"cat": None}), "cat"),  # type: ignore[dict-item]
        (lambda: AnomalyLabels(known="car"), "known='car'"),  # type: ignore[arg-type]
        (lambda: AnomalyLabels(ring_px=-1), "ring_px=-1"),
    ],
)
def test_bad_parameters_are_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(LabelPolicyError, match=named):
        make()


def test_anomalies_of_the_base_stay_anomalies() -> None:
    base = torch.tensor([[0, 1, 255]], dtype=torch.uint8)
    assert AnomalyLabels().rewrite(base, SCHEMAS["fishyscapes"]).tolist() == [[0, 1, 255]]
    road = torch.tensor([[0, 2, 255]])
    assert AnomalyLabels().rewrite(road, SCHEMAS["road-anomaly"]).tolist() == [[0, 1, 255]]
    assert AnomalyLabels().resolve(["anomaly", "dog"], SCHEMAS["fishyscapes"]) == {"anomaly": 1, "dog": 1}


def test_labels_that_cannot_hold_255() -> None:
    with pytest.raises(LabelPolicyError, match="int8"):
        AnomalyLabels().rewrite(torch.zeros((2, 2), dtype=torch.int8), TRAIN_IDS)


def test_a_class_that_the_schema_ignores_is_not_known() -> None:
    label_ids = SCHEMAS["cityscapes-labelIds"]
    assert OodLabels(100).resolve(["caravan", "car"], label_ids) == {"caravan": 100, "car": 26}


def test_new_classes_need_an_id() -> None:
    assert NewClassLabels({"cat": 19}).resolve(["cat", "car"], TRAIN_IDS) == {"cat": 19, "car": 13}
    with pytest.raises(LabelPolicyError, match="dog"):
        NewClassLabels({"cat": 19}).resolve(["cat", "dog"], TRAIN_IDS)


def test_anomaly_labels() -> None:
    policy = AnomalyLabels()
    assert policy.resolve(["dog", "car"], TRAIN_IDS) == {"dog": 1, "car": 0}
    base = torch.tensor([[0, 13, 255]], dtype=torch.uint8)
    rewritten = policy.rewrite(base, TRAIN_IDS)
    assert rewritten.tolist() == [[0, 0, 255]]
    assert rewritten.dtype == torch.uint8
    assert AnomalyLabels(known=("dog",)).resolve(["dog", "car"], TRAIN_IDS) == {"dog": 0, "car": 1}
    with pytest.raises(LabelPolicyError, match="schema"):
        policy.rewrite(base, None)


def test_a_ring_needs_an_ignore_id() -> None:
    assert OodLabels(254, ring_px=2).ring_id(TRAIN_IDS) == 255
    assert OodLabels(254, ring_px=2, ignore_id=9).ring_id(None) == 9
    with pytest.raises(LabelPolicyError, match="ignore"):
        OodLabels(254, ring_px=2).ring_id(None)


def test_the_first_part_wins_the_overlap() -> None:
    rider, bicycle = Part("rider", box_mask(0, 2, 8, 5)), Part("bicycle", box_mask(6, 1, 8, 8))
    parts = resolve_parts([rider, bicycle])
    assert [part.name for part in parts] == ["rider", "bicycle"]
    assert torch.equal(parts[0].mask, rider.mask)
    assert torch.equal(parts[1].mask, bicycle.mask & ~rider.mask)


def test_nearly_equal_parts_are_the_second_one() -> None:
    rider, bicycle = Part("rider", box_mask(0, 2, 10, 5)), Part("bicycle", box_mask(0, 2, 9, 5))
    parts = resolve_parts([rider, bicycle])
    assert [part.name for part in parts] == ["bicycle"]
    assert torch.equal(parts[0].mask, bicycle.mask)


def test_parts_without_a_pixel_are_dropped() -> None:
    parts = resolve_parts([Part("a", box_mask(0, 0, 9, 9)), Part("b", box_mask(1, 1, 2, 2))])
    assert [part.name for part in parts] == ["a"]
    assert resolve_parts([Part("a", box_mask(0, 0, 0, 0))]) == ()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OodLabels(254), {"dog": 254, "car": 13, IGNORED: 255}),
        (OodLabels(254, ignore_id=99), {"dog": 254, "car": 13, IGNORED: 99}),
        (OodLabels(254, known={}, ignore_id=99), {"dog": 254, "car": 254, IGNORED: 99}),
        (NewClassLabels({"dog": 19}), {"dog": 19, "car": 13, IGNORED: 255}),
        (AnomalyLabels(), {"dog": 1, "car": 0, IGNORED: 255}),
        (AnomalyLabels(known=("dog",)), {"dog": 0, "car": 1, IGNORED: 255}),
    ],
    ids=repr,
)
def test_pasted_background_gets_the_ignore_id_and_is_no_class(policy: LabelPolicy, expected: dict[str, int]) -> None:
    assert policy.resolve(iter(["dog", IGNORED, "car"]), TRAIN_IDS) == expected
    assert policy.resolve([IGNORED], TRAIN_IDS) == {IGNORED: expected[IGNORED]}


@pytest.mark.parametrize("policy", [OodLabels(254, known={}), NewClassLabels({"dog": 19})], ids=repr)
def test_pasted_background_needs_an_ignore_id(policy: LabelPolicy) -> None:
    assert len(policy.resolve(["dog"], None)) == 1  # without it none is needed
    with pytest.raises(LabelPolicyError, match=r"pasted background without a label needs(.|\n)*ignore_id=255"):
        policy.resolve(["dog", IGNORED], None)


def test_the_reserved_name_is_no_part_of_an_object() -> None:
    with pytest.raises(ValueError, match="reserved name"):
        ObjectSpec(name="dog", parts=("dog", IGNORED))


def test_a_class_that_the_schema_ignores_is_not_among_those_that_are_known() -> None:
    schema = LabelSchema("streets", {"void": 0, "road": 1, "car": 2}, ignore=(0,))
    with pytest.raises(LabelPolicyError, match=r"'streets' has no usable id for \['void'\]") as caught:
        NewClassLabels({"dog": 3}).resolve(["void", "car"], schema)
    assert caught.value.expected == "an id for each inserted class; known are dog, road, car"
