"""Checks of the tensors that metrics, scores and losses are given, before anything is computed from them."""

from __future__ import annotations

import torch

from poc_aug.errors import ItemFormatError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Dtypes of scores, logits and probabilities."""

INTEGERS = (
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)
"""Dtypes of labels. Few operations take the last three: see `signed`."""


def check_tensors(**named: object) -> None:
    """Check that values are tensors with elements, all on one device.

    Raises:
        ItemFormatError: a value of another type, a tensor that holds no values (on the meta device, sparse, nested or
            quantised) or no element, or tensors on several devices.

    Example:
        >>> import torch
        >>> from poc_aug.tensor_inputs import check_tensors
        >>> check_tensors(scores=torch.rand(2, 4, 8), labels=torch.zeros(2, 4, 8))
        >>> check_tensors(scores=[[0.5, 0.25]], labels=torch.zeros(1, 2))
        Traceback (most recent call last):
        poc_aug.errors.ItemFormatError: scores of type list
        Expected: torch.Tensor
        Next step: torch.as_tensor(scores)
    """
    for name, value in named.items():
        if not isinstance(value, torch.Tensor):
            kind = type(value)
            module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
            raise ItemFormatError(
                f"{name} of type {module}{kind.__qualname__}",
                expected="torch.Tensor",
                hint=f"pass {name}" if value is None else f"torch.as_tensor({name})",
            )
        if value.layout != torch.strided or value.is_nested or value.is_quantized or value.is_meta:
            kinds = {"nested": value.is_nested, "quantised": value.is_quantized, "meta": value.is_meta}
            kind_of_tensor = next((kind for kind, holds in kinds.items() if holds), str(value.layout))
            raise ItemFormatError(f"{name}: a {kind_of_tensor} tensor", expected="a dense tensor that holds values")
        if not value.numel():
            raise ItemFormatError(
                f"{name} of shape {list(value.shape)}: no element",
                expected="at least one pixel",
                hint="leave out empty batches",
            )
    devices = {name: str(value.device) for name, value in named.items() if isinstance(value, torch.Tensor)}
    if len(set(devices.values())) > 1:
        first, *others = devices
        raise ItemFormatError(
            ", ".join(f"{name} on {device}" for name, device in devices.items()),
            expected="one device",
            hint=f"move them first: {others[-1]}.to({first}.device)",
        )


def signed(labels: torch.Tensor) -> torch.Tensor:
    """Labels in a dtype that all operations take: int64 for uint16, uint32 and uint64, otherwise as they are.

    Example:
        >>> import torch
        >>> from poc_aug.tensor_inputs import signed
        >>> signed(torch.tensor([0, 255], dtype=torch.uint16)).dtype
        torch.int64
    """
    return labels.long() if labels.dtype in INTEGERS[-3:] else labels


def ids_in(labels: torch.Tensor) -> list[int]:
    """The first ids in labels, sorted, for an error message.

    Example:
        >>> import torch
        >>> from poc_aug.tensor_inputs import ids_in
        >>> ids_in(torch.tensor([[7, 2], [7, 9]]))
        [2, 7, 9]
    """
    return sorted(set(labels.flatten().tolist()))[:8]
