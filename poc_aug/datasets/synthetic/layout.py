"""Draws a scene at random: all random numbers of a street come from one generator, before anything is rendered."""

from __future__ import annotations

import math
from typing import get_args

import torch

from poc_aug.datasets.synthetic.filters import srgb
from poc_aug.datasets.synthetic.rows import draw_houses
from poc_aug.datasets.synthetic.street_draws import Draw
from poc_aug.datasets.synthetic.street_scene import Boundary, Sky, Street, StreetScene, Weather
from poc_aug.datasets.synthetic.traffic import draw_figures, draw_posts, draw_trees, draw_vehicles

_LANE_M = 3.3
_PARKING_M = 2.25


def draw_scene(rng: torch.Generator) -> StreetScene:
    """Draw a street.

    Args:
        rng: CPU generator; the same state gives the same street, whatever the size it is rendered at.
    """
    draw = Draw(rng)
    sky = _sky(draw)
    street = _street(draw)
    houses = [*draw_houses(draw, street, -1), *draw_houses(draw, street, 1)]
    vehicles = draw_vehicles(draw, street, sky)
    trees = draw_trees(draw, street)
    posts = draw_posts(draw, street)
    figures = draw_figures(draw, street)
    return StreetScene(
        sky=sky,
        street=street,
        buildings=tuple(houses),
        vehicles=tuple(vehicles),
        trees=tuple(trees),
        figures=tuple(figures),
        posts=tuple(posts),
        horizon=draw.uniform(0.39, 0.46),
        centre=draw.uniform(0.43, 0.57),
        camera_height_m=draw.uniform(1.25, 1.45),
    )


def _sky(draw: Draw) -> Sky:
    weather: Weather = draw.choice((*get_args(Weather), "clear", "clear"))
    side = 1 if draw.chance(0.5) else -1
    # The sun is mostly behind the camera, so that surfaces facing it are lit; at dusk it is ahead, low over the street.
    height = math.radians(draw.uniform(36, 58) if weather == "clear" else draw.uniform(9, 16))
    turn = math.radians(draw.uniform(12, 62)) * side
    ahead = -1.0 if weather == "clear" and draw.chance(0.8) else 1.0
    sun = (math.cos(height) * math.sin(turn), math.sin(height), ahead * math.cos(height) * math.cos(turn))
    seed, haze_m = draw.seed(), draw.uniform(260, 480)
    if weather == "overcast":
        grey = draw.uniform(0.95, 1.15)
        return Sky(
            weather=weather,
            sun=sun,
            sun_rgb=srgb("000000"),
            ambient_rgb=srgb("f2f4f6") * 1.5,
            bounce_rgb=srgb("78746c") * 0.9,
            zenith_rgb=srgb("b9c1ca") * grey,
            horizon_rgb=srgb("e6e8ea") * grey,
            haze_rgb=srgb("d3d7da"),
            haze_m=haze_m,
            clouds=1.0,
            exposure=1.12,
            seed=seed,
        )
    if weather == "dusk":
        warm = draw.uniform(0, 1)
        glow = srgb("ff9a55") * warm + srgb("ffc08a") * (1 - warm)
        return Sky(
            weather=weather,
            sun=sun,
            sun_rgb=glow * 1.6,
            ambient_rgb=srgb("a9b2d6") * 1.15,
            bounce_rgb=srgb("7a655c") * 0.8,
            zenith_rgb=srgb("4a6296") * 1.0,
            horizon_rgb=(srgb("f6b586") * warm + srgb("f0c8b4") * (1 - warm)) * 1.1,
            haze_rgb=(srgb("cfa08c") * warm + srgb("c8b0ac") * (1 - warm)) * 0.85,
            haze_m=haze_m,
            clouds=draw.uniform(0.3, 0.65),
            exposure=1.25,
            seed=seed,
        )
    return Sky(
        weather=weather,
        sun=sun,
        sun_rgb=srgb("fff0d6") * 2.3,
        ambient_rgb=srgb("bdd0ec") * 1.12,
        bounce_rgb=srgb("a09080") * 0.85,
        zenith_rgb=srgb("4a86d0") * 0.95,
        horizon_rgb=srgb("c5d8ea") * 1.05,
        haze_rgb=srgb("bccbda"),
        haze_m=haze_m * 1.7,
        clouds=draw.uniform(0.2, 0.8),
        exposure=1.0,
        seed=seed,
    )


def _street(draw: Draw) -> Street:
    wide, parking = draw.chance(0.4), (draw.chance(0.8), draw.chance(0.75))
    left = _LANE_M * (1.5 + (1 if wide else 0)) + _PARKING_M * parking[0] + 0.3
    right = _LANE_M * 0.5 + _PARKING_M * parking[1] + 0.3 + draw.uniform(0, 0.3)
    if wide and draw.chance(0.4):
        right += _LANE_M
    lines = [-_LANE_M / 2]
    if wide:
        lines.append(-1.5 * _LANE_M)
    if right > 1.5 * _LANE_M + 0.3:
        lines.append(_LANE_M / 2)
    grass = tuple(draw.uniform(1.2, 2.2) if draw.chance(0.28) else 0.0 for _ in range(2))
    front = tuple(edge + g + draw.uniform(2.4, 4.2) for edge, g in zip((left, right), grass, strict=True))
    boundaries: list[Boundary] = ["houses", "houses"]
    if draw.chance(0.4):
        boundaries[draw.integer(0, 2)] = "fence" if draw.chance(0.6) else "wall"
    gaps: list[tuple[tuple[float, float], ...]] = []
    for boundary in boundaries:
        near = draw.uniform(26, 62)
        gaps.append(((near, near + draw.uniform(7.5, 10)),) if boundary == "houses" and draw.chance(0.5) else ())
    crossing = draw.uniform(15, 32) if draw.chance(0.4) else 0.0
    return Street(
        kerb_m=(left, right),
        front_m=(front[0], front[1]),
        grass_m=(grass[0], grass[1]),
        lines_m=tuple(lines),
        crossing_m=crossing,
        side_streets=(gaps[0], gaps[1]),
        asphalt_rgb=draw.colour(("67676a", "5d5d5f", "706e6b", "616468"), 0.15),
        paving_rgb=draw.colour(("a39d92", "98938a", "aca59a", "8f8c88")),
        slab_m=draw.choice((0.4, 0.5, 0.75)),
        boundary=(boundaries[0], boundaries[1]),
        seed=draw.seed(),
    )
