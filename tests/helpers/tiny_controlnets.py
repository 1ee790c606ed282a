"""Small random ControlNets of diffusers' real classes for the base models of `tests.helpers.tiny_diffusion`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.helpers.tiny_diffusion import build_sd_text_to_image, build_sdxl_text_to_image


def build_controlnet(base: Path, folder: Path, *, channels: int = 3, union: bool = False) -> Path:
    """A ControlNet for the UNet of ``base``; its last layers are random instead of zero, so that it has an effect."""
    from diffusers import ControlNetModel, ControlNetUnionModel, UNet2DConditionModel

    unet: Any = UNet2DConditionModel.from_pretrained(base / "unet")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made: Any
        if union:
            keys = (
                "block_out_channels,layers_per_block,down_block_types,cross_attention_dim,attention_head_dim,"
                "use_linear_projection,addition_embed_type,addition_time_embed_dim,transformer_layers_per_block,"
                "projection_class_embeddings_input_dim"
            )
            shape = {key: unet.config[key] for key in keys.split(",")}
            made = ControlNetUnionModel(
                **shape, conditioning_embedding_out_channels=(16, 32), num_trans_channel=32, num_proj_channel=32
            )
        else:
            made = ControlNetModel.from_unet(
                unet, conditioning_channels=channels, conditioning_embedding_out_channels=(16, 32)
            )
        with torch.no_grad():
            for parameter in made.parameters():
                if not bool(parameter.any()):
                    parameter.normal_(0, 0.1)
        made.save_pretrained(folder)
    return folder


def use_exact_vae(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let latents be the picture at half its size, so that a test sees in it what was done to the latents."""
    scaling = pipe.vae.config.scaling_factor

    def encode(pixels: torch.Tensor) -> SimpleNamespace:
        small = functional.avg_pool2d(pixels, 2)
        return SimpleNamespace(latents=torch.cat([small, small[:, :1]], dim=1) / scaling)

    def decode(latents: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        return (functional.interpolate(latents[:, :3] * scaling, scale_factor=2.0, mode="nearest"),)

    monkeypatch.setattr(pipe.vae, "encode", encode)
    monkeypatch.setattr(pipe.vae, "decode", decode)


@pytest.fixture(scope="session")
def controlnets(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Folders of base models (sd, sdxl) and of their ControlNets (sd_seg, sd_one, sdxl_seg, sdxl_union)."""
    root = tmp_path_factory.mktemp("controlnets")
    sd, sdxl = build_sd_text_to_image(root / "sd"), build_sdxl_text_to_image(root / "sdxl")
    return SimpleNamespace(
        sd=sd,
        sdxl=sdxl,
        sd_seg=build_controlnet(sd, root / "sd-seg"),
        sd_one=build_controlnet(sd, root / "sd-one", channels=1),
        sdxl_seg=build_controlnet(sdxl, root / "sdxl-seg"),
        sdxl_union=build_controlnet(sdxl, root / "sdxl-union", union=True),
    )
