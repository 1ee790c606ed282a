"""Decoding WebP from a stranger: its size is read and compared before the decoder allocates anything of that size."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
from PIL import Image

# https://developers.google.com/speed/webp/docs/riff_container: "RIFF", size, "WEBP", then chunks: name, size, content.
_CONTAINER = struct.Struct("<4sI4s4sI")
_ANIMATED = 0x02


def decode_webp(data: bytes | memoryview, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode one picture: uint8 ``[h, w, 3]``, or ``[h, w, 4]`` with an alpha channel.

    Raises:
        ValueError: not a whole WebP picture, an animation, or of another size.
    """
    declared = webp_size_of(data)
    if declared != size_hw:
        raise ValueError(f"WebP declares {declared[0]}x{declared[1]} pixels, expected {size_hw[0]}x{size_hw[1]} pixels")
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            pixels = np.array(image)
    except Exception as error:  # Pillow's decoders raise any kind, SyntaxError included
        raise ValueError(f"bytes that are no WebP picture: {error}") from error
    if pixels.shape[:2] != size_hw or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(f"WebP holds pixels of shape {pixels.shape}, expected {size_hw[0]}x{size_hw[1]} pixels")
    return pixels


def webp_size_of(data: bytes | memoryview) -> tuple[int, int]:
    """Height and width that a WebP file declares, from its first bytes alone.

    Raises:
        ValueError: not a WebP file, cut off or followed by other bytes, or an animation.
    """
    if len(data) < _CONTAINER.size + 10:
        raise ValueError(f"{len(data)} bytes are no WebP picture")
    riff, nbytes, webp, kind, _ = _CONTAINER.unpack_from(data)
    if riff != b"RIFF" or webp != b"WEBP" or nbytes + 8 != len(data):
        raise ValueError(f"{len(data)} bytes that are no whole WebP picture")
    start = bytes(data[_CONTAINER.size : _CONTAINER.size + 10])
    if kind == b"VP8L" and start[0] == 0x2F:
        bits = int.from_bytes(start[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X" and not start[0] & _ANIMATED:
        return int.from_bytes(start[7:10], "little") + 1, int.from_bytes(start[4:7], "little") + 1
    if kind == b"VP8 " and start[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(start[8:10], "little") & 0x3FFF, int.from_bytes(start[6:8], "little") & 0x3FFF
    raise ValueError(f"a WebP picture that begins with {kind!r} {start.hex()}")
