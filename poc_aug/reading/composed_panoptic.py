"""Panoptic maps of composed frames: segment ids per pixel, and one ``segment_info`` per segment."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import torch

from poc_aug.errors import ItemFormatError, LabelPolicyError
from poc_aug.items.id_maps import IdMap
from poc_aug.items.label_ids import distinct_ids
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.masks import bounds, dilate, window, with_margin
from poc_aug.reading.visible_parts import visible_parts, written_pixels
from poc_aug.recipe import IGNORED
from poc_aug.types import Insertion

_VOID = 0


def check_categories(
    policy: LabelPolicy, ids: Collection[str], categories: Mapping[str, int | None] | None, what: str
) -> None:
    """Check that new objects get categories of the base's numbering, which a policy that rewrites labels leaves.

    Args:
        policy: the label policy.
        ids: the class names that are inserted.
        categories: ``category_id`` of classes for which it is not their label id.
        what: what has the base's categories, for the message.

    Raises:
        LabelPolicyError: the policy rewrites all labels, and ``categories`` does not name a class.

    Example:
        >>> from poc_aug.labels.policies import AnomalyLabels
        >>> check_categories(AnomalyLabels(known=()), ["dog"], {"dog": 18}, "annotations")
    """
    missing = sorted(name for name in ids if name != IGNORED and name not in (categories or {}))
    if policy.rewrites_base and missing:
        raise LabelPolicyError(
            f"{type(policy).__name__} gives labels a new meaning, and {what} keep the base's category_id: "
            f"there is none for {', '.join(map(repr, missing[:5]))}",
            expected="a category_id for each class that is inserted (None: no object), or a policy that keeps ids",
            hint="categories={" + ", ".join(f"{name!r}: <id>" for name in missing[:5]) + "}, or OodLabels",
        )


@dataclass(frozen=True, slots=True, eq=False)
class ComposedPanoptic:
    """A composed panoptic map: ``pan_seg, segments_info = composed.panoptic``.

    Attributes:
        map: segment ids, in the form of the base's map.
        segments_info: one dict per segment that is visible, as COCO's panoptic format and detectron2 have them.
    """

    map: Any
    segments_info: list[dict[str, Any]]

    def __iter__(self) -> Iterator[Any]:
        """The map and the segments' infos."""
        return iter((self.map, self.segments_info))


def compose_panoptic(
    insertions: Sequence[Insertion],
    base: Any,
    segments_info: Sequence[Mapping[str, Any]],
    ids: Mapping[str, int],
    size_hw: tuple[int, int],
    *,
    categories: Mapping[str, int | None] | None = None,
    ignored: Collection[int] = (),
    ring_px: int = 0,
    key: str = "",
) -> ComposedPanoptic:
    """The panoptic map and the segments of a composed frame.

    Base segments keep their ids. Those of which an insertion hides a part get new ``area`` and ``bbox``, if they had
    any; those that are hidden wholly are left out. Each visible part of an inserted object is a new segment, numbered
    after the highest id, a thing, not a crowd. What has no category becomes void (0); so do ignored parts and rings.

    Args:
        insertions: what was composed, far to near.
        base: the base's segment ids, in a form of `poc_aug.items.id_maps.IdMap`, RGB-encoded ones as well.
        segments_info: the base's segments: ``id``, ``category_id`` and whatever else they have.
        ids: label id of each class name that the insertions' parts have, which is its ``category_id``.
        size_hw: the frame's size.
        categories: ``category_id`` of classes for which it is not their label id; ``None``: void.
        ignored: label ids that mean "do not evaluate": parts of such classes are void.
        ring_px: width of the ignored ring around each object in pixels.
        key: the item's key, for messages.

    Raises:
        ItemFormatError: a map of another form or size, or that cannot hold the new ids; segments without an id of their
            own.

    Example:
        >>> import numpy as np
        >>> from poc_aug.types import Part
        >>> dog = Part("dog", torch.tensor([[True, True]]))
        >>> insertion = Insertion((0, 1, 1, 2), torch.zeros(3, 1, 2).byte(), (dog,), None, None, "dog", 3.0)
        >>> road = {"id": 5, "category_id": 0, "iscrowd": 0, "area": 4, "bbox": [0, 0, 4, 1]}
        >>> pan_seg, segments = compose_panoptic([insertion], np.full((1, 4), 5), [road], {"dog": 19}, (1, 4))
        >>> pan_seg
        array([[5, 6, 6, 5]])
        >>> segments[0]["area"], segments[1]
        (2, {'id': 6, 'category_id': 19, 'iscrowd': 0, 'area': 2, 'bbox': [1, 0, 2, 1]})
    """
    source = IdMap(base, size_hw, key, "the panoptic segment ids", rgb=True)
    known = _ids_of(segments_info, key)
    infos = [dict(info) for info in segments_info]
    if not insertions:
        return ComposedPanoptic(base, infos)
    changed = written_pixels(insertions, size_hw)
    for insertion in insertions if ring_px else ():
        box_yxhw, mask = with_margin(insertion.box_yxhw, insertion.mask, ring_px, size_hw)
        changed[window(box_yxhw)] |= dilate(mask, ring_px)
    touched = distinct_ids(source.ids[changed].numpy())
    new = source.ids.masked_fill(changed, _VOID)
    infos = [info for info in infos if info["id"] not in touched or _recomputed(info, new)]
    number = max((*distinct_ids(source.ids.numpy()), *known, 0))
    model = segments_info[0] if segments_info else {}
    for part in visible_parts(insertions, size_hw):
        category = ids[part.class_name] if categories is None else categories.get(part.class_name, ids[part.class_name])
        if category is None or ids[part.class_name] in ignored:
            continue
        number += 1
        source.check_fits(number)
        new[window(part.box_yxhw)][part.mask] = number
        infos.append(_new_segment(number, category, part.mask, part.box_yxhw, model))
    return ComposedPanoptic(source.with_ids(new), infos)


def _ids_of(segments_info: Sequence[Mapping[str, Any]], key: str) -> set[int]:
    """The ids of the segments, each of which has one of its own."""
    found: set[int] = set()
    for info in segments_info:
        number = info.get("id") if isinstance(info, Mapping) else None
        if not isinstance(number, SupportsIndex) or operator.index(number) in found:
            raise ItemFormatError(
                f"item {key!r}: segments_info holds {repr(info)[:120]}"
                + (", and another segment of this id" if isinstance(number, SupportsIndex) else ""),
                expected='one dict per segment with an integer "id" of its own and a "category_id"',
            )
        found.add(operator.index(number))
    return found


def _recomputed(info: dict[str, Any], new: torch.Tensor) -> bool:
    """Whether something of a segment is visible; its area and box are then those of what is."""
    mask = new == info["id"]
    y, x, height, width = bounds(mask)
    if "area" in info:
        info["area"] = int(mask.sum())
    if "bbox" in info:
        info["bbox"] = [x, y, width, height]
    return height > 0


def _new_segment(
    number: int, category: int, mask: torch.Tensor, box_yxhw: tuple[int, int, int, int], model: Mapping[str, Any]
) -> dict[str, Any]:
    y, x, height, width = box_yxhw
    info: dict[str, Any] = {"id": number, "category_id": category, "iscrowd": 0}
    if "isthing" in model:
        info["isthing"] = type(model["isthing"])(True)
    if not model or "area" in model:
        info["area"] = int(mask.sum())
    if not model or "bbox" in model:
        info["bbox"] = [x, y, width, height]
    return info
