"""Whether what a backend returned keeps its contract: how many results, of which kind, size and dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

import torch

from poc_aug.counting import count_of
from poc_aug.errors import GenerationError
from poc_aug.types import Annotation, Crop, Filled, Part


def check_results(backend: object, results: object, kinds: tuple[type, ...], crops: Sequence[Crop]) -> None:
    """Check a backend's results; no single crop is to blame, so the batch is not filled again one by one.

    Args:
        backend: an inserter or annotator.
        results: what it returned.
        kinds: what each result has to be.
        crops: what it was given.

    Raises:
        GenerationError: it broke its contract; names the backend and what it returned.
    """
    count = len(crops)
    if not isinstance(results, Sequence):
        problem = f"a {type(results).__name__}"
    elif len(results) != count:
        problem = f"{len(results)} results"
    else:
        wrong = sorted({type(result).__name__ for result in results if not isinstance(result, kinds)})
        if not wrong:
            for result, crop in zip(results, crops, strict=True):
                _check_result(backend, result, crop)
            return
        problem = f"results of type {', '.join(wrong)}"
    raise GenerationError(
        f"{type(backend).__name__} returned {problem} for {count_of(count, 'crop')}",
        expected=f"a list of {count}: one {' or '.join(kind.__name__ for kind in kinds)} per crop, in order",
        hint="correct the backend: a Rejection stands for what it cannot do",
    )


def _check_result(backend: object, result: object, crop: Crop) -> None:
    if isinstance(result, Filled):
        plane = crop.image.shape[1:]
        _check_tensor(backend, crop, "an image", result.image, torch.uint8, crop.image.shape)
        for what, value in (("an alpha", result.alpha), ("a shade", result.shade)):
            if value is not None:
                _check_tensor(backend, crop, what, value, torch.uint8, plane)
        if result.annotation is None:
            return
        result = result.annotation
        if not isinstance(result, Annotation):
            _broken(backend, crop, f"an annotation of type {type(result).__name__}", "an Annotation, or None")
    if isinstance(result, Annotation):
        _check_parts(backend, crop, result)


def _check_parts(backend: object, crop: Crop, annotation: Annotation) -> None:
    if not isinstance(annotation.parts, Sequence):
        _broken(backend, crop, f"parts of type {type(annotation.parts).__name__}", "a tuple of Part")
    for part in annotation.parts:
        if not isinstance(part, Part):
            _broken(backend, crop, f"a part of type {type(part).__name__}", "a tuple of Part")
        _check_tensor(backend, crop, f"a mask of part {part.name!r}", part.mask, torch.bool, crop.image.shape[1:])
        if not _is_finite(part.score):
            _broken(backend, crop, f"the score {part.score!r} of part {part.name!r}", "a number from 0 to 1")


def _is_finite(score: object) -> bool:
    try:
        return math.isfinite(float(score))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def _check_tensor(
    backend: object, crop: Crop, what: str, value: object, dtype: torch.dtype, shape: Sequence[int]
) -> None:
    if isinstance(value, torch.Tensor) and value.dtype == dtype and tuple(value.shape) == tuple(shape):
        return
    got = type(value).__name__
    if isinstance(value, torch.Tensor):
        got = f"{value.dtype} {list(value.shape)}"
    _broken(backend, crop, f"{what} of {got}", f"{dtype} {list(shape)}, the crop's size")


def _broken(backend: object, crop: Crop, what: str, expected: str) -> NoReturn:
    height, width = crop.image.shape[1:]
    raise GenerationError(
        f"{type(backend).__name__} returned {what} for object {crop.object_name!r}, whose crop is {height}x{width} "
        "pixels (h x w)",
        expected=expected,
        hint="correct the backend: a Rejection stands for what it cannot do",
    )
