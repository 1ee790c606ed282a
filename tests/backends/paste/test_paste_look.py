from __future__ import annotations

import pytest
import torch

from poc_aug.backends.paste.contact_shadow import ShadowDraw, contact_shadow, draw_shadow, flatness
from poc_aug.backends.paste.harmonise import draw_harmonise, match_colours, match_sharpness
from poc_aug.backends.paste.resample import fit
from poc_aug.backends.paste.scene_quality import edge_blur_px, gaussian_blur, noise_level
from poc_aug.camera_model import Camera
from poc_aug.seeding import generator

# ---------------------------------------------------------------- shadow


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


# ---------------------------------------------------------------- harmonisation


def edges(sigma: float, low: float = 0.2, high: float = 0.7) -> torch.Tensor:
    plane = torch.full((3, 64, 97), low)
    for x in range(8, 90, 16):
        plane[:, :, x : x + 8] = high
    return gaussian_blur(plane, sigma) if sigma else plane


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


def test_sharp_object_is_blurred_to_the_scene_and_never_sharpened() -> None:
    opacity = torch.ones((64, 97))
    blurred, _, told = match_sharpness(edges(0.6), opacity, edges(1.5))
    assert 0.8 < float(told["blur_px"]) < 2.0  # type: ignore[arg-type]
    measured = edge_blur_px(blurred)
    assert measured is not None
    assert abs(measured - 1.5) < 0.5
    same_, _, told = match_sharpness(edges(1.5), opacity, edges(0.6))
    assert told["blur_px"] == 0
    assert torch.equal(same_, edges(1.5))


def test_light_moves_towards_the_scene_within_bounds() -> None:
    mask = torch.ones((40, 31), dtype=torch.bool)
    thing = torch.full((3, 40, 31), 0.7)
    draw = draw_harmonise(generator(4), 0.6)
    box = (30, 30, 40, 31)
    means = []
    for level in (0.02, 0.2, 0.5, 0.9):
        out, told = match_colours(thing, mask, torch.full((3, 120, 111), level), box, None, draw)
        assert 0.4 <= float(told["gain"]) <= 1.2  # type: ignore[arg-type]
        means.append(float(out.mean()))
    assert means == sorted(means)
    assert means[0] < 0.55
    assert means[0] > 0.15  # a light thing in the dark stays lighter than the dark
    green = torch.tensor([0.2, 0.3, 0.2])[:, None, None].expand(3, 120, 111)
    tinted, _ = match_colours(thing, mask, green, box, None, draw)
    assert float(tinted[1].mean()) > float(tinted[0].mean()) + 0.01


def test_far_objects_lose_contrast() -> None:
    mask = torch.ones((64, 97), dtype=torch.bool)
    scene = torch.full((3, 120, 160), 0.45)
    draw = draw_harmonise(generator(4), 0.6)
    spread = []
    for distance in (5.0, 60.0, 300.0):
        out, _ = match_colours(edges(0), mask, scene, (30, 30, 64, 97), distance, draw)
        spread.append(float(out.std()))
    assert spread == sorted(spread, reverse=True)


def test_fit_keeps_within_the_box_at_any_size() -> None:
    rng = generator(9)
    opacity = torch.zeros((60, 41))
    opacity[5:50, 6:33] = 1
    colours = torch.rand((3, 60, 41), generator=rng)
    for box_h, box_w in ((4, 4), (17, 11), (11, 17), (45, 27), (90, 54), (7, 200)):
        placed = fit(colours, opacity, (10, 20, box_h, box_w), soft=False)
        assert placed is not None
        mask = placed.mask
        assert int(mask.any(1).sum()) <= box_h
        assert int(mask.any(0).sum()) <= box_w
        assert placed.y + int(mask.any(1).nonzero()[-1]) == 10 + box_h - 1
