"""Alpha, patch and shade of edited pixels, solved exactly for the whole-number blending of `compose`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poc_aug.errors import SettingError
from poc_aug.importing.edit_pixels import exact_blend, exact_shade

_Array = npt.NDArray[np.uint8]


def over_255(values: npt.NDArray[np.integer]) -> _Array:
    return ((values.astype(np.int64) * 2 + 255) // 510).astype(np.uint8)


def blended(base: _Array, alpha: _Array, patch: _Array) -> _Array:
    cover = alpha[:, None].astype(np.int64)
    return over_255(base * (255 - cover) + patch * cover)


def pixels(rng: np.random.Generator, count: int = 20_000) -> _Array:
    """Pixels of all values, the ends of their range more often."""
    drawn = rng.integers(-64, 320, (count, 3))
    return drawn.clip(0, 255).astype(np.uint8)


@given(st.integers(0, 2**32 - 1))
def test_any_edited_pixel_has_an_exact_blend(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, edited = pixels(rng), pixels(rng)
    colour = rng.uniform(0, 255, base.shape)
    blend = exact_blend(base, edited, colour)
    assert (blended(base, *blend) == edited).all()
    solid = exact_blend(base, edited)
    assert (solid.alpha == 255).all()
    assert (blended(base, *solid) == edited).all()


def test_alpha_is_that_of_the_mixture() -> None:
    rng = np.random.default_rng(1)
    base, colour = rng.integers(0, 120, (20_000, 3)).astype(np.uint8), np.full((20_000, 3), 230.0)
    alpha = rng.integers(1, 256, 20_000).astype(np.uint8)
    edited = blended(base, alpha, colour.astype(np.uint8))
    found = exact_blend(base, edited, colour)
    assert np.abs(found.alpha.astype(int) - alpha).max() <= 1
    assert (blended(base, *found) == edited).all()


def test_without_a_colour_that_differs_alpha_is_the_least() -> None:
    base = np.array([[100, 100, 100], [0, 0, 0]], np.uint8)
    edited = np.array([[131, 100, 100], [255, 0, 0]], np.uint8)
    blend = exact_blend(base, edited, base.astype(np.float64))
    # 100 * (255 - a) + 255 a has to reach 131 * 255 - 127: a = 51, and not 50
    assert blend.alpha.tolist() == [51, 255]
    assert (blended(base, *blend) == edited).all()
    assert not (blended(base, blend.alpha - 1, np.full_like(base, 255))[:, 0] == edited[:, 0]).any()


@given(st.integers(0, 2**32 - 1))
def test_a_shade_is_found_if_there_is_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = pixels(rng)
    shade = rng.integers(0, 256, len(base))
    edited = over_255(base * (255 - shade[:, None]))
    found = exact_shade(base, edited).astype(np.int64)
    assert (over_255(base * (255 - found[:, None])) == edited).all()
    assert (found[(base == edited).all(axis=1)] == 0).all()
    bright = base.max(axis=1) > 200
    assert np.abs(found - shade)[bright & (shade > 0) & (base != edited).any(axis=1)].max() <= 1


def test_what_no_shade_gives_has_none() -> None:
    rng = np.random.default_rng(2)
    base, edited = pixels(rng), pixels(rng)
    found = exact_shade(base, edited)
    wide = base.astype(np.int64)
    every = np.stack([(over_255(wide * (255 - shade)) == edited).all(axis=1) for shade in range(1, 256)])
    possible = every.any(axis=0) & (base != edited).any(axis=1)
    assert possible.any()
    assert ((found > 0) == possible).all()


def test_pixels_of_two_numbers_are_refused() -> None:
    with pytest.raises(SettingError, match=r"pixels of \(2, 3\) and \(3, 3\)"):
        exact_blend(np.zeros((2, 3), np.uint8), np.zeros((3, 3), np.uint8))
