"""`ExportedFrame`: one composed frame on its way to files, with all that a layout may want to write of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from poc_aug.labels.schema import LabelSchema
from poc_aug.types import Insertion, Sample


@dataclass(frozen=True, slots=True)
class ExportedFrame:
    """One composed frame.

    Attributes:
        split: "train", "val" or "test".
        group: folder of the frame within the split, such as a city ("aachen"); "" if the dataset has none.
        name: name of its files without extension, unique in the split and safe on every file system.
        variant: number of the variant; ``None`` for a base frame that is exported as it is.
        base: the base sample, untouched.
        image: uint8 ``[3, H, W]`` RGB, composed.
        labels: integer ``[H, W]``, as the label policy rewrites them.
        insertions: what was composed, far to near.
        ids: label id of each class name that the insertions' parts have.
        schema: schema of ``base.labels``, if it is known.
        instances: instance ids of the base in Cityscapes' convention (label id * 1000 + number), int32 ``[H, W]``,
            without the insertions; ``None`` if the dataset has none.
        polygons: the base's ``_polygons.json``, if the dataset has one.
        ood_ids: ids in ``labels`` that mean "none of the base's classes".
    """

    split: str
    group: str
    name: str
    variant: int | None
    base: Sample
    image: torch.Tensor
    labels: torch.Tensor
    insertions: tuple[Insertion, ...]
    ids: Mapping[str, int]
    schema: LabelSchema | None = None
    instances: torch.Tensor | None = None
    polygons: Path | None = None
    ood_ids: frozenset[int] = frozenset()
