"""What the tests of metrics share."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.metrics import AnomalySegmentation
from poc_aug.seeding import generator


def measured(scores: torch.Tensor, labels: torch.Tensor, **options: Any) -> dict[str, float]:
    metric = AnomalySegmentation(**options)
    for frame in zip(scores, labels, strict=True):
        metric.update(*(part[None] for part in frame))
    return {name: float(value) for name, value in metric.compute().items()}


def frames(seed: int, shape: tuple[int, int, int], share: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    rng = generator("metrics", seed)
    labels = (torch.rand(shape, generator=rng) < share).to(torch.uint8)
    labels[torch.rand(shape, generator=rng) < 0.1] = 255
    return torch.randn(shape, generator=rng) + 1.2 * (labels == 1), labels
