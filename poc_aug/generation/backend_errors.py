"""Errors of backends, turned into ones that name what the backend was asked for and can be skipped one by one."""

from __future__ import annotations

from poc_aug.errors import GenerationError, PocAugError, in_one_line
from poc_aug.protocols import Inserter
from poc_aug.types import Extent, Rejection


def backend_error(subject: str, error: Exception) -> GenerationError:
    """The error that names the subject (a crop, a sample's location) on which a backend raised ``error``."""
    named = GenerationError(
        f"{subject}: {in_one_line(error)}",
        expected="a backend that returns a Rejection for what it cannot do",
        hint="report it to the backend's authors",
    )
    named.__cause__ = error
    return named


def inserter_extent(inserter: Inserter, key: str, object_name: str, seed: int) -> Extent | Rejection | None:
    """`Inserter.extent`, for the sample ``key``.

    Raises:
        GenerationError: the inserter raised; the message names sample, object and seed.
        PocAugError: what the inserter raises on purpose.
    """
    try:
        return inserter.extent(object_name, seed)
    except PocAugError:
        raise
    except Exception as error:  # any error of a library becomes one that names the attempt
        raise backend_error(f"sample {key!r}, object {object_name!r}, seed {seed}", error) from error
