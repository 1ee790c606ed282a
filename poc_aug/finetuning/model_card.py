"""The model card of a fine-tuned ControlNet: data, licences, settings, in the form that model hubs read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from poc_aug.finetuning.finetune_settings import FinetuneSettings
from poc_aug.version import __version__

_NOT_GIVEN = "not given"


def model_card(settings: FinetuneSettings, facts: Mapping[str, Any]) -> str:
    """The text of ``README.md``.

    Args:
        settings: settings of the run.
        facts: "base" and "dataset" (names without paths), "frames", "step", "precision", "schema", "classes",
            "captions" (where they are from).

    Example:
        >>> facts = {"base": "sd", "dataset": "PairedFolder", "frames": 123, "step": 9, "precision": "no"}
        >>> card = model_card(FinetuneSettings(data_name="CamVid", data_licence="CC BY-NC"), facts)
        >>> "| data | CamVid, 123 frames |" in card, "| licence of the data | CC BY-NC |" in card
        (True, True)
    """
    name = settings.data_name or facts["dataset"]
    head = {
        "base_model": facts["base"],
        "library_name": "diffusers",
        "license": "other",
        "license_name": settings.base_licence or _NOT_GIVEN,
        "pipeline_tag": "text-to-image",
        "tags": ["controlnet", "stable-diffusion", "semantic-segmentation", "poc_aug"],
    }
    trained = "all weights" if settings.lora_rank is None else f"LoRA of rank {settings.lora_rank}, merged"
    begun = "the base model's UNet" if settings.controlnet is None else facts.get("controlnet", "a ControlNet")
    rows: dict[str, Any] = {
        "data": f"{name}, {facts['frames']} frames",
        "licence of the data": settings.data_licence or _NOT_GIVEN,
        "base model": facts["base"],
        "licence of the base model": settings.base_licence or _NOT_GIVEN,
        "begun with": begun,
        "trained": trained,
        "updates": facts["step"],
        "condition": settings.condition,
        "label schema": facts.get("schema", _NOT_GIVEN),
        "captions": facts.get("captions", _NOT_GIVEN),
        "precision": facts["precision"],
        **{
            each.replace("_", " "): getattr(settings, each)
            for each in (
                "size", "batch_size", "accumulation", "learning_rate", "warmup_steps", "weight_decay",
                "max_grad_norm", "ema_decay", "prompt_dropout", "seed",
            )
        },
        "poc_aug": __version__,
    }  # fmt: skip
    table = "\n".join(f"| {what} | {_cell(value)} |" for what, value in rows.items())
    return f"""---
{yaml.safe_dump(head, sort_keys=True, allow_unicode=True).strip()}
---

# ControlNet for the scenes of {_cell(name)}

Paints street scenes from label maps, given as {settings.condition}, and captions. Made with poc_aug
(`poc-aug finetune-scenes`), as in GenVal (arXiv 2312.09231).

| | |
|---|---|
{table}

The pictures that it paints may show what the frames of its data show: the licence of the data applies to them as far as
its holder says so. It was not checked beyond the loss and the validation pictures of its training.
"""


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", r"\|")
