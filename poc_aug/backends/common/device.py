"""Which device and dtype a model runs with."""

from __future__ import annotations

import torch

from poc_aug.errors import DeviceError

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_EXPECTED = "cpu, cuda or cuda:0"
_COMMAND = "--device cpu, or leave it out"
_SHORT = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


def resolve_device(device: str | torch.device | None) -> torch.device:
    """The device of that name; ``None``: CUDA if available, otherwise the CPU.

    Raises:
        DeviceError: not a device, not on this machine, or one that holds no values (``meta``).

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"device {str(device)!r}", expected=_EXPECTED, command=_COMMAND) from error
    if resolved.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (resolved.index or 0) >= count:
            raise DeviceError(
                f"device {str(resolved)!r} was asked for, but this machine has {count} usable CUDA devices",
                expected="cpu" if count == 0 else f"cpu, or cuda:0 to cuda:{count - 1}",
                hint="leave the device out to use what is there; torch.cuda.is_available() must be true for CUDA",
                command="leave --device out; torch.cuda.is_available() must be true for CUDA",
            )
    elif resolved.type != "cpu":
        _check_usable(resolved)
    return resolved


def _check_usable(device: torch.device) -> None:
    """Check that a tensor can be put on a device; which ones torch names, but does not have, differs by its build."""
    why = "it holds no values"
    if device.type != "meta":
        try:
            torch.ones(1, device=device).cpu()
            return
        except Exception as error:  # each kind of device has errors of its own
            why = " ".join(str(error).partition("\n")[0].split())[:200] or type(error).__name__
    raise DeviceError(
        f"device {str(device)!r} cannot be used on this machine: {why}", expected=_EXPECTED, command=_COMMAND
    )


def resolve_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The floating dtype of that name; ``None``: float16 on CUDA, float32 elsewhere.

    Raises:
        DeviceError: an unknown dtype, or float16 on the CPU.

    Example:
        >>> resolve_dtype("bf16", torch.device("cpu"))
        torch.bfloat16
    """
    if dtype is None:
        return torch.float16 if device.type == "cuda" else torch.float32
    if isinstance(dtype, str):
        name = _SHORT.get(dtype, dtype)
        if name not in DTYPES:
            raise DeviceError(f"dtype {dtype!r}", expected=f"one of: {', '.join([*_SHORT, *DTYPES])}")
        dtype = DTYPES[name]
    if dtype not in DTYPES.values():
        raise DeviceError(f"dtype {dtype}", expected="float16, bfloat16 or float32")
    if dtype == torch.float16 and device.type == "cpu":
        raise DeviceError(
            "dtype float16 on the CPU",
            expected="float32 or bfloat16 there",
            hint="leave the dtype out, or run on CUDA",
        )
    return dtype
