"""Contact shadows: darkest at the feet, soft, flatter farther away."""

from __future__ import annotations

import pytest
import torch

from poc_aug.backends.paste.contact_shadow import ShadowDraw, contact_shadow, draw_shadow, flatness
from poc_aug.camera_model import Camera
from poc_aug.seeding import generator


def standing(height: int = 60, width: int = 80) -> torch.Tensor:
    opacity = torch.zeros((131, 171))
    opacity[40 : 40 + height // 2, 45 : 45 + width] = 1
    opacity[40 : 40 + height, 45:55] = 1
    opacity[40 : 40 + height, 45 + width - 10 : 45 + width] = 1
    return opacity


DRAW = ShadowDraw(strength=0.5, cast=0.2, lean=0.3, reach=0.5)


def test_shadow_is_darkest_at_the_feet_and_connects_them() -> None:
    shade = contact_shadow(standing(), 0.16, DRAW).float()
    foot = 99
    feet, between, beside = shade[foot + 1, 45:55].mean(), shade[foot + 1, 80:90].mean(), shade[foot + 1, 5:15].mean()
    assert float(feet) > 1.5 * float(between) > 0
    assert float(between) > 10
    assert float(beside) < 4
    assert 60 <= float(shade.max()) <= 0.5 * 255 + 1


def test_shadow_is_soft() -> None:
    for seed in range(12):
        shade = contact_shadow(standing(), 0.16, draw_shadow(generator(seed))).float()
        free = standing() == 0
        for axis in (0, 1):
            steps = shade.diff(dim=axis).abs()
            both = free.narrow(axis, 1, free.shape[axis] - 1) & free.narrow(axis, 0, free.shape[axis] - 1)
            assert float(steps[both].max()) < float(shade.max()) / 3  # an edge would be one step


def test_shadow_is_flatter_farther_away() -> None:
    view = Camera(horizon_row=20, camera_height_m=1.3, focal_px=500, centre_col=85)
    near, far = flatness(view, 220), flatness(view, 60)
    assert near == pytest.approx(0.4)
    assert far == pytest.approx(0.08)
    tall = [int((contact_shadow(standing(), flat, DRAW) > 40).any(1).sum()) for flat in (near, far)]
    assert tall[0] > 1.5 * tall[1]
    assert 0.1 < flatness(None, 60) < 0.3


def test_tiny_object_has_a_shadow_or_none_without_error() -> None:
    opacity = torch.zeros((17, 11))
    opacity[8, 5] = 1
    assert contact_shadow(opacity, 0.2, DRAW).shape == (17, 11)
