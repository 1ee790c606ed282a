"""Cut-outs from a segmentation dataset's own labels: connected components of chosen classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import xxhash

from poc_aug.backends.paste.bank_coco import BORDER_PX, crop_to_mask
from poc_aug.backends.paste.bank_left_out import LeftOut, printable
from poc_aug.errors import ObjectBankError, PocAugError, SampleReadError, in_one_line
from poc_aug.items.open_item import Adapt, OpenItem, open_item
from poc_aug.keys import Keys, check_repeats, dataset_keys, first_of_each
from poc_aug.labels.schema import LabelSchema
from poc_aug.masks import connected_components
from poc_aug.types import Box, Json


@dataclass(frozen=True, slots=True)
class ComponentSource:
    """One connected component of a class in one item."""

    dataset: Any = field(repr=False, compare=False)
    adapt: Adapt | None = field(repr=False, compare=False)
    schema: LabelSchema = field(repr=False, compare=False)
    index: int
    key: str
    category: str
    box_yxhw: Box
    anchor_yx: tuple[int, int]
    digest: str

    @property
    def name(self) -> str:
        """Key of the item, class and place."""
        y, x, h, w = self.box_yxhw
        return printable(f"{self.key}#{self.category}@{y},{x},{h},{w}")

    def identity(self) -> Json:
        """Name, and hash of the pixels and the mask."""
        return [self.name, self.digest]

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw image and alpha, cropped to the component and one pixel around it."""
        try:
            item = _open(self.dataset, self.index, self.key, self.adapt)
        except PocAugError as error:
            raise ObjectBankError(f"cut-out {self.name!r}: {error.problem}", expected=error.expected) from error
        y, x, h, w = self.box_yxhw
        cutout = None
        if all(side >= end for side, end in zip(item.labels.size_hw, (y + h, x + w), strict=True)):
            pixels, labels = item.image.read(self.box_yxhw), item.labels.read(self.box_yxhw)
            # The box holds the whole component, so the components in it are the frame's, clipped to the box.
            numbers, _ = connected_components(self.schema.mask(labels, [self.category]))
            mask = numbers == numbers[self.anchor_yx]
            if bool(numbers[self.anchor_yx]) and _digest(pixels, mask) == self.digest:
                cutout = crop_to_mask(pixels, mask)
        if cutout is None:
            raise ObjectBankError(
                f"cut-out {self.name!r} has changed since the bank was built",
                expected="a dataset that returns the same item each time",
                hint="build the bank from the dataset without random transforms",
            )
        return cutout


def dataset_sources(
    dataset: Any,
    schema: LabelSchema,
    classes: list[str],
    *,
    min_size_px: int,
    min_area_px: int,
    drop_truncated: bool,
    adapt: Adapt | None,
    keys: Keys | None = None,
) -> tuple[list[ComponentSource], LeftOut]:
    """Find the usable components; see `ObjectBank.from_dataset`."""
    for name in classes:
        schema.id_of(name)
    left_out = LeftOut()
    sources: list[ComponentSource] = []
    names = dataset_keys(dataset, keys)
    check_repeats(dataset, names, adapt, keys)
    for key, index in first_of_each(names).items():
        sample = _open(dataset, index, key, adapt).sample()
        schema.check(sample.labels, key)
        height, width = sample.size_hw
        for name in classes:
            numbers, count = connected_components(schema.mask(sample.labels, [name]))
            for number, box in enumerate(_boxes(numbers, count), start=1):
                y, x, h, w = box
                window = (slice(y, y + h), slice(x, x + w))
                mask = numbers[window] == number
                if max(h, w) < min_size_px:
                    left_out.add(f"smaller than {min_size_px} px")
                elif int(mask.sum()) < min_area_px:
                    left_out.add(f"smaller than {min_area_px} px of area")
                elif drop_truncated and min(y, x, height - y - h, width - x - w) <= BORDER_PX:
                    left_out.add("truncated by their frame's border")
                else:
                    anchor = (0, int(mask[0].nonzero()[0]))
                    digest = _digest(sample.image[:, *window], mask)
                    sources.append(ComponentSource(dataset, adapt, schema, index, key, name, box, anchor, digest))
    return sources, left_out


def _open(dataset: Any, index: int, key: str, adapt: Adapt | None) -> OpenItem:
    try:
        return open_item(dataset[index], adapt, key=key)
    except PocAugError:
        raise
    except Exception as error:  # whatever the dataset raises is reported with the sample's key
        raise SampleReadError(
            f"sample {key!r} could not be read: {in_one_line(error)}", hint="repair it, or leave it out"
        ) from error


def _boxes(numbers: torch.Tensor, count: int) -> list[Box]:
    """Bounding boxes of the components 1 to ``count``."""
    rows, cols = numbers.nonzero(as_tuple=True)
    which = numbers[rows, cols].long() - 1
    edges = []
    for values in (rows, cols):
        first = torch.full((count,), numbers.numel()).scatter_reduce_(0, which, values, "amin")
        last = torch.full((count,), -1).scatter_reduce_(0, which, values, "amax")
        edges.append((first.tolist(), last.tolist()))
    (top, bottom), (left, right) = edges
    return [(top[i], left[i], bottom[i] + 1 - top[i], right[i] + 1 - left[i]) for i in range(count)]


def _digest(pixels: torch.Tensor, mask: torch.Tensor) -> str:
    state = xxhash.xxh3_128(pixels.contiguous().numpy().tobytes())
    state.update(mask.contiguous().numpy().tobytes())
    return state.hexdigest()
