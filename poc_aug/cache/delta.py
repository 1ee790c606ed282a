"""The default patch codec: lossless, a little larger than WebP, five times faster to read.

Inside the bounding box of its pixels a patch is stored as the left differences of G, R - G and B - G, compressed with
zstd. Measured on the patches of rendered obstacles: 68 kB per sample against 63 with WebP, decoded in a fifth of the
time.
"""

from __future__ import annotations

import struct
import threading

import numpy as np
import torch
import zstandard

from poc_aug.masks import bounds, window

_BOX = struct.Struct("<IIII")
# Of cut-outs of 104 kB, level 1 makes 33.1 kB in 0.4 ms, level 19 31.7 kB in 132 ms, which live generation would have
# to wait for; both are read in 0.2 ms.
_LEVEL = 1

_thread = threading.local()


def decompress(data: bytes | memoryview, least: int, most: int | None = None) -> bytes:
    """Decompress a zstd frame with this thread's decompressor, since making one takes longer than decoding a mask.

    A few bytes may declare any size, which zstd allocates before it decompresses: so it is checked first.

    Args:
        data: one frame, which declares the size of its content, as `zstandard.compress` makes it.
        least: smallest size that is expected.
        most: largest one; ``None``: ``least``.

    Raises:
        ValueError: it declares another size, or none.
        zstandard.ZstdError: not a whole zstd frame and nothing else.
    """
    declared = zstandard.frame_content_size(data)
    if not least <= declared <= (least if most is None else most):
        size = "no size" if declared < 0 else f"{declared} bytes"
        raise ValueError(f"zstd declares {size}, expected {least if most is None else f'{least} to {most}'} bytes")
    decompressor: zstandard.ZstdDecompressor | None = getattr(_thread, "decompressor", None)
    if decompressor is None:
        decompressor = _thread.decompressor = zstandard.ZstdDecompressor()
    return decompressor.decompress(data, allow_extra_data=False)


def encode_delta(patch: torch.Tensor) -> bytes:
    """Encode a uint8 ``[3, h, w]`` patch."""
    box_yxhw = bounds(patch.any(dim=0))
    if box_yxhw[2] == 0:
        return _BOX.pack(*box_yxhw)
    planes = patch.numpy()[:, *window(box_yxhw)].copy()
    planes[0] -= planes[1]
    planes[2] -= planes[1]
    steps = planes.copy()
    steps[:, :, 1:] -= planes[:, :, :-1]
    return _BOX.pack(*box_yxhw) + zstandard.compress(steps.tobytes(), _LEVEL)


def decode_delta(data: bytes | memoryview, size_hw: tuple[int, int]) -> torch.Tensor:
    """Decode a patch of ``size_hw``: uint8 ``[3, h, w]``.

    Raises:
        ValueError: bytes that hold another size.
    """
    if len(data) < _BOX.size:
        raise ValueError(f"{len(data)} bytes do not make a patch")
    y, x, h, w = _BOX.unpack_from(data)
    if y + h > size_hw[0] or x + w > size_hw[1]:
        raise ValueError(f"pixels at {(y, x, h, w)} do not fit a patch of {size_hw}")
    if h * w == 0:
        if len(data) > _BOX.size:
            raise ValueError(f"{len(data) - _BOX.size} bytes belong to no pixel")
        return torch.zeros((3, *size_hw), dtype=torch.uint8)
    plain = bytearray(decompress(memoryview(data)[_BOX.size :], 3 * h * w))
    patch = np.zeros((3, *size_hw), np.uint8)
    planes = patch[:, y : y + h, x : x + w]  # NumPy's views take a fifth of the time of torch's
    steps = torch.from_numpy(np.frombuffer(plain, np.uint8).reshape(3, h, w))
    torch.cumsum(steps, dim=2, dtype=torch.uint8, out=torch.from_numpy(planes))
    red, green, blue = planes
    np.add(red, green, out=red)
    np.add(blue, green, out=blue)
    return torch.from_numpy(patch)
