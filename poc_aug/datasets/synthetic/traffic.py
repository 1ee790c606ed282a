"""Draws at random what stands and moves in the street: vehicles, trees, posts, people."""

from __future__ import annotations

from poc_aug.datasets.synthetic.plants import leaf_tint
from poc_aug.datasets.synthetic.street_draws import Draw
from poc_aug.datasets.synthetic.street_scene import (
    KERB_HEIGHT_M,
    VEHICLE_SIZE_M,
    Figure,
    FigureKind,
    PostKind,
    Sky,
    Street,
    StreetPost,
    Tree,
    Vehicle,
    VehicleKind,
)

_CAR_PAINT = (
    "c9ccd0",
    "8d9196",
    "2a2c30",
    "e6e7e6",
    "1b2b4a",
    "7c1c1f",
    "47535c",
    "a8aeb3",
    "5d6b5a",
    "b5651d",
    "d8d9d8",
)
_PARKED: tuple[VehicleKind, ...] = ("hatchback", "hatchback", "sedan", "sedan", "suv", "suv", "van")
_LARGE: tuple[VehicleKind, ...] = ("truck", "bus")
_SIGNS: tuple[PostKind, ...] = ("warning", "round", "parking")
_RIDERS: tuple[FigureKind, ...] = ("cyclist", "cyclist", "motorcyclist")
_TOPS = ("2b3d5c", "7a2a2a", "4a4a4c", "c9b89a", "35524a", "a84f2f", "d9d7d2", "1d1d20", "5b7ba0", "6b4d6a", "c2a23a")
_LEGS = ("20263a", "2d2d30", "4f4a42", "6a6257", "2f3b52", "151517")
_SKIN = ("e0b090", "c98f6b", "8a5a3c", "5c3a28", "f0c8aa")
_HAIR = ("2a1c14", "5a3d22", "141110", "9a7a4a", "6e6a66")
_LEAVES = ("4a6b26", "3f5f2a", "5b7430", "556b2f", "3a5a34")


def draw_vehicles(draw: Draw, street: Street, sky: Sky) -> list[Vehicle]:
    """Parked cars along both kerbs, some traffic, sometimes a bus or a truck."""
    cars: list[Vehicle] = []
    for side, kerb in ((-1, street.kerb_m[0]), (1, street.kerb_m[1])):
        own = street.lines_m[0] if side < 0 else 1.65
        room = kerb - abs(own) - 3.3 * (len([line for line in street.lines_m if line * side > 1.7]))
        if room < 2.0:
            continue
        z, busy = draw.uniform(6.5, 14), draw.uniform(0.45, 0.92)
        while z < 100:
            kind = draw.choice(_PARKED)
            length, width, _ = VEHICLE_SIZE_M[kind]
            middle = z + length / 2
            free = any(near - 4 < middle < far + 4 for near, far in street.side_streets[0 if side < 0 else 1])
            free |= bool(street.crossing_m) and -6 < middle - street.crossing_m < 9
            if draw.chance(busy) and not free:
                x = side * (kerb - width / 2 - draw.uniform(0.15, 0.35))
                heading = 1 if side > 0 or draw.chance(0.15) else -1
                cars.append(_vehicle(draw, kind, x, middle, heading, draw.uniform(-0.02, 0.02), False))
            z += length + draw.uniform(0.7, 1.6)
    crossing = street.crossing_m + 1.75 if street.crossing_m else -1e3

    def drive(kind: VehicleKind, x: float, z: float, heading: int, lamps: bool) -> None:
        vehicle = _vehicle(draw, kind, x, z, heading, 0.0, lamps)
        # No vehicle stands on the crossing.
        if abs(z - crossing) > VEHICLE_SIZE_M[kind][0] / 2 + 2.8:
            cars.append(vehicle)

    if draw.chance(0.65):
        kind = draw.choice((*_PARKED[:-1], *_LARGE))
        drive(kind, draw.uniform(-0.2, 0.3), draw.uniform(24, 48), 1, draw.chance(0.5))
    oncoming, z = -3.3, draw.uniform(14, 34)
    while z < 100:
        kind = draw.choice((*_PARKED, *_LARGE))
        if draw.chance(0.55):
            drive(kind, oncoming + draw.uniform(-0.2, 0.2), z, -1, sky.weather != "clear")
        z += draw.uniform(16, 45)
    return cars


def _vehicle(draw: Draw, kind: VehicleKind, x: float, z: float, heading: int, yaw: float, on: bool) -> Vehicle:
    paint = _CAR_PAINT if kind not in ("bus", "truck") else ("b8861f", "a0282a", "2f5d8a", "d8d8d4", "3f7a4f")
    return Vehicle(kind, x, z, heading, yaw, draw.colour(paint) * 0.85, on, draw.seed())


def draw_trees(draw: Draw, street: Street) -> list[Tree]:
    """Street trees on no side, one or both; gardens behind fences; trees at the end of the street."""
    trees: list[Tree] = []
    autumn = draw.uniform(0, 0.55) if draw.chance(0.35) else draw.uniform(0, 0.12)

    def plant(x: float, z: float, trunk: float, crown: float, tall: tuple[float, float], garden: bool = False) -> None:
        leaves = leaf_tint(draw.colour(_LEAVES), min(1.0, autumn * draw.uniform(0.5, 1.5)))
        trees.append(Tree(x, z, trunk, crown, crown * draw.uniform(*tall), leaves, draw.seed(), garden))

    rows = draw.choice(((), (-1,), (1,), (-1, 1)))
    for side in (-1, 1):
        number = 0 if side < 0 else 1
        kerb, front, grass = street.kerb_m[number], street.front_m[number], street.grass_m[number]
        if side in rows:
            z, gap = draw.uniform(9, 18), draw.uniform(9, 14)
            while z < 130:
                inside = any(near - 2 < z < far + 2 for near, far in street.side_streets[number])
                if draw.chance(0.85) and not inside:
                    x = side * (kerb + max(0.8, grass / 2))
                    plant(x, z, draw.uniform(2.4, 3.2), draw.uniform(1.9, 2.9), (1.7, 2.2))
                z += gap * draw.uniform(0.85, 1.2)
        if street.boundary[number] != "houses":
            z = draw.uniform(3, 7)
            while z < 165:
                x = side * (front + draw.uniform(2.0, 7.0))
                plant(x, z, draw.uniform(1.4, 2.6), draw.uniform(2.6, 4.6), (1.6, 2.2), garden=True)
                plant(side * (front + 1.3), z + 1, 0.0, draw.uniform(0.9, 1.5), (1.1, 1.5), garden=True)
                z += draw.uniform(3.2, 5.6) * (1 + z / 26)
    for _ in range(7):
        x = draw.uniform(-street.front_m[0] - 4, street.front_m[1] + 4)
        plant(x, draw.uniform(165, 186), 2.0, draw.uniform(3.5, 6), (1.7, 1.70001))
    return trees


def draw_posts(draw: Draw, street: Street) -> list[StreetPost]:
    """Lamp posts, signs, and traffic lights at crossings."""
    posts: list[StreetPost] = []
    lamp_side = 1 if draw.chance(0.5) else -1
    state = draw.choice((0, 0, 0, 1, 2, 2, 2))
    for side in (-1, 1):
        x = side * (street.kerb_m[0 if side < 0 else 1] + 0.45)
        if side == lamp_side:
            z = draw.uniform(12, 24)
            while z < 130:
                posts.append(StreetPost("lamp", x, z, side, 0, KERB_HEIGHT_M))
                z += draw.uniform(22, 27)
        z = draw.uniform(8, 22)
        while z < 90:
            sign = draw.choice(_SIGNS)
            if draw.chance(0.75):
                posts.append(StreetPost(sign, x + side * 0.1, z, side, draw.integer(0, 6), KERB_HEIGHT_M))
            z += draw.uniform(11, 30)
        if street.crossing_m:
            posts.append(StreetPost("signal", x, street.crossing_m - 0.8, side, state, KERB_HEIGHT_M))
    return posts


def draw_figures(draw: Draw, street: Street) -> list[Figure]:
    """Walkers on the pavements and the crossing, cyclists on the road, parked bicycles."""
    figures: list[Figure] = []
    for side in (-1, 1):
        number = 0 if side < 0 else 1
        inner = street.kerb_m[number] + street.grass_m[number] + 1.0
        outer = street.front_m[number] - 0.5
        for _ in range(draw.integer(1, 7)):
            x = side * draw.uniform(inner, max(outer, inner + 0.1))
            figures.append(_figure(draw, "person", x, draw.uniform(11, 60), KERB_HEIGHT_M, draw.chance(0.15)))
        if draw.chance(0.5):
            z = draw.uniform(9, 26)
            for number_of in range(draw.integer(1, 4)):
                x = side * (inner + 0.1)
                figures.append(_figure(draw, "bicycle", x, z + 1.1 * number_of, KERB_HEIGHT_M, True))
    if street.crossing_m:
        for _ in range(draw.integer(0, 4)):
            x, z = draw.uniform(-street.kerb_m[0], street.kerb_m[1]), street.crossing_m + draw.uniform(0.8, 2.8)
            figures.append(_figure(draw, "person", x, z, 0.0, True))
    if draw.chance(0.28):
        kind = draw.choice(_RIDERS)
        x = draw.uniform(0.9, 1.45) if kind == "cyclist" else draw.uniform(-0.3, 0.9)
        figures.append(_figure(draw, kind, x, draw.uniform(11, 18), 0.0, False))
    if street.crossing_m and draw.chance(0.4):
        x = draw.uniform(-street.kerb_m[0], 0.0)
        figures.append(_figure(draw, "cyclist", x, street.crossing_m + 4.2, 0.0, True))
    return figures


def _figure(draw: Draw, kind: FigureKind, x: float, z: float, base: float, side_view: bool) -> Figure:
    return Figure(
        kind=kind,
        x=x,
        z=z,
        height_m=draw.uniform(1.55, 1.9) if kind == "person" else 1.8,
        side_view=side_view,
        mirrored=draw.chance(0.5),
        stride=draw.uniform(0, 1),
        top_rgb=draw.colour(_TOPS),
        legs_rgb=draw.colour(_LEGS),
        skin_rgb=draw.colour(_SKIN),
        hair_rgb=draw.colour(_HAIR),
        base_m=base,
    )
