"""Small randomly initialised Grounding DINO and Segment Anything, in the original checkpoints' format."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch

WORDS = "a the dog cat sheep road rider bicycle traffic cone box ball on street".split()


def bert(folder: Path) -> Path:
    """A tiny BERT with a made vocabulary whose marks have their usual ids."""
    from transformers import BertConfig, BertModel, BertTokenizer

    words = [f"[unused{i}]" for i in range(1100)]
    words[0] = "[PAD]"
    for number, mark in ((100, "[UNK]"), (101, "[CLS]"), (102, "[SEP]"), (103, "[MASK]"), (1012, "."), (1029, "?")):
        words[number] = mark
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-'"
    words += [*WORDS, *letters, *(f"##{letter}" for letter in letters)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)) + "\n")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(dict.fromkeys(words)),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=37,
        max_position_embeddings=512,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def build_grounding_dino(folder: Path) -> tuple[Path, Path, Path]:
    """Configuration, checkpoint and text encoder of a Grounding DINO with one layer each way."""
    import groundingdino

    from poc_aug.backends.finders.grounding_dino import build_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        text_encoder = bert(folder / "bert")
        original = Path(groundingdino.__file__).parent / "config" / "GroundingDINO_SwinT_OGC.py"
        text = original.read_text()
        for name, value in (("enc_layers", 1), ("dec_layers", 1), ("num_queries", 30), ("dim_feedforward", 64)):
            text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.M)
        config = folder / "tiny.py"
        config.write_text(text)
        model = build_model(config, text_encoder)
        _spread(model)
        checkpoint = folder / "grounding_dino.pth"
        torch.save({"model": model.state_dict()}, checkpoint)
    return config, checkpoint, text_encoder


@torch.no_grad()
def _spread(model: torch.nn.Module) -> None:
    """Give queries scores between 0.1 and 0.9 and boxes of many sizes; initial ones are all near 1, and one box."""
    # A score is a product of a query and a token: short queries, moved against what the tokens have in common.
    model.get_parameter("transformer.encoder.text_layers.0.norm2.bias").fill_(0.5)
    model.get_parameter("transformer.decoder.norm.weight").mul_(0.05)
    model.get_parameter("transformer.decoder.norm.bias").fill_(-0.012)
    for parameter in model.get_submodule("bbox_embed.0").parameters():
        parameter.normal_(std=0.2)
    model.get_parameter("bbox_embed.0.layers.2.bias")[2:] = 2.0  # wider and higher


def build_segment_anything(folder: Path) -> Path:
    """Segment Anything with a ViT of two small blocks that takes 128×128."""
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    with torch.random.fork_rng(), contextlib.redirect_stdout(io.StringIO()):
        torch.manual_seed(0)
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
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(sam.state_dict(), folder / "sam.pth")
    return folder / "sam.pth"


@pytest.fixture(scope="session")
def grounding_dino_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return build_grounding_dino(tmp_path_factory.mktemp("grounding-dino"))


@pytest.fixture(scope="session")
def segment_anything_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_segment_anything(tmp_path_factory.mktemp("segment-anything"))
