"""Grounding DINO with its original checkpoints, through groundingdino-py (Liu et al., ECCV 2024)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import xxhash

from poc_aug.backends.common.limits import check_counts, check_thresholds
from poc_aug.backends.common.model_files import model_identity
from poc_aug.backends.common.model_runner import ModelRunner
from poc_aug.backends.finders.finder_protocols import Detections
from poc_aug.backends.finders.grounding_dino_load import (
    build_model,
    config_path,
    load_weights,
    read_tensors,
    silence_deprecations,
)
from poc_aug.backends.finders.paper_settings import BOX_THRESHOLD, TEXT_THRESHOLD
from poc_aug.errors import SettingError

__all__ = ["GroundingDinoDetector", "build_model", "grounding_caption"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LONGEST = 1333 / 800
_TOKENS = 256


class GroundingDinoDetector(ModelRunner):
    """Text to boxes.

    Args:
        checkpoint: a ``.pth`` file of Grounding DINO.
        config: its ``.py`` configuration; ``None``: groundingdino-py's own for Swin-T.
        text_encoder: folder of BERT, for its tokenizer and shape; or "bert-base-uncased", fetched from the model hub.
        box_threshold: least score of a box (paper: 0.3).
        text_threshold: least score of a token that counts as named (paper: 0.25).
        size_px: shorter side of the model's input; the longer one is at most 1333 / 800 of it.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: "float32" (default), or "bfloat16" and "float16" by autocasting.
        batch_size: most images per run of the model.

    Raises:
        MissingDependencyError: groundingdino-py is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: a file is not there, is not such a checkpoint, or does not fit the configuration.
        SettingError: a setting outside its limits.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        config: str | Path | None = None,
        *,
        text_encoder: str | Path = "bert-base-uncased",
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        size_px: int = 800,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 8,
    ) -> None:
        check_thresholds(box_threshold=box_threshold, text_threshold=text_threshold)
        check_counts(size_px=size_px)
        super().__init__("groundingdino", device=device, dtype=dtype, batch_size=batch_size, cuda_dtype="float32")
        self.box_threshold, self.text_threshold, self.size_px = box_threshold, text_threshold, size_px
        weights = read_tensors(checkpoint)
        self.model = load_weights(build_model(config, text_encoder), weights, checkpoint).to(self.device)
        self._check_size()
        self._identities = {
            "checkpoint": model_identity(checkpoint),
            "config": xxhash.xxh3_64_hexdigest(config_path(config).read_bytes()),
            "text_encoder": model_identity(text_encoder),
        }

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {
            "detector": "groundingdino",
            **self._identities,
            "box_threshold": self.box_threshold,
            "text_threshold": self.text_threshold,
            "size_px": self.size_px,
            "dtype": self.dtype_name,
        }

    def text_limit(self, text: str) -> tuple[int, int]:
        """Tokens that the text takes, and how many are allowed."""
        return len(self.model.tokenizer(grounding_caption(text), verbose=False).input_ids), _TOKENS

    def detect(self, images: Sequence[torch.Tensor], texts: Sequence[str]) -> list[Detections]:
        """Boxes over the thresholds for one text per image, best first.

        Only images of one size with texts of one length share a batch: the model also looks at the padding of shorter
        texts, so results would depend on what shares the batch.
        """
        groups: dict[tuple[int, tuple[int, int]], list[int]] = {}
        for i, image in enumerate(images):
            tokens, _ = self.text_limit(texts[i])
            groups.setdefault((tokens, self._input_hw(image.shape[-2], image.shape[-1])), []).append(i)
        results: dict[int, Detections] = {}
        for (_, size_hw), members in groups.items():
            pairs = [(images[i], texts[i], size_hw) for i in members]
            results.update(zip(members, self._halving.run(self._run, pairs), strict=True))
        return [results[i] for i in range(len(images))]

    def _check_size(self) -> None:
        """Each query starts at its own cell of the feature maps, whose sides are 1/8, 1/16, ... of the input's."""
        strides = [8 * 2**level for level in range(self.model.num_feature_levels)]
        side = 8
        while sum(math.ceil(side / stride) ** 2 for stride in strides) < self.model.num_queries:
            side += 8
        if self.size_px < side - 7:
            queries = self.model.num_queries
            raise SettingError(
                f"size_px={self.size_px}", expected=f"at least {side - 7}: the model has {queries} queries"
            )

    def _input_hw(self, h: int, w: int) -> tuple[int, int]:
        """Size of the model's input, rounded as groundingdino-py's own `RandomResize` does."""
        short, long = min(h, w), max(h, w)
        side, longest = self.size_px, round(self.size_px * _LONGEST)
        if long / short * side > longest:
            side = max(1, round(longest * short / long))
        other = int(side * long / short)
        return (side, other) if h <= w else (other, side)

    @torch.no_grad()
    def _run(self, pairs: Sequence[tuple[torch.Tensor, str, tuple[int, int]]]) -> list[Detections]:
        inputs = torch.stack([self._input(image, size_hw) for image, _, size_hw in pairs])
        with self.autocast(), silence_deprecations():
            output = self.model(inputs, captions=[grounding_caption(text) for _, text, _ in pairs])
        scores = output["pred_logits"].float().sigmoid().amax(dim=-1).cpu()
        boxes = output["pred_boxes"].float().cpu()
        return [
            self._select(image_scores, image_boxes, image)
            for image_scores, image_boxes, (image, _, _) in zip(scores, boxes, pairs, strict=True)
        ]

    def _select(self, scores: torch.Tensor, boxes: torch.Tensor, image: torch.Tensor) -> Detections:
        # A box whose tokens are all below the text threshold names nothing.
        keep = (scores > max(self.box_threshold, self.text_threshold)).nonzero()[:, 0]
        keep = keep[scores[keep].argsort(descending=True, stable=True)]
        h, w = image.shape[-2:]
        centre, size = boxes[keep, :2], boxes[keep, 2:]
        corners = torch.cat([centre - size / 2, centre + size / 2], dim=1) * torch.tensor([w, h, w, h])
        return Detections(corners.clamp(min=0).minimum(torch.tensor([w, h, w, h])), scores[keep])

    def _input(self, image: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
        values = image.to(self.device).float()[None] / 255
        values = F.interpolate(values, size=size_hw, mode="bilinear", antialias=True)[0]
        mean, std = (torch.tensor(channels, device=self.device)[:, None, None] for channels in (_MEAN, _STD))
        return (values - mean) / std


def grounding_caption(text: str) -> str:
    """A text in the form that the model was trained on: lower case, ending in a full stop.

    Example:
        >>> grounding_caption("A Sheep ")
        'a sheep.'
    """
    caption = text.lower().strip()
    return caption if caption.endswith(".") else f"{caption}."
