"""Caches and frames for tests of exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.kinds import INSERTIONS

SPLIT: dict[str, Any] = {"split": "train"}
LENGTH = 4


class HaloInserter(EllipseInserter):
    """Brings a matte that is wider than its mask: the pixels between are pasted background without a label."""

    def _one(self, crop: Crop) -> Filled | Rejection:
        filled = super()._one(crop)
        if isinstance(filled, Rejection):
            return filled
        assert filled.annotation is not None
        y, x, h, w = crop.box_yxhw
        alpha = torch.zeros(crop.image.shape[-2:], dtype=torch.uint8)
        alpha[y : y + h, x : x + w] = 140
        alpha[filled.annotation.parts[0].mask] = 255
        shade = torch.zeros_like(alpha)
        shade[y + h // 2 : y + h, x : x + w] = 60
        return replace(filled, alpha=alpha, shade=shade, unlabelled=True)


class LicensedInserter(EllipseInserter):
    """Records a licence with every other object; its model is a known one."""

    def describe(self) -> dict[str, Any]:
        return {"inserter": "ellipse", "model": "IDEA-Research/grounding-dino-tiny"}

    def _one(self, crop: Crop) -> Filled | Rejection:
        filled = super()._one(crop)
        if isinstance(filled, Rejection):
            return filled
        return replace(filled, provenance={"licence": "CC-BY-2.0"} if crop.seed % 2 else {})


def halo_pipeline(seed: int = 0, reject: float = 0.3) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(seed=seed, attempts=2), HaloInserter(reject=reject), batch_size=4)


def warm_halos(path: Path, *, num_variants: int = 3, **changes: Any) -> Path:
    """A cache of `Frames` with empty variants, known and unknown classes, and background without a label."""
    INSERTIONS.warm(path, LENGTH, num_variants=num_variants, pipeline=halo_pipeline(**changes))
    return path


class CityFrames(Frames):
    """`Frames` whose keys are paths as Cityscapes has them."""

    def keys(self) -> list[str]:
        cities = ("ulm", "bonn")
        return [
            f"leftImg8bit/train/{cities[n % 2]}/{cities[n % 2]}_{n:06d}_000019_leftImg8bit.png"
            for n in range(self.length)
        ]


def read_picture(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def as_arrays(item: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return np.asarray(item[0]), np.asarray(item[1])


def contents(folder: Path) -> dict[str, bytes]:
    """The files of an export, by their path in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".export.lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
