"""The crops of a training: which frames, where, and with which prompt, each a function of seed and number alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional
from torch.utils.data import Dataset

from poc_aug.generation.frame_loading import FrameDataset
from poc_aug.generation.unreadable import UnreadableSample
from poc_aug.items.open_item import Adapt
from poc_aug.labels.schema import LabelSchema
from poc_aug.seeding import derive_seed, generator, unit
from poc_aug.types import Sample


def frame_order(seed: int, count: int, start: int, stop: int) -> list[int]:
    """The frames of crops ``start`` to ``stop``: every frame once in each ``count`` crops, in a new order each time.

    Example:
        >>> whole = frame_order(0, 3, 0, 9)
        >>> [sorted(whole[n : n + 3]) for n in (0, 3, 6)]
        [[0, 1, 2], [0, 1, 2], [0, 1, 2]]
        >>> frame_order(0, 3, 4, 9) == whole[4:]
        True
    """
    order: list[int] = []
    for epoch in range(start // count, -(-stop // count)):
        frames = torch.randperm(count, generator=generator(seed, "order of frames", epoch)).tolist()
        order += frames[max(0, start - epoch * count) : max(0, stop - epoch * count)]
    return order


class TrainingFrames(FrameDataset):
    """Random square crops of frames, see `square_crop`; further arguments as in `FrameDataset`.

    Args:
        seed: seed of the crops.
        size: their side.
        start: number of the first crop.
    """

    def __init__(
        self,
        base: Dataset[Any],
        keys: Sequence[str],
        numbers: Sequence[int],
        adapt: Adapt | None,
        schema: LabelSchema | None,
        *,
        seed: int,
        size: int,
        start: int,
    ) -> None:
        super().__init__(base, keys, numbers, adapt, schema, None)
        self.seed, self.size, self.start = seed, size, start

    def __getitem__(self, index: int) -> Sample | UnreadableSample:
        sample = super().__getitem__(index)
        if isinstance(sample, UnreadableSample):
            return sample
        return square_crop(sample, self.size, derive_seed(self.seed, "crop", self.start + index))


def square_crop(sample: Sample, size: int, seed: int | None) -> Sample:
    """A square crop of a frame, whose shorter side is resized to ``size`` before; labels are never interpolated.

    Args:
        sample: the frame.
        size: side of the crop.
        seed: seed of its place; ``None``: the middle.

    Example:
        >>> frame = Sample(torch.zeros(3, 40, 80, dtype=torch.uint8), torch.zeros(40, 80, dtype=torch.uint8), "a")
        >>> square_crop(frame, 32, seed=0).image.shape
        torch.Size([3, 32, 32])
    """
    height, width = sample.size_hw
    scale = size / min(height, width)
    resized = [max(size, round(side * scale)) for side in (height, width)]
    image, labels = sample.image, sample.labels
    if resized != [height, width]:
        image = functional.interpolate(
            image[None].float(), resized, mode="bilinear", align_corners=False, antialias=True
        )[0]
        image = image.round().clamp(0, 255).to(torch.uint8)
        labels = labels[_nearest(height, resized[0])[:, None], _nearest(width, resized[1])]
    room = [side - size for side in resized]
    if seed is None:
        y, x = (each // 2 for each in room)
    else:
        y, x = (int(unit(seed, axis) * (each + 1)) for axis, each in zip("yx", room, strict=True))
    rows, columns = slice(y, y + size), slice(x, x + size)
    return replace(sample, image=image[:, rows, columns].contiguous(), labels=labels[rows, columns].contiguous())


def _nearest(side: int, new: int) -> torch.Tensor:
    return ((torch.arange(new) + 0.5) * (side / new)).long().clamp(max=side - 1)


def batch_prompts(
    samples: Sequence[Sample], captions: Mapping[str, str], seed: int, start: int, dropout: float
) -> list[str]:
    """The prompts of the crops from number ``start`` on: the captions of their frames, or nothing.

    Example:
        >>> frame = Sample(torch.zeros(3, 4, 8, dtype=torch.uint8), torch.zeros(4, 8, dtype=torch.uint8), "a")
        >>> batch_prompts([frame] * 4, {"a": "a street"}, 0, 0, 0.5)
        ['', '', 'a street', '']
    """
    return [
        "" if unit(seed, "prompt", start + index) < dropout else captions[sample.key]
        for index, sample in enumerate(samples)
    ]
