from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.filters import gaussian_blur2d

from poc_aug import seeding
from poc_aug.masks import bounds, dilate, feather, feather_radius_px, window


@given(
    top=st.integers(0, 9),
    left=st.integers(0, 7),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    inside=st.booleans(),
)
def test_bounds_hold_all_that_is_not_zero_and_no_more(
    top: int, left: int, height: int, width: int, inside: bool
) -> None:
    values = torch.zeros(13, 11, dtype=torch.uint8)
    values[top, left + width - 1] = 1  # two corners make the box
    values[top + height - 1, left] = 200
    if inside:
        values[top : top + height, left : left + width] = 7
    box = bounds(values)
    assert box == (top, left, height, width)
    assert bounds(values > 0) == box
    assert values[window(box)].count_nonzero() == values.count_nonzero()


def test_bounds_of_an_empty_mask_are_an_empty_window() -> None:
    mask = torch.zeros(5, 4, dtype=torch.bool)
    assert bounds(mask) == (0, 0, 0, 0)
    assert mask[window(bounds(mask))].numel() == 0


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0, 5.0])
def test_feather_is_the_papers_formula_and_bounded(sigma: float) -> None:
    mask = torch.zeros(40, 33, dtype=torch.bool)
    mask[14:25, 15:19] = True
    alpha = feather(mask, sigma)
    size = 2 * feather_radius_px(sigma) + 1
    blurred = gaussian_blur2d(
        mask[None, None].float(), (size, size), (sigma, sigma), border_type="constant", separable=False
    )[0, 0]
    assert torch.allclose(alpha, torch.maximum(mask.float(), blurred), atol=1e-5)
    assert (alpha[mask] == 1).all()
    assert (alpha[~dilate(mask, feather_radius_px(sigma))] == 0).all()


def test_feathering_the_rectangle_equals_feathering_the_frame() -> None:
    whole = torch.zeros(50, 61, dtype=torch.bool)
    whole[20:31, 24:40] = torch.rand(11, 16, generator=seeding.generator(1)) < 0.5
    radius = feather_radius_px(2.0)
    box = slice(20 - radius, 31 + radius), slice(24 - radius, 40 + radius)
    assert torch.allclose(feather(whole, 2.0)[box], feather(whole[box], 2.0), atol=1e-6)


def test_zero_sigma_is_the_mask_itself() -> None:
    mask = torch.rand(17, 11, generator=seeding.generator(0)) < 0.5
    assert torch.equal(feather(mask, 0.0), mask.float())


@given(radius=st.integers(0, 4), seed=st.integers(0, 99))
def test_dilate_is_the_maximum_over_a_square(radius: int, seed: int) -> None:
    mask = torch.rand(17, 11, generator=seeding.generator(seed)) > 0.95
    grown = dilate(mask, radius)
    for y in range(17):
        for x in range(11):
            square = mask[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            assert bool(grown[y, x]) == bool(square.any())
