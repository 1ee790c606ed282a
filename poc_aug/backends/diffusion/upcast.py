"""Running a VAE temporarily in float32 inside a pipeline that runs in half precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def vae_in_float32(vae: Any) -> Iterator[None]:
    """Run a VAE's parts in float32; inputs and outputs keep the pipeline's dtype.

    Pipelines differ in whether they cast latents to the VAE's dtype or the other way round; casting at the inputs
    and outputs of the VAE's own parts works for all of them.
    """
    dtype = next(vae.parameters()).dtype
    parts = [part for _, part in vae.named_children() if next(part.parameters(), None) is not None]

    def before(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value.float() if isinstance(value, torch.Tensor) else value for value in inputs)

    def after(_: Any, __: tuple[Any, ...], output: Any) -> Any:
        return output.to(dtype) if isinstance(output, torch.Tensor) else output

    hooks = []
    try:
        for part in parts:
            part.float()
            hooks += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for part in parts:
            part.to(dtype)
