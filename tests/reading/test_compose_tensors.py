"""Composing on tensors says what composing in whole numbers says, on the CPU and, where there is one, on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.filters import gaussian_blur2d
from torchvision import tv_tensors

from poc_aug import seeding
from poc_aug.errors import ItemFormatError, LabelPolicyError, SettingError
from poc_aug.items.device_canvas import DeviceImageCanvas, DeviceLabelCanvas
from poc_aug.items.open_item import image_canvas, label_canvas
from poc_aug.masks import window
from poc_aug.reading import compose_tensors
from poc_aug.reading.compose import compose, compose_image, paint_labels
from poc_aug.reading.compose_opacity import support
from poc_aug.reading.compose_tensors import blend_into, paint_into
from poc_aug.types import Insertion, Sample
from tests.helpers.compose_cases import make_insertion, make_sample

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="composes on a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]
IDS = {"part0": 100, "part1": 101, "part2": 102}


def random_insertions(seed: int, size_hw: tuple[int, int], count: int) -> list[Insertion]:
    """Anywhere, at the frame's borders too; with and without matte and shade."""
    rng = seeding.generator(seed, "insertions")

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=rng))

    insertions = []
    for k in range(count):
        h, w = (number(1, side) for side in size_hw)
        y, x = (number(0, side - own) for side, own in zip(size_hw, (h, w), strict=True))
        form = number(0, 3)
        made = make_insertion(
            100 * seed + k, (y, x, h, w), alpha=bool(form & 1), shade=bool(form & 2), parts=number(1, 3)
        )
        insertions.append(made)
    return insertions


def composed(sample: Sample, insertions: Sequence[Insertion], sigma: float, ring_px: int = 0) -> Sample:
    return compose(sample, insertions, IDS, sigma_px=sigma, ring_px=ring_px)


def blended(images: torch.Tensor, insertions: Sequence[Sequence[Insertion]], sigma: float) -> torch.Tensor:
    done = images.clone()
    blend_into(done, insertions, sigma)
    return done.cpu()


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=80)
@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(1, 41), st.integers(1, 33)),
    counts=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    sigma=st.one_of(st.just(0.0), st.floats(0.05, 3.0)),
    ring_px=st.integers(0, 4),
)
def test_a_batch_is_composed_as_in_whole_numbers(
    device: str, seed: int, size: tuple[int, int], counts: list[int], sigma: float, ring_px: int
) -> None:
    samples = [make_sample(seed + k, *size) for k in range(len(counts))]
    insertions = [random_insertions(seed + k, size, count) for k, count in enumerate(counts)]
    wanted = [composed(*pair, sigma, ring_px) for pair in zip(samples, insertions, strict=True)]
    images = torch.stack([sample.image for sample in samples]).to(device)
    labels = torch.stack([sample.labels for sample in samples]).to(device)

    whole = torch.stack([sample.image for sample in wanted])
    done = blended(images, insertions, sigma)
    assert (done.int() - whole.int()).abs().max() <= 1
    floats = blended(images / 255, insertions, sigma)
    assert (floats - whole / 255).abs().max() <= 1 / 255 + 1e-6
    torch.testing.assert_close(floats, done / 255, atol=1e-6, rtol=0)

    paint_into(labels, insertions, IDS, ring_px=ring_px)
    assert torch.equal(labels.cpu(), torch.stack([sample.labels for sample in wanted]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shade", [False, True])
@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_what_needs_no_gaussian_is_equal_to_the_bit(device: str, shade: bool, sigma: float) -> None:
    sample = make_sample(3, 63, 47)
    insertion = make_insertion(3, (1, 2, 61, 44), alpha=sigma > 0, shade=shade)
    done = blended(sample.image[None].to(device), [[insertion]], sigma)
    assert torch.equal(done[0], composed(sample, [insertion], sigma).image)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_keep_their_dtype_and_all_that_no_insertion_touches(dtype: torch.dtype) -> None:
    sample, insertion = make_sample(4, 17, 11), make_insertion(4, (3, 2, 9, 7), shade=True)
    image = torch.rand((1, 3, 17, 11), generator=seeding.generator(4)).to(dtype)  # between the levels of uint8
    sample = Sample((image[0].float() * 255).round().to(torch.uint8), sample.labels, "s")
    done = blended(image, [[insertion]], 1.0)
    assert done.dtype == dtype
    touched = torch.zeros(17, 11, dtype=torch.bool)
    touched[window(insertion.box_yxhw)] = support(insertion, 1.0)
    assert torch.equal(done[0][:, ~touched], image[0][:, ~touched])
    wanted = composed(sample, [insertion], 1.0).image
    rounding = 255 * torch.finfo(dtype).eps / 2
    assert (done[0].double() * 255 - wanted)[:, touched].abs().max() <= 1 + rounding + 1e-4


@pytest.mark.parametrize("device", DEVICES)
def test_masks_of_other_sizes_are_not_padded_to_the_largest(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = make_sample(9, 320, 480)
    small = [make_insertion(k, (7 * k, 11 * k, 9 + k, 30 - k), alpha=k % 5 == 0, shade=k % 2 == 0) for k in range(24)]
    medium = [make_insertion(30 + k, (20 * k, 200, 90, 120)) for k in range(3)]
    wide, tall = make_insertion(41, (100, 0, 60, 480)), make_insertion(42, (0, 100, 320, 90))
    large = make_insertion(43, (10, 20, 300, 440))
    insertions = [*small[:10], tall, large, *small[10:], wide, *medium]
    shapes: list[torch.Size] = []

    def counted(masks: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        shapes.append(masks.shape)
        return gaussian_blur2d(masks, *args, **options)

    monkeypatch.setattr(compose_tensors, "gaussian_blur2d", counted)
    done = blended(sample.image[None].to(device), [insertions], 1.5)
    wanted = composed(sample, insertions, 1.5).image
    assert (done[0].int() - wanted.int()).abs().max() <= 1
    masks = [insertion.mask for insertion in insertions if insertion.alpha is None]
    assert sum(shape[0] for shape in shapes) == len(masks)
    assert sum(shape.numel() for shape in shapes) <= 2 * sum(mask.numel() for mask in masks)
    assert len(shapes) <= 5  # each is a convolution of its own


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_changes_nothing(device: str) -> None:
    sample, insertions = make_sample(5, 41, 33), random_insertions(5, (41, 33), 4)
    image = sample.image[None].to(device)
    plain = blended(image, [insertions], 2.0), blended(image / 255, [insertions], 2.0)
    with torch.autocast(device, dtype=torch.bfloat16):
        assert torch.equal(blended(image, [insertions], 2.0), plain[0])
        assert torch.equal(blended(image / 255, [insertions], 2.0), plain[1])


@CUDA
def test_the_host_waits_for_nothing() -> None:
    size, insertions = (41, 33), random_insertions(6, (41, 33), 4)
    images = torch.stack([make_sample(6, *size).image] * 2).cuda()
    labels = torch.stack([make_sample(6, *size).labels] * 2).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        blend_into(images, [insertions, insertions[:1]], 1.5)
        paint_into(labels, [insertions, insertions[:1]], IDS, ring_px=2)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32],
)
def test_labels_of_any_dtype_are_painted(dtype: torch.dtype) -> None:
    sample, insertions = make_sample(7, 17, 11), random_insertions(7, (17, 11), 3)
    largest = torch.iinfo(dtype).max
    ids = {"part0": largest, "part1": largest - 1, "part2": 20}
    labels = sample.labels.long().to(dtype)[None]
    paint_into(labels, [insertions], ids, ring_px=1, ring_id=19)
    wide = Sample(sample.image, sample.labels.long(), "s")
    assert labels.dtype == dtype
    assert torch.equal(labels[0].long(), compose(wide, insertions, ids, ring_px=1, ring_id=19).labels)


def test_an_id_that_the_labels_cannot_hold_is_refused_before_anything_is_painted() -> None:
    labels = torch.zeros((1, 17, 11), dtype=torch.int8)
    with pytest.raises(LabelPolicyError, match=r"label id 254 does not fit labels of torch\.int8"):
        paint_into(labels, [[make_insertion(0, (3, 2, 9, 7), parts=2)]], {"part0": 3, "part1": 254})
    assert not labels.any()


def test_insertions_that_do_not_fit_are_refused() -> None:
    images = torch.zeros((1, 3, 17, 11), dtype=torch.uint8)
    with pytest.raises(SettingError, match=r"sigma_px=4\.0"):
        blend_into(images, [[make_insertion(0, (3, 2, 9, 7))]], 4.0)
    outside = make_insertion(0, (12, 2, 9, 7))
    with pytest.raises(ItemFormatError, match=r"\(12, 2, 9, 7\) is not inside the frame of 17x11"):
        blend_into(images, [[outside]], 1.0)
    with pytest.raises(ItemFormatError, match=r"\(12, 2, 9, 7\) is not inside the frame of 17x11"):
        paint_into(images[:, 0], [[outside]], IDS)
    assert not images.any()


@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_canvases_on_a_device_lend_their_tensors(bgr: bool, channels_last: bool) -> None:
    sample, insertions = make_sample(8, 17, 11), random_insertions(8, (17, 11), 3)
    wanted = composed(sample, insertions, 1.0, ring_px=2)
    pixels = sample.image.flip(0) if bgr else sample.image
    if channels_last:
        pixels = pixels.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    image = DeviceImageCanvas(tv_tensors.Image(pixels), "a", "the image", bgr=bgr)
    labels = DeviceLabelCanvas(sample.labels[None], "a", "the labels")
    before = pixels.clone(), sample.labels.clone()
    compose_image(image, insertions, 1.0)
    paint_labels(labels, insertions, IDS, ring_px=2)
    assert torch.equal(pixels, before[0])
    assert torch.equal(sample.labels, before[1])
    assert isinstance(image.value, tv_tensors.Image)
    assert image.value.stride() == pixels.stride()
    assert (image.whole().int() - wanted.image.int()).abs().max() <= 1
    assert labels.value.shape == (1, 17, 11)
    assert torch.equal(labels.value[0], wanted.labels)


def test_tensors_on_another_device_get_such_a_canvas() -> None:
    image, labels = torch.zeros((3, 4, 5), dtype=torch.uint8), torch.zeros((4, 5), dtype=torch.uint8)
    assert isinstance(image_canvas(image.to("meta"), "a"), DeviceImageCanvas)
    assert isinstance(label_canvas(labels.to("meta"), "a"), DeviceLabelCanvas)
    assert not isinstance(image_canvas(image, "a"), DeviceImageCanvas)
    assert not isinstance(label_canvas(labels, "a"), DeviceLabelCanvas)
