"""Depth of frames by a model of transformers, in place of the depth from labels and camera."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from poc_aug.backends.finders.transformers_load import ModelKind, ModelRole, model_kind
from poc_aug.backends.finders.transformers_model import TransformersModel
from poc_aug.errors import ModelError
from poc_aug.optional_imports import require
from poc_aug.types import Json

_CLASSES = ("AutoModelForDepthEstimation", "AutoImageProcessor")
_ROLE = ModelRole(
    "depth model",
    {
        "depth_anything": ModelKind("Depth Anything V2 (metric)", *_CLASSES),
        "depth_pro": ModelKind("Depth Pro", *_CLASSES),
        "zoedepth": ModelKind("ZoeDepth", *_CLASSES),
    },
    "depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf",
)
# DPT and MiDaS are depth models, but not metric ones: they are refused for what they are.
_WITH_RELATIVE = ModelRole(_ROLE.name, {**_ROLE.kinds, "dpt": _ROLE.kinds["depth_anything"]}, _ROLE.example)
_LEAST_M = 1e-3


class TransformersDepth(TransformersModel):
    """Estimates metric depth with Depth Anything V2 (metric), Depth Pro or ZoeDepth.

    A model knows no sky: the largest depth that it can say stands there. The weather takes the sky from the labels.

    Args:
        model: folder of a saved model, or hub id.
        device: "cpu", "cuda", ...; ``None``: CUDA if available, otherwise the CPU.
        dtype: "float32", "bfloat16" or "float16"; ``None``: float16 on CUDA, float32 on the CPU.
        batch_size: most frames per run of the model; halved if memory does not suffice.

    Raises:
        MissingDependencyError: transformers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, of another kind, incomplete, or one of relative depth.
        SettingError: a setting outside its limits.

    Example:
        >>> TransformersDepth("no/such-folder/model")
        Traceback (most recent call last):
        poc_aug.errors.ModelError: no depth model at 'no/such-folder/model'
        Expected: ... a folder or hub id such as depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf
        Next step: check the path or the spelling
    """

    role: ClassVar[ModelRole] = _ROLE

    def __init__(
        self,
        model: str | Path = _ROLE.example,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 4,
    ) -> None:
        _check_metric(model)
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)

    def describe(self) -> dict[str, Json]:
        """Model and dtype."""
        return {"depth": "transformers", "kind": self.kind, "model": self._identity, "dtype": self.dtype_name}

    def depth(self, images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Depth in metres, float32 ``[H, W]`` on the CPU, of each image, uint8 ``[3, H, W]``, in order."""
        by_size: dict[tuple[int, ...], list[int]] = {}  # the processors keep the aspect: one batch has one size
        for number, image in enumerate(images):
            by_size.setdefault(tuple(image.shape[-2:]), []).append(number)
        results: dict[int, torch.Tensor] = {}
        for numbers in by_size.values():
            results |= zip(numbers, self._halving.run(self._depth, [images[n] for n in numbers]), strict=True)
        return [results[number] for number in range(len(images))]

    @torch.inference_mode()
    def _depth(self, images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        size = tuple(images[0].shape[-2:])
        inputs = self.processor(images=[image.cpu() for image in images], return_tensors="pt").to(self.device)
        with self.autocast():
            outputs: Any = self.model(pixel_values=inputs["pixel_values"])
        for name in ("predicted_depth", "field_of_view"):
            if getattr(outputs, name, None) is not None:
                outputs[name] = outputs[name].float()
        sizes: dict[str, Any] = {"target_sizes": [size] * len(images)}
        if self.kind == "zoedepth":
            sizes["source_sizes"] = sizes["target_sizes"]
        found = self.processor.post_process_depth_estimation(outputs, **sizes)
        # Bicubic enlarging overshoots next to edges.
        return [each["predicted_depth"].reshape(size).clamp(min=_LEAST_M).cpu() for each in found]


def _check_metric(model: str | Path) -> None:
    """Check, before any weights are read, that a model says metres and not only what is in front of what.

    Raises:
        MissingDependencyError: transformers is not installed.
        ModelError: relative depth; see also `model_kind`.
    """
    transformers: Any = require("transformers", extra="generate", purpose="the depth model")
    kind = model_kind(model, _WITH_RELATIVE)
    relative = kind == "dpt"
    if kind == "depth_anything":
        relative = transformers.AutoConfig.from_pretrained(str(model)).depth_estimation_type != "metric"
    if relative:
        raise ModelError(
            f"the depth model {str(model)!r} estimates relative depth, without metres",
            expected=_ROLE.expected,
            hint=f"use its metric version, such as {_ROLE.example}",
        )
