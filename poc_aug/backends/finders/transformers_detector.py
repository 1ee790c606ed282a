"""Zero-shot detectors of transformers: Grounding DINO, MM-Grounding-DINO, LLMDet, OWLv2, OWL-ViT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from poc_aug.backends.common.limits import check_thresholds
from poc_aug.backends.finders.answer_checks import check_count
from poc_aug.backends.finders.finder_protocols import Detections
from poc_aug.backends.finders.grounding_dino import grounding_caption
from poc_aug.backends.finders.paper_settings import BOX_THRESHOLD, TEXT_THRESHOLD
from poc_aug.backends.finders.transformers_load import ModelKind, ModelRole
from poc_aug.backends.finders.transformers_model import TransformersModel
from poc_aug.errors import RecipeError

_GROUNDED = ("grounding-dino", "mm-grounding-dino")
DETECTOR = ModelRole(
    "detector",
    {
        "grounding-dino": ModelKind("Grounding DINO", "GroundingDinoForObjectDetection", "GroundingDinoProcessor"),
        "mm-grounding-dino": ModelKind(
            "MM-Grounding-DINO, LLMDet", "MMGroundingDinoForObjectDetection", "GroundingDinoProcessor"
        ),
        "owlv2": ModelKind("OWLv2", "Owlv2ForObjectDetection", "Owlv2Processor"),
        "owlvit": ModelKind("OWL-ViT", "OwlViTForObjectDetection", "OwlViTProcessor"),
    },
    "IDEA-Research/grounding-dino-tiny",
)


class TransformersDetector(TransformersModel):
    """Text to boxes.

    The Grounding DINO family gets texts in lower case with a full stop; the OWL models get them as they are.

    Args:
        model: folder of a saved model, or hub id.
        box_threshold: least score of a box (paper: 0.3 for Grounding DINO; OWL models score lower).
        text_threshold: least score of a token that counts as named (paper: 0.25); Grounding DINO family only.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: "float32" (default), or "bfloat16" and "float16" by autocasting.
        batch_size: most images per run of the model.

    Raises:
        MissingDependencyError: transformers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, of another kind, or incomplete.
        SettingError: a setting outside its limits.
    """

    role = DETECTOR

    def __init__(
        self,
        model: str | Path,
        *,
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 8,
    ) -> None:
        check_thresholds(box_threshold=box_threshold, text_threshold=text_threshold)
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size, cuda_dtype="float32")
        self.box_threshold, self.text_threshold = box_threshold, text_threshold
        self._grounded = self.kind in _GROUNDED
        self._tokens = _text_tokens(self.model.config, self._grounded)
        self._window = 4 * batch_size

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {
            "detector": "transformers",
            "kind": self.kind,
            "model": self._identity,
            "box_threshold": self.box_threshold,
            "text_threshold": self.text_threshold if self._grounded else None,
            "dtype": self.dtype_name,
        }

    def text_limit(self, text: str) -> tuple[int, int]:
        """Tokens that the text takes, and how many are allowed."""
        return len(self._ids(text)), self._tokens

    def detect(self, images: Sequence[torch.Tensor], texts: Sequence[str]) -> list[Detections]:
        """Boxes over the thresholds for one text per image, best first.

        Only inputs of one size share a batch: the Grounding DINO family also looks at the padding of smaller images,
        so results would depend on what shares the batch. It does not look at the padding of shorter texts.

        Raises:
            RecipeError: a text over the limit.
            GenerationError: not one text per image.
        """
        check_count("texts", len(texts), "images", len(images))
        results: list[Detections] = []
        # Windows bound how many prepared images are held at once.
        for start in range(0, len(images), self._window):
            stop = start + self._window
            results += self._detect(images[start:stop], texts[start:stop])
        return results

    def _detect(self, images: Sequence[torch.Tensor], texts: Sequence[str]) -> list[Detections]:
        prepared: dict[int, torch.Tensor] = {}
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, (image, text) in enumerate(zip(images, texts, strict=True)):
            self._check(text)
            # Several texts for one image arrive as the same tensor several times.
            if id(image) not in prepared:
                prepared[id(image)] = self._prepare(image)
            groups.setdefault(tuple(prepared[id(image)].shape), []).append(i)
        results: dict[int, Detections] = {}
        for members in groups.values():
            items = [(prepared[id(images[i])], texts[i], (images[i].shape[-2], images[i].shape[-1])) for i in members]
            results.update(zip(members, self._halving.run(self._run, items), strict=True))
        return [results[i] for i in range(len(images))]

    def _check(self, text: str) -> None:
        used, limit = self.text_limit(text)
        if used > limit:
            raise RecipeError(f"the text to detect, {text!r}, takes {used} tokens", expected=f"at most {limit}")

    def _prepare(self, image: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.processor.image_processor(
            images=image.to(self.device), input_data_format="channels_first", return_tensors="pt"
        )["pixel_values"][0]
        return values

    def _ids(self, text: str) -> list[int]:
        form = grounding_caption(text) if self._grounded else text
        return list(self.processor.tokenizer(form, verbose=False).input_ids)

    @torch.no_grad()
    def _run(self, items: Sequence[tuple[torch.Tensor, str, tuple[int, int]]]) -> list[Detections]:
        inputs = {"pixel_values": torch.stack([values for values, _, _ in items])}
        forms = [grounding_caption(text) if self._grounded else text for _, text, _ in items]
        # The OWL models were trained on texts padded to their full length.
        owl = {"padding": "max_length", "max_length": self._tokens}
        padding: dict[str, Any] = {"padding": True} if self._grounded else owl
        encoded = self.processor.tokenizer(forms, return_tensors="pt", **padding).to(self.device)
        with self.autocast():
            output = self.model(**inputs, **encoded)
        output.logits, output.pred_boxes = output.logits.float().cpu(), output.pred_boxes.float().cpu()
        sizes = [size_hw for _, _, size_hw in items]
        if self._grounded:
            # A box whose tokens are all below the text threshold names nothing.
            answers = self.processor.post_process_grounded_object_detection(
                output,
                input_ids=encoded["input_ids"].cpu(),
                threshold=max(self.box_threshold, self.text_threshold),
                text_threshold=self.text_threshold,
                target_sizes=sizes,
            )
        else:
            answers = self.processor.post_process_grounded_object_detection(
                output, threshold=self.box_threshold, target_sizes=sizes
            )
        return [
            _sorted(answer["boxes"], answer["scores"], size_hw) for answer, size_hw in zip(answers, sizes, strict=True)
        ]


def _text_tokens(config: Any, grounded: bool) -> int:
    """Tokens that a text may take, start and end tokens included."""
    limit = int(config.text_config.max_position_embeddings)
    return min(int(config.max_text_len), limit) if grounded else limit


def _sorted(boxes: torch.Tensor, scores: torch.Tensor, size_hw: tuple[int, int]) -> Detections:
    """Boxes clipped to the image, best first; boxes outside it (in a detector's padding) are left out."""
    h, w = size_hw
    boxes = boxes.clamp(min=0).minimum(torch.tensor([w, h, w, h], dtype=boxes.dtype))
    inside = ((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])).nonzero()[:, 0]
    order = inside[scores[inside].argsort(descending=True, stable=True)]
    return Detections(boxes[order], scores[order])
