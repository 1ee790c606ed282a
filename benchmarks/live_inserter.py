"""An inserter of known cost, and the pipeline around it."""

from __future__ import annotations

import fcntl
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import Recipe
from poc_aug.types import Annotation, Crop, Extent, Filled, Part, Rejection

CALL_S, ITEM_S = 0.040, 0.005
# What `results/generation_gpu.json` says of Stable Diffusion 1.5 with a 4-step LCM LoRA.
SLOW_ITEM_S = 0.28
_OOD_ID = 254
SIGMA_PX = 1.0
_COUNTS = struct.Struct("<QQ")


class Device:
    """A file that stands for an accelerator: one call at a time, whatever the process; counts calls and crops.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(_COUNTS.pack(0, 0))

    def run(self, crops: int, seconds: float) -> None:
        """Be busy with some crops."""
        with self.path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(seconds)
            calls, before = _COUNTS.unpack(file.read())
            file.seek(0)
            file.write(_COUNTS.pack(calls + 1, before + crops))

    def counts(self) -> tuple[int, int]:
        """Calls and crops so far."""
        calls, crops = _COUNTS.unpack(self.path.read_bytes())
        return calls, crops


class KnownCost:
    """Fills the box with one colour, for a known time of the device.

    Args:
        device: runs one call at a time.
        call_s: seconds per call.
        item_s: seconds per crop.
    """

    needs_camera = False

    def __init__(self, device: Device, call_s: float, item_s: float) -> None:
        self.device, self.call_s, self.item_s = device, call_s, item_s

    def describe(self) -> dict[str, Any]:
        """See `Inserter.describe`."""
        return {"inserter": "known cost", "call_s": self.call_s, "item_s": self.item_s}

    def extent(self, object_name: str, seed: int) -> Extent | None:
        """It fills whatever box it is given."""
        return None

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """See `Inserter.insert`."""
        self.device.run(len(crops), self.call_s + self.item_s * len(crops))
        return [_filled(crop) for crop in crops]


def _filled(crop: Crop) -> Filled:
    y, x, h, w = crop.box_yxhw
    mask = torch.zeros(crop.image.shape[-2:], dtype=torch.bool)
    mask[y : y + h, x : x + w] = True
    image = crop.image.clone()
    image[:, mask] = crop.seed % 256
    return Filled(image, Annotation((Part(crop.object_name, mask),)))


def ids_of(pipeline: InsertionPipeline) -> dict[str, int]:
    """Label ids of the objects."""
    return {part: _OOD_ID for spec in pipeline.recipe.objects for part in spec.parts}


def pipeline_of(device: Device, schema: LabelSchema, *, item_s: float = ITEM_S, crops: int = 8) -> InsertionPipeline:
    """One object per variant, always accepted, on the road."""
    recipe = Recipe.from_dict(
        {
            "objects": ["box"],
            "ladder": [{"min_overlap": 0.5}, {"min_overlap": 0.0}],
            "attempts": 1,
            "max_sigma_px": SIGMA_PX,
        }
    )
    return InsertionPipeline(recipe, KnownCost(device, CALL_S, item_s), schema=schema, batch_size=crops)
