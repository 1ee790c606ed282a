"""Fields of an item that hold one value per pixel besides its image and labels: depth, normals, instance ids."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError

MapName: TypeAlias = str | int
"""A field's name, or its index in a tuple or list."""

_WORDS = ("depth", "dispar", "instance", "normals", "panoptic", "flow")
_reported: set[str] = set()


def check_maps(maps: object) -> None:
    """Check that ``Adapt.maps`` names fields.

    Raises:
        ItemFormatError: it does not.
    """
    if not isinstance(maps, tuple) or not all(type(name) in (str, int) and name != "" for name in maps):
        lone = isinstance(maps, str) and maps
        raise ItemFormatError(
            f"Adapt(maps={maps!r})",
            expected="a tuple of the names of fields, of a tuple or list their indices",
            hint=f"Adapt(maps=({maps!r},))" if lone else "Adapt(maps=('depth',))",
        )


def check_named_maps(maps: Collection[MapName], item: Any, used: Collection[Any] | None, key: str) -> None:
    """Check that an item has the fields that ``Adapt.maps`` names.

    Args:
        maps: the names.
        item: the item.
        used: names of its image and labels.
        key: the item's key, for messages.

    Raises:
        ItemFormatError: it has not, or one is the image or the labels.
    """
    if not maps:
        return
    fields = fields_of(item)
    for name in maps:
        if name not in fields:
            raise ItemFormatError(
                f"item {key!r} has no field {name!r}, which Adapt(maps=...) names",
                expected=f"one of {', '.join(map(repr, fields)) or 'no field at all'}",
                hint="leave it out of maps, or correct its name",
            )
        if used is not None and name in used:
            raise ItemFormatError(
                f"item {key!r}: the field {name!r}, which Adapt(maps=...) names, is its image or its labels",
                expected="names of other maps, which are left as they are",
                hint="leave it out of maps",
            )


def report_maps(
    item: Any,
    maps: Collection[MapName],
    known: Collection[Any] | None,
    own: Collection[Any],
    size_hw: tuple[int, int],
    key: str,
) -> None:
    """Log, once per process each, which maps are left alone as ``Adapt.maps`` says, and which although nothing says so.

    Args:
        item: an item into which objects are inserted.
        maps: the names in ``Adapt.maps``.
        known: names of its image, its labels and further fields that are dealt with; ``None``: only functions of the
            user know. Then a field counts as a map only if it cannot be what its image or its labels are made of: by
            its name, or if it is one float per pixel.
        own: the item's image and labels.
        size_hw: the frame's size.
        key: the item's key.
    """
    logger = logging.getLogger("poc_aug")
    if maps and "named" not in _reported:
        _reported.add("named")
        logger.info("Adapt(maps=...): %s stay as they are, also where objects are inserted", ", ".join(map(repr, maps)))
    if "unnamed" in _reported:
        return
    dealt_with = {*maps, *(known or ())}
    unnamed = [
        name
        for name, value in fields_of(item).items()
        if name not in dealt_with
        and is_frame_map(value, size_hw)
        and not any(value is each for each in own)
        and (known is not None or _is_certain(name, value))
    ]
    if unnamed:
        _reported.add("unnamed")
        names = ", ".join(map(repr, unnamed))
        logger.warning(
            "item %r: %s: as large as the image, and left as it is: where objects are inserted, it shows the scene "
            "behind them. If that is intended, pass adapt=Adapt(maps=(%s,)); ids of instances follow with "
            "Composer(..., instances=%r)",
            key, names, names, unnamed[0],
        )  # fmt: skip


def _is_certain(name: Any, value: Any) -> bool:
    """Whether a field is neither what an image nor what labels are made of."""
    if isinstance(name, str) and any(word in name.lower() for word in _WORDS):
        return True
    if isinstance(value, Image.Image):
        return value.mode == "F"
    floating = value.is_floating_point() if isinstance(value, torch.Tensor) else value.dtype.kind == "f"
    return floating and (value.ndim == 2 or 1 in (value.shape[0], value.shape[2]))


def fields_of(item: Any) -> dict[Any, Any]:
    """The fields of an item: of a mapping by name, of a tuple or list by index, of another object its attributes."""
    if isinstance(item, Mapping):
        return dict(item)
    if isinstance(item, tuple | list):
        return dict(enumerate(item))
    return dict(vars(item)) if hasattr(item, "__dict__") else {}


def is_frame_map(value: Any, size_hw: tuple[int, int]) -> bool:
    """Whether a value holds something per pixel: a picture, tensor or array of the frame's size.

    Example:
        >>> is_frame_map(np.zeros((4, 8)), (4, 8)), is_frame_map(np.zeros((4, 2)), (4, 8))
        (True, False)
    """
    if isinstance(value, Image.Image):
        return (value.height, value.width) == size_hw
    if not isinstance(value, torch.Tensor | np.ndarray) or value.ndim not in (2, 3):
        return False
    return size_hw in (tuple(value.shape[-2:]), tuple(value.shape[:2]))
