"""Small randomly initialised pipelines of diffusers' real classes, saved to disk and loaded as a user would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch


def clip_tokenizer(folder: Path) -> Any:
    """A CLIP tokenizer from a made byte-level vocabulary: one token a character, 77 at most."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def clip_text(*, projection: bool = False, hidden: int = 32) -> object:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=hidden,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=hidden,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def autoencoder() -> object:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=[32, 64],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        sample_size=64,
    )


def _unet(channels: int) -> object:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
    )


def _sd_parts(folder: Path, channels: int) -> dict[str, object]:
    from diffusers import DDIMScheduler

    torch.manual_seed(0)
    return {
        "vae": autoencoder(),
        "text_encoder": clip_text(),
        "tokenizer": clip_tokenizer(folder.parent / f"{folder.name}-words"),
        "unet": _unet(channels),
        "scheduler": DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            set_alpha_to_one=False,
            steps_offset=1,
            clip_sample=False,
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def build_sd_inpaint(folder: Path) -> Path:
    """Stable Diffusion inpainting: 64 px."""
    from diffusers import StableDiffusionInpaintPipeline

    with torch.random.fork_rng():
        pipeline: Any = StableDiffusionInpaintPipeline(**_sd_parts(folder, 9))
        pipeline.save_pretrained(folder)
    return folder


def build_sd_text_to_image(folder: Path) -> Path:
    """Stable Diffusion, text to image: 64 px."""
    from diffusers import StableDiffusionPipeline

    with torch.random.fork_rng():
        pipeline: Any = StableDiffusionPipeline(**_sd_parts(folder, 4))
        pipeline.save_pretrained(folder)
    return folder


def _sdxl_parts(folder: Path, channels: int) -> dict[str, object]:
    from diffusers import EulerDiscreteScheduler, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    )
    return {
        "vae": autoencoder(),
        "text_encoder": clip_text(),
        "text_encoder_2": clip_text(projection=True),
        "tokenizer": clip_tokenizer(folder.parent / f"{folder.name}-words"),
        "tokenizer_2": clip_tokenizer(folder.parent / f"{folder.name}-words"),
        "unet": unet,
        "scheduler": EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
    }


def build_sdxl_inpaint(folder: Path) -> Path:
    """SDXL inpainting: 64 px."""
    from diffusers import StableDiffusionXLInpaintPipeline

    with torch.random.fork_rng():
        pipeline: Any = StableDiffusionXLInpaintPipeline(**_sdxl_parts(folder, 9))
        pipeline.save_pretrained(folder)
    return folder


def build_sdxl_text_to_image(folder: Path) -> Path:
    """SDXL, text to image: 64 px."""
    from diffusers import StableDiffusionXLPipeline

    with torch.random.fork_rng():
        pipeline: Any = StableDiffusionXLPipeline(**_sdxl_parts(folder, 4))
        pipeline.save_pretrained(folder)
    return folder


def build_sd3(folder: Path) -> Path:
    """Stable Diffusion 3, a flow-matching family whose text-to-image checkpoint inpaints: 64 px, without T5."""
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKL(
            block_out_channels=[32, 64],
            down_block_types=["DownEncoderBlock2D"] * 2,
            up_block_types=["UpDecoderBlock2D"] * 2,
            latent_channels=16,
            sample_size=64,
            use_quant_conv=False,
            use_post_quant_conv=False,
            shift_factor=0.0609,
            scaling_factor=1.5035,
        )
        transformer = SD3Transformer2DModel(
            sample_size=32,
            patch_size=1,
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=32,
            caption_projection_dim=32,
            pooled_projection_dim=64,
            out_channels=16,
        )
        words = clip_tokenizer(folder.parent / f"{folder.name}-words")
        pipeline: Any = StableDiffusion3Pipeline(
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=vae,
            text_encoder=clip_text(projection=True),
            tokenizer=words,
            text_encoder_2=clip_text(projection=True),
            tokenizer_2=words,
            text_encoder_3=None,
            tokenizer_3=None,
        )
        pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sd_inpaint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sd_inpaint(tmp_path_factory.mktemp("models") / "sd-inpaint")


@pytest.fixture(scope="session")
def sdxl_inpaint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sdxl_inpaint(tmp_path_factory.mktemp("models") / "sdxl-inpaint")


@pytest.fixture(scope="session")
def sd3_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sd3(tmp_path_factory.mktemp("models") / "sd3")


@pytest.fixture(scope="session")
def sd_text_to_image_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sd_text_to_image(tmp_path_factory.mktemp("models") / "sd-text-to-image")
