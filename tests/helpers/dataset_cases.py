"""Items as tensors, kept and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image


def tensors(image: Image.Image, labels: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(labels))


def keep(batch: list[Any]) -> list[Any]:
    return batch


def equal(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
