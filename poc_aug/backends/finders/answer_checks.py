"""Checks of what a detector, a segmenter or a finder returns: as many results as inputs, in the documented form."""

from __future__ import annotations

import torch

from poc_aug.backends.finders.finder_protocols import Masks
from poc_aug.errors import GenerationError


def check_count(what: str, count: int, of: str, expected: int) -> None:
    """Check that a backend returned one result per input.

    Raises:
        GenerationError: it did not; the message names both counts.
    """
    if count != expected:
        raise GenerationError(f"{count} {what} for {expected} {of}", expected=f"{expected}, in the same order")


def check_masks(masks: Masks, size_hw: tuple[int, int], subject: str) -> None:
    """Check a finder's masks: bool, of the image's size, one per score.

    Raises:
        GenerationError: they are not; the message names both shapes.
    """
    check_count("masks of the finder", len(masks.masks), f"scores for {subject}", len(masks.scores))
    if masks.masks.dtype != torch.bool or tuple(masks.masks.shape[1:]) != size_hw:
        raise GenerationError(
            f"the finder's masks for {subject} are {masks.masks.dtype} {list(masks.masks.shape)}",
            expected=f"torch.bool [N, {size_hw[0]}, {size_hw[1]}]",
        )
