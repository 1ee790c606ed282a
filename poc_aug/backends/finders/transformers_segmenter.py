"""The Segment Anything family in transformers: SAM, SAM-HQ, SAM 2 and 2.1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from poc_aug.backends.finders.finder_protocols import segment_nonempty
from poc_aug.backends.finders.transformers_load import ModelKind, ModelRole
from poc_aug.backends.finders.transformers_model import TransformersModel

SEGMENTER = ModelRole(
    "segmenter",
    {
        "sam": ModelKind("SAM", "SamModel", "SamProcessor"),
        "sam_hq": ModelKind("SAM-HQ", "SamHQModel", "SamHQProcessor"),
        "sam2": ModelKind("SAM 2", "Sam2Model", "Sam2Processor"),
        # A checkpoint of the video model holds the image model.
        "sam2_video": ModelKind("SAM 2", "Sam2Model", "Sam2Processor"),
    },
    "facebook/sam2.1-hiera-large",
)


class TransformersSegmenter(TransformersModel):
    """Boxes to masks: of a box's candidate masks, the one that the model rates best.

    Args:
        model: folder of a saved model, or hub id.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: of the image encoder, by autocasting: float16 on CUDA by default, float32 on the CPU; the small mask
            decoder always runs in float32.
        batch_size: most images per run of the encoder.

    Raises:
        MissingDependencyError: transformers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, of another kind, or incomplete.
        SettingError: a setting outside its limits.
    """

    role = SEGMENTER

    def __init__(
        self, model: str | Path, *, device: str | None = None, dtype: str | None = None, batch_size: int = 4
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {
            "segmenter": "transformers",
            "kind": self.kind,
            "model": self._identity,
            "dtype": self.dtype_name,
        }

    def segment(self, images: Sequence[torch.Tensor], boxes_xyxy: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The best mask of each box: one bool ``[N, h, w]`` per image; an image without boxes is not encoded."""
        return segment_nonempty(partial(self._halving.run, self._run), images, boxes_xyxy)

    @torch.no_grad()
    def _run(self, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[torch.Tensor]:
        inputs = [
            self.processor(
                images=image.to(self.device),
                input_boxes=[boxes.tolist()],
                input_data_format="channels_first",
                return_tensors="pt",
            )
            for image, boxes in pairs
        ]
        pixels = torch.cat([prepared["pixel_values"] for prepared in inputs]).to(self.device)
        with self.autocast():
            embeddings = self.model.get_image_embeddings(pixels)
        return [self._decode(self._embedding(embeddings, number), prepared) for number, prepared in enumerate(inputs)]

    def _embedding(self, embeddings: Any, number: int) -> dict[str, Any]:
        """One image's embeddings out of the batch's, in the decoder's dtype."""

        def of_image(value: torch.Tensor) -> torch.Tensor:
            return value[number : number + 1].float()

        if isinstance(embeddings, torch.Tensor):
            return {"image_embeddings": of_image(embeddings)}
        if self.kind == "sam_hq":
            last, intermediate = embeddings
            return {
                "image_embeddings": of_image(last),
                "intermediate_embeddings": [of_image(layer) for layer in intermediate],
            }
        return {"image_embeddings": [of_image(level) for level in embeddings]}

    def _decode(self, embedding: dict[str, Any], inputs: Any) -> torch.Tensor:
        boxes = inputs["input_boxes"].to(self.device, torch.float32)
        output = self.model(**embedding, input_boxes=boxes, multimask_output=True)
        masks, quality = output.pred_masks[0], output.iou_scores[0]
        best = masks[torch.arange(len(masks), device=masks.device), quality.argmax(dim=1)][:, None]
        # SAM and SAM-HQ pad; SAM 2 does not, and its processor takes no size of the unpadded input.
        sizes = {name: inputs[name] for name in ("original_sizes", "reshaped_input_sizes") if name in inputs}
        full_size: torch.Tensor = self.processor.post_process_masks([best], **sizes)[0]
        return full_size[:, 0].cpu()
