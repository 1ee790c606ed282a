"""The inserted objects of a frame that are visible, part by part, as its labels show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.items.label_ids import distinct_ids
from poc_aug.labels.schema import SCHEMAS
from poc_aug.masks import bounds, window
from poc_aug.reading.visible_parts import visible_parts, written_pixels
from poc_aug.types import Box

LABEL_IDS = SCHEMAS["cityscapes-labelIds"]
"""The ids that Cityscapes' instance ids are made of: id * 1000 + number."""
_PER_CLASS = 1000


@dataclass(frozen=True, slots=True)
class FrameInstance:
    """A visible part of an inserted object.

    Attributes:
        insertion: number of the insertion, far to near; ``None`` for an object of the base.
        object_name: name of its object.
        class_name: class of the part.
        label_id: its id in the labels.
        score: confidence of the annotator.
        box_yxhw: bounding box of the visible pixels.
        mask: bool ``[h, w]``, the visible pixels in that box.
    """

    insertion: int | None
    object_name: str
    class_name: str
    label_id: int
    score: float
    box_yxhw: Box
    mask: torch.Tensor

    @property
    def area(self) -> int:
        """Number of visible pixels."""
        return int(self.mask.sum())


def visible_instances(frame: ExportedFrame) -> list[FrameInstance]:
    """The parts of a frame's insertions, far to near, without what a nearer insertion covers in the labels.

    Parts that are wholly covered are left out, so each pixel of the labels that an insertion wrote is of one part.
    """
    return [
        FrameInstance(
            part.insertion, part.object_name, part.class_name, frame.ids[part.class_name], part.score, part.box_yxhw,
            part.mask,
        )
        for part in visible_parts(frame.insertions, (frame.labels.shape[-2], frame.labels.shape[-1]))
    ]  # fmt: skip


def base_instances(frame: ExportedFrame) -> list[FrameInstance]:
    """The objects of a frame's base that have instance ids, without what an insertion covers; none if it has no ids.

    Their classes are those of Cityscapes' labelIds, by whose convention instances are numbered.
    """
    if frame.instances is None:
        return []
    size_hw = (frame.labels.shape[-2], frame.labels.shape[-1])
    numbers = frame.instances.masked_fill(written_pixels(frame.insertions, size_hw), 0)
    found: list[FrameInstance] = []
    for number in sorted(distinct_ids(numbers.numpy())):
        name = LABEL_IDS.class_of(number // _PER_CLASS) if number >= _PER_CLASS else None
        if name is None:
            continue
        whole = numbers == number
        box_yxhw = bounds(whole)
        mask = whole[window(box_yxhw)].clone()
        label_id = _written_id(frame, whole)
        found.append(FrameInstance(None, name, name, label_id, 1.0, box_yxhw, mask))
    return found


def _written_id(frame: ExportedFrame, mask: torch.Tensor) -> int:
    """The id that the labels have for most of a mask."""
    values, counts = np.unique(frame.labels.numpy()[mask.numpy()], return_counts=True)
    return int(values[counts.argmax()])


def instance_values(frame: ExportedFrame) -> list[dict[str, Any]]:
    """The visible parts of a frame's insertions, without their masks, as JSON values; boxes are x, y, width, height."""
    return [
        {
            "object": one.object_name,
            "class": one.class_name,
            "label_id": one.label_id,
            "insertion": one.insertion,
            "bbox": [one.box_yxhw[1], one.box_yxhw[0], one.box_yxhw[3], one.box_yxhw[2]],
            "area": one.area,
        }
        for one in visible_instances(frame)
    ]
