"""Errors of a dataset itself on one of its items, with the name of the sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from poc_aug.errors import PocAugError, SampleReadError, in_one_line


@contextmanager
def naming_sample(key: str) -> Iterator[None]:
    """Context of code that reads an item of a dataset, which is the user's: it may raise anything, or end the process.

    Args:
        key: the sample's key.

    Raises:
        SampleReadError: instead of any exception that is no error of this package.

    Example:
        >>> from poc_aug.items.sample_errors import naming_sample
        >>> with naming_sample("frame-7"):
        ...     raise OSError("the disk is gone")
        Traceback (most recent call last):
        poc_aug.errors.SampleReadError: sample 'frame-7' could not be read: OSError: the disk is gone
        Expected: a dataset that returns each item
        Next step: repair the sample, or leave it out of the dataset
    """
    try:
        yield
    except PocAugError:
        raise
    except (Exception, SystemExit) as error:
        raise SampleReadError(
            f"sample {key!r} could not be read: {in_one_line(error)}",
            expected="a dataset that returns each item",
            hint="repair the sample, or leave it out of the dataset",
        ) from error
