"""Frames with a cache of insertions, and the check of what a client's items show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poc_aug.cache import Cache
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.masks import window
from poc_aug.reading.compose_opacity import support
from poc_aug.types import Variant
from tests.helpers.fakes import SCHEMA, Frames

OOD = 254
POLICY = OodLabels(OOD)
LENGTH = 4


def as_arrays(image: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Any form as ``[H, W, 3]`` and ``[H, W]``, int64."""
    pixels, ids = np.asarray(image), np.asarray(labels)
    pixels = pixels.transpose(1, 2, 0) if pixels.shape[0] == 3 else pixels
    return pixels.astype(np.int64), ids.astype(np.int64).reshape(pixels.shape[:2])


@once
def frame(number: int) -> tuple[np.ndarray, np.ndarray]:
    return as_arrays(*Frames(LENGTH)[number])


def expected(
    variant: Variant, labels: np.ndarray, policy: LabelPolicy, schema: LabelSchema | None, sigma_px: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Where a variant may change pixels, and the labels that it makes, part by part."""
    touched, ids = torch.zeros(labels.shape, dtype=torch.bool), torch.from_numpy(labels.copy())
    names = [part.name for insertion in variant.insertions for part in insertion.parts]
    table = policy.resolve(names, schema)
    for insertion in variant.insertions:
        here = window(insertion.box_yxhw)
        touched[here] |= support(insertion, sigma_px)
        for part in insertion.parts:
            ids[here][part.mask] = table[part.name]
    return touched.numpy(), ids.numpy()


def shown(
    path: str | Path,
    key: str,
    before: tuple[Any, Any],
    after: tuple[Any, Any],
    policy: LabelPolicy = POLICY,
    schema: LabelSchema | None = SCHEMA,
    ids_as: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> int | None:
    """The number of the variant that an item shows, checked to the pixel; ``None``: it is as before.

    ``ids_as`` is what was done to all ids after composing.
    """
    (image, labels), (new_image, new_labels) = as_arrays(*before), as_arrays(*after)
    pixels = (image != new_image).any(-1)
    if not pixels.any():
        assert np.array_equal(ids_as(labels), new_labels)
        return None
    with Cache.open(path) as cache:
        for number in cache.variants(key):
            variant = cache.get(key, number)
            assert variant is not None
            touched, ids = expected(variant, labels, policy, schema)
            if not (pixels & ~touched).any() and np.array_equal(new_labels, ids_as(ids)):
                return number
    raise AssertionError(f"{key}: no variant explains what it shows")


def check_frames(path: str | Path, items: Iterable[tuple[int, Any, Any]]) -> list[int | None]:
    """As `shown` for items of `Frames`: number of the frame, image, labels."""
    return [shown(path, f"frame-{number:03d}", frame(number), (image, labels)) for number, image, labels in items]
