"""Small randomly initialised detectors and segmenters of transformers, saved to disk with their processors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.tiny_diffusion import clip_tokenizer
from tests.helpers.tiny_grounded_sam import bert


def grounding_dino(folder: Path, *, mm: bool = False) -> None:
    """Grounding DINO, or MM-Grounding-DINO, with one layer each way and a Swin of two stages."""
    import transformers as t

    bert(folder / "bert")
    tokenizer = t.AutoTokenizer.from_pretrained(folder / "bert")
    stages: dict[str, Any] = {"out_features": ["stage1", "stage2"]}
    small: dict[str, Any] = {
        "backbone_config": t.SwinConfig(
            image_size=96,
            patch_size=4,
            embed_dim=16,
            depths=[1, 1],
            num_heads=[2, 2],
            window_size=7,
            **stages,
        ),
        "text_config": t.BertConfig.from_pretrained(folder / "bert"),
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 2,  # with one layer, transformers finds no second box head to tie the first to
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 37,
        "decoder_ffn_dim": 37,
        "num_queries": 30,
        "num_feature_levels": 3,
    }
    model: t.MMGroundingDinoForObjectDetection | t.GroundingDinoForObjectDetection
    if mm:
        model = t.MMGroundingDinoForObjectDetection(t.MMGroundingDinoConfig(**small))
    else:
        model = t.GroundingDinoForObjectDetection(t.GroundingDinoConfig(**small))
    _spread(model, "bbox_embed", 0.3)
    model.save_pretrained(folder)
    images = t.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 107})
    t.GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)


def mm_grounding_dino(folder: Path) -> None:
    """MM-Grounding-DINO, which LLMDet is too."""
    grounding_dino(folder, mm=True)


def owlv2(folder: Path) -> None:
    """OWLv2 with 4×4 patches and texts of at most 16 tokens."""
    _owl(folder, "Owlv2")


def owlvit(folder: Path) -> None:
    """OWL-ViT of the same shape."""
    _owl(folder, "OwlViT")


def _owl(folder: Path, family: str) -> None:
    import transformers as t

    shape = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
    marks = {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    config = getattr(t, f"{family}Config")(
        text_config={**shape, **marks, "vocab_size": 514, "max_position_embeddings": 16},
        vision_config={**shape, "image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    model = getattr(t, f"{family}ForObjectDetection")(config)
    _spread(model, "box_head", 0.3)
    model.save_pretrained(folder)
    tokenizer = clip_tokenizer(folder)
    tokenizer.model_max_length = 16
    images = getattr(t, f"{family}ImageProcessor")(size={"height": 64, "width": 64})
    getattr(t, f"{family}Processor")(images, tokenizer).save_pretrained(folder)


_SAM = {"hidden_size": 32, "num_attention_heads": 4, "mlp_dim": 37, "iou_head_hidden_dim": 32}


def sam(folder: Path, *, hq: bool = False) -> None:
    """Segment Anything, or SAM-HQ, that takes 64×64."""
    import transformers as t

    vision = {
        "hidden_size": 32,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 64,
        "patch_size": 8,
        "window_size": 3,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
        "mlp_dim": 37,
        "initializer_range": 0.02,
    }
    prompt = {"hidden_size": 32, "image_size": 64, "patch_size": 8}
    model: t.SamModel | t.SamHQModel
    if hq:
        hq_config = t.SamHQConfig(
            vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config={**_SAM, "vit_dim": 32}
        )
        model = t.SamHQModel(hq_config)
    else:
        config = t.SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=_SAM)
        model = t.SamModel(config)
    _spread(model, "mask_decoder", 0.2)
    model.save_pretrained(folder)
    images = t.SamImageProcessor(
        size={"longest_edge": 64},
        pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )
    (t.SamHQProcessor if hq else t.SamProcessor)(images).save_pretrained(folder)


def sam_hq(folder: Path) -> None:
    """SAM-HQ."""
    sam(folder, hq=True)


def sam2_config() -> dict[str, Any]:
    """The parts of a SAM 2 that takes 64×64."""
    return {
        "vision_config": {
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "image_size": [64, 64],
                "window_positional_embedding_background_size": [2, 2],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 2],
                "global_attention_blocks": [3],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 32,
        },
        "prompt_encoder_config": {"hidden_size": 32, "image_size": 64, "patch_size": 16},
        "mask_decoder_config": _SAM,
    }


def sam2(folder: Path) -> None:
    """SAM 2."""
    import transformers as t

    model = t.Sam2Model(t.Sam2Config(**sam2_config()))
    _spread(model, "mask_decoder", 0.2)
    model.save_pretrained(folder)
    images = t.Sam2ImageProcessor(size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16})
    t.Sam2Processor(images).save_pretrained(folder)


def sam3_config() -> Any:
    """A SAM 3 that takes 56×56 and texts of at most 32 tokens."""
    import transformers as t

    small = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4}
    marks = {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    return t.Sam3Config(
        vision_config={
            "backbone_config": {
                **small,
                "model_type": "sam3_vit_model",
                "num_hidden_layers": 2,
                "image_size": 56,
                "patch_size": 14,
                "window_size": 2,
                "global_attn_indexes": [1],
                "pretrain_image_size": 28,
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={
            **small,
            **marks,
            "model_type": "clip_text_model",
            "vocab_size": 514,
            "projection_dim": 32,
            "num_hidden_layers": 1,
            "max_position_embeddings": 32,
        },
        geometry_encoder_config={**small, "num_layers": 1},
        detr_encoder_config={**small, "num_layers": 1},
        detr_decoder_config={**small, "num_layers": 1, "num_queries": 12},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 4},
    )


def sam3(folder: Path) -> None:
    """SAM 3."""
    import transformers as t

    model = t.Sam3Model(sam3_config())
    _spread(model, "mask_decoder", 0.2)
    _spread(model, "box_head", 0.3)
    model.save_pretrained(folder)
    images = t.Sam3ImageProcessor(size={"height": 56, "width": 56}, mask_size={"height": 16, "width": 16})
    tokenizer = clip_tokenizer(folder)
    tokenizer.model_max_length = 32
    t.Sam3Processor(images, tokenizer).save_pretrained(folder)


def sam2_video(folder: Path, image_model: Path) -> None:
    """A checkpoint of SAM 2's video model around the weights of a folder's image model."""
    import transformers as t

    config = t.Sam2VideoConfig(
        **sam2_config(),
        image_size=64,
        memory_attention_hidden_size=32,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=37,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=32,
        memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=32,
        memory_fuser_num_layers=1,
        memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=37,
    )
    with torch.random.fork_rng():
        model = t.Sam2VideoModel(config)
    weights = t.Sam2Model.from_pretrained(image_model).state_dict()
    assert not model.load_state_dict(weights, strict=False).unexpected_keys
    model.save_pretrained(folder)
    images = t.Sam2Processor.from_pretrained(image_model).image_processor
    videos = t.Sam2VideoVideoProcessor(size={"height": 64, "width": 64})
    t.Sam2VideoProcessor(images, videos).save_pretrained(folder)


def sam3_video(folder: Path, image_model: Path) -> None:
    """A checkpoint laid out as SAM 3's video model: the image model's tensors under their prefix, a tracker beside."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(image_model, folder)
    detector = json.loads((folder / "config.json").read_text())
    config = {"model_type": "sam3_video", "detector_config": detector, "tracker_config": {}}
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    weights = {f"detector_model.{name}": value for name, value in weights.items()}
    weights["tracker_model.no_memory_embedding"] = torch.zeros(1, 1, 32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _spread(model: torch.nn.Module, part: str, std: float) -> None:
    """Larger random weights in a part: with its own small ones every box and every mask would come out alike."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if part in name and parameter.ndim > 1:
                parameter.normal_(std=std)


BUILDERS: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (grounding_dino, mm_grounding_dino, owlv2, owlvit, sam, sam_hq, sam2, sam3)
}


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a small model by its builder's name, made when first asked for."""
    made: dict[str, Path] = {}

    def model(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                BUILDERS[name](folder)
            made[name] = folder
        return made[name]

    return model
