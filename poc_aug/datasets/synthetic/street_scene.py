"""The contents of a synthetic street: frozen records in metres, drawn at random before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from poc_aug.datasets.synthetic.street_camera import F32

Weather = Literal["clear", "overcast", "dusk"]
Style = Literal["plaster", "brick", "modern"]
Boundary = Literal["houses", "fence", "wall"]
VehicleKind = Literal["hatchback", "sedan", "suv", "van", "truck", "bus"]
FigureKind = Literal["person", "cyclist", "bicycle", "motorcyclist"]
PostKind = Literal["lamp", "warning", "round", "parking", "signal"]


@dataclass(frozen=True, slots=True)
class Sky:
    """Weather and light. ``sun`` is the unit vector ``(x, y, z)`` towards it; colours are linear float32 ``[3]``."""

    weather: Weather
    sun: tuple[float, float, float]
    sun_rgb: F32
    ambient_rgb: F32
    bounce_rgb: F32
    zenith_rgb: F32
    horizon_rgb: F32
    haze_rgb: F32
    haze_m: float
    clouds: float
    exposure: float
    seed: int

    @property
    def lamps_on(self) -> bool:
        """Whether windows and lamps are lit."""
        return self.weather == "dusk"


@dataclass(frozen=True, slots=True)
class Building:
    """A house of a row: its front is the plane ``x = side * front_m`` from ``near_m`` to ``far_m``."""

    side: int
    front_m: float
    near_m: float
    far_m: float
    height_m: float
    style: Style
    ground_floor: Literal["shop", "flat"]
    ground_floor_m: float
    bays: int
    floors: int
    window_w: float
    window_h: float
    roof_m: float
    roof_slope: float
    trimmed: bool
    wall_rgb: F32
    trim_rgb: F32
    roof_rgb: F32
    shop_rgb: F32
    seed: int


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle on the road; ``heading`` 1 drives away from the camera, -1 towards it."""

    kind: VehicleKind
    x: float
    z: float
    heading: int
    yaw: float
    rgb: F32
    lamps: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Tree:
    """A street tree, or a bush if ``trunk_m`` is 0; ``garden``: it stands behind the fence or wall."""

    x: float
    z: float
    trunk_m: float
    crown_m: float
    crown_h: float
    rgb: F32
    seed: int
    garden: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A person, or a two-wheeler with or without its rider."""

    kind: FigureKind
    x: float
    z: float
    height_m: float
    side_view: bool
    mirrored: bool
    stride: float
    top_rgb: F32
    legs_rgb: F32
    skin_rgb: F32
    hair_rgb: F32
    base_m: float


@dataclass(frozen=True, slots=True)
class StreetPost:
    """A lamp post, sign or traffic light on the pavement of a ``side`` of the road: -1 left, 1 right."""

    kind: PostKind
    x: float
    z: float
    side: int
    state: int
    base_m: float


@dataclass(frozen=True, slots=True)
class Street:
    """The cross-section, the same all along the street; distances from the camera's own track, all positive.

    Attributes:
        kerb_m: from the camera to the (left, right) kerb.
        front_m: from the camera to the (left, right) building line.
        grass_m: width of the grass strip behind the (left, right) kerb; 0 for none.
        lines_m: ``x`` of the dashed lane lines.
        crossing_m: distance to a zebra crossing, 0 for none.
        side_streets: ``(near, far)`` distances of the side streets on the (left, right).
        asphalt_rgb: mean reflectance of the road, linear float32 ``[3]``.
        paving_rgb: the same of the pavement.
        slab_m: edge of a paving slab.
        boundary: what stands along the (left, right) building line: houses, or a fence or wall.
        seed: seed of all ground textures.
    """

    kerb_m: tuple[float, float]
    front_m: tuple[float, float]
    grass_m: tuple[float, float]
    lines_m: tuple[float, ...]
    crossing_m: float
    side_streets: tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]
    asphalt_rgb: F32
    paving_rgb: F32
    slab_m: float
    boundary: tuple[Boundary, Boundary]
    seed: int


@dataclass(frozen=True, slots=True)
class StreetScene:
    """Everything that one picture shows, with the camera's pose as shares of the picture's size and in metres."""

    sky: Sky
    street: Street
    buildings: tuple[Building, ...]
    vehicles: tuple[Vehicle, ...]
    trees: tuple[Tree, ...]
    figures: tuple[Figure, ...]
    posts: tuple[StreetPost, ...]
    horizon: float
    centre: float
    camera_height_m: float


KERB_HEIGHT_M = 0.12
END_M = 190.0
"""Where the street ends in haze, houses and trees."""

# (length, width, height) in metres.
VEHICLE_SIZE_M: dict[VehicleKind, tuple[float, float, float]] = {
    "hatchback": (4.2, 1.78, 1.48),
    "sedan": (4.6, 1.82, 1.45),
    "suv": (4.5, 1.86, 1.66),
    "van": (5.2, 1.98, 2.05),
    "truck": (7.2, 2.3, 3.1),
    "bus": (11.8, 2.55, 3.1),
}
