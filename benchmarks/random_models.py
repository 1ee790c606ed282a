"""Models with random weights, full-size or small, saved to disk: what they find is noise, what they cost is real."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from poc_aug.optional_imports import require

_NEEDED = {"extra": "generate", "purpose": "the benchmark"}

Size = Literal["small", "full"]


@dataclass(frozen=True)
class Models:
    """Where the models are.

    Attributes:
        inpainting: folder of a Stable Diffusion 1.5 inpainting pipeline.
        lora: folder of LoRA weights for it, of the size of LCM-LoRA's.
        detector: checkpoint of Grounding DINO Swin-T.
        detector_config: its configuration.
        text_encoder: folder of its BERT.
        sam: checkpoint of Segment Anything.
    """

    inpainting: Path
    lora: Path
    detector: Path
    detector_config: Path
    text_encoder: Path
    sam: Path


def build(folder: Path, size: Size, sam: str = "vit_h") -> Models:
    """Build and save all models."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    text_encoder = _bert(folder / "bert", size)
    config, detector = _grounding_dino(folder, text_encoder, size)
    return Models(
        inpainting=_inpainting(folder / "inpainting", size),
        lora=_lora(folder / "lora", folder / "inpainting"),
        detector=detector,
        detector_config=config,
        text_encoder=text_encoder,
        sam=_segment_anything(folder / "sam.pth", size, sam),
    )


def _clip_tokenizer(folder: Path) -> Any:
    bytes_to_unicode = require("transformers.convert_slow_tokenizer", **_NEEDED).bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return require("transformers", **_NEEDED).CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )


def _inpainting(folder: Path, size: Size) -> Path:
    diffusers, transformers = require("diffusers", **_NEEDED), require("transformers", **_NEEDED)

    full = size == "full"
    width = 768 if full else 32
    unet: dict[str, Any] = {"in_channels": 9, "cross_attention_dim": width, "sample_size": 64 if full else 32}
    vae: dict[str, Any] = {"latent_channels": 4}
    if full:
        channels, blocks = [128, 256, 512, 512], 4
    else:
        unet |= {
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        }
        channels, blocks = [32, 64], 2
    text = transformers.CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=12 if full else 2,
        num_attention_heads=12 if full else 4,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        network = diffusers.UNet2DConditionModel(**unet)
        autoencoder = diffusers.AutoencoderKL(
            block_out_channels=channels,
            layers_per_block=2 if full else 1,
            down_block_types=["DownEncoderBlock2D"] * blocks,
            up_block_types=["UpDecoderBlock2D"] * blocks,
            **vae,
        )
    pipe = diffusers.StableDiffusionInpaintPipeline(
        vae=autoencoder,
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=_clip_tokenizer(folder.parent / "clip-words"),
        unet=network,
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.to(torch.float16 if torch.cuda.is_available() else torch.float32).save_pretrained(folder)
    return folder


def _lora(folder: Path, inpainting: Path) -> Path:
    """LoRA of rank 64 on every attention projection, as LCM-LoRA's."""
    diffusers, peft = require("diffusers", **_NEEDED), require("peft", **_NEEDED)

    unet = diffusers.UNet2DConditionModel.from_pretrained(inpainting / "unet")
    unet.add_adapter(peft.LoraConfig(r=64, lora_alpha=64, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    weights = peft.get_peft_model_state_dict(unet)
    diffusers.StableDiffusionInpaintPipeline.save_lora_weights(folder, unet_lora_layers=weights)
    return folder


def _bert(folder: Path, size: Size) -> Path:
    transformers = require("transformers", **_NEEDED)

    full = size == "full"
    words = [f"[unused{i}]" for i in range(30522 if full else 1200)]
    for number, mark in ((0, "[PAD]"), (100, "[UNK]"), (101, "[CLS]"), (102, "[SEP]"), (103, "[MASK]")):
        words[number] = mark
    words[1012], words[1029] = ".", "?"
    names = ["a", "the", "road", "dog", "cat", "box", "sheep", *"bcdefghijklmnopqrstuvwxyz"]
    words[1040 : 1040 + len(names)] = names
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    shape = {} if full else {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **shape)).save_pretrained(folder)
    return folder


def _grounding_dino(folder: Path, text_encoder: Path, size: Size) -> tuple[Path, Path]:
    import groundingdino

    from poc_aug.backends.finders.grounding_dino import build_model

    text = (Path(groundingdino.__file__).parent / "config" / "GroundingDINO_SwinT_OGC.py").read_text()
    if size == "small":
        for name, value in (("enc_layers", 1), ("dec_layers", 1), ("num_queries", 30), ("dim_feedforward", 64)):
            text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.M)
    config = folder / "grounding_dino.py"
    config.write_text(text)
    model = build_model(config, text_encoder)
    torch.save({"model": model.state_dict()}, folder / "grounding_dino.pth")
    return config, folder / "grounding_dino.pth"


def _segment_anything(path: Path, size: Size, kind: str) -> Path:
    from segment_anything import sam_model_registry
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    if size == "full":
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            sam = sam_model_registry[kind]()
    else:
        sam = Sam(
            image_encoder=ImageEncoderViT(
                img_size=128,
                embed_dim=32,
                depth=2,
                num_heads=4,
                out_chans=64,
                use_rel_pos=True,
                window_size=3,
                global_attn_indexes=(1,),
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=64, image_embedding_size=(8, 8), input_image_size=(128, 128), mask_in_chans=16
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(depth=2, embedding_dim=64, mlp_dim=64, num_heads=8),
                transformer_dim=64,
                iou_head_depth=3,
                iou_head_hidden_dim=32,
            ),
        )
    torch.save(sam.state_dict(), path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=get_args(Size), default="full")
    parser.add_argument("--sam", default="vit_h", help="kind of Segment Anything, full-size only")
    arguments = parser.parse_args()
    for name, path in asdict(build(arguments.folder, arguments.size, arguments.sam)).items():
        print(f"{name}: {path}")


if __name__ == "__main__":
    main()
