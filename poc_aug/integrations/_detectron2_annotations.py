"""Annotations of detectron2's dataset dicts (boxes, polygons, run lengths) of composed frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.backends.paste.rle import decode_rle
from poc_aug.errors import ItemFormatError, MissingDependencyError
from poc_aug.exporting.mask_polygons import edge_outlines
from poc_aug.masks import bounds, dilate, window, with_margin
from poc_aug.reading.visible_parts import VisiblePart, visible_parts, written_pixels
from poc_aug.types import Insertion

_XYXY, _XYWH = 0, 1  # of detectron2's BoxMode, an IntEnum


def composed_annotations(
    annotations: Sequence[Mapping[str, Any]],
    insertions: Sequence[Insertion],
    ids: Mapping[str, int],
    size_hw: tuple[int, int],
    *,
    categories: Mapping[str, int | None] | None = None,
    ignored: Collection[int] = (),
    ring_px: int = 0,
    key: str = "",
) -> list[dict[str, Any]]:
    """The ``annotations`` of a composed frame, in the form of the base's: polygons or run lengths, or boxes alone.

    Masks of the base lose what an insertion hides, and those of which nothing is left are left out. Each visible part
    of an inserted object is a new annotation. What no insertion touches stays the same object.

    Args:
        annotations: the base's, in detectron2's format; not modified.
        insertions: what was composed, far to near.
        ids: label id of each class name that the insertions' parts have, which is its ``category_id``.
        size_hw: the frame's size.
        categories: ``category_id`` of classes for which it is not their label id; ``None``: no annotation.
        ignored: label ids that mean "do not evaluate": parts of such classes get no annotation.
        ring_px: width of the ignored ring around each object in pixels.
        key: the item's key, for messages.

    Raises:
        ItemFormatError: boxes or masks of another form.
        MissingDependencyError: pycocotools is not installed.

    Example:
        >>> from poc_aug.types import Part
        >>> dog = Part("dog", torch.tensor([[True, True]]))
        >>> insertion = Insertion((0, 1, 1, 2), torch.zeros(3, 1, 2).byte(), (dog,), None, None, "dog", 3.0)
        >>> car = {"bbox": [0, 0, 4, 1], "bbox_mode": 1, "category_id": 2, "segmentation": [[0, 0, 4, 0, 4, 1, 0, 1]]}
        >>> for each in composed_annotations([car], [insertion], {"dog": 8}, (1, 4)):
        ...     print(each["category_id"], each["bbox"], each["segmentation"])
        2 [0, 0, 4, 1] [[0, 0, 1, 0, 1, 1, 0, 1], [3, 0, 4, 0, 4, 1, 3, 1]]
        8 [1, 0, 3, 1] [[1, 0, 3, 0, 3, 1, 1, 1]]
    """
    if not insertions:
        return [dict(each) for each in annotations]
    changed = written_pixels(insertions, size_hw)
    for insertion in insertions if ring_px else ():
        box_yxhw, mask = with_margin(insertion.box_yxhw, insertion.mask, ring_px, size_hw)
        changed[window(box_yxhw)] |= dilate(mask, ring_px)
    cut = (_without(each, changed, size_hw, key) for each in annotations)
    kept = [each for each in cut if each is not None]
    for part in visible_parts(insertions, size_hw):
        category = ids[part.class_name]
        if category in ignored:
            continue
        chosen = category if categories is None else categories.get(part.class_name, category)
        if chosen is not None:
            kept.append(_annotation(part, chosen, annotations, size_hw))
    return kept


def _without(
    annotation: Mapping[str, Any], changed: torch.Tensor, size_hw: tuple[int, int], key: str
) -> dict[str, Any] | None:
    """An annotation without the pixels that changed; ``None`` if nothing is left of it."""
    x0, y0, x1, y1 = _xyxy(annotation, key)
    top, left = max(0, int(np.floor(y0))), max(0, int(np.floor(x0)))
    inside = changed[top : max(top, int(np.ceil(y1)) + 1), left : max(left, int(np.ceil(x1)) + 1)]
    if not bool(inside.any()):
        return dict(annotation)
    if "segmentation" not in annotation:
        whole = changed[top : max(top + 1, int(np.floor(y1))), left : max(left + 1, int(np.floor(x1)))]
        return None if whole.numel() and bool(whole.all()) else dict(annotation)
    segmentation = annotation["segmentation"]
    mask = _decoded(segmentation, size_hw, key)
    left_over = mask & ~changed.numpy()
    if (left_over == mask).all():
        return dict(annotation)
    if not left_over.any():
        return None
    y, x, height, width = bounds(torch.from_numpy(left_over))
    mode = annotation["bbox_mode"]
    box = [x, y, width, height] if mode == _XYWH else [x, y, x + width, y + height]
    new = {**annotation, "bbox": box, "segmentation": _encoded(left_over, like=segmentation)}
    return new | ({"area": int(left_over.sum())} if "area" in annotation else {})


def _annotation(
    part: VisiblePart, category: int, annotations: Sequence[Mapping[str, Any]], size_hw: tuple[int, int]
) -> dict[str, Any]:
    """An inserted object, with the fields that the base's annotations have."""
    y, x, height, width = part.box_yxhw
    mode = annotations[0].get("bbox_mode", _XYXY) if annotations else _XYXY
    new: dict[str, Any] = {
        "bbox": [x, y, x + width, y + height],
        "bbox_mode": type(mode)(_XYXY),
        "category_id": category,
        "iscrowd": 0,
    }
    names = {name for each in annotations for name in each}
    if "area" in names:
        new["area"] = int(part.mask.sum())
    if "segmentation" in names or not annotations:
        mask = np.zeros(size_hw, np.bool_)
        mask[y : y + height, x : x + width] = part.mask.numpy()
        # Crowds have run lengths where all others have polygons, which a mapper of run lengths takes too.
        objects = (each for each in annotations if not each.get("iscrowd") and "segmentation" in each)
        new["segmentation"] = _encoded(mask, like=next(objects, {}).get("segmentation", []))
    if "keypoints" in names:  # none of them is labelled
        new["keypoints"] = [0.0] * next(len(each["keypoints"]) for each in annotations if "keypoints" in each)
    return new


def _xyxy(annotation: Mapping[str, Any], key: str) -> tuple[float, float, float, float]:
    box, mode = annotation.get("bbox"), annotation.get("bbox_mode")
    if box is None or len(box) != 4 or mode not in (_XYXY, _XYWH):
        raise ItemFormatError(
            f"item {key!r}: an annotation has bbox={box!r}, bbox_mode={mode!r}",
            expected="four numbers, BoxMode.XYXY_ABS or BoxMode.XYWH_ABS",
        )
    x, y, right, bottom = (float(each) for each in box)
    return (x, y, x + right, y + bottom) if mode == _XYWH else (x, y, right, bottom)


def _decoded(segmentation: Any, size_hw: tuple[int, int], key: str) -> npt.NDArray[np.bool_]:
    """Polygons, run lengths or a mask as a mask, by COCO's own code, as detectron2 does."""
    height, width = size_hw
    if isinstance(segmentation, np.ndarray) and segmentation.shape == size_hw:
        return segmentation.astype(np.bool_)
    rle: Any = None
    if isinstance(segmentation, list) and segmentation:
        polygons = [np.asarray(polygon, np.float64).reshape(-1).tolist() for polygon in segmentation]
        rle = _coco().merge(_coco().frPyObjects(polygons, height, width))
    elif isinstance(segmentation, Mapping) and list(segmentation.get("size", ())) == [height, width]:
        rle = segmentation
    if rle is None:
        raise ItemFormatError(
            f"item {key!r}: an annotation has segmentation={str(segmentation)[:80]!r}",
            expected=f"polygons, run lengths of size {[height, width]}, or an array of that shape",
        )
    return decode_rle(rle).numpy()  # pycocotools' own warns under NumPy 2


def _encoded(mask: npt.NDArray[np.bool_], like: Any) -> Any:
    """A mask in the form of another segmentation."""
    if isinstance(like, np.ndarray):
        return mask.astype(like.dtype)
    if isinstance(like, Mapping):
        rle = _coco().encode(np.asfortranarray(mask.astype(np.uint8)))
        counts = like.get("counts")
        return {**rle, "counts": rle["counts"].decode()} if isinstance(counts, str) else rle
    y, x, height, width = bounds(torch.from_numpy(mask))
    found = edge_outlines(torch.from_numpy(mask[y : y + height, x : x + width]))
    return [[value for column, row in polygon for value in (column + x, row + y)] for polygon in found]


def _coco() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise MissingDependencyError(
            f"pycocotools cannot be imported ({error}); masks of annotations need it",
            expected="pycocotools, which detectron2 needs too",
            hint="pip install pycocotools",
        ) from error
    return mask
