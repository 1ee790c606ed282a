"""Edited frames as insertions: composing them shows the edited frame to the bit, pixels and labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poc_aug.errors import ImportFilesError
from poc_aug.importing.edit_deltas import insertions_of_edit
from poc_aug.importing.edit_reach import Beyond, EditReach
from poc_aug.importing.imported_classes import ImportedClasses, classes_of_preset
from poc_aug.labels.schema import SCHEMAS
from poc_aug.reading.compose_opacity import opacity
from poc_aug.recipe import IGNORED
from poc_aug.types import Insertion, Sample
from tests.helpers.edit_cases import CLASSES, TRAIN_IDS, Edit, base_sample, blob, edit_of, shown, with_noise


def imported(
    edit: Edit, classes: ImportedClasses = CLASSES, beyond: Beyond = "keep"
) -> tuple[tuple[Insertion, ...], EditReach]:
    return insertions_of_edit(edit.base, edit.edited.image, edit.edited.labels, TRAIN_IDS, classes, beyond=beyond)


def assert_same(edit: Edit, insertions: tuple[Insertion, ...], classes: ImportedClasses = CLASSES) -> None:
    again = shown(edit.base, insertions, classes)
    assert torch.equal(again.image, edit.edited.image)
    assert torch.equal(again.labels, edit.edited.labels)


boxes = st.tuples(st.integers(0, 30), st.integers(0, 40), st.integers(3, 17), st.integers(3, 21))


classes_of_one = st.sampled_from([("dog",), ("gnu",), ("car",), ("person", "dog")])


@given(
    st.lists(st.tuples(classes_of_one, boxes), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.sampled_from([0.0, 1.0, 3.0]),
    st.integers(0, 2),
    st.integers(0, 1000),
)
def test_any_edit_comes_back_to_the_bit(
    placed: list[tuple[tuple[str, ...], tuple[int, int, int, int]]],
    forms: list[bool],
    sigma_px: float,
    ring_px: int,
    seed: int,
) -> None:
    insertions = [
        blob(seed + number, names, box, alpha=forms[2 * number], shade=forms[2 * number + 1])
        for number, (names, box) in enumerate(placed)
    ]
    edit = edit_of(base_sample(seed), *insertions, sigma_px=sigma_px, ring_px=ring_px)
    found, reach = imported(edit)
    assert_same(edit, found)
    assert reach.lost == 0
    assert reach.changed == int((edit.base.image != edit.edited.image).any(0).sum())
    assert reach.objects + reach.edge + reach.beyond >= reach.changed


@pytest.mark.parametrize("size_hw", [(17, 11), (1, 9), (33, 2)])
def test_odd_sizes(size_hw: tuple[int, int]) -> None:
    base = base_sample(3, size_hw)
    box = (0, 0, min(size_hw[0], 9), min(size_hw[1], 9))
    edit = edit_of(base, replace(blob(1, ["dog"], box, alpha=True, shade=True)))
    assert_same(edit, imported(edit)[0])


def test_several_objects_in_one_frame_are_several_insertions() -> None:
    placed = [blob(1, ["dog"], (4, 4, 11, 13)), blob(2, ["dog"], (30, 40, 11, 13)), blob(3, ["gnu"], (20, 18, 15, 12))]
    edit = edit_of(base_sample(), *placed)
    found, _ = imported(edit)
    assert [one.object_name for one in found] == ["dog", "gnu", "dog"]  # far to near
    assert_same(edit, found)
    for one, original in zip(found, [placed[0], placed[2], placed[1]], strict=True):
        y, x, h, w = one.box_yxhw
        mask = torch.zeros(edit.base.size_hw, dtype=torch.bool)
        mask[y : y + h, x : x + w] = one.mask
        y, x, h, w = original.box_yxhw
        assert torch.equal(mask[y : y + h, x : x + w], original.mask)
        assert int(mask.sum()) == int(original.mask.sum())


def test_rider_and_bicycle_are_parts_of_one_object() -> None:
    classes = classes_of_preset("poc-alt")
    edit = edit_of(base_sample(), blob(1, ["rider", "bicycle"], (10, 20, 21, 19)), classes=classes)
    (found,), _ = imported(edit, classes)
    assert found.object_name == "bicycle"
    assert [part.name for part in found.parts] == ["rider", "bicycle"]
    assert_same(edit, (found,), classes)
    motor = edit_of(
        base_sample(),
        blob(1, ["rider", "motorcycle"], (2, 2, 15, 15)),
        blob(2, ["rider", "bicycle"], (28, 40, 17, 15)),
        classes=classes,
    )
    assert [one.object_name for one in imported(motor, classes)[0]] == ["motorcycle", "bicycle"]


def test_the_feather_comes_back_as_alpha() -> None:
    base = replace(base_sample(), image=torch.full((3, 47, 61), 40, dtype=torch.uint8))
    edit = edit_of(base, blob(1, ["dog"], (10, 12, 25, 31), value=220), sigma_px=2.0)
    (found,), reach = imported(edit)
    given_alpha = torch.zeros(base.size_hw, dtype=torch.int16)
    y, x, h, w = edit.insertions[0].box_yxhw
    given_alpha[y : y + h, x : x + w] = opacity(edit.insertions[0], 2.0).to(torch.int16)
    alpha = torch.zeros(base.size_hw, dtype=torch.int16)
    y, x, h, w = found.box_yxhw
    assert found.alpha is not None
    alpha[y : y + h, x : x + w] = found.alpha.to(torch.int16)
    changed = (edit.base.image != edit.edited.image).any(0)
    soft = changed & (given_alpha < 255)
    assert int(soft.sum()) > 50
    assert int((alpha - given_alpha)[soft].abs().max()) <= 2
    assert reach.beyond == 0
    assert reach.edge == int(soft.sum())


def test_an_object_before_one_of_its_class_is_found_by_its_pixels() -> None:
    base = base_sample()
    edit = edit_of(base, blob(4, ["car"], (26, 8, 15, 17)))  # half on the base's car, half on the road
    found, _ = imported(edit)
    assert [one.object_name for one in found] == ["car"]
    assert int(found[0].mask.sum()) >= int(edit.insertions[0].mask.sum())
    assert_same(edit, found)
    hidden = edit_of(base, blob(4, ["car"], (30, 2, 9, 9)))  # wholly before it: no label says so
    assert bool((hidden.edited.labels == base.labels).all())
    found, _ = imported(hidden)
    assert [one.object_name for one in found] == ["car"]
    assert_same(hidden, found)


@pytest.mark.parametrize("beyond", ["keep", "drop"])
def test_noise_over_the_whole_frame_is_counted(beyond: Beyond) -> None:
    edit = with_noise(edit_of(base_sample(5, (160, 200)), blob(1, ["dog"], (60, 70, 40, 50))), levels=3)
    found, reach = imported(edit, beyond=beyond)
    assert len(found) == 1
    outside = int((edit.base.image != edit.edited.image).any(0).sum()) - reach.edge
    assert reach.beyond > 0.8 * reach.frame
    assert reach.beyond <= outside
    assert 1.0 <= reach.beyond_mean <= 2.0  # of -3 to 3, clipped to 0 to 255
    assert found[0].provenance["edit"] == reach.to_dict()
    if beyond == "keep":
        assert reach.lost == 0
        assert_same(edit, found)
    else:
        assert reach.lost == reach.beyond
        assert reach.lost_mean == reach.beyond_mean
        assert found[0].box_yxhw[2] < 40 + 2 * 10
        labels = shown(edit.base, found).labels
        assert torch.equal(labels, edit.edited.labels)


def test_a_car_next_to_the_object_does_not_become_part_of_it_by_noise() -> None:
    base = base_sample(5, (160, 200))
    base.labels[80:, :100] = 13
    clean = edit_of(base, blob(1, ["car"], (90, 90, 40, 50), value=255))
    found, _ = imported(with_noise(clean, levels=3))
    truth = int(clean.insertions[0].mask.sum())
    assert 0.95 * truth < int(found[0].mask.sum()) < 1.1 * truth


def test_shadows_alone_are_kept_as_shade() -> None:
    ground = Sample(torch.full((3, 120, 160), 120, dtype=torch.uint8), torch.zeros(120, 160, dtype=torch.uint8), "a")
    edited, labels = ground.image.clone(), ground.labels.clone()
    edited[:, 88:104, 50:110] = torch.tensor([58, 60, 61], dtype=torch.uint8)[:, None, None]  # no exact shade
    edited[:, 40:90, 60:100], labels[40:90, 60:100] = 220, 19
    edited[:, 5:15, 5:15] = 200  # brighter, far away: no shadow
    edit = Edit(ground, replace(ground, image=edited, labels=labels), ())
    (found,), reach = imported(edit, beyond="shade")
    assert found.shade is not None
    y, x, _, _ = found.box_yxhw
    assert 120 <= int(found.shade[101 - y, 80 - x]) <= 140
    again = shown(ground, (found,))
    ground_was = (ground.image.to(torch.int16) - edited)[:, 98:104, 60:100].abs().float().mean()
    assert (again.image.to(torch.int16) - edited)[:, 98:104, 60:100].abs().float().mean() < 0.1 * ground_was
    assert torch.equal(again.image[:, 5:15, 5:15], ground.image[:, 5:15, 5:15])
    assert reach.lost >= 100
    assert reach.lost_mean > 0


def test_pasted_background_without_a_label_is_ignored() -> None:
    base = base_sample()
    edited, labels = base.image.clone(), base.labels.clone()
    edited[:, 10:30, 20:50] = 200
    labels[10:30, 20:50] = 255
    labels[15:25, 30:40] = 19
    edit = Edit(base, replace(base, image=edited, labels=labels), ())
    (found,), _ = imported(edit)
    assert [part.name for part in found.parts] == ["dog", IGNORED]
    assert int(found.parts[1].mask.sum()) == 20 * 30 - 100
    assert_same(edit, (found,))


def test_labels_of_another_schema_than_the_bases() -> None:
    base = base_sample()
    train_to_label = {0: 7, 10: 23, 13: 26, 255: 9}  # road, sky, car, parking
    ids = base.labels.clone()
    for train_id, label_id in train_to_label.items():
        ids[base.labels == train_id] = label_id
    edit = edit_of(base, blob(1, ["dog"], (20, 20, 15, 15)), blob(2, ["car"], (3, 40, 11, 15)))
    found, reach = insertions_of_edit(
        replace(base, labels=ids), edit.edited.image, edit.edited.labels, SCHEMAS["cityscapes-labelIds"], CLASSES
    )
    assert [one.object_name for one in found] == ["car", "dog"]
    assert reach.lost == 0
    assert_same(edit, found)


def test_a_frame_without_an_object_has_none() -> None:
    base = base_sample()
    found, reach = imported(Edit(base, base, ()))
    assert found == ()
    assert (reach.changed, reach.lost) == (0, 0)


def test_errors_name_the_file_and_what_is_wrong() -> None:
    base = base_sample()
    edit = edit_of(base, blob(1, ["dog"], (10, 20, 15, 15)))

    def fails(labels: torch.Tensor, classes: ImportedClasses = CLASSES, spec: str | None = None) -> str:
        with pytest.raises(ImportFilesError) as caught:
            insertions_of_edit(
                base,
                edit.edited.image,
                labels,
                TRAIN_IDS,
                classes,
                name="a/b.png",
                spec=None if spec is None else classes.object_called(spec),
            )
        assert "a/b.png" in caught.value.problem
        return str(caught.value)

    unknown = edit.edited.labels.clone()
    unknown[0, 0] = 77
    assert "[77]" in fails(unknown)
    assert "no label is of an object" in fails(base.labels)
    moved = edit.edited.labels.clone()
    moved[40] = 8
    assert "vegetation" in fails(moved)
    assert "'gnu'" in fails(edit.edited.labels, spec="gnu")  # the name says gnu, the labels say dog
    void = base.labels.clone()
    void[3] = 255
    with pytest.raises(ImportFilesError, match="no label is of an object"):
        insertions_of_edit(base, base.image, void, TRAIN_IDS, CLASSES)


def test_classes_are_checked() -> None:
    from poc_aug.errors import LabelPolicyError

    with pytest.raises(LabelPolicyError, match="id 13 of 'dog' is that of 'car'"):
        ImportedClasses(TRAIN_IDS, {"dog": 13})
    with pytest.raises(LabelPolicyError, match="ignored"):
        ImportedClasses(TRAIN_IDS, {"dog": 255})
    with pytest.raises(LabelPolicyError, match="'dog'"):
        ImportedClasses(TRAIN_IDS, {"dog": 19, "cat": 19})
    with pytest.raises(ImportFilesError, match="no inserted class"):
        ImportedClasses(TRAIN_IDS, {})
    presets = classes_of_preset("poc-alt", "cityscapes-labelIds")
    assert (presets.new["stroller"], presets.ids["rider"], presets.ids["bicycle"]) == (100, 25, 33)
    assert np.unique(list(presets.new.values())).size == 25
