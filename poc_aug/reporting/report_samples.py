"""Sample pictures of a report: a few of each class, in their frames if there is a dataset, otherwise on grey."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import xxhash
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.inspection.record_views import framed, on_grey
from poc_aug.items.image_digest import check_match, digest_of
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.items.sample_errors import naming_sample
from poc_aug.keys import key_advice
from poc_aug.masks import bounds, window
from poc_aug.recipe import IGNORED
from poc_aug.types import Insertion, Sample, Variant

_LONGEST_PX = 220
_AROUND = 0.6


@dataclass(frozen=True, slots=True, order=True)
class SampleChoice:
    """One insertion, or frame, to show."""

    digest: int
    key: str
    index: int
    number: int


class SampleDraw:
    """Draws a few insertions of each class, by a hash: the same ones in whatever order they come.

    Args:
        count: how many of each class.

    Example:
        >>> draw = SampleDraw(2)
        >>> for number in range(5):
        ...     draw.add("cow", "a.png", number, 0)
        >>> [(name, len(choices)) for name, choices in draw.chosen()]
        [('cow', 2)]
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._drawn: dict[str, list[SampleChoice]] = defaultdict(list)

    def add(self, name: str, key: str, index: int, number: int) -> None:
        """Take one into the draw."""
        digest = xxhash.xxh3_64_intdigest(repr((key, index, number)).encode("utf-8", "surrogatepass"))
        drawn = self._drawn[name]
        heapq.heappush(drawn, SampleChoice(digest, key, index, number))
        if len(drawn) > self._count:
            heapq.heappop(drawn)

    def chosen(self) -> Iterator[tuple[str, list[SampleChoice]]]:
        """Each class, by name, with what was drawn of it."""
        for name, drawn in sorted(self._drawn.items()):
            yield name, sorted(drawn, reverse=True)


class Frames:
    """The frames of a dataset, by the keys of a cache.

    Args:
        dataset: the dataset.
        names: the key of each of its samples in the cache.
        cache: the cache.
        adapt: see `POCAugmentedDataset`.
    """

    def __init__(self, dataset: Any, names: Sequence[str], cache: Cache, adapt: Adapt | None = None) -> None:
        self._dataset, self._cache, self._adapt = dataset, cache, adapt
        self._numbers: dict[str, int] = {}
        for number, name in enumerate(names):
            self._numbers.setdefault(name, number)

    def of(self, variant: Variant, key: str) -> Sample | None:
        """The frame that a variant was made for; ``None``: the dataset does not have it.

        Args:
            variant: the variant.
            key: key of its sample.

        Raises:
            SampleReadError, ItemFormatError: it cannot be read.
            CacheDatasetMismatchError: the dataset has another picture under that key.
        """
        number = self._numbers.get(key)
        if number is None:
            return None
        with naming_sample(key):
            item = open_item(self._dataset[number], self._adapt, key=key)
        manifest = self._cache.manifest
        check_match(
            variant.digest, digest_of(item.image), key, self._cache.path, manifest.dataset, key_advice(self._dataset)
        )
        return item.sample(key)


def names_of(insertion: Insertion) -> tuple[str, ...]:
    """Class names of an insertion's parts."""
    return tuple(part.name for part in insertion.parts if part.name != IGNORED)


def samples_of(
    cache: Cache, choices: Mapping[str, Sequence[SampleChoice]], frames: Frames | None
) -> Iterator[tuple[str, list[tuple[Image.Image, str]]]]:
    """Pictures of each class, with what is said of each.

    Args:
        cache: an opened cache of insertions.
        choices: what is shown, by class.
        frames: the frames that they stand in; ``None``: objects are shown on grey.
    """
    for name, chosen in choices.items():
        pictures = []
        for choice in chosen:
            variant = cache.get(choice.key, choice.index)
            if variant is None or choice.number >= len(variant.insertions):
                continue
            insertion = variant.insertions[choice.number]
            sample = None if frames is None else frames.of(variant, choice.key)
            picture = fitted(on_grey(insertion, 0.0)) if sample is None else in_its_frame(sample, variant, insertion)
            score = min((part.score for part in insertion.parts if part.name != IGNORED), default=0.0)
            height, width = bounds(insertion.mask)[2:]
            missing = ", not in the dataset" if frames is not None and sample is None else ""
            pictures.append((picture, f"{height} × {width} px (height × width), score {score:.2f}{missing}"))
        yield name, pictures


def in_its_frame(sample: Sample, variant: Variant, insertion: Insertion) -> Image.Image:
    """The surroundings of an insertion in its composed frame."""
    after = framed(sample, variant.insertions)
    y, x, h, w = insertion.box_yxhw
    margin = max(16, round(_AROUND * max(h, w)))
    top, left = max(0, y - margin), max(0, x - margin)
    bottom, right = min(sample.size_hw[0], y + h + margin), min(sample.size_hw[1], x + w + margin)
    return fitted(after[:, *window((top, left, bottom - top, right - left))])


def fitted(pixels: torch.Tensor) -> Image.Image:
    """uint8 ``[3, h, w]`` as a picture of a report: small ones enlarged in whole steps, so that pixels are seen."""
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    scale = _LONGEST_PX / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.resize(size, Image.Resampling.LANCZOS)
    whole = min(4, int(scale))
    return picture.resize((picture.width * whole, picture.height * whole), Image.Resampling.NEAREST)
