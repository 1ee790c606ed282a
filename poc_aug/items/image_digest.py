"""A cheap digest of a base image, to notice a wrong or re-ordered dataset.

It holds the size and 256 pixels on a fixed grid, so it takes 0.05 ms on a frame of any size, and is the same for every
form of an image. It does not prove that two images are equal; it distinguishes the images of a dataset.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from poc_aug.errors import CacheDatasetMismatchError, CacheFormatError, NextStep
from poc_aug.items.open_item import ImageCanvas
from poc_aug.items.tensor_canvas import TensorImageCanvas
from poc_aug.luma import LUMA_WEIGHTS
from poc_aug.types import Sample

GRID = 16
"""Rows and columns of the grid."""

_HEADER = struct.Struct("<II")
DIGEST_BYTES = _HEADER.size + GRID * GRID * 3
"""Length of a digest: height and width as little-endian uint32, then the grid's RGB, row by row."""

# JPEG decoders round differently and upsample chroma differently, which hardly moves the luma. Measured on 324
# real JPEGs against plain chroma upsampling, and against a second JPEG at quality 95: luma differs by at most 11 at any
# point and by 1.3 in the mean, RGB by 5.3 in the mean. Frames that must not match differ by 55 at some point: the video
# of a waiting car (CamVid), one street with another object in it (Fishyscapes Static, 0.5 in the mean).
_LUMA_WEIGHTS = np.array(LUMA_WEIGHTS)
_MAX_LUMA = 20.0
_MEAN_LUMA = 3.0
_MEAN_RGB = 8.0


_NAME_THEM = NextStep(
    "name them with keys=[...], here and to warm_cache", "name them, here and in warm-cache: --keys NAME"
)


def digest_of(image: ImageCanvas) -> bytes:
    """Digest of an image: its size, and 16×16 pixels, nearest to the centres of a regular grid."""
    height, width = image.size_hw
    return digest_of_pixels((height, width), image.probe(grid_of(height), grid_of(width)))


def digest_of_pixels(size_hw: tuple[int, int], grid: torch.Tensor) -> bytes:
    """Digest of an image of which only the pixels of the grid were read: uint8 ``[GRID, GRID, 3]`` RGB on the CPU."""
    return _HEADER.pack(*size_hw) + grid.numpy().tobytes()


def digest_of_sample(sample: Sample) -> bytes:
    """Digest of a sample's image: equal to that of the item it was made from."""
    return digest_of(TensorImageCanvas(sample.image, sample.key, "the image"))


def matches(a: bytes, b: bytes) -> bool:
    """Whether two digests are of the same image, perhaps decoded by another JPEG decoder.

    True if they are equal, or if the sizes are equal and the pixels close: luma within 20 levels at every point and 3
    in the mean, RGB within 8 levels in the mean.

    Raises:
        CacheFormatError: not a digest.
    """
    if a == b and len(a) == DIGEST_BYTES:
        return True
    size_a, grid_a = _parse(a)
    size_b, grid_b = _parse(b)
    if size_a != size_b:
        return False
    differences = grid_a.astype(np.float64) - grid_b
    luma = np.abs(differences @ _LUMA_WEIGHTS)
    close = luma.max() <= _MAX_LUMA and luma.mean() <= _MEAN_LUMA and np.abs(differences).mean() <= _MEAN_RGB
    return bool(close)


def describe(digest: bytes) -> str:
    """A digest in words, for messages: size, mean colour, and a short hash.

    Raises:
        CacheFormatError: not a digest.
    """
    (height, width), grid = _parse(digest)
    red, green, blue = grid.mean(axis=0).round().astype(int)
    short = xxhash.xxh3_64_hexdigest(digest)[:8]
    return f"{height}x{width} pixels (h x w), mean colour #{red:02x}{green:02x}{blue:02x}, hash {short}"


def grid_of(side: int) -> list[int]:
    """Rows (or columns) of the grid in a picture of that height (or width): nearest to the centres of its cells."""
    return [int((i + 0.5) * side / GRID) for i in range(GRID)]


def frame_size_of(digest: bytes) -> tuple[int, int]:
    """Height and width of the image that a digest is of; nothing of it is checked but its length.

    Raises:
        CacheFormatError: not a digest.
    """
    return _parse(digest)[0]


def _parse(digest: bytes) -> tuple[tuple[int, int], np.ndarray]:
    if len(digest) != DIGEST_BYTES:
        raise CacheFormatError(
            f"not an image digest: {len(digest)} bytes",
            expected=f"{DIGEST_BYTES} bytes",
            hint="make the cache again with this version",
        )
    height, width = _HEADER.unpack_from(digest)
    return (height, width), np.frombuffer(digest, np.uint8, offset=_HEADER.size).reshape(-1, 3)


def check_match(
    stored: bytes, current: bytes, key: str, cache: Path, made_from: Mapping[str, Any], advice: NextStep = _NAME_THEM
) -> None:
    """Check that a sample is the one that its insertions were made for.

    Args:
        stored: digest that the cache holds.
        current: digest of the sample under the same key now.
        key: the sample's key.
        cache: path of the cache.
        made_from: what its manifest says of the dataset.
        advice: how to name the samples, see `poc_aug.keys.key_advice`.

    Raises:
        CacheDatasetMismatchError: the digests do not match; the message describes both.
    """
    if not matches(stored, current):
        raise CacheDatasetMismatchError(
            f"sample {key!r} of this dataset is {describe(current)}, but the cache {str(cache)!r} was made from "
            f"{describe(stored)} under that key",
            expected=f"the dataset that the cache was made from: {dict(made_from)}, in its order",
            hint="open the right cache or dataset; if the dataset transforms its items at random, move that to "
            f"POCAugmentedDataset(transforms=...); if the same frames come in another order, {advice.hint}",
            command="give the right cache or dataset; if the dataset transforms its items at random, leave that out "
            f"here; if the same frames come in another order, {advice.command}",
        )
