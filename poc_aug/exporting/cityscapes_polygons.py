"""Polygons of composed frames, as Cityscapes' ``_polygons.json`` lists them: what comes later lies on top."""

from __future__ import annotations

import json
from typing import Any

import torch

from poc_aug.errors import ExportError
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.mask_polygons import pixel_outlines
from poc_aug.labels.schema import SCHEMAS
from poc_aug.recipe import IGNORED

_TRAIN, _LABEL = SCHEMAS["cityscapes-trainIds"], SCHEMAS["cityscapes-labelIds"]
_VOID = "unlabeled"


def frame_polygons(frame: ExportedFrame, changed: torch.Tensor, *, with_base: bool) -> dict[str, Any]:
    """What ``_polygons.json`` holds: the base's polygons, then those of what is ignored around objects, then theirs.

    Polygons have no holes. An object in several pieces has one polygon for each.

    Args:
        frame: the frame.
        changed: where its labels are not those of the base.
        with_base: whether the base's are included: from its own file, otherwise outlines of its instance ids.

    Raises:
        ExportError: the base's file cannot be read.
    """
    height, width = frame.base.size_hw
    listed = _base_polygons(frame) if with_base else []
    listed += _listed(_VOID, changed & (frame.labels == _TRAIN.ignore[0]), (0, 0))
    for insertion in frame.insertions:
        y, x, _, _ = insertion.box_yxhw
        for part in insertion.parts:
            listed += _listed(_class_name(part.name, frame.ids.get(part.name)), part.mask, (x, y))
    return {"imgHeight": height, "imgWidth": width, "objects": listed}


def _class_name(name: str, label_id: int | None) -> str:
    """The name of a class in Cityscapes' spelling, if it is one of its classes."""
    if name == IGNORED:
        return _VOID
    known = None if label_id is None or label_id in _TRAIN.ignore else _TRAIN.class_of(label_id)
    return name if known is None else known


def _listed(label: str, mask: torch.Tensor, place_xy: tuple[int, int]) -> list[dict[str, Any]]:
    x, y = place_xy
    outlines = pixel_outlines(mask)
    return [{"label": label, "polygon": [[x + px, y + py] for px, py in outline]} for outline in outlines]


def _base_polygons(frame: ExportedFrame) -> list[dict[str, Any]]:
    if frame.polygons is not None:
        try:
            listed = json.loads(frame.polygons.read_bytes())["objects"]
            if not isinstance(listed, list):
                raise TypeError(f"objects are a {type(listed).__name__}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExportError(
                f"{str(frame.polygons)!r} cannot be read: {error}",
                expected='{"imgHeight": ..., "imgWidth": ..., "objects": [{"label": ..., "polygon": ...}]}',
                hint="restore it from the dataset's archive, or leave instances out: CityscapesLayout('none')",
                command="restore it from the dataset's archive, or leave instances out: --instance-ids none",
            ) from error
        return listed
    return [] if frame.instances is None else _outlined(frame.instances)


def _outlined(instances: torch.Tensor) -> list[dict[str, Any]]:
    """Polygons of a map of instance ids, larger ones first: what lies in a hole comes after what is around it."""
    found = []
    for value in torch.unique(instances).tolist():
        label_id = value // 1000 if value >= 1000 else value
        label = _LABEL.class_of(label_id) or _VOID
        found += _listed(label, instances == value, (0, 0))
    return sorted(found, key=lambda item: -_area(item["polygon"]))


def _area(polygon: list[list[int]]) -> float:
    """Area within a polygon through pixels, those on it included."""
    following = [*polygon[1:], polygon[0]]
    doubled = abs(sum(x * v - u * y for (x, y), (u, v) in zip(polygon, following, strict=True)))
    edge = sum(max(abs(x - u), abs(y - v)) for (x, y), (u, v) in zip(polygon, following, strict=True))
    return doubled / 2 + edge / 2 + 1
