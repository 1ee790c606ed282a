"""One odd-sized image and label map in every form that an item may have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors

H, W = 17, 11
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
IDS = RNG.integers(0, 19, (H, W), dtype=np.uint8)


def _palette() -> Image.Image:
    image = Image.frombytes("P", (W, H), IDS.tobytes())
    image.putpalette([(37 * i) % 256 for i in range(768)])
    image.info["transparency"] = 3
    return image


def _tensor(dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(IDS.astype(np.int64)).to(dtype)


def readonly(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


IMAGES: dict[str, Callable[[], Any]] = {
    "pil": lambda: Image.fromarray(RGB),
    "tensor": lambda: torch.from_numpy(RGB).permute(2, 0, 1).contiguous(),
    "tensor, channels last": lambda: torch.from_numpy(RGB.copy()).permute(2, 0, 1),
    "tv_tensor": lambda: tv_tensors.Image(torch.from_numpy(RGB.copy()).permute(2, 0, 1)),
    "array": lambda: RGB.copy(),
    "array, read-only": lambda: readonly(RGB),
    "array, flipped view": lambda: RGB[::-1].copy()[::-1],
}
LABELS: dict[str, Callable[[], Any]] = {
    "pil L": lambda: Image.fromarray(IDS),
    "pil P": _palette,
    "pil I;16": lambda: Image.fromarray(IDS.astype(np.uint16)),
    "pil I;16B": lambda: Image.frombytes("I;16B", (W, H), IDS.astype(">u2").tobytes()),
    "pil I": lambda: Image.fromarray(IDS.astype(np.int32)),
    **{
        f"tensor {dtype}": partial(_tensor, dtype)
        for dtype in (
            torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32,
        )
    },
    "tensor [1, H, W]": lambda: torch.from_numpy(IDS.copy())[None],
    "tv_tensor": lambda: tv_tensors.Mask(torch.from_numpy(IDS.copy())[None]),
    **{
        f"array {dtype}": partial(IDS.astype, dtype)
        for dtype in ("u1", "i2", "u2", "i4", "u4", "i8", ">i2")
    },
    "array [H, W, 1]": lambda: IDS.copy()[..., None],
    "array, read-only": lambda: readonly(IDS),
}  # fmt: skip


def pixels_of(image: Any) -> np.ndarray:
    """Any form as uint8 ``[H, W, 3]``."""
    return image.permute(1, 2, 0).numpy() if isinstance(image, torch.Tensor) else np.asarray(image)


def ids_of(labels: Any) -> np.ndarray:
    """Any form as int64 ``[H, W]``."""
    array = labels.numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    return array.astype(np.int64).reshape(H, W)


def same_form(a: Any, b: Any) -> bool:
    if isinstance(a, Image.Image):
        palettes = (a.getpalette(), b.getpalette()) if a.mode == "P" else (None, None)
        return a.mode == b.mode and a.info == b.info and palettes[0] == palettes[1]
    same_stride = a.stride() == b.stride() if isinstance(a, torch.Tensor) else True
    return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and same_stride


def patch_for(box: tuple[int, int, int, int], seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    h, w = box[2:]
    pixels = torch.from_numpy(rng.integers(0, 256, (3, h, w), dtype=np.uint8))
    return pixels, torch.from_numpy(rng.integers(0, 100, (h, w)))


EXTRA = object()
