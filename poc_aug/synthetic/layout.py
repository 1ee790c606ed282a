"""Draws a scene: every random number of a street, from one generator, before anything is rendered."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch

from poc_aug.synthetic.draw import Draw
from poc_aug.synthetic.filters import srgb
from poc_aug.synthetic.rows import draw_houses
from poc_aug.synthetic.scene import Scene, Sky, Street, Weather
from poc_aug.synthetic.traffic import draw_figures, draw_posts, draw_trees, draw_vehicles

_LANE_M = 3.3
_PARKING_M = 2.25


def draw_scene(rng: torch.Generator) -> Scene:
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
    return Scene(
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
    weather: Weather = draw.choice((*get_args(Weather), "clear"))
    side = 1 if draw.chance(0.5) else -1
    height = math.radians(draw.uniform(30, 52) if weather != "dusk" else draw.uniform(9, 16))
    # Mostly behind the camera, so that what faces it is lit; at dusk ahead, low over the street.
    turn = math.radians(draw.uniform(25, 75)) * side
    ahead = -1.0 if weather == "clear" and draw.chance(0.75) else 1.0
    sun = (math.cos(height) * math.sin(turn), math.sin(height), ahead * math.cos(height) * math.cos(turn))
    seed = draw.seed()
    if weather == "overcast":
        grey = draw.uniform(0.9, 1.1)
        return Sky(
            weather, sun, srgb("000000"), srgb("eef3f8") * 1.30, srgb("6b6862") * 0.8, srgb("b3bcc6") * grey,
            srgb("dfe3e6") * grey, srgb("c9ced2"), draw.uniform(240, 420), 1.0, 1.05, seed,
        )  # fmt: skip
    if weather == "dusk":
        return Sky(
            weather, sun, srgb("ff9a55") * 1.5, srgb("98a2cc") * 0.85, srgb("705a50") * 0.6, srgb("45598c") * 0.9,
            srgb("f2b48a") * 1.0, srgb("c89c8c") * 0.8, draw.uniform(240, 420), draw.uniform(0.35, 0.65), 1.15, seed,
        )  # fmt: skip
    return Sky(
        weather, sun, srgb("fff0d6") * 2.1, srgb("b9d0f0") * 0.95, srgb("a09080") * 0.75, srgb("4d86cc") * 0.95,
        srgb("c5d8ea") * 1.0, srgb("bccbda"), draw.uniform(420, 800), draw.uniform(0.15, 0.75), 1.0, seed,
    )  # fmt: skip


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
    boundaries: list[Literal["houses", "fence", "wall"]] = ["houses", "houses"]
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


