"""Settings of a fine-tuning: limits, precision, and which of them decide the result."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from poc_aug.errors import DeviceError, SettingError
from poc_aug.finetuning.finetune_settings import FinetuneSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0), ("batch_size", 0), ("accumulation", 0), ("size", 4), ("lora_rank", 0), ("learning_rate", 0),
        ("learning_rate", float("nan")), ("weight_decay", -1), ("ema_decay", 1), ("prompt_dropout", 1.1),
        ("precision", "fp8"), ("condition", "rainbow"), ("validation_frames", -1), ("workers", 1.5),
        ("tensorboard", "no"),
    ],
)  # fmt: skip
def test_a_setting_outside_its_limits_is_named(name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=name) as caught:
        FinetuneSettings(**{name: value})
    assert caught.value.expected


def test_fp16_is_for_cuda() -> None:
    assert FinetuneSettings(precision="fp16").precision_on("cuda") == "fp16"
    assert FinetuneSettings(precision="bf16").precision_on("cpu") == "bf16"
    with pytest.raises(DeviceError, match="fp16 on the CPU"):
        FinetuneSettings(precision="fp16").precision_on("cpu")


def test_what_decides_the_result_is_known_apart_from_how_it_runs() -> None:
    settings = FinetuneSettings(base=Path("a"))
    same = replace(settings, steps=3, workers=9, device="cuda", data_name="CamVid", validate_every=7)
    assert same.deciding() == settings.deciding()
    for change in ({"seed": 1}, {"size": 256}, {"learning_rate": 1e-4}, {"lora_rank": 4}, {"prompt_dropout": 0.5}):
        assert replace(settings, **change).deciding() != settings.deciding()
    assert set(settings.deciding()) < {field.name for field in fields(settings)}


def test_the_learning_rate_rises_and_stays() -> None:
    settings = FinetuneSettings(learning_rate=1.0, warmup_steps=10)
    rates = [settings.learning_rate_at(step) for step in range(30)]
    assert rates == sorted(rates)
    assert rates[9:] == [1.0] * 21
    assert FinetuneSettings(learning_rate=1.0, warmup_steps=0).learning_rate_at(0) == 1.0
