"""Frames with instance ids and panoptic segments, and insertions of one colour, to be composed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from poc_aug.reading.compose import compose
from poc_aug.recipe import IGNORED
from poc_aug.types import Box, Insertion, Part, Sample
from tests.helpers.compose_cases import make_insertion, make_sample

H, W = 17, 11
IDS: Mapping[str, int] = {"dog": 254, "rider": 12, "bicycle": 18, "part0": 254, "part1": 12, IGNORED: 255}


def solid(box: Box, *names: str, insertion_name: str = "") -> Insertion:
    """A rectangle whose parts are its columns, one per name in turn."""
    _, _, height, width = box
    owner = torch.arange(width).expand(height, width) % len(names)
    parts = tuple(Part(name, owner == number, 0.5 + number / 8) for number, name in enumerate(names))
    patch = torch.full((3, height, width), 200, dtype=torch.uint8)
    return Insertion(box, patch, parts, None, None, insertion_name or names[0], 3.0)


def random_case(seed: int, hw: tuple[int, int] = (H, W)) -> tuple[Sample, np.ndarray, list[Insertion]]:
    """A frame, its instance ids (0: none), and one to four insertions of one or two parts, which overlap."""
    rng = np.random.default_rng(seed)
    sample = make_sample(seed, *hw)
    base = np.zeros(hw, np.int32)
    for number in rng.choice(np.arange(1, 40), 6, replace=False):
        y, x = rng.integers(0, hw[0] - 3), rng.integers(0, hw[1] - 3)
        base[y : y + rng.integers(1, 8), x : x + rng.integers(1, 8)] = number
    insertions = []
    for number in range(rng.integers(1, 5)):
        h, w = rng.integers(2, 9, 2)
        box = (int(rng.integers(0, hw[0] - h + 1)), int(rng.integers(0, hw[1] - w + 1)), int(h), int(w))
        insertions.append(make_insertion(100 * seed + number, box, parts=int(rng.integers(1, 3))))
    return sample, base, insertions


def composed_labels(sample: Sample, insertions: Sequence[Insertion], ring_px: int = 0) -> torch.Tensor:
    return compose(sample, insertions, IDS, sigma_px=0.0, ring_px=ring_px).labels


def panoptic_case(hw: tuple[int, int] = (H, W)) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A road, a car, a person, a crowd, and void in the corner, as COCO has them."""
    ids = np.full(hw, 100, np.int32)
    ids[3:7, 2:6] = 7
    ids[9:12, 7:9] = 70_000
    ids[14:, :4] = 33
    ids[0, 0] = 0
    infos = []
    for number, category, crowd in ((100, 0, 0), (7, 13, 0), (70_000, 11, 0), (33, 13, 1)):
        rows, cols = np.nonzero(ids == number)
        bbox = [int(cols.min()), int(rows.min()), int(np.ptp(cols)) + 1, int(np.ptp(rows)) + 1]
        infos.append({"id": number, "category_id": category, "iscrowd": crowd, "area": int(rows.size), "bbox": bbox})
    return ids, infos
