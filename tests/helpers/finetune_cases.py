"""What the tests of fine-tuning share: small base models, frames, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from poc_aug.finetuning.finetune_controlnet import FinetuneReport
from poc_aug.finetuning.finetune_settings import FinetuneSettings
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from tests.helpers.tiny_diffusion import build_sd_text_to_image


class Streets(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Small made frames whose grey follows their labels: ``count`` of them, 40×64."""

    schema: LabelSchema | None = SCHEMAS["cityscapes-trainIds"]

    def __init__(self, count: int = 6, *, known: bool = True) -> None:
        self.count = count
        if not known:
            self.schema = None

    def keys(self) -> list[str]:
        return [f"street/{number}.png" for number in range(self.count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.full((40, 64), 10, dtype=torch.uint8)
        labels[20:] = 0
        labels[15:30, 5 * index : 5 * index + 12] = 13
        image = (labels.float() * 19)[None].repeat(3, 1, 1).to(torch.uint8)
        image[:, 0, 0] = index
        return image, labels


def tiny_settings(base: Path, **changes: Any) -> FinetuneSettings:
    """A run of seconds on the CPU."""
    values: dict[str, Any] = {
        "base": base,
        "condition": "one-hot",
        "size": 32,
        "steps": 6,
        "batch_size": 2,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        "validate_every": 3,
        "validation_frames": 0,
        "validation_steps": 2,
        "tensorboard": False,
        "workers": 0,
        "device": "cpu",
        **changes,
    }
    return FinetuneSettings(**values)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion, text to image, small and random."""
    return build_sd_text_to_image(tmp_path_factory.mktemp("bases") / "sd")


CAPTIONS = {f"street/{number}.png": f"a street {number}" for number in range(6)}


def weights_of(report: FinetuneReport) -> torch.Tensor:
    """All weights of a finished ControlNet in one vector."""
    from safetensors.torch import load_file

    assert report.model is not None
    weights = load_file(report.model / "diffusion_pytorch_model.safetensors")
    return torch.cat([weights[name].flatten() for name in sorted(weights)])
