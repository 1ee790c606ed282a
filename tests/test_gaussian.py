from __future__ import annotations

import pytest
import torch
from kornia.filters import gaussian_blur2d, get_gaussian_kernel1d

from poc_aug import seeding
from poc_aug.gaussian import filter_separable, gaussian_weights


@pytest.mark.parametrize(("sigma", "radius"), [(0.4, 1), (1.0, 3), (2.7, 9)])
def test_weights_are_kornias(sigma: float, radius: int) -> None:
    weights = gaussian_weights(sigma, radius)
    torch.testing.assert_close(weights, get_gaussian_kernel1d(2 * radius + 1, sigma)[0])


def test_weights_of_a_coarser_grid_are_every_nth_sample() -> None:
    fine, coarse = gaussian_weights(6.0, 12), gaussian_weights(6.0, 4, step=3)
    torch.testing.assert_close(coarse, fine[::3] / fine[::3].sum())


@pytest.mark.parametrize("border", ["zero", "replicate"])
def test_filtering_is_kornias_gaussian_with_the_same_border(border: str) -> None:
    maps = torch.rand((3, 21, 17), generator=seeding.generator(0))
    column, row = gaussian_weights(1.5, 4), gaussian_weights(0.8, 2)
    ours = filter_separable(maps, column, row, border="zero" if border == "zero" else "replicate")
    kornias = {"zero": "constant", "replicate": "replicate"}[border]
    theirs = gaussian_blur2d(maps[None], (9, 5), (1.5, 0.8), border_type=kornias)[0]
    torch.testing.assert_close(ours, theirs)


def test_a_coarser_grid_gives_nearly_the_same_in_the_maps_size() -> None:
    maps = torch.zeros((1, 61, 83))
    maps[0, 20:40, 25:60] = 1
    fine, coarse = gaussian_weights(8.0, 24), gaussian_weights(8.0, 6, step=4)
    exact = filter_separable(maps, fine, fine)
    approximate = filter_separable(maps, coarse, coarse, steps_yx=(4, 4))
    assert approximate.shape == maps.shape
    torch.testing.assert_close(approximate, exact, atol=0.03, rtol=0)
