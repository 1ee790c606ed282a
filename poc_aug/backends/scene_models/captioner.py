"""Captions of frames by a model of transformers, for the prompts of diffusion shifts (GenVal §3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch

from poc_aug.backends.common.limits import check_counts
from poc_aug.backends.finders.transformers_load import ModelKind, ModelRole, model_kind
from poc_aug.backends.finders.transformers_model import TransformersModel
from poc_aug.types import Json

_ROLE = ModelRole(
    "captioner",
    {
        "blip": ModelKind("BLIP", "BlipForConditionalGeneration", "BlipProcessor"),
        "git": ModelKind("GIT", "GitForCausalLM", "AutoProcessor"),
    },
    "Salesforce/blip-image-captioning-base",
)


class TransformersCaptioner(TransformersModel):
    """Captions frames with BLIP or GIT, by beam search: equal frames have equal captions.

    Args:
        model: folder of a saved model, or hub id.
        prefix: text that each caption continues ("a street with"); it is part of the caption.
        num_beams: width of the beam search; 1 is greedy.
        max_new_tokens: longest caption, in tokens.
        device: "cpu", "cuda", ...; ``None``: CUDA if available, otherwise the CPU.
        dtype: "float32", "bfloat16" or "float16"; ``None``: float16 on CUDA, float32 on the CPU.
        batch_size: most frames per run of the model; halved if memory does not suffice.

    Raises:
        MissingDependencyError: transformers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, of another kind, or incomplete.
        SettingError: a setting outside its limits.

    Example:
        >>> TransformersCaptioner("no/such-folder/model")
        Traceback (most recent call last):
        poc_aug.errors.ModelError: no captioner at 'no/such-folder/model'
        Expected: BLIP, GIT: a folder or hub id such as Salesforce/blip-image-captioning-base
        Next step: check the path or the spelling
    """

    role: ClassVar[ModelRole] = _ROLE

    def __init__(
        self,
        model: str | Path = _ROLE.example,
        *,
        prefix: str = "",
        num_beams: int = 3,
        max_new_tokens: int = 40,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 8,
    ) -> None:
        check_counts(num_beams=num_beams, max_new_tokens=max_new_tokens)
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)
        self.prefix, self.num_beams, self.max_new_tokens = prefix, num_beams, max_new_tokens

    def describe(self) -> dict[str, Json]:
        """Model and settings."""
        return {
            "captioner": "transformers",
            "kind": self.kind,
            "model": self._identity,
            "dtype": self.dtype_name,
            "prefix": self.prefix,
            "num_beams": self.num_beams,
            "max_new_tokens": self.max_new_tokens,
        }

    def caption(self, images: Sequence[torch.Tensor]) -> list[str]:
        """One caption per image, uint8 ``[3, H, W]``, in order."""
        return self._halving.run(self._caption, images)

    @torch.inference_mode()
    def _caption(self, images: Sequence[torch.Tensor]) -> list[str]:
        frames = [image.cpu() for image in images]
        texts = {"text": [self.prefix] * len(frames)} if self.prefix else {}
        given = self.processor(images=frames, return_tensors="pt", **texts).to(self.device)
        inputs = {"pixel_values": given["pixel_values"]}
        if texts:
            # The tokenizer ends the text with [SEP], after which nothing follows; BLIP cuts it off itself.
            end = -1 if self.kind == "git" else None
            inputs |= {name: given[name][:, :end] for name in ("input_ids", "attention_mask")}
        with self.autocast():
            tokens = self.model.generate(
                **inputs, do_sample=False, num_beams=self.num_beams, max_new_tokens=self.max_new_tokens
            )
        return [" ".join(text.split()) for text in self.processor.batch_decode(tokens, skip_special_tokens=True)]


def check_captioner(model: str | Path) -> None:
    """Check, before any weights are read, that a model is there and is a captioner.

    Raises:
        ModelError: it is not; see `model_kind`.
    """
    model_kind(model, _ROLE)
