"""Blur and noise of a scene, as they are measured."""

from __future__ import annotations

import pytest
import torch

from poc_aug.backends.paste.scene_quality import edge_blur_px, noise_level
from poc_aug.seeding import generator
from tests.helpers.bank_cases import edges


@pytest.mark.parametrize("sigma", [0.8, 1.2, 2.0])
def test_blur_of_edges_is_measured(sigma: float) -> None:
    measured = edge_blur_px(edges(sigma))
    assert measured is not None
    assert abs(measured - sigma) < 0.35


def test_blur_of_nothing_is_unknown() -> None:
    assert edge_blur_px(torch.full((3, 40, 31), 0.4)) is None
    assert edge_blur_px(torch.rand((3, 4, 5), generator=generator(1))) is None
    assert edge_blur_px(edges(1.0), torch.zeros((64, 97), dtype=torch.bool)) is None


def test_noise_is_measured() -> None:
    rng = generator(2)
    flat = torch.full((3, 90, 121), 0.5)
    grey = torch.randn((1, 90, 121), generator=rng)
    for level in (0.01, 0.03):
        assert noise_level(flat + level * grey) == pytest.approx(level, rel=0.2)
    assert noise_level(flat) == 0
    assert noise_level(flat[:, :5]) == 0
