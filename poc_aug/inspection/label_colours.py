"""Colours of label ids: one per id, the same in every picture, with the names that a schema has for them."""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from poc_aug.inspection.contact_sheet import PALETTE, to_pil
from poc_aug.inspection.notebook_view import LegendEntry, Panel, RgbLevels
from poc_aug.labels.schema import LabelSchema

IGNORED_RGB = (60, 60, 60)
_LONGEST_PX = 900
_MOST_ENTRIES = 24
_GOLDEN = 0.618033988749895


@lru_cache(maxsize=4096)
def colour_of(label_id: int) -> RgbLevels:
    """A muted colour for a label id; those of inserted classes are `vivid`.

    Example:
        >>> colour_of(0) != colour_of(1), colour_of(7) == colour_of(7)
        (True, True)
    """
    lightness, saturation = ((0.52, 0.7), (0.28, 0.5), (0.62, 0.4))[label_id % 3]  # the first 20 can be told apart
    return _rgb(colorsys.hls_to_rgb(label_id * _GOLDEN % 1.0, lightness, saturation))


def vivid(number: int) -> RgbLevels:
    """A bright colour for the ``number``-th inserted class."""
    return PALETTE[number % len(PALETTE)]


def label_panel(
    labels: torch.Tensor,
    image: torch.Tensor,
    schema: LabelSchema | None = None,
    inserted: Mapping[str, int] | None = None,
) -> tuple[Panel, list[LegendEntry]]:
    """Labels over their image, and what the colours mean, the largest class first.

    Args:
        labels: integer ``[H, W]``.
        image: uint8 ``[3, H, W]``.
        schema: names the ids.
        inserted: ids of inserted classes by name, which are bright.
    """
    small, picture = reduced_labels(labels, image)
    ids, inverse, counts = np.unique(small, return_inverse=True, return_counts=True)
    own: dict[int, str] = {}
    for name, label_id in (inserted or {}).items():
        own[label_id] = f"{own[label_id]}, {name}" if label_id in own else name
    bright = {label_id: number for number, label_id in enumerate(sorted(own))}
    ignored = frozenset() if schema is None else frozenset(schema.ignore)
    table = np.array([_colour(int(label_id), bright, ignored) for label_id in ids], np.float32)
    strength = np.array([0.8 if int(label_id) in bright else 0.6 for label_id in ids], np.float32)
    inverse = inverse.reshape(small.shape)
    share = strength[inverse][..., None]
    base = np.asarray(picture, np.float32)
    grey = base.mean(axis=2, keepdims=True)  # without its colours, which would mix with those of the labels
    mixed = share * table[inverse] + (1 - share) * grey
    order = sorted(range(len(ids)), key=lambda place: (int(ids[place]) not in bright, -int(counts[place])))
    legend = [
        LegendEntry(
            _colour(int(ids[place]), bright, ignored),
            f"{_name(int(ids[place]), schema, own)} {_percent(counts[place] / small.size)}",
        )
        for place in order
    ]
    if len(legend) > _MOST_ENTRIES:
        legend[_MOST_ENTRIES:] = [LegendEntry(IGNORED_RGB, f"and {len(legend) - _MOST_ENTRIES} more ids")]
    return Panel("labels", Image.fromarray(mixed.round().astype(np.uint8))), legend


def new_classes(ids: Mapping[str, int], names: Collection[str], schema: LabelSchema | None) -> dict[str, int]:
    """Label ids of inserted classes that the base does not have.

    Args:
        ids: by name, of all that may be inserted.
        names: those that are.
        schema: the base's.
    """
    return {
        name: label_id for name, label_id in ids.items() if name in names and (schema is None or name not in schema)
    }


def reduced_labels(labels: torch.Tensor, image: torch.Tensor) -> tuple[npt.NDArray[np.int64], Image.Image]:
    """Labels and image, at most 900 pixels wide or high: a giant frame takes no longer than others."""
    height, width = labels.shape
    scale = min(1.0, _LONGEST_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    rows = ((np.arange(size[1]) + 0.5) * height / size[1]).astype(np.int64)
    cols = ((np.arange(size[0]) + 0.5) * width / size[0]).astype(np.int64)
    small = labels.numpy(force=True)[rows[:, None], cols].astype(np.int64)
    picture = to_pil(image)
    return small, picture if scale == 1 else picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _colour(label_id: int, bright: Mapping[int, int], ignored: Collection[int]) -> RgbLevels:
    if label_id in bright:
        return vivid(bright[label_id])
    return IGNORED_RGB if label_id in ignored else colour_of(label_id)


def _name(label_id: int, schema: LabelSchema | None, own: Mapping[int, str]) -> str:
    name = own.get(label_id) or (None if schema is None else schema.class_of(label_id))
    if schema is not None and label_id in schema.ignore:
        name = f"{name} (ignored)" if name else "ignored"
    return f"id {label_id}" if name is None else f"{name} ({label_id})"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.095 else f"{share:.1%}" if share >= 0.0005 else "<0.1%"


def _rgb(colour: tuple[float, float, float]) -> RgbLevels:
    red, green, blue = (round(255 * value) for value in colour)
    return red, green, blue
