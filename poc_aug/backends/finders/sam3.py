"""SAM 3 in transformers: one model from text to masks, without a separate detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torchvision.ops import nms

from poc_aug.backends.common.limits import check_counts, check_nms, check_thresholds
from poc_aug.backends.finders.finder_protocols import Masks
from poc_aug.backends.finders.paper_settings import NMS_IOU
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.backends.finders.transformers_load import ModelKind, ModelRole
from poc_aug.backends.finders.transformers_model import TransformersModel
from poc_aug.errors import RecipeError

SAM3 = ModelRole(
    "finder",
    {
        "sam3": ModelKind("SAM 3", "Sam3Model", "Sam3Processor"),
        # A checkpoint of the video model holds the image model.
        "sam3_video": ModelKind("SAM 3", "Sam3Model", "Sam3Processor"),
    },
    "facebook/sam3",
)
SCORE_THRESHOLD = MASK_THRESHOLD = 0.5
"""SAM 3's own defaults."""

_KEPT_TEXTS = 1024


class Sam3Finder(TransformersModel):
    """Texts to scored masks.

    Args:
        model: folder of a saved model, or hub id.
        score_threshold: least score of a mask.
        mask_threshold: least probability of a mask's pixel.
        nms_iou: of two boxes of one text that overlap more than this, the weaker one is dropped.
        max_masks: most masks kept per text.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: by autocasting: bfloat16 on CUDA by default (the whole model runs in it, and its range is float32's),
            float32 on the CPU.
        batch_size: most images per run of the image encoder.

    Raises:
        MissingDependencyError: transformers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, of another kind, or incomplete.
        SettingError: a setting outside its limits.
    """

    role = SAM3

    def __init__(
        self,
        model: str | Path,
        *,
        score_threshold: float = SCORE_THRESHOLD,
        mask_threshold: float = MASK_THRESHOLD,
        nms_iou: float = NMS_IOU,
        max_masks: int = 20,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 4,
    ) -> None:
        check_thresholds(score_threshold=score_threshold, mask_threshold=mask_threshold)
        check_nms(nms_iou)
        check_counts(max_masks=max_masks)
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size, cuda_dtype="bfloat16")
        self.score_threshold, self.mask_threshold = score_threshold, mask_threshold
        self.nms_iou, self.max_masks = nms_iou, max_masks
        self._tokens = int(self.model.config.text_config.max_position_embeddings)
        self._texts: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {
            "finder": "sam3",
            "model": self._identity,
            "score_threshold": self.score_threshold,
            "mask_threshold": self.mask_threshold,
            "nms_iou": self.nms_iou,
            "max_masks": self.max_masks,
            "dtype": self.dtype_name,
        }

    def text_limit(self, text: str) -> tuple[int, int]:
        """Tokens that the text takes, and how many are allowed."""
        return len(self.processor.tokenizer(text, verbose=False).input_ids), self._tokens

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        """For each image and each of its texts: what was found, best first; each image is encoded once.

        Raises:
            RecipeError: a text over the limit.
        """
        for text in dict.fromkeys(text for image_texts in texts for text in image_texts):
            used, limit = self.text_limit(text)
            if used > limit:
                raise RecipeError(f"the text to find, {text!r}, takes {used} tokens", expected=f"at most {limit}")
        return self._halving.run(self._run, list(zip(images, texts, strict=True)))

    @torch.no_grad()
    def _run(self, batch: Sequence[tuple[torch.Tensor, Sequence[str]]]) -> list[list[Masks]]:
        pixels = torch.cat([self._prepare(image) for image, _ in batch])
        results: list[list[Masks]] = [[] for _ in batch]
        with self.autocast():
            vision = self.model.get_vision_features(pixel_values=pixels)
            # In rounds: each image with its first text, then the images that have a second one, and so on.
            for round_number in range(max(len(image_texts) for _, image_texts in batch)):
                members = [i for i, (_, image_texts) in enumerate(batch) if len(image_texts) > round_number]
                output = self._run_texts(vision, members, [batch[i][1][round_number] for i in members])
                sizes = [tuple(batch[i][0].shape[-2:]) for i in members]
                for i, masks in zip(members, self._select(output, sizes), strict=True):
                    results[i].append(masks)
        return results

    def _prepare(self, image: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.processor.image_processor(
            images=image.to(self.device), input_data_format="channels_first", return_tensors="pt"
        )["pixel_values"]
        return values

    def _run_texts(self, vision: Any, members: Sequence[int], texts: Sequence[str]) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        rows = torch.tensor(members, device=self.device)
        levels = {
            name: tuple(level[rows] for level in vision[name])
            for name in ("fpn_hidden_states", "fpn_position_encoding")
        }
        features, masks = zip(*(self._text(text) for text in texts), strict=True)
        return self.model(
            vision_embeds=type(vision)(**levels),
            text_embeds=BaseModelOutputWithPooling(pooler_output=torch.cat(features)),
            attention_mask=torch.cat(masks),
        )

    def _text(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Features ``[1, T, C]`` of a text and the mask of its tokens, cached."""
        if text not in self._texts:
            # As Sam3Processor does: every text is padded to the full length.
            encoded = self.processor.tokenizer(
                [text], padding="max_length", max_length=self._tokens, return_tensors="pt"
            ).to(self.device)
            features = self.model.get_text_features(**encoded).pooler_output
            if len(self._texts) >= _KEPT_TEXTS:
                self._texts.pop(next(iter(self._texts)))
            self._texts[text] = (features, encoded["attention_mask"])
        return self._texts[text]

    def _select(self, output: Any, sizes: Sequence[tuple[int, ...]]) -> list[Masks]:
        for name in ("pred_logits", "pred_boxes", "pred_masks", "presence_logits"):
            output[name] = output[name].float()
        scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
        # The processor enlarges every mask over the threshold: all but the best are hidden from it.
        keep = torch.zeros_like(scores, dtype=torch.bool)
        for row, (text_scores, boxes) in enumerate(zip(scores, output.pred_boxes, strict=True)):
            h, w = sizes[row]
            scale = boxes.new_tensor([w, h, w, h])
            keep[row, nms(boxes * scale, text_scores, self.nms_iou)[: self.max_masks]] = True
        output["pred_logits"] = output.pred_logits.masked_fill(~keep, -torch.inf)
        answers = self.processor.post_process_instance_segmentation(
            output, threshold=self.score_threshold, mask_threshold=self.mask_threshold, target_sizes=list(sizes)
        )
        return [_sorted(answer, size_hw) for answer, size_hw in zip(answers, sizes, strict=True)]


class Sam3Annotator(PromptAnnotator):
    """Annotates with SAM 3.

    Args:
        model: folder or hub id of SAM 3.
        score_threshold: least score of a mask.
        mask_threshold: least probability of a mask's pixel.
        nms_iou: of two boxes of one text that overlap more than this, the weaker one is dropped.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: of the model; ``None``: bfloat16 on CUDA.
        batch_size: most images per run of the model.
        options: further arguments of `PromptAnnotator`.

    Raises:
        MissingDependencyError: transformers is not installed; the message holds the install line.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: the model is not there, not reachable, of another kind, or incomplete.
        SettingError: a setting outside its limits.

    Example:
        Needs the model's weights, so this line is not run as a test:

        >>> annotator = Sam3Annotator("facebook/sam3")  # doctest: +SKIP

        Settings are checked before anything is loaded:

        >>> Sam3Annotator("facebook/sam3", score_threshold=1.5)
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: score_threshold=1.5
        Expected: 0 or more, less than 1
    """

    def __init__(
        self,
        model: str | Path,
        *,
        score_threshold: float = SCORE_THRESHOLD,
        mask_threshold: float = MASK_THRESHOLD,
        nms_iou: float = NMS_IOU,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 4,
        **options: Any,
    ) -> None:
        finder = Sam3Finder(
            model,
            score_threshold=score_threshold,
            mask_threshold=mask_threshold,
            nms_iou=nms_iou,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
        )
        super().__init__(finder, **options)


def _sorted(answer: dict[str, torch.Tensor], size_hw: tuple[int, ...]) -> Masks:
    h, w = size_hw
    order = answer["scores"].argsort(descending=True, stable=True)
    boxes = answer["boxes"][order].clamp(min=0).cpu().float()
    # If there are no masks, the processor leaves them in the model's own size.
    masks = answer["masks"][order].bool().cpu() if len(order) else torch.zeros(0, h, w, dtype=torch.bool)
    return Masks(masks, answer["scores"][order].cpu(), boxes.minimum(torch.tensor([w, h, w, h], dtype=boxes.dtype)))
