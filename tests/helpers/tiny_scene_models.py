"""Small randomly initialised captioners and depth models of transformers, saved to disk with their processors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.tiny_grounded_sam import bert

_SHAPE = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
_SIDE = {"height": 64, "width": 64}


def blip(folder: Path) -> None:
    """BLIP's captioner."""
    import transformers as t

    bert(folder / "bert")
    tokenizer = t.BertTokenizer.from_pretrained(folder / "bert")
    marks = {"bos_token_id": 101, "eos_token_id": 1, "sep_token_id": 102, "pad_token_id": 0}
    config = t.BlipConfig(
        text_config={
            **_SHAPE, **marks, "vocab_size": len(tokenizer), "encoder_hidden_size": 32, "max_position_embeddings": 64
        },
        vision_config={**_SHAPE, "image_size": 64, "patch_size": 16},
        projection_dim=32,
    )  # fmt: skip
    model: Any = t.BlipForConditionalGeneration(config)
    _spread(model, 0.3)
    with torch.no_grad():  # short captions, of words
        bias = model.text_decoder.cls.predictions.bias
        bias.fill_(-50.0)
        bias[len(tokenizer) - 60 :] = 0.0
        bias[102] = 1.0
    model.save_pretrained(folder)
    t.BlipProcessor(t.BlipImageProcessor(size=_SIDE), tokenizer).save_pretrained(folder)


def git(folder: Path) -> None:
    """GIT."""
    import transformers as t

    bert(folder / "bert")
    tokenizer = t.BertTokenizer.from_pretrained(folder / "bert")
    shape: dict[str, Any] = _SHAPE
    config = t.GitConfig(
        **shape,
        vision_config={**_SHAPE, "image_size": 64, "patch_size": 16},
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        bos_token_id=101,
        eos_token_id=102,
    )
    model: Any = t.GitForCausalLM(config)
    _spread(model, 0.3)
    model.save_pretrained(folder)
    images = t.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size=_SIDE)
    t.GitProcessor(images, tokenizer).save_pretrained(folder)


_DINO = {**_SHAPE, "model_type": "dinov2", "patch_size": 4, "mlp_ratio": 1, "num_hidden_layers": 4}


def depth_anything(folder: Path, *, metric: bool = True) -> None:
    """Depth Anything V2, whose depth is metric or relative."""
    import transformers as t

    stages = {"out_features": [f"stage{n}" for n in range(1, 5)], "reshape_hidden_states": False}
    config = t.DepthAnythingConfig(
        backbone_config={**_DINO, **stages, "image_size": 32, "apply_layernorm": True},
        patch_size=4,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type="metric" if metric else "relative",
        max_depth=80,
    )
    model: Any = t.DepthAnythingForDepthEstimation(config)
    _spread(model, 0.1)
    model.save_pretrained(folder)
    images = t.DPTImageProcessor(
        size={"height": 32, "width": 32}, ensure_multiple_of=4, keep_aspect_ratio=True, do_pad=False
    )
    images.save_pretrained(folder)


def relative_depth(folder: Path) -> None:
    """Depth Anything V2 without metres."""
    depth_anything(folder, metric=False)


def zoedepth(folder: Path) -> None:
    """ZoeDepth around a BEiT."""
    import transformers as t

    config = t.ZoeDepthConfig(
        backbone_config={
            **_SHAPE,
            "model_type": "beit",
            "num_hidden_layers": 4,
            "image_size": 32,
            "patch_size": 16,
            "use_relative_position_bias": True,
            "reshape_hidden_states": False,
            "out_features": [f"stage{n}" for n in range(1, 5)],
        },
        neck_hidden_sizes=[16, 16, 16, 16],
        fusion_hidden_size=16,
        bottleneck_features=16,
        num_attractors=[4, 2, 1, 1],
        bin_embedding_dim=8,
        num_relative_features=8,
        bin_configurations=[{"n_bins": 8, "min_depth": 0.5, "max_depth": 80.0}],
    )
    model: Any = t.ZoeDepthForDepthEstimation(config)
    _spread(model, 0.1)
    model.save_pretrained(folder)
    t.ZoeDepthImageProcessor(size={"height": 32, "width": 48}).save_pretrained(folder)


def depth_pro(folder: Path) -> None:
    """Depth Pro, with its model of the field of view."""
    import transformers as t

    encoder = {**_DINO, "image_size": 16, "use_mask_token": False}
    config = t.DepthProConfig(
        patch_size=16,
        fusion_hidden_size=16,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[8, 8],
        use_fov_model=True,
        image_model_config=dict(encoder),
        patch_model_config=dict(encoder),
        fov_model_config=dict(encoder),
    )
    model: Any = t.DepthProForDepthEstimation(config)
    _spread(model, 0.1)
    with torch.no_grad():
        model.head.layers[-2].bias.fill_(0.1)  # inverse depth, before its ReLU
        model.fov_model.head.layers[-1].bias.fill_(60.0)  # degrees
    model.save_pretrained(folder)
    t.DepthProImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def _spread(model: torch.nn.Module, std: float) -> None:
    """Larger random weights: with its own small ones every frame would have the same answer."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=std)


SCENE_MODELS: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (blip, git, depth_anything, relative_depth, zoedepth, depth_pro)
}


@pytest.fixture(scope="session")
def tiny_scene_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a small model by its builder's name, made when first asked for."""
    made: dict[str, Path] = {}

    def model(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                SCENE_MODELS[name](folder)
            made[name] = folder
        return made[name]

    return model
