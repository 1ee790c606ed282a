"""Pictures for a datasheet: objects on grey ground, which hold nothing of the base's frames outside the objects."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xxhash
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.masks import bounds, window
from poc_aug.reading.compose_opacity import opacity
from poc_aug.types import Insertion

_GROUND = 128
_CELL_PX = 192
_GAP_PX = 8
_COLUMNS = 6
_MOST_PER_OBJECT = 12
_SMALLEST_PX = 24


@dataclass(frozen=True, slots=True, order=True)
class PictureChoice:
    """An insertion to show: its variant, its number among those that are kept, and its object."""

    key: str
    index: int
    number: int
    name: str


class PictureDraw:
    """Draws insertions to show, by a hash: the same ones wherever and in whatever order records are read.

    Example:
        >>> draw = PictureDraw()
        >>> draw.add({"key": "a.png", "index": 0, "insertions": [{"name": "cow", "box": [0, 0, 40, 60]}]})
        >>> draw.chosen(4)
        [PictureChoice(key='a.png', index=0, number=0, name='cow')]
    """

    def __init__(self) -> None:
        self._drawn: dict[str, list[tuple[bool, int, PictureChoice]]] = defaultdict(list)

    def add(self, header: Mapping[str, Any]) -> None:
        """Take a record's insertions into the draw."""
        for number, item in enumerate(header["insertions"]):
            choice = PictureChoice(header["key"], header["index"], number, item["name"])
            digest = xxhash.xxh3_64_intdigest(repr(choice).encode("utf-8", "surrogatepass"))
            large = min(item["box"][2:]) >= _SMALLEST_PX
            drawn = self._drawn[item["name"]]
            heapq.heappush(drawn, (large, digest, choice))
            if len(drawn) > _MOST_PER_OBJECT:
                heapq.heappop(drawn)

    def chosen(self, count: int) -> list[PictureChoice]:
        """The first of each object, then the second, and so on; objects by name."""
        ordered = {name: sorted(drawn, reverse=True) for name, drawn in sorted(self._drawn.items())}
        turns = range(_MOST_PER_OBJECT)
        return [drawn[turn][2] for turn in turns for drawn in ordered.values() if turn < len(drawn)][:count]


def objects_picture(cache: Cache, choices: Sequence[PictureChoice]) -> Image.Image | None:
    """The chosen insertions of a cache side by side, each as large as its cell; ``None`` without any.

    Args:
        cache: an opened cache.
        choices: what to show; what is no longer there is left out.
    """
    cells = []
    for choice in choices:
        variant = cache.get(choice.key, choice.index)
        if variant is not None and choice.number < len(variant.insertions):
            cells.append(object_picture(variant.insertions[choice.number]))
    if not cells:
        return None
    columns = min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    step = _CELL_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * step + _GAP_PX, rows * step + _GAP_PX), (_GROUND,) * 3)
    for number, cell in enumerate(cells):
        left, top = _GAP_PX + number % columns * step, _GAP_PX + number // columns * step
        sheet.paste(cell, (left + (_CELL_PX - cell.width) // 2, top + (_CELL_PX - cell.height) // 2))
    return sheet


def object_picture(insertion: Insertion) -> Image.Image:
    """An insertion on grey ground, without its shadow, cropped to what shows and at most as large as a cell.

    Example:
        >>> from poc_aug.types import Part
        >>> mask = torch.tensor([[True, False]])
        >>> patch = torch.full((3, 1, 2), 255, dtype=torch.uint8)
        >>> one = Insertion((0, 0, 1, 2), patch, (Part("cup", mask),), None, None, "cup", max_sigma_px=0.0)
        >>> object_picture(one).size, object_picture(one).getpixel((0, 0))
        ((4, 4), (255, 255, 255))
    """
    shown = opacity(insertion, 0.0)
    place = bounds(shown > 0)
    if place[2] == 0:
        return Image.new("RGB", (1, 1), (_GROUND,) * 3)
    inside = window(place)
    share = shown[inside].float() / 255
    colours = insertion.patch[:, *inside].float() * share + _GROUND * (1 - share)
    pixels = colours.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    scale = _CELL_PX / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.resize(size, Image.Resampling.LANCZOS)
    whole = min(4, int(scale))  # small objects in whole steps, so that their pixels can be judged
    return picture.resize((picture.width * whole, picture.height * whole), Image.Resampling.NEAREST)
