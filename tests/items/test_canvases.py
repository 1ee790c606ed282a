from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torchvision import tv_tensors

from poc_aug.errors import ItemFormatError, LabelPolicyError
from poc_aug.items.open_item import image_canvas, label_canvas, open_item
from tests.helpers.item_forms import IDS, IMAGES, LABELS, RGB, H, W, ids_of, patch_for, pixels_of, same_form


@st.composite
def boxes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    y, x = draw(st.integers(0, H - 1)), draw(st.integers(0, W - 1))
    return y, x, draw(st.integers(1, H - y)), draw(st.integers(1, W - x))


@pytest.mark.parametrize("form", IMAGES)
@given(box=boxes())
def test_image_changes_only_in_the_box_and_the_base_never(form: str, box: tuple[int, int, int, int]) -> None:
    base = IMAGES[form]()
    canvas = image_canvas(base, "k")
    assert canvas.size_hw == (H, W)
    y, x, h, w = box
    before = canvas.read(box)
    assert before.dtype == torch.uint8
    assert before.is_contiguous()
    assert np.array_equal(before.permute(1, 2, 0).numpy(), RGB[y : y + h, x : x + w])
    before.zero_()  # a copy: the base does not change
    whole = canvas.whole()
    assert np.array_equal(whole.permute(1, 2, 0).numpy(), RGB)
    whole.zero_()
    assert canvas.value is base

    pixels, _ = patch_for(box)
    canvas.write(box, pixels)
    assert torch.equal(canvas.read(box), pixels)
    assert torch.equal(canvas.whole()[:, y : y + h, x : x + w], pixels)
    expected = RGB.copy()
    expected[y : y + h, x : x + w] = pixels.permute(1, 2, 0).numpy()
    assert np.array_equal(pixels_of(canvas.value), expected)
    assert np.array_equal(pixels_of(base), RGB)
    assert same_form(base, canvas.value) or form == "array, flipped view"


@pytest.mark.parametrize("form", LABELS)
@given(box=boxes())
def test_labels_change_only_in_the_box_and_the_base_never(form: str, box: tuple[int, int, int, int]) -> None:
    base = LABELS[form]()
    canvas = label_canvas(base, "k")
    assert canvas.size_hw == (H, W)
    y, x, h, w = box
    before = canvas.read(box)
    assert not before.is_floating_point()
    assert np.array_equal(before.numpy(), IDS[y : y + h, x : x + w])
    before.zero_()
    assert canvas.value is base

    _, ids = patch_for(box)
    canvas.write(box, ids)
    assert torch.equal(canvas.read(box).long(), ids)
    expected = IDS.astype(np.int64)
    expected[y : y + h, x : x + w] = ids.numpy()
    assert np.array_equal(ids_of(canvas.value), expected)
    assert np.array_equal(ids_of(base), IDS)
    assert same_form(base, canvas.value)


def test_two_writes_copy_once() -> None:
    for make in IMAGES.values():
        canvas = image_canvas(make(), "k")
        canvas.write((0, 0, 2, 2), torch.zeros(3, 2, 2, dtype=torch.uint8))
        first = canvas.value
        canvas.write((5, 5, 1, 1), torch.zeros(3, 1, 1, dtype=torch.uint8))
        assert canvas.value is first


def test_bgr_is_read_written_and_probed_as_rgb() -> None:
    bgr = np.ascontiguousarray(RGB[..., ::-1])
    for value in (bgr, torch.from_numpy(bgr).permute(2, 0, 1)):
        canvas = image_canvas(value, "k", bgr=True)
        assert np.array_equal(canvas.read((0, 0, H, W)).permute(1, 2, 0).numpy(), RGB)
        assert np.array_equal(canvas.probe([3, 16], [0, 10, 5]).numpy(), RGB[[3, 16]][:, [0, 10, 5]])
        canvas.write((2, 3, 1, 1), torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None])
        assert pixels_of(canvas.value)[2, 3].tolist() == [30, 20, 10]


@pytest.mark.parametrize("form", IMAGES)
def test_probe(form: str) -> None:
    rows, cols = [0, 8, 16], [10, 0]
    probed = image_canvas(IMAGES[form](), "k").probe(rows, cols)
    assert probed.dtype == torch.uint8
    assert np.array_equal(probed.numpy(), RGB[rows][:, cols])


@pytest.mark.parametrize(
    ("form", "low", "high"),
    [
        ("pil L", 0, 255),
        ("pil P", 0, 255),
        ("pil I;16", 0, 65535),
        ("pil I", -(2**31), 2**31 - 1),
        ("tensor torch.int8", -128, 127),
        ("tensor torch.uint16", 0, 65535),
        ("array i2", -(2**15), 2**15 - 1),
    ],
)
def test_ids_that_do_not_fit_are_errors(form: str, low: int, high: int) -> None:
    canvas = label_canvas(LABELS[form](), "k")
    assert (canvas.min_id, canvas.max_id) == (low, high)
    for fitting in (low, high):
        canvas.write((0, 0, 1, 1), torch.tensor([[fitting]]))
        assert int(canvas.read((0, 0, 1, 1))) == fitting
    for too_far in (low - 1, high + 1):
        with pytest.raises(LabelPolicyError, match=f"label id {too_far} does not fit"):
            canvas.write((0, 0, 1, 1), torch.tensor([[too_far]]))


@pytest.mark.parametrize("box", [(0, 0, H + 1, 1), (-1, 0, 2, 2), (0, 10, 1, 2), (3, 3, 0, 1)])
def test_boxes_outside_the_frame_are_errors(box: tuple[int, int, int, int]) -> None:
    for make in (*IMAGES.values(), *LABELS.values()):
        value = make()
        is_image = make in IMAGES.values()
        canvas = image_canvas(value, "k") if is_image else label_canvas(value, "k")
        with pytest.raises(ItemFormatError, match="not inside the frame of 17x11"):
            canvas.read(box)
        patch = torch.zeros((3, *box[2:]) if is_image else box[2:], dtype=torch.uint8)
        with pytest.raises(ItemFormatError, match="not inside the frame of 17x11"):
            canvas.write(box, patch)
        assert canvas.value is value


@pytest.mark.parametrize("patch", [torch.zeros(3, 2, 2), torch.zeros(3, 2, 1, dtype=torch.uint8)])
def test_patches_of_another_form_are_errors(patch: torch.Tensor) -> None:
    for make in IMAGES.values():
        with pytest.raises(ItemFormatError, match="cannot write"):
            image_canvas(make(), "k").write((0, 0, 2, 2), patch)
    for make in LABELS.values():
        with pytest.raises(ItemFormatError, match="cannot write"):
            label_canvas(make(), "k").write((0, 0, 2, 2), patch[0])


@pytest.mark.parametrize("wrapped", [False, True])
def test_torchvision_cityscapes(real_data: Path, wrapped: bool) -> None:
    base = torchvision.datasets.Cityscapes(real_data / "scenes" / "cityscapes", "train", target_type="semantic")
    if wrapped:
        base = torchvision.datasets.wrap_dataset_for_transforms_v2(base)
    item = base[0]
    copied = copy.deepcopy(item)
    opened = open_item(item, key="0")
    assert opened.size_hw == (1024, 2048)
    box = (600, 900, 201, 303)
    pixels, ids = patch_for(box)
    opened.image.write(box, pixels)
    opened.labels.write(box, ids)
    new = opened.close()
    y, x, h, w = box
    outside = np.ones((1024, 2048), bool)
    outside[y : y + h, x : x + w] = False
    assert np.array_equal(np.asarray(new[0])[outside], np.asarray(copied[0])[outside])
    assert np.array_equal(np.asarray(item[0]), np.asarray(copied[0]))
    new_ids, old_ids = (
        (labels.numpy() if wrapped else np.asarray(labels)).reshape(1024, 2048) for labels in (new[1], copied[1])
    )
    assert np.array_equal(new_ids[outside], old_ids[outside])
    assert np.array_equal(new_ids[y : y + h, x : x + w], ids.numpy())
    if not wrapped:
        assert np.array_equal(np.asarray(item[1]), np.asarray(copied[1]))
    else:
        assert torch.equal(item[1], copied[1])
    assert isinstance(new[1], tv_tensors.Mask) == wrapped
