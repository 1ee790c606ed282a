"""Prompts of a diffusion model: each encoded once, then reused in any batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline

Text: TypeAlias = tuple[str, str]
"""Prompt and negative prompt."""


class TextEmbeddings:
    """Cache of prompt embeddings; the least recently used are dropped first.

    Args:
        loaded: the pipeline whose text encoder is used.
        size: how many prompts are kept.

    Attributes:
        encoded: how many prompts were encoded so far.
    """

    def __init__(self, loaded: LoadedPipeline, size: int = 512) -> None:
        self.loaded = loaded
        self.size = size
        self.encoded = 0
        self._kept: OrderedDict[tuple[Text, bool], dict[str, Any]] = OrderedDict()

    def arguments(self, texts: Sequence[Text], *, guided: bool) -> dict[str, Any]:
        """The pipeline's arguments for a batch of texts.

        Args:
            texts: prompt and negative prompt of each item.
            guided: whether classifier-free guidance will run, which needs the negative prompts.
        """
        family = self.loaded.family
        guided = guided and family.negative
        if not family.encoded:
            negative = {"negative_prompt": [negative for _, negative in texts]} if guided else {}
            return {"prompt": [prompt for prompt, _ in texts], **negative}
        rows = [self._of(text, guided) for text in texts]
        return {name: _stack([row[name] for row in rows]) for name in rows[0]}

    def _of(self, text: Text, guided: bool) -> dict[str, Any]:
        key = (text, guided)
        if key not in self._kept:
            self._kept[key] = self._encode(text, guided)
            self.encoded += 1
            if len(self._kept) > self.size:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    @torch.no_grad()
    def _encode(self, text: Text, guided: bool) -> dict[str, Any]:
        pipe, family = self.loaded.pipe, self.loaded.family
        prompt, negative = text
        arguments: dict[str, Any] = {"prompt": prompt, "device": self.loaded.device}
        names = pipe.encode_prompt.__code__.co_varnames[: pipe.encode_prompt.__code__.co_argcount]
        for name in ("prompt_2", "prompt_3"):
            if name in names:
                arguments[name] = None
        if "num_images_per_prompt" in names:
            arguments["num_images_per_prompt"] = 1
        if "do_classifier_free_guidance" in names:
            arguments |= {"do_classifier_free_guidance": guided, "negative_prompt": negative if guided else None}
        if "max_sequence_length" in names and family.text_tokens is not None:
            arguments["max_sequence_length"] = family.text_tokens
        outputs = pipe.encode_prompt(**arguments)
        return {
            name: value
            for name, value in zip(family.encoded, outputs, strict=True)
            if name is not None and value is not None and (guided or not name.startswith("negative"))
        }


def _stack(values: Sequence[Any]) -> Any:
    """One batch from the single texts' embeddings: tensors ``[1, ...]`` or lists of one tensor are joined."""
    if isinstance(values[0], torch.Tensor):
        return torch.cat(list(values))
    return [item for value in values for item in value]
