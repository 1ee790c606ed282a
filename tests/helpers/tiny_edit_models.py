"""Small random models of the real classes that edit a picture by an instruction: FLUX.2 klein and Qwen-Image-Edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

_MARKS = "<|endoftext|>,<|im_start|>,<|im_end|>,<|vision_start|>,<|vision_end|>,<|image_pad|>,<|video_pad|>".split(",")
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_tokenizer() -> Any:
    """Qwen2's tokenizer from a made byte-level vocabulary: one token a byte."""
    from transformers import Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    words = [*bytes_to_unicode().values(), *_MARKS]
    tokenizer: Any = Qwen2Tokenizer({word: number for number, word in enumerate(words)}, [], model_max_length=1024)
    tokenizer.add_special_tokens({"additional_special_tokens": _MARKS[1:]})
    tokenizer.chat_template = _CHAT
    return tokenizer


def build_klein(folder: Path) -> Path:
    """FLUX.2 klein: sides that divide by 4."""
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )
    from transformers import Qwen3Config, Qwen3ForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = qwen_tokenizer()
        # The pipeline joins the hidden states 9, 18 and 27.
        encoder = Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=27,
                num_attention_heads=2, num_key_value_heads=2, head_dim=8, max_position_embeddings=512,
            )
        )  # fmt: skip
        pipeline: Any = Flux2KleinPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=AutoencoderKLFlux2(
                down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
                block_out_channels=(8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4,
            ),
            text_encoder=encoder,
            tokenizer=tokenizer,
            transformer=Flux2Transformer2DModel(
                in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
                joint_attention_dim=48, timestep_guidance_channels=32, axes_dims_rope=(4, 4, 4, 4),
                guidance_embeds=False,
            ),
            is_distilled=True,
        )  # fmt: skip
        pipeline.save_pretrained(folder)
    return folder


def build_qwen_edit(folder: Path, *, plus: bool = False) -> Path:
    """Qwen-Image-Edit, or its version "plus": sides that divide by 16."""
    import transformers as t
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImageEditPipeline,
        QwenImageEditPlusPipeline,
        QwenImageTransformer2DModel,
    )

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = qwen_tokenizer()
        token = tokenizer.convert_tokens_to_ids
        make_config: Any = t.Qwen2_5_VLConfig  # its keyword arguments are not all declared
        config = make_config(
            text_config={
                "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                "num_key_value_heads": 2, "vocab_size": len(tokenizer),
                "rope_scaling": {"type": "default", "mrope_section": [1, 1, 2], "rope_type": "default"},
                "rope_theta": 10000.0,
            },
            vision_config={
                "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
                "fullatt_block_indexes": [0],
            },
            vocab_size=len(tokenizer),
            image_token_id=token("<|image_pad|>"), video_token_id=token("<|video_pad|>"),
            vision_start_token_id=token("<|vision_start|>"), vision_end_token_id=token("<|vision_end|>"),
        )  # fmt: skip
        images = t.Qwen2VLImageProcessor(size={"shortest_edge": 56 * 56, "longest_edge": 56 * 56 * 2})
        cls = QwenImageEditPlusPipeline if plus else QwenImageEditPipeline
        pipeline: Any = cls(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=AutoencoderKLQwenImage(
                base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
                latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
            ),
            text_encoder=t.Qwen2_5_VLForConditionalGeneration(config),
            tokenizer=tokenizer,
            processor=t.Qwen2VLProcessor(images, tokenizer, t.Qwen2VLVideoProcessor()),
            transformer=QwenImageTransformer2DModel(
                in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
                joint_attention_dim=16, axes_dims_rope=(4, 6, 6),
            ),
        )  # fmt: skip
        pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def klein_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_klein(tmp_path_factory.mktemp("models") / "klein")


@pytest.fixture(scope="session")
def qwen_edit_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_qwen_edit(tmp_path_factory.mktemp("models") / "qwen-edit")


@pytest.fixture(scope="session")
def qwen_edit_plus_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_qwen_edit(tmp_path_factory.mktemp("models") / "qwen-edit-plus", plus=True)
