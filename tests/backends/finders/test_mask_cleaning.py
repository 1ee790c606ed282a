"""Properties of cleaned masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from poc_aug.backends.finders.mask_cleaning import clean_mask
from poc_aug.errors import SettingError
from poc_aug.masks import connected_components


def noisy(h: int, w: int, seed: int, share: float) -> torch.Tensor:
    """Random pixels, in blocks of one to four, so that there are islands and holes of many sizes."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(1, 5))
    coarse = rng.random((-(-h // side), -(-w // side))) < share
    mask = np.kron(coarse, np.ones((side, side), bool))[:h, :w] ^ (rng.random((h, w)) < 0.02)
    return torch.from_numpy(mask)


masks = st.builds(
    noisy, st.integers(1, 97), st.integers(1, 61), st.integers(0, 2**20), st.floats(0.02, 0.98, allow_nan=False)
)
fractions = st.sampled_from([0.0, 0.01, 0.02, 0.1, 0.5, 1.0])


def largest_island(mask: torch.Tensor) -> torch.Tensor:
    islands, count = connected_components(mask)
    if count == 0:
        return torch.zeros_like(mask)
    areas = torch.bincount(islands.flatten())[1:]
    return islands == int(areas.argmax()) + 1


def enclosed(mask: torch.Tensor) -> torch.Tensor:
    """Background that no path of side neighbours joins to the border, by flooding from the border."""
    outside = torch.zeros(mask.shape[0] + 2, mask.shape[1] + 2, dtype=torch.bool)
    free = torch.ones_like(outside)
    free[1:-1, 1:-1] = ~mask
    outside[0, 0] = True
    while True:
        grown = outside.clone()
        grown[1:] |= outside[:-1]
        grown[:-1] |= outside[1:]
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown &= free
        if torch.equal(grown, outside):
            return ~mask & ~outside[1:-1, 1:-1]
        outside = grown


@settings(max_examples=300)
@given(masks, fractions, fractions)
@example(noisy(97, 61, 3, 0.6), 0.02, 0.01)
def test_cleaning_twice_is_cleaning_once(mask: torch.Tensor, specks: float, holes: float) -> None:
    before = mask.clone()
    once = clean_mask(mask, speck_fraction=specks, hole_fraction=holes)
    assert torch.equal(clean_mask(once, speck_fraction=specks, hole_fraction=holes), once)
    assert torch.equal(mask, before)
    assert (once.dtype, once.shape) == (torch.bool, mask.shape)


def test_six_hundred_noisy_masks_are_clean_after_one_call() -> None:
    changed = 0
    for seed in range(600):
        mask = noisy(64, 48, seed, 0.55 + 0.4 * (seed % 10) / 10)
        once = clean_mask(mask)
        assert torch.equal(clean_mask(once), once)
        changed += not torch.equal(mask, once)
    assert changed > 500


@settings(max_examples=100)
@given(masks)
def test_the_largest_island_is_kept_and_only_holes_are_filled(mask: torch.Tensor) -> None:
    cleaned = clean_mask(mask)
    assert not bool((largest_island(mask) & ~cleaned).any())
    assert not bool((cleaned & ~mask & ~enclosed(mask)).any())


@settings(max_examples=100)
@given(masks)
def test_no_speck_and_no_pinhole_is_left(mask: torch.Tensor) -> None:
    cleaned = clean_mask(mask, speck_fraction=0.1, hole_fraction=0.05)
    islands, _ = connected_components(cleaned)
    areas = torch.bincount(islands.flatten())[1:]
    if len(areas):
        assert int(areas.min()) >= 0.1 * int(areas.max())
        holes, count = connected_components(enclosed(cleaned), diagonal=False)
        assert all(int((holes == i).sum()) >= 0.05 * int(areas.max()) for i in range(1, count + 1))


@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 9), (17, 11), (97, 131)])
@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_masks_stay_as_they_are(h: int, w: int, value: bool) -> None:
    mask = torch.full((h, w), value)
    cleaned = clean_mask(mask)
    assert torch.equal(cleaned, mask)
    assert cleaned.data_ptr() != mask.data_ptr()


def test_a_speck_goes_and_a_pinhole_is_filled_but_not_a_bay() -> None:
    mask = torch.zeros(41, 53, dtype=torch.bool)
    mask[5:35, 5:35] = True
    expected = mask.clone()
    mask[20, 20] = False  # enclosed by its sides, at a distance from the border
    mask[2, 50] = True
    mask[5:8, 10] = expected[5:8, 10] = False  # open to the outside
    assert torch.equal(clean_mask(mask), expected)


def test_a_speck_in_a_hole_counts_as_part_of_the_hole() -> None:
    mask = torch.zeros(41, 41, dtype=torch.bool)
    mask[5:35, 5:35] = True
    expected = mask.clone()
    mask[18:21, 18:21] = False
    mask[19, 19] = True
    # A ring of 8 pixels around a speck: a hole of 9 in a largest island of 891.
    assert torch.equal(clean_mask(mask, hole_fraction=0.011), expected)
    kept = clean_mask(mask, hole_fraction=0.0095)
    assert not bool(kept[18:21, 18:21].any())


@pytest.mark.parametrize("name", ["speck_fraction", "hole_fraction"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_fractions_outside_their_limits_are_named(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=rf"{name}={value}(.|\n)*0 to 1"):
        clean_mask(torch.ones(3, 3, dtype=torch.bool), **{name: value})
