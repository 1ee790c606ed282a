"""Small randomly initialised segmentation models of transformers, saved to disk with their processors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

NAMES = ("road", "sky", "Car", "tree")


def save_segmenter(kind: str, folder: Path, names: tuple[str, ...] | None = NAMES) -> Path:
    """Save a model of a kind; without names, the configuration has those that transformers writes."""
    import transformers as t

    labels: dict[str, Any] = {"num_labels": 4}
    if names is not None:
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _BUILDERS[kind](t, labels)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.3)  # with its own small weights every pixel would be of one class
    model.save_pretrained(folder)
    processor = t.Mask2FormerImageProcessor if kind == "mask2former" else t.SegformerImageProcessor
    processor(size={"height": 64, "width": 96}).save_pretrained(folder)
    return folder


def _segformer(t: Any, labels: dict[str, Any]) -> Any:
    config = t.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 8],
        num_attention_heads=[1, 1],
        patch_sizes=[7, 3],
        strides=[4, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=8,
        **labels,
    )
    return t.SegformerForSemanticSegmentation(config)


def _swin(t: Any) -> Any:
    stages = [f"stage{number}" for number in range(1, 5)]
    sizes = {"depths": [1] * 4, "num_heads": [1] * 4, "window_size": 4, "embed_dim": 8}
    return t.SwinConfig(image_size=64, patch_size=4, out_features=stages, **sizes)


def _mask2former(t: Any, labels: dict[str, Any]) -> Any:
    config = t.Mask2FormerConfig(
        backbone_config=_swin(t),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=16,
        num_queries=10,
        **labels,
    )
    return t.Mask2FormerForUniversalSegmentation(config)


def _upernet(t: Any, labels: dict[str, Any]) -> Any:
    config = t.UperNetConfig(
        backbone_config=_swin(t), hidden_size=8, pool_scales=[1, 2], use_auxiliary_head=False, **labels
    )
    return t.UperNetForSemanticSegmentation(config)


_BUILDERS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "segformer": _segformer,
    "mask2former": _mask2former,
    "upernet": _upernet,
}
