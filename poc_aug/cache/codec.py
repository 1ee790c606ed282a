"""Tensors to bytes and back: patches, masks and grey maps, each blob with a codec id.

Measured on 73 cut-outs of COCO, one noisy core, mean of a 400×400 patch (size, encode, decode):

==============  ==========  =========  =========
``webp``          74.9 kB     14 ms     1.6 ms     lossless, method 1
(method 0)        86.9 kB    2.5 ms     1.8 ms     not used: larger *and* slower to read
(method 4)        70.1 kB     90 ms     1.7 ms     not used: hardly smaller for six times the work
``webp-lossy``    17.0 kB      7 ms     2.4 ms     quality 90; zero pixels stay exactly zero
``zstd``         140.3 kB      1 ms     0.2 ms
``raw``          480.0 kB      0 ms     0.1 ms
==============  ==========  =========  =========

``delta-zstd``, the default, is in `poc_aug.cache.delta`: nearly as small as ``webp`` and five times faster to read. A
record is written once and read every epoch, so ``webp`` uses method 1. Masks, mattes and shades are
lossless under every codec.
"""

from __future__ import annotations

import io
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
import zstandard
from PIL import Image

from poc_aug.cache.delta import decode_delta, decompress, encode_delta
from poc_aug.cache.webp import decode_webp

Codec: TypeAlias = Literal["delta-zstd", "webp", "webp-lossy", "zstd", "raw"]
"""How a cache stores patches."""

CODECS: tuple[str, ...] = get_args(Codec)

Blob: TypeAlias = tuple[str, bytes]
"""Codec id and bytes."""

_ZSTD_LEVEL = 9
_WEBP_MAX_SIDE = 16383  # the format's limit; larger patches are stored as zstd, as their codec id says
_DELTA_GAIN = 0.85  # a difference filter is three times slower to undo, so it is used only if it saves 15%


def encode_patch(patch: torch.Tensor, codec: str) -> Blob:
    """Encode a uint8 ``[3, h, w]`` RGB patch."""
    _, height, width = patch.shape
    if codec.startswith("webp") and max(height, width) > _WEBP_MAX_SIDE:
        codec = "zstd"
    if codec == "raw":
        return codec, patch.numpy().tobytes()
    if codec == "delta-zstd":
        return codec, encode_delta(patch)
    if codec == "zstd":
        return codec, zstandard.compress(patch.numpy().tobytes(), _ZSTD_LEVEL)
    pixels = patch.permute(1, 2, 0).contiguous().numpy()
    data = io.BytesIO()
    if codec == "webp":
        Image.fromarray(pixels).save(data, "WEBP", lossless=True, method=1, quality=0, exact=True)
    elif codec == "webp-lossy":
        # With an alpha channel, zero pixels do not enter the chroma averages (no dark rim) and are restored exactly.
        opaque = pixels.any(axis=2, keepdims=True).astype(np.uint8) * 255
        rgba = Image.fromarray(np.concatenate([pixels, opaque], axis=2))
        rgba.save(data, "WEBP", quality=90, method=2, alpha_quality=100)
    else:
        raise ValueError(f"unknown patch codec {codec!r}, known: {', '.join(CODECS)}")
    return codec, data.getvalue()


def encode_frame(image: torch.Tensor, codec: str) -> Blob:
    """Encode a whole frame, uint8 ``[3, H, W]`` RGB, for `decode_patch`.

    It differs from a patch in "webp-lossy" alone: all of it is visible, so it has no alpha channel, and its quality is
    95, at which labels that follow edges still do.
    """
    if codec != "webp-lossy" or max(image.shape) > _WEBP_MAX_SIDE:
        return encode_patch(image, codec)
    data = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(data, "WEBP", quality=95, method=2)
    return codec, data.getvalue()


def decode_patch(codec: str, data: bytes | memoryview, size_hw: tuple[int, int]) -> torch.Tensor:
    """Decode a patch: uint8 ``[3, h, w]``, contiguous and writable.

    Raises:
        ValueError: an unknown codec, or bytes that hold another size.
    """
    if codec == "delta-zstd":
        return decode_delta(data, size_hw)
    if codec in ("raw", "zstd"):
        nbytes = 3 * size_hw[0] * size_hw[1]
        if codec == "raw" and len(data) != nbytes:
            raise ValueError(f"{len(data)} bytes do not make a patch of {size_hw} pixels")
        return torch.from_numpy(_array(data if codec == "raw" else decompress(data, nbytes), (3, *size_hw)))
    if codec not in ("webp", "webp-lossy"):
        raise ValueError(f"unknown patch codec {codec[:40]!r}")
    pixels = decode_webp(data, size_hw)
    rgb = np.array(pixels[..., :3].transpose(2, 0, 1), order="C")
    if pixels.shape[2] == 4:
        rgb *= pixels[..., 3] != 0
    return torch.from_numpy(rgb)


def encode_mask(mask: torch.Tensor) -> Blob:
    """Encode a bool ``[h, w]`` mask: eight pixels per byte, row by row, then zstd."""
    return "bits-zstd", zstandard.compress(np.packbits(mask.numpy(), axis=1).tobytes(), _ZSTD_LEVEL)


def decode_mask(codec: str, data: bytes | memoryview, size_hw: tuple[int, int]) -> torch.Tensor:
    """Decode a mask: bool ``[h, w]``, contiguous and writable.

    Raises:
        ValueError: an unknown codec, or bytes that hold another size.
    """
    if codec != "bits-zstd":
        raise ValueError(f"unknown mask codec {codec[:40]!r}")
    height, width = size_hw
    packed = np.frombuffer(decompress(data, height * -(-width // 8)), np.uint8)
    bits = np.unpackbits(packed.reshape(height, -1), axis=1, count=width)
    return torch.from_numpy(bits.view(np.bool_))


def encode_map(values: torch.Tensor) -> Blob:
    """Encode a uint8 ``[h, w]`` map (matte or shade) with zstd, as values or as differences along each row.

    Mattes are mostly flat and smaller as values; a soft shadow is a third smaller as differences.
    """
    grey = values.numpy()
    steps = grey.copy()
    steps[:, 1:] -= grey[:, :-1]
    plain = zstandard.compress(grey.tobytes(), _ZSTD_LEVEL)
    delta = zstandard.compress(steps.tobytes(), _ZSTD_LEVEL)
    return ("delta-zstd", delta) if len(delta) < _DELTA_GAIN * len(plain) else ("zstd", plain)


def decode_map(codec: str, data: bytes | memoryview, size_hw: tuple[int, int]) -> torch.Tensor:
    """Decode a map: uint8 ``[h, w]``, contiguous and writable.

    Raises:
        ValueError: an unknown codec, or bytes that hold another size.
    """
    if codec not in ("zstd", "delta-zstd"):
        raise ValueError(f"unknown map codec {codec[:40]!r}")
    grey = _array(decompress(data, size_hw[0] * size_hw[1]), size_hw)
    if codec == "delta-zstd":
        return torch.from_numpy(grey).cumsum_(dim=1)  # 6x faster than NumPy's
    return torch.from_numpy(grey)


def _array(data: bytes | memoryview, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    # bytearray: one copy, and a writable tensor.
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)
