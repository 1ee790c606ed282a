"""What the tests of Grounding DINO and Segment Anything share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.backends.finders.grounding_dino import GroundingDinoDetector
from poc_aug.backends.finders.segment_anything import SegmentAnythingSegmenter
from tests.helpers.tiny_grounded_sam import grounding_dino_files, segment_anything_path  # noqa: F401

Files = tuple[Path, Path, Path]


def picture(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def make_detector(files: Files, **settings: Any) -> GroundingDinoDetector:
    config, checkpoint, text_encoder = files
    told: dict[str, Any] = {
        "config": config,
        "text_encoder": text_encoder,
        "box_threshold": 0,
        "text_threshold": 0,
        "size_px": 96,
        "device": "cpu",
    }
    return GroundingDinoDetector(**{"checkpoint": checkpoint, **told, **settings})


@pytest.fixture(scope="module")
def detector(grounding_dino_files: Files) -> GroundingDinoDetector:  # noqa: F811
    return make_detector(grounding_dino_files)


@pytest.fixture(scope="module")
def segmenter(segment_anything_path: Path) -> SegmentAnythingSegmenter:  # noqa: F811
    return SegmentAnythingSegmenter(segment_anything_path, device="cpu")
