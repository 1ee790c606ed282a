"""Run lengths and polygons of COCO files become masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.backends.paste.rle import decode_counts, decode_rle, decode_segmentation
from poc_aug.errors import ObjectBankError
from tests.helpers.coco_cases import encode_counts, runs_of


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 60))
def test_run_lengths_round_trip(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.repeat(np.repeat(rng.random((height, width)) < 0.5, 3, axis=0), 2, axis=1)
    counts = runs_of(mask)
    text = encode_counts(counts)
    assert decode_counts(text) == counts
    assert decode_counts(text.encode()) == counts
    for form in (counts, text):
        decoded = decode_rle({"size": list(mask.shape), "counts": form})
        assert np.array_equal(decoded.numpy(), mask)


def test_compressed_counts_known_string() -> None:
    # Worked by hand: 5 -> "5", 40 -> 8|0x20, 1 -> "X1"; -3 is 0b11101 -> "M".
    assert decode_counts("5X1") == [5, 40]
    assert decode_counts("777M") == [7, 7, 7, 4]


@pytest.mark.parametrize(
    ("segmentation", "match"),
    [
        ({"size": [4, 5], "counts": [3, 4]}, "cover 7 pixels of a 4x5 mask"),
        ({"size": [4, 5], "counts": "~"}, "character '~'"),
        ({"size": [4, 5], "counts": "X"}, "ends inside a number"),
        ({"size": [2, 2], "counts": [4]}, r"mask is \(2, 2\), its image is \(4, 5\)"),
        ([[1, 2, 3, 4]], "polygons of at least 3 points"),
        (None, "polygons of at least 3 points"),
    ],
)
def test_bad_segmentations(segmentation: Any, match: str) -> None:
    with pytest.raises(ObjectBankError, match=match):
        decode_segmentation(segmentation, (4, 5))


def test_polygon_covers_its_pixels() -> None:
    square = [[3.0, 2.0, 9.0, 2.0, 9.0, 12.0, 3.0, 12.0]]
    mask = decode_segmentation(square, (17, 11))
    assert bool(mask[3:11, 4:8].all())
    assert 60 <= int(mask.sum()) <= 77
