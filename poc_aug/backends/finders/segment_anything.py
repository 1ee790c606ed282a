"""Segment Anything with its original checkpoints, through segment-anything (Kirillov et al., ICCV 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from poc_aug.backends.common.checkpoints import load_checkpoint
from poc_aug.backends.common.model_files import model_identity
from poc_aug.backends.common.model_runner import ModelRunner
from poc_aug.backends.finders.finder_protocols import segment_nonempty
from poc_aug.errors import ModelError

_EXPECTED = "a Segment Anything checkpoint such as sam_vit_h_4b8939.pth"


class SegmentAnythingSegmenter(ModelRunner):
    """Boxes to masks: of a box's three candidate masks, the one that the model rates best.

    The size of the model (ViT-H, L, B or any other) is read from the checkpoint.

    Args:
        checkpoint: a ``.pth`` file of Segment Anything.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: of the image encoder: float16 on CUDA by default, float32 on the CPU; the small mask decoder always
            runs in float32.
        batch_size: most images per run of the encoder, each of 1024×1024 pixels.

    Raises:
        MissingDependencyError: segment-anything is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: the file is not there, or is not such a checkpoint.
        SettingError: a setting outside its limits.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 4,
    ) -> None:
        super().__init__("segment_anything", device=device, dtype=dtype, batch_size=batch_size)
        self.model = build_sam(load_checkpoint(checkpoint, _EXPECTED), str(checkpoint)).to(self.device)
        self.model.image_encoder.to(self.dtype)
        self._checkpoint = model_identity(checkpoint)

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {
            "segmenter": "segment-anything",
            "checkpoint": self._checkpoint,
            "dtype": self.dtype_name,
        }

    def segment(self, images: Sequence[torch.Tensor], boxes_xyxy: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The best mask of each box: one bool ``[N, h, w]`` per image; an image without boxes is not encoded."""
        return segment_nonempty(partial(self._halving.run, self._run), images, boxes_xyxy)

    @torch.no_grad()
    def _run(self, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[torch.Tensor]:
        side = self.model.image_encoder.img_size
        inputs = [self._input(image, side) for image, _ in pairs]
        batch = torch.stack([self.model.preprocess(resized) for resized in inputs]).to(self.dtype)
        embeddings = self.model.image_encoder(batch).float()
        return [
            self._decode(embedding, boxes, image.shape[-2:], resized.shape[-2:])
            for embedding, resized, (image, boxes) in zip(embeddings, inputs, pairs, strict=True)
        ]

    def _input(self, image: torch.Tensor, side: int) -> torch.Tensor:
        h, w = image.shape[-2:]
        scale = side / max(h, w)
        size = (int(h * scale + 0.5), int(w * scale + 0.5))
        values = image.to(self.device).float()[None]
        return F.interpolate(values, size=size, mode="bilinear", antialias=True, align_corners=False)[0]

    def _decode(
        self, embedding: torch.Tensor, boxes: torch.Tensor, size_hw: torch.Size, input_hw: torch.Size
    ) -> torch.Tensor:
        scale = torch.tensor([input_hw[1] / size_hw[1], input_hw[0] / size_hw[0]] * 2)
        prompts = (boxes * scale).to(self.device)
        sparse, dense = self.model.prompt_encoder(points=None, boxes=prompts, masks=None)
        logits, quality = self.model.mask_decoder(
            image_embeddings=embedding[None],
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        best = logits[torch.arange(len(boxes), device=logits.device), quality.argmax(dim=1)][:, None]
        masks = self.model.postprocess_masks(best, input_size=tuple(input_hw), original_size=tuple(size_hw))
        binary: torch.Tensor = masks[:, 0] > self.model.mask_threshold
        return binary.cpu()


def build_sam(weights: Mapping[str, torch.Tensor], source: str) -> Any:
    """A model sized to fit the checkpoint's tensors.

    Raises:
        ModelError: the tensors are not those of Segment Anything.
    """
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    try:
        grid, embed = weights["image_encoder.pos_embed"].shape[1], weights["image_encoder.pos_embed"].shape[3]
        patch = weights["image_encoder.patch_embed.proj.weight"].shape[-1]
        width = weights["image_encoder.neck.0.weight"].shape[0]
        depth = _count(weights, "image_encoder.blocks.")
        positions = [weights[f"image_encoder.blocks.{i}.attn.rel_pos_h"] for i in range(depth)]
        reach = [(position.shape[0] + 1) // 2 for position in positions]
        layers = _count(weights, "mask_decoder.transformer.layers.")
        sam = Sam(
            image_encoder=ImageEncoderViT(
                depth=depth,
                embed_dim=embed,
                img_size=grid * patch,
                mlp_ratio=weights["image_encoder.blocks.0.mlp.lin1.weight"].shape[0] / embed,
                norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
                num_heads=embed // positions[0].shape[1],
                patch_size=patch,
                qkv_bias=True,
                use_rel_pos=True,
                global_attn_indexes=tuple(i for i, cells in enumerate(reach) if cells == grid),
                window_size=min(reach),
                out_chans=width,
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=width,
                image_embedding_size=(grid, grid),
                input_image_size=(grid * patch, grid * patch),
                mask_in_chans=weights["prompt_encoder.mask_downscaling.3.weight"].shape[0],
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=weights["mask_decoder.mask_tokens.weight"].shape[0] - 1,
                transformer=TwoWayTransformer(
                    depth=layers,
                    embedding_dim=width,
                    mlp_dim=weights["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
                    num_heads=8,
                ),
                transformer_dim=width,
                iou_head_depth=_count(weights, "mask_decoder.iou_prediction_head.layers."),
                iou_head_hidden_dim=weights["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
            ),
            pixel_mean=[123.675, 116.28, 103.53],
            pixel_std=[58.395, 57.12, 57.375],
        )
        sam.load_state_dict(weights)
    except (KeyError, RuntimeError, AttributeError, IndexError) as error:
        raise ModelError(
            f"{source!r} is not a Segment Anything checkpoint: {type(error).__name__}: {str(error)[:300]}",
            expected=_EXPECTED,
            hint="SAM 2 and SAM 3 are used through transformers: annotator 'transformers' or 'sam3'",
        ) from error
    return sam.eval()


def _count(weights: Mapping[str, torch.Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].partition(".")[0] for name in weights if name.startswith(prefix)})
