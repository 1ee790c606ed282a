"""Streets with inserted objects, and models that are known to see them or not."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from poc_aug.labels.schema import LabelSchema
from tests.helpers.fakes import SCHEMA, make_sample


class Streets(Dataset[Any]):
    """Frames with a bright square that is an anomaly; the last one has none."""

    schema = LabelSchema("test", {**SCHEMA.ids, "anomaly": 3}, ignore=(255,), ood=("anomaly",))

    def __init__(self, length: int = 4) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def keys(self) -> list[str]:
        return [f"frame-{i}" for i in range(self.length)]

    def __getitem__(self, index: int) -> Any:
        sample = make_sample(index)
        if index < self.length - 1:
            sample.image[:, 20:30, 10:25] = 255
            sample.labels[20:30, 10:25] = 3
        return Image.fromarray(sample.image.permute(1, 2, 0).numpy()), Image.fromarray(sample.labels.numpy())


class Brightness(nn.Module):
    """Sure of class 0 except at bright pixels."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = images.mean(dim=1, keepdim=True)[..., :: self.stride, :: self.stride]
        return torch.cat([10 * (1 - grey), torch.zeros_like(grey), torch.full_like(grey, -5)], dim=1)
