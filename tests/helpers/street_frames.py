"""A drawn street with every kind of surface, for tests of weather."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import SCHEMAS, LabelSchema

ROAD, SIDEWALK, BUILDING, POLE, LIGHT, LEAVES, SKY, PERSON, CAR, INSERTED = 0, 1, 2, 5, 6, 8, 10, 11, 13, 254
TRAIN_IDS = SCHEMAS["cityscapes-trainIds"]
_GREY = {SKY: 200, BUILDING: 120, LEAVES: 70, ROAD: 90, SIDEWALK: 110, POLE: 80, LIGHT: 40, PERSON: 80, CAR: 100}

Weather = Callable[..., torch.Tensor]


@dataclass
class StreetFrame:
    """A frame and what weather is told of it."""

    image: torch.Tensor
    labels: torch.Tensor
    camera: Camera
    schema: LabelSchema = field(default=TRAIN_IDS)

    def under(self, weather: Weather, severity: int, seed: int = 0) -> torch.Tensor:
        """The frame in a weather."""
        generator = torch.Generator().manual_seed(seed)
        return weather(self.image, self.labels, self.camera, severity, generator, schema=self.schema)


def street_frame(height: int = 160, width: int = 320) -> StreetFrame:
    """Sky over a street between facades with windows; a tree, a pole, a car, a person and an inserted object."""
    rows, cols = torch.arange(height)[:, None] / height, torch.arange(width)[None] / width

    def box(top: float, bottom: float, left: float, right: float) -> torch.Tensor:
        return (rows >= top) & (rows < bottom) & (cols >= left) & (cols < right)

    labels = torch.full((height, width), SKY, dtype=torch.uint8)
    labels[box(0.10, 0.50, 0.0, 0.30) | box(0.15, 0.50, 0.72, 1.0)] = BUILDING
    labels[box(0.25, 0.50, 0.58, 0.72)] = LEAVES
    labels[box(0.42, 0.48, 0.0, 1.0) & (labels == SKY)] = BUILDING
    labels[box(0.48, 1.0, 0.0, 1.0)] = ROAD
    labels[box(0.50, 1.0, 0.0, 0.12)] = SIDEWALK
    labels[box(0.12, 0.62, 0.335, 0.345)] = POLE
    labels[box(0.42, 0.58, 0.47, 0.57)] = CAR
    labels[box(0.38, 0.66, 0.80, 0.83)] = PERSON
    labels[box(0.60, 0.70, 0.60, 0.68)] = INSERTED
    grey = torch.full((256,), 150.0)
    for label_id, value in _GREY.items():
        grey[label_id] = value
    generator = torch.Generator().manual_seed(1)
    image = grey[labels.long()].repeat(3, 1, 1) + torch.randint(-8, 9, (3, height, width), generator=generator)
    windows = (labels == BUILDING) & (rows < 0.4) & ((cols * 32 % 2) < 0.6) & ((rows * 20 % 2) < 1)
    image[:, windows] = 35.0
    camera = Camera(0.45 * height, 1.4, 1.0 * width, (width - 1) / 2)
    return StreetFrame(image.clamp(0, 255).to(torch.uint8), labels, camera)


def mean_by_class(image: torch.Tensor, labels: torch.Tensor) -> dict[int, float]:
    """Mean of the stored values by label id."""
    value = image.float().mean(dim=0)
    return {int(i): float(value[labels == i].mean()) for i in labels.unique()}
