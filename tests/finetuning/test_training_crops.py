"""Crops of a training: functions of seed and number alone, image and labels together."""

from __future__ import annotations

import pytest
import torch

from poc_aug.finetuning.training_crops import TrainingFrames, batch_prompts, frame_order, square_crop
from poc_aug.types import Sample
from tests.helpers.finetune_cases import Streets


def ramp(height: int, width: int) -> Sample:
    """A frame whose red is its row and whose green its column; labels are those of the left and the right half."""
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[0] = torch.arange(height)[:, None]
    image[1] = torch.arange(width)
    labels = (torch.arange(width) >= width // 2).to(torch.uint8).expand(height, width).contiguous()
    return Sample(image, labels, "ramp")


def test_every_frame_comes_once_per_epoch_in_another_order() -> None:
    order = frame_order(3, 50, 0, 200)
    epochs = [order[start : start + 50] for start in range(0, 200, 50)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert frame_order(4, 50, 0, 200) != order


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (3, 5), (7, 21), (6, 14), (20, 20)])
def test_an_order_can_be_entered_anywhere(start: int, stop: int) -> None:
    assert frame_order(0, 7, start, stop) == frame_order(0, 7, 0, 28)[start:stop]


def test_crops_are_square_inside_the_frame_and_of_image_and_labels_alike() -> None:
    frame = ramp(40, 100)
    places = set()
    for seed in range(40):
        crop = square_crop(frame, 40, seed)
        assert crop.image.shape == (3, 40, 40)
        assert crop.labels.shape == (40, 40)
        assert torch.equal(crop.image[0, :, 0], torch.arange(40, dtype=torch.uint8))
        assert torch.equal(crop.labels, (crop.image[1] >= 50).to(torch.uint8))
        places.add(int(crop.image[1, 0, 0]))
    assert len(places) > 15
    assert min(places) < 10
    assert 50 < max(places) <= 60


@pytest.mark.parametrize("size", [16, 40, 64])
@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (37, 61), (40, 40)])
def test_frames_are_resized_so_that_the_shorter_side_is_the_crop(shape: tuple[int, int], size: int) -> None:
    frame = ramp(*shape)
    crop = square_crop(frame, size, None)
    assert crop.image.shape == (3, size, size)
    assert set(crop.labels.unique().tolist()) <= {0, 1}  # never interpolated
    edges = crop.image[1, size // 2].float() >= shape[1] // 2
    # Image and labels agree to within the pixels that interpolation mixes.
    assert int((edges != crop.labels[size // 2].bool()).sum()) <= max(1, round(size / min(shape)))
    assert torch.equal(frame.image, ramp(*shape).image)


def test_a_crop_depends_on_its_number_alone() -> None:
    streets = Streets()
    numbers = frame_order(0, 6, 0, 12)
    whole = TrainingFrames(streets, streets.keys(), numbers, None, streets.schema, seed=0, size=32, start=0)
    later = TrainingFrames(streets, streets.keys(), numbers[5:], None, streets.schema, seed=0, size=32, start=5)
    for index in range(7):
        one, other = later[index], whole[5 + index]
        assert isinstance(one, Sample)
        assert isinstance(other, Sample)
        assert one.key == other.key
        assert torch.equal(one.image, other.image)


def test_prompts_are_dropped_at_their_rate() -> None:
    samples = [ramp(4, 8)] * 2000
    captions = {"ramp": "a ramp"}
    assert batch_prompts(samples, captions, 0, 0, 0.0) == ["a ramp"] * 2000
    assert batch_prompts(samples, captions, 0, 0, 1.0) == [""] * 2000
    some = batch_prompts(samples, captions, 0, 0, 0.1)
    assert 120 < some.count("") < 280
    assert batch_prompts(samples[:10], captions, 0, 500, 0.1) == some[500:510]
