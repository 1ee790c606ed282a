"""How label maps are given to a ControlNet."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.finetuning.finetune_settings import Condition
from poc_aug.labels.schema import LabelSchema


class SceneConditions:
    """Stub until Palette."""

    def __init__(self, kind: Condition, schema: LabelSchema) -> None:
        self.kind, self.schema = kind, schema
        self._ids = sorted(set(schema.ids.values()) - set(schema.ignore))
        self.channels = {"one-hot": len(self._ids), "one-channel": 1}[kind]

    def describe(self) -> dict[str, Any]:
        return {"condition": self.kind}

    def encode(self, labels: torch.Tensor) -> torch.Tensor:
        if self.kind == "one-channel":
            return ((labels.float() + 1) / (max(self._ids) + 1)).clamp(0, 1)[:, None]
        return torch.stack([(labels == label_id).float() for label_id in self._ids], dim=1)
