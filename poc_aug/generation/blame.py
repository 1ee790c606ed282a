"""Errors of backends, turned into ones that name what was asked of them: those can be skipped, one by one."""

from __future__ import annotations

from poc_aug.errors import GenerationError, PocAugError
from poc_aug.protocols import Inserter
from poc_aug.types import Extent, Rejection


def blame(where: str, error: Exception) -> GenerationError:
    """The error that names what a backend raised on."""
    blamed = GenerationError(
        f"{where}: {type(error).__name__}: {error}",
        expected="a backend that returns a Rejection for what it cannot do",
        hint="report it to the backend's authors",
    )
    blamed.__cause__ = error
    return blamed


def extent_of(inserter: Inserter, key: str, object_name: str, seed: int) -> Extent | Rejection | None:
    """`Inserter.extent`, for the sample ``key``.

    Raises:
        GenerationError: the inserter raised; the message names sample, object and seed.
        PocAugError: what the inserter raises on purpose.
    """
    try:
        return inserter.extent(object_name, seed)
    except PocAugError:
        raise
    except Exception as error:  # any error of a library ends up in one that names the attempt
        raise blame(f"sample {key!r}, object {object_name!r}, seed {seed}", error) from error
