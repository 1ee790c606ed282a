"""Segmentation models of transformers, which find the classes of frames, for the check of labels on shifted ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch

from poc_aug.backends.finders.transformers_load import ModelKind, ModelRole
from poc_aug.backends.finders.transformers_model import TransformersModel
from poc_aug.errors import ModelError
from poc_aug.types import Json

_SEMANTIC = ("AutoModelForSemanticSegmentation", "AutoImageProcessor")
_UNIVERSAL = ("AutoModelForUniversalSegmentation", "AutoImageProcessor")
_ROLE = ModelRole(
    "segmenter",
    {
        "segformer": ModelKind("SegFormer", *_SEMANTIC),
        "mask2former": ModelKind("Mask2Former", *_UNIVERSAL),
        "upernet": ModelKind("UPerNet", *_SEMANTIC),
    },
    "nvidia/segformer-b5-finetuned-cityscapes-1024-1024",
)


class TransformersSemantic(TransformersModel):
    """Finds the classes of a frame's pixels with SegFormer, Mask2Former or UPerNet; a `FrameSegmenter`.

    Frames run one at a time, so that no frame depends on its neighbours in a batch.

    Args:
        model: folder of a saved model, or hub id. Its configuration names the classes.
        device: "cpu", "cuda", ...; ``None``: CUDA if available, otherwise the CPU.
        dtype: "float32", "bfloat16" or "float16"; ``None``: float16 on CUDA, float32 on the CPU.

    Attributes:
        classes: names of the classes, by place.

    Raises:
        MissingDependencyError: transformers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, of another kind, incomplete, or without names of its classes.

    Example:
        >>> TransformersSemantic("no/such-folder/model")
        Traceback (most recent call last):
        poc_aug.errors.ModelError: no segmenter at 'no/such-folder/model'
        Expected: ... a folder or hub id such as nvidia/segformer-b5-finetuned-cityscapes-1024-1024
        Next step: check the path or the spelling
    """

    role: ClassVar[ModelRole] = _ROLE

    def __init__(
        self, model: str | Path = _ROLE.example, *, device: str | None = None, dtype: str | None = None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, batch_size=1)
        names: dict[int, str] = self.model.config.id2label
        if sorted(names) != list(range(len(names))) or all(name == f"LABEL_{n}" for n, name in names.items()):
            raise ModelError(
                f"the segmenter {str(model)!r} names no classes: its id2label is {dict(list(names.items())[:3])}, ...",
                expected="the name of each class in id2label of its config.json",
                hint="write them there, as the dataset that it was trained on has them",
            )
        self.classes: tuple[str, ...] = tuple(names[number] for number in range(len(names)))

    def describe(self) -> dict[str, Json]:
        """Model and dtype."""
        return {"segmenter": "transformers", "kind": self.kind, "model": self._identity, "dtype": self.dtype_name}

    @torch.inference_mode()
    def segment(self, image: torch.Tensor) -> torch.Tensor:
        """The class of each pixel of a frame, uint8 ``[3, H, W]``, as its place in `classes`: int64 ``[H, W]``."""
        inputs = self.processor(images=[image.cpu()], return_tensors="pt").to(self.device)
        with self.autocast():
            outputs: Any = self.model(pixel_values=inputs["pixel_values"])
        for name in ("logits", "class_queries_logits", "masks_queries_logits"):
            if getattr(outputs, name, None) is not None:
                outputs[name] = outputs[name].float()
        size = tuple(image.shape[-2:])
        (found,) = self.processor.post_process_semantic_segmentation(outputs, target_sizes=[size])
        return torch.as_tensor(found).long().cpu()
