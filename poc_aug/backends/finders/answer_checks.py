"""Checks of what a detector, a segmenter or a finder gives: as many as it was asked for, in the form promised."""

from __future__ import annotations

import torch

from poc_aug.backends.finders.finder_protocols import Masks
from poc_aug.errors import GenerationError


def check_count(what: str, got: int, of: str, wanted: int) -> None:
    """Check that a backend gave one thing for each of what it was given.

    Raises:
        GenerationError: it did not; the message names both counts.
    """
    if got != wanted:
        raise GenerationError(f"{got} {what} for {wanted} {of}", expected=f"{wanted}, in the same order")


def check_masks(found: Masks, size_hw: tuple[int, int], where: str) -> None:
    """Check a finder's masks: bool, of the image's size, one for each score.

    Raises:
        GenerationError: they are not; the message names both shapes.
    """
    check_count("masks of the finder", len(found.masks), f"scores for {where}", len(found.scores))
    if found.masks.dtype != torch.bool or tuple(found.masks.shape[1:]) != size_hw:
        raise GenerationError(
            f"the finder's masks for {where} are {found.masks.dtype} {list(found.masks.shape)}",
            expected=f"torch.bool [N, {size_hw[0]}, {size_hw[1]}]",
        )
