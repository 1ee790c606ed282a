"""Shapes of the vehicles: convex solids in the vehicle's own axes ``(ahead, up, right)``, metres, on the road."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from poc_aug.datasets.synthetic.street_scene import VEHICLE_SIZE_M, VehicleKind
from poc_aug.datasets.synthetic.street_solids import Convex, Plane


@dataclass(frozen=True, slots=True)
class Shape:
    """A vehicle's solids and what is painted on them.

    Attributes:
        body: the lower part, with bonnet and boot; of a bus or truck, the box.
        cabin: the part with the windows; of a truck, the cab; ``None``: windows are painted on the body.
        wheels: ``(ahead, radius)`` of the axles.
        track: half the distance between the wheels' outer sides.
        belt: height of the lower edge of the side windows.
        roof: height of their upper edge.
        pillars: positions of the pillars between side windows, metres ahead of the centre.
        nose: height of the bonnet's front edge, where the lamps end.
        rounding: width in metres over which edges are rounded.
    """

    body: Convex
    cabin: Convex | None
    wheels: tuple[tuple[float, float], ...]
    track: float
    belt: float
    roof: float
    pillars: tuple[float, ...]
    nose: float
    rounding: float


def _lower(length: float, width: float, bonnet: float, boot: float, boot_at: float, nose: float) -> list[Plane]:
    front, w = length / 2, width / 2
    planes: list[Plane] = [
        ((0, -1, 0), (0, 0.20, 0)),
        ((1, 0.06, 0), (front, 0.45, 0)),
        ((1, 0.45, 0), (front - 0.02, nose - 0.10, 0)),
        ((0.7, -1, 0), (front - 0.10, 0.26, 0)),
        ((0.8, 1, 0), (front - 0.20, nose, 0)),
        ((0.32, 1, 0), (front - 0.55, nose + 0.09, 0)),
        ((0.09, 1, 0), (front - 1.15, bonnet, 0)),
        ((-0.03, 1, 0), (boot_at, boot, 0)),
        ((-0.9, 1, 0), (-front + 0.16, boot - 0.03, 0)),
        ((-1, 0.30, 0), (-front + 0.03, boot - 0.25, 0)),
        ((-1, 0.03, 0), (-front, 0.52, 0)),
        ((-1, -0.5, 0), (-front + 0.03, 0.42, 0)),
        ((-0.6, -1, 0), (-front + 0.16, 0.26, 0)),
    ]
    for side in (-1, 1):
        planes += [
            ((0, -0.35, side), (0, 0.42, side * w)),
            ((0, 0.04, side), (0, 0.56, side * w)),
            ((0, 0.26, side), (0, 0.76, side * w)),
            ((0, 0.9, side), (0, max(bonnet, boot) - 0.03, side * (w - 0.07))),
        ]
        # Seen from above, both ends are round: four chamfers per corner.
        for end, step in ((1, 1.0), (-1, 0.85)):
            planes += [
                ((end, 0, side * 0.20), (end * (front - 0.012 * step), 0, side * 0.45 * w)),
                ((end, 0, side * 0.55), (end * (front - 0.09 * step), 0, side * (w - 0.24 * step))),
                ((end * 0.60, 0, side), (end * (front - 0.30 * step), 0, side * (w - 0.065 * step))),
                ((end * 0.12, 0, side), (end * (front - 0.80 * step), 0, side * (w - 0.008))),
            ]
    return planes


def _upper(
    width: float, belt: float, roof: float, cowl: float, top_front: float, top_rear: float, tail: float, lean: float
) -> list[Plane]:
    w, rise = width / 2 - 0.06, roof - belt
    middle = 0.5 * (top_front + top_rear)
    planes: list[Plane] = [
        ((0, -1, 0), (0, belt - 0.10, 0)),
        ((rise, cowl - top_front, 0), (cowl, belt, 0)),
        ((0.30, 1, 0), (top_front - 0.04, roof - 0.03, 0)),
        ((0.05, 1, 0), (middle + 0.3, roof, 0)),
        ((-0.05, 1, 0), (middle - 0.2, roof, 0)),
        ((-0.32, 1, 0), (top_rear + 0.08, roof - 0.05, 0)),
        ((-rise, top_rear - tail, 0), (tail, belt, 0)),
    ]
    for side in (-1, 1):
        planes += [
            ((0, lean, side), (0, belt, side * w)),
            ((0, 1.0, side * 0.75), (0, roof - 0.04, side * (w - lean * rise - 0.06))),
            ((0, 1.0, side * 0.16), (0, roof - 0.005, side * (w - lean * rise - 0.28))),
            ((0.25, 0, side), (cowl - 0.55, 0, side * w)),
            ((-0.20, 0, side), (tail + 0.55, 0, side * w)),
        ]
    return planes


def _box(front: float, rear: float, width: float, low: float, high: float, slant: float, edge: float) -> list[Plane]:
    w = width / 2
    planes: list[Plane] = [
        ((0, -1, 0), (0, low, 0)),
        ((0, 1, 0), (0, high, 0)),
        ((1, slant, 0), (front, low + 0.5, 0)),
        ((-1, 0.02, 0), (rear, low, 0)),
        ((1, 1, 0), (front - edge - slant * (high - low - 0.5), high, 0)),
        ((-1, 1, 0), (rear + edge, high, 0)),
    ]
    for side in (-1, 1):
        planes += [
            ((0, 0.015, side), (0, low, side * w)),
            ((0, 1, side), (0, high, side * (w - edge))),
            ((1, 0, side), (front, 0, side * (w - edge))),
            ((-1, 0, side), (rear, 0, side * (w - edge))),
        ]
    return planes


# Heights and positions by kind: (bonnet, boot, boot_at, nose, belt, cowl, top_front, top_rear, tail, lean, pillars).
_CARS = {
    "hatchback": (0.97, 0.98, -1.4, 0.76, 0.94, 1.10, 0.28, -1.42, -2.02, 0.26, (-0.42, -1.42)),
    "sedan": (0.94, 1.02, -1.7, 0.74, 0.95, 0.98, 0.18, -0.95, -1.62, 0.28, (-0.40, -1.18)),
    "suv": (1.10, 1.12, -1.5, 0.90, 1.08, 1.14, 0.45, -1.70, -2.14, 0.20, (-0.32, -1.32)),
    "van": (1.12, 1.18, -1.9, 0.90, 1.12, 1.75, 0.95, -2.35, -2.56, 0.13, (0.25, -0.95)),
}


@cache
def shape_of(kind: VehicleKind) -> Shape:
    """The shape of a kind of `Vehicle`."""
    length, width, height = VEHICLE_SIZE_M[kind]
    if kind == "bus":
        body = Convex.of(_box(length / 2, -length / 2, width, 0.30, height, 0.06, 0.12))
        return Shape(body, None, ((3.3, 0.48), (-2.9, 0.48)), width / 2, 1.15, 2.55, (), 0.9, 0.06)
    if kind == "truck":
        cargo = Convex.of(_box(1.35, -length / 2, width, 0.75, height, 0.0, 0.04))
        cab = Convex.of(_box(length / 2, 1.45, width - 0.15, 0.40, 2.35, 0.16, 0.10))
        return Shape(cargo, cab, ((2.4, 0.42), (-2.1, 0.42)), width / 2 - 0.1, 1.30, 2.10, (), 0.85, 0.04)
    bonnet, boot, boot_at, nose, belt, cowl, top_front, top_rear, tail, lean, pillars = _CARS[kind]
    axle, radius = 0.305 * length, 0.33 if kind in ("suv", "van") else 0.31
    return Shape(
        Convex.of(_lower(length, width, bonnet, boot, boot_at, nose)),
        Convex.of(_upper(width, belt, height, cowl, top_front, top_rear, tail, lean)),
        ((axle, radius), (-axle, radius)),
        width / 2 - 0.03,
        belt + 0.05,
        height - 0.13,
        pillars,
        nose,
        0.06,
    )
