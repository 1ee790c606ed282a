"""Reading ``.pth`` files: tensors only, with errors that say what is wrong."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch

from poc_aug.errors import ModelError

# What torch.load has been observed to raise for files with missing or changed bytes.
_UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)


def load_checkpoint(path: str | Path, expected: str) -> dict[str, Any]:
    """The mapping that a checkpoint holds, on the CPU. Code in the file is never run.

    Raises:
        ModelError: no such file, or not a checkpoint.
    """
    if not Path(path).is_file():
        raise ModelError(
            f"no checkpoint at {str(path)!r}",
            expected=expected,
            hint="check the path",
        )
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise ModelError(
            f"{str(path)!r} is not a checkpoint: {type(error).__name__}: {error}",
            expected=expected,
            hint="was it fetched completely? compare its size with the original's",
        ) from error
    if not isinstance(checkpoint, dict):
        raise ModelError(f"{str(path)!r} holds a {type(checkpoint).__name__}", expected=expected)
    return checkpoint
