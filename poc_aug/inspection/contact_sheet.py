"""Contact sheets: before, after and mask overlay of a cache's variants, to judge by eye what was generated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from poc_aug.cache import Cache, UnitedCaches
from poc_aug.cache.key_matching import HeldKeys, check_held, stored_keys
from poc_aug.cache.several_caches import match_united
from poc_aug.errors import SettingError
from poc_aug.inspection.rejected_sheet import nothing_accepted
from poc_aug.items.image_digest import check_match, digest_of
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.items.sample_errors import naming_sample
from poc_aug.keys import Keys, dataset_keys, first_of_each, key_advice
from poc_aug.number_settings import checked_number
from poc_aug.reading.compose import compose
from poc_aug.recipe import IGNORED
from poc_aug.types import Insertion, Part, Sample, Variant

Rectangle: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels, as PIL has it."""

_GAP_PX = 6
_BACKGROUND = (24, 26, 30)
_TEXT = (235, 235, 235)
_DIMMED = (np.arange(256) * 0.55 + 40).astype(np.uint8)
# Okabe and Ito's palette (2008): colour-blind readers can tell its colours apart, too.
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


@dataclass(frozen=True)
class Tile:
    """One row of a sheet: a base sample and the variant to show on it."""

    sample: Sample
    variant: Variant


def contact_sheet(
    tiles: Sequence[Tile], *, width_px: int = 1800, sigma_px: float = 1.0, zoom: bool = True
) -> Image.Image:
    """Draw one row per tile: before, after, masks with class and score, and a close-up of the largest object.

    Args:
        tiles: what to show; at least one.
        width_px: width of the sheet.
        sigma_px: feather in pixels.
        zoom: add the close-up column.

    Returns:
        An RGB picture.

    Raises:
        SettingError: no tile, or a feather that is no finite number, negative, or wider than an object's patch allows.

    Example:
        >>> import torch
        >>> from poc_aug.types import Sample, Variant
        >>> frame = Sample(torch.zeros(3, 32, 64, dtype=torch.uint8), torch.zeros(32, 64, dtype=torch.uint8), "dark")
        >>> sheet = contact_sheet([Tile(frame, Variant("dark", 0, b"", ()))], width_px=400)
        >>> sheet.mode, sheet.width
        ('RGB', 400)
    """
    if not tiles:
        raise SettingError(
            "no variant to show", expected="at least one", hint="tiles_of(dataset, cache, count) gives them"
        )
    if checked_number("sigma_px", sigma_px) < 0:
        raise SettingError(f"sigma_px={sigma_px!r}", expected="a width in pixels, 0 or more")
    columns = 4 if zoom else 3
    tile_w = (width_px - _GAP_PX * (columns + 1)) // columns
    font = ImageFont.load_default(size=max(11, tile_w // 32))
    rows = [_row(tile, tile_w, sigma_px, font, zoom) for tile in tiles]
    line = max(11, tile_w // 32) + 8
    height = sum(max(cell.height for cell in row) + line + _GAP_PX for row in rows) + _GAP_PX
    sheet = Image.new("RGB", (width_px, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    y = _GAP_PX
    for tile, row in zip(tiles, rows, strict=True):
        draw.text((_GAP_PX, y), row_title(tile), _TEXT, font)
        y += line
        for number, cell in enumerate(row):
            sheet.paste(cell, (_GAP_PX + number * (tile_w + _GAP_PX), y))
        y += max(cell.height for cell in row) + _GAP_PX
    return sheet


def row_title(tile: Tile) -> str:
    """The line above a row: the sample's key, how many objects the variant has, and what was rejected.

    Example:
        >>> import torch
        >>> from poc_aug.types import Rejection, Sample, Variant
        >>> frame = Sample(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(8, 8, dtype=torch.uint8), "frame-7")
        >>> row_title(Tile(frame, Variant("frame-7", 2, b"", (), (Rejection("no room"),))))
        'frame-7  variant 2: 0 objects   rejected: 1 x no room'
    """
    count = len(tile.variant.insertions)
    title = f"{tile.sample.key}  variant {tile.variant.index}: {count} object{'' if count == 1 else 's'}"
    rejected = Counter(rejection.reason for rejection in tile.variant.rejections)
    reasons = ", ".join(f"{number} x {reason}" for reason, number in rejected.items())
    return title + (f"   rejected: {reasons}" if reasons else "")


def tiles_of(
    dataset: Any, cache: Cache | UnitedCaches, count: int, *, keys: Keys | None = None, adapt: Adapt | None = None
) -> list[Tile]:
    """The first ``count`` variants with objects, of as many different samples as possible.

    Args:
        dataset: the dataset that the cache was made from.
        cache: an opened cache, or several.
        count: how many variants at most.
        keys: see `POCAugmentedDataset`.
        adapt: see `POCAugmentedDataset`.

    Raises:
        CacheDatasetMismatchError: none of the dataset's samples is in the cache, or one has another content.
        CacheError: no variant has an object; says how many attempts were rejected, and why.
    """
    own_keys = dataset_keys(dataset, keys)
    # Samples that are not in the cache are not shown.
    if isinstance(cache, UnitedCaches):
        names, _ = match_united(cache, own_keys, dataset, misses_allowed=True, adapt=adapt)
    else:
        names = stored_keys(own_keys, HeldKeys(cache), dataset, adapt)
        check_held(names, own_keys, cache, dataset, misses_allowed=True)
    advice = key_advice(dataset)
    tiles: list[Tile] = []
    stored = [(number, key, cache.variants(key)) for key, number in first_of_each(names).items()]
    rounds = max(len(indices) for _, _, indices in stored)
    for turn in range(rounds):
        for number, key, indices in stored:
            if turn >= len(indices) or len(tiles) == count:
                continue
            variant = cache.get(key, indices[(turn + number) % len(indices)])
            if variant is not None and variant.insertions:
                with naming_sample(key):
                    item = open_item(dataset[number], adapt, key=key)
                source = cache.cache_of(variant.index) if isinstance(cache, UnitedCaches) else cache
                check_match(variant.digest, digest_of(item.image), key, source.path, source.manifest.dataset, advice)
                tiles.append(Tile(item.sample(key), variant))
    if count and not tiles:
        empty = (cache.get(key, index) for _, key, indices in stored for index in indices)
        raise nothing_accepted(cache.path, [variant for variant in empty if variant is not None])
    return tiles


def _row(
    tile: Tile, tile_w: int, sigma_px: float, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, zoom: bool
) -> list[Image.Image]:
    names = {part.name for insertion in tile.variant.insertions for part in insertion.parts}
    # The label ids do not matter here: only the composed image is shown.
    after = compose(tile.sample, tile.variant.insertions, dict.fromkeys(names, 0), sigma_px=sigma_px)
    before_image, after_image = to_pil(tile.sample.image), to_pil(after.image)
    shown = overlay(after.image, tile.variant.insertions)
    cells = [_resized(picture, tile_w) for picture in (before_image, after_image, shown)]
    _captions(cells[2], tile, font)
    if zoom:
        box = _closeup_box(tile)
        size = (tile_w, cells[0].height)
        closeup = Image.new("RGB", size, _BACKGROUND)
        if box is not None:
            closeup.paste(after_image.crop(box).resize(size, Image.Resampling.BICUBIC))
        cells.append(closeup)
    return cells


def to_pil(image: torch.Tensor) -> Image.Image:
    """uint8 ``[3, H, W]`` to a PIL picture."""
    return Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))


def _resized(picture: Image.Image, width: int) -> Image.Image:
    height = max(1, round(picture.height * width / picture.width))
    resample = Image.Resampling.LANCZOS if width < picture.width else Image.Resampling.BICUBIC
    return picture.resize((width, height), resample)


def overlay(image: torch.Tensor, insertions: Sequence[Insertion]) -> Image.Image:
    """The dimmed picture, uint8 ``[3, H, W]``, with each part's mask in its own colour."""
    # By a table: a frame of 20,000 by 5,000 pixels in floats would take a gigabyte per copy.
    shown = torch.from_numpy(_DIMMED[image.numpy()])
    for number, insertion in enumerate(insertions):
        y, x, h, w = insertion.box_yxhw
        area, base = (frame[:, y : y + h, x : x + w] for frame in (shown, image))
        for part_number, part in enumerate(_classes(insertion)):
            colour = torch.tensor(PALETTE[(number + part_number) % len(PALETTE)], dtype=torch.float32)
            mixed = 0.35 * base[:, part.mask].to(torch.float32) + 0.65 * colour[:, None]
            area[:, part.mask] = mixed.to(torch.uint8)
    return to_pil(shown)


def _classes(insertion: Insertion) -> list[Part]:
    return [part for part in insertion.parts if part.name != IGNORED]


def _captions(cell: Image.Image, tile: Tile, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> None:
    draw = ImageDraw.Draw(cell)
    scale = cell.width / tile.sample.size_hw[1]
    taken: list[Rectangle] = []
    for insertion in tile.variant.insertions:
        y, x, _, w = insertion.box_yxhw
        text = "  ".join(f"{part.name} {part.score:.2f}" for part in _classes(insertion))
        left, top, right, bottom = draw.textbbox((0, 0), text, font)
        at_x = min(max(0.0, (x + w / 2) * scale - (right - left) / 2), max(0.0, cell.width - (right - left)))
        at_y = max(0.0, y * scale - (bottom - top) - 6)
        tag = free_place((at_x - 2, at_y, at_x + right - left + 2, at_y + bottom - top + 4), taken)
        taken.append(tag)
        draw.rectangle(tag, (0, 0, 0))
        draw.text((tag[0] + 2 - left, tag[1] - top + 2), text, _TEXT, font)


def free_place(wanted: Rectangle, taken: Sequence[Rectangle]) -> Rectangle:
    """The rectangle moved up past those that it would hide, or down if the picture ends there.

    Args:
        wanted: left, top, right, bottom in pixels.
        taken: rectangles that are drawn already.

    Example:
        >>> free_place((0, 20, 30, 30), [(10, 15, 40, 25)])
        (0, 4, 30, 14)
    """
    left, top, right, bottom = wanted
    tops = sorted({top, *(other[1] - (bottom - top) - 1 for other in taken), *(other[3] + 1 for other in taken)})
    for y in sorted((y for y in tops if y >= 0), key=lambda y: (y > top, abs(y - top))):
        moved = (left, y, right, y + bottom - top)
        if not any(_overlap(moved, other) for other in taken):
            return moved
    return wanted


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _closeup_box(tile: Tile) -> tuple[int, int, int, int] | None:
    """A window of the frame's own aspect around the largest object: left, upper, right, lower."""
    if not tile.variant.insertions:
        return None
    largest = max(tile.variant.insertions, key=lambda insertion: int(insertion.mask.sum()))
    height, width = tile.sample.size_hw
    y, x, h, w = largest.box_yxhw
    side = min(height, math.ceil(1.3 * max(h, w * height / width)))
    across = min(width, round(side * width / height))
    top = min(max(0, y + h // 2 - side // 2), height - side)
    left = min(max(0, x + w // 2 - across // 2), width - across)
    return left, top, left + across, top + side
