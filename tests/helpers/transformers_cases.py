"""What the tests of transformers' finders share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from poc_aug.backends.finders.transformers_detector import TransformersDetector

Models = Callable[[str], Path]
DETECTORS = ("grounding_dino", "mm_grounding_dino", "owlv2", "owlvit")
SEGMENTERS = ("sam", "sam_hq", "sam2")
BOXES = torch.tensor([[20.0, 10.0, 90.0, 80.0], [0.0, 0.0, 131.0, 97.0], [60.5, 30.25, 64.0, 50.0]])


def detector_of(folder: Path, **settings: Any) -> TransformersDetector:
    return TransformersDetector(folder, **{"box_threshold": 0, "text_threshold": 0, "device": "cpu", **settings})


@contextmanager
def counting(module: torch.nn.Module) -> Iterator[list[int]]:
    """Batch sizes with which a module is run."""
    batches: list[int] = []

    def count(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        batches.append(len(args[0] if args else kwargs["pixel_values"]))

    handle = module.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield batches
    finally:
        handle.remove()
