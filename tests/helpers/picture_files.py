"""Picture files of kinds that Pillow reads and does not write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def png(path: Path, samples: np.ndarray, depth: int, colour: int) -> Path:
    """Write ``[H, W]`` or ``[H, W, C]`` samples as a PNG of any bit depth (packed where below 8) and colour type."""
    height, width = samples.shape[:2]
    flat = samples.reshape(height, -1)
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in flat]
    else:
        bits = (flat[..., None] >> np.arange(depth)[::-1]) & 1
        rows = [np.packbits(row.astype(np.uint8)).tobytes() for row in bits.reshape(height, -1)]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def tiff(path: Path, samples: np.ndarray, *, photometric: int = 1, big_endian: bool = False) -> Path:
    """Write ``[H, W]`` samples of any dtype as an uncompressed TIFF."""
    order: Literal["<", ">"] = ">" if big_endian else "<"
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    height, width = samples.shape
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    tags: list[tuple[int, int, int]] = [
        (256, 4, width), (257, 4, height), (258, 3, samples.dtype.itemsize * 8), (259, 3, 1), (262, 3, photometric),
        (273, 4, 0), (277, 3, 1), (278, 4, height), (279, 4, len(data)), (339, 3, kind),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    entries: list[Any] = []
    for tag, form, value in tags:
        packed = struct.pack(order + ("HH" if form == 3 else "I"), *((value, 0) if form == 3 else (value or start,)))
        entries.append(struct.pack(order + "HHI", tag, form, 1) + packed)
    head = (b"MM\0*" if big_endian else b"II*\0") + struct.pack(order + "IH", 8, len(tags))
    path.write_bytes(head + b"".join(entries) + struct.pack(order + "I", 0) + data)
    return path
