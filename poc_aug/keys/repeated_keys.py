"""Samples that have the same key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poc_aug.errors import DatasetKeyError, NextStep
from poc_aug.items.image_digest import digest_of, matches
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.keys.column_keys import key_advice
from poc_aug.keys.dataset_keys import first_of_each

_PAIRS = 4


def check_repeats(dataset: Any, keys: Sequence[str], adapt: Adapt | None, given: object = None) -> None:
    """Check, by comparing some of them, that samples with the same key are one image: a cache stores one per key.

    Args:
        dataset: the dataset.
        keys: the key of each sample.
        adapt: how to take image and labels out of items of another form.
        given: what the caller passed as ``keys=``.

    Raises:
        DatasetKeyError: they are different images.
    """
    first = first_of_each(keys)
    again = [number for number, key in enumerate(keys) if first[key] != number]
    for number in again[:: max(1, len(again) // _PAIRS)][:_PAIRS]:
        key = keys[number]
        try:
            digests = [digest_of(open_item(dataset[sample], adapt, key=key).image) for sample in (first[key], number)]
        except Exception:
            # Whatever the dataset raises is reported, or skipped if so configured, when the sample is read next.
            continue
        if not matches(*digests):
            advice = key_advice(dataset)
            if isinstance(given, str):
                unique = "gives several images the same key: choose a column with a different value for each image"
                advice = NextStep(f"keys={given!r} {unique}", f"--keys {given} {unique}")
            still = "if the dataset transforms its items at random, "
            raise DatasetKeyError(
                f"samples {first[key]} and {number} of {type(dataset).__name__} have the same key {key!r}, but are "
                "different images",
                expected="one key per image; only a sample that is repeated has the same key again",
                hint=f"{advice.hint}; {still}move that to POCAugmentedDataset(transforms=...)",
                command=f"{advice.command}; {still}leave that out here",
            )
