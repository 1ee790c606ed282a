"""A pasted object takes the sharpness, light and contrast of its scene."""

from __future__ import annotations

import torch

from poc_aug.backends.paste.harmonise import draw_harmonise, match_colours, match_sharpness
from poc_aug.backends.paste.scene_quality import edge_blur_px
from poc_aug.seeding import generator
from tests.helpers.bank_cases import edges


def test_sharp_object_is_blurred_to_the_scene_and_never_sharpened() -> None:
    opacity = torch.ones((64, 97))
    blurred, _, correction = match_sharpness(edges(0.6), opacity, edges(1.5))
    assert 0.8 < float(correction["blur_px"]) < 2.0  # type: ignore[arg-type]
    measured = edge_blur_px(blurred)
    assert measured is not None
    assert abs(measured - 1.5) < 0.5
    same_, _, correction = match_sharpness(edges(1.5), opacity, edges(0.6))
    assert correction["blur_px"] == 0
    assert torch.equal(same_, edges(1.5))


def test_light_moves_towards_the_scene_within_bounds() -> None:
    mask = torch.ones((40, 31), dtype=torch.bool)
    thing = torch.full((3, 40, 31), 0.7)
    draw = draw_harmonise(generator(4), 0.6)
    box = (30, 30, 40, 31)
    means = []
    for level in (0.02, 0.2, 0.5, 0.9):
        out, correction = match_colours(thing, mask, torch.full((3, 120, 111), level), box, None, draw)
        assert 0.4 <= float(correction["gain"]) <= 1.2  # type: ignore[arg-type]
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
