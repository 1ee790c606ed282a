"""Draws the rows of houses along both sides."""

from __future__ import annotations

from poc_aug.datasets.synthetic.street_draws import Draw
from poc_aug.datasets.synthetic.street_scene import END_M, Building, Street, Style

_STYLES: tuple[Style, ...] = ("plaster", "plaster", "plaster", "brick", "modern")
_PLASTER = (
    "d9cdb4",
    "e3d9c3",
    "c9a877",
    "d6b48a",
    "c98f6d",
    "b9bfc0",
    "cfd3cf",
    "d8c9a0",
    "b7c2b0",
    "c7a6a0",
    "e8e2d4",
)
_BRICK = ("8a4a38", "7a4234", "96604a", "6e4a40", "a06a50")
_MODERN = ("b5b8b8", "8f9698", "c9c7c0", "6f777c", "a39c90")
_TRIM = ("e9e4d8", "d9d3c5", "f0ece2", "c9c2b2")
_ROOF = ("7a4433", "5c4038", "4a4c52", "6a3d30", "54565a")
_SHOP = ("7d1f22", "1f4a3a", "22355c", "b8862b", "2b2b2e", "a8452a", "35606b", "e0ddd2")


def draw_houses(draw: Draw, street: Street, side: int) -> list[Building]:
    """Draw one side's row of houses, from behind the camera to the end of the street; set back behind a boundary."""
    number = 0 if side < 0 else 1
    set_back = 0.0 if street.boundary[number] == "houses" else draw.uniform(16, 30)
    storeys = draw.integer(3, 6)
    z, houses = -draw.uniform(4, 16), []
    while z < END_M:
        # Far away, where a house is a few pixels wide, fewer and longer houses look the same.
        far = z + draw.uniform(9, 19) * max(1.0, z / 45) * (1 + 0.8 * (set_back > 0))
        for near_gap, far_gap in street.side_streets[number]:
            if z < near_gap < far:
                far = near_gap
            if near_gap <= z < far_gap:
                z, far = far_gap, far_gap + draw.uniform(9, 16)
        houses.append(
            _house(draw, street.front_m[number] + set_back, side, z, far, max(2, storeys + draw.integer(-1, 2)))
        )
        z = far
    return houses


def _house(draw: Draw, front_m: float, side: int, near: float, far: float, floors: int) -> Building:
    style = draw.choice(_STYLES)
    shop = draw.chance(0.5)
    ground = draw.uniform(3.9, 4.5) if shop else draw.uniform(3.3, 3.7)
    storey = draw.uniform(2.95, 3.4)
    bay = draw.uniform(2.3, 3.1) if style != "modern" else draw.uniform(2.6, 3.8)
    bays = max(2, round((far - near) / bay))
    bay = (far - near) / bays
    modern = style == "modern"
    window_w = bay * 0.86 if modern else min(draw.uniform(1.05, 1.45), 0.62 * bay)
    flat = modern or draw.chance(0.15)
    walls = {"plaster": _PLASTER, "brick": _BRICK, "modern": _MODERN}[style]
    return Building(
        side=side,
        front_m=front_m,
        near_m=near,
        far_m=far,
        height_m=ground + floors * storey + 0.5,
        style=style,
        ground_floor="shop" if shop else "flat",
        ground_floor_m=ground,
        bays=bays,
        floors=floors,
        window_w=window_w,
        window_h=1.55 if modern else draw.uniform(1.55, 1.95),
        roof_m=0.0 if flat else draw.uniform(2.4, 3.6),
        roof_slope=draw.choice((1.0, 2.4, 2.8)),
        trimmed=draw.chance(0.6) and not modern,
        wall_rgb=draw.colour(walls) * 0.80,
        trim_rgb=draw.colour(_TRIM) * (0.80 if not modern else 0.55),
        roof_rgb=draw.colour(_ROOF),
        shop_rgb=draw.colour(_SHOP),
        seed=draw.seed(),
    )
