"""Lost cargo with flat sides: cardboard boxes, suitcases, plastic crates, mattresses, blocks, canisters."""

from __future__ import annotations

import numpy as np

from poc_aug.backends.rendered.cargo_materials import Cardboard, Cloth
from poc_aug.backends.rendered.materials import Metal, Plain, Rgb, Stone, linear_rgb
from poc_aug.backends.rendered.model import Dice, Model, ModelPart
from poc_aug.backends.rendered.solids import (
    Capsule,
    Cut,
    Cylinder,
    Eroded,
    Moved,
    Repeated,
    RoundedBox,
    Solid,
    Union,
    rotation_about,
)
from poc_aug.noise import FloatArray

_BOARD = (linear_rgb(176, 138, 98), linear_rgb(166, 127, 86), linear_rgb(186, 152, 112), linear_rgb(150, 112, 76))
_TAPE: tuple[Rgb | None, ...] = (linear_rgb(168, 128, 84), linear_rgb(150, 110, 70), linear_rgb(205, 200, 188), None)
_LUGGAGE = (
    linear_rgb(28, 30, 36), linear_rgb(34, 44, 74), linear_rgb(110, 24, 30),
    linear_rgb(60, 64, 68), linear_rgb(24, 78, 84), linear_rgb(120, 96, 60),
)  # fmt: skip
_PLASTIC = (
    linear_rgb(170, 30, 30), linear_rgb(28, 78, 150), linear_rgb(36, 110, 64),
    linear_rgb(190, 150, 40), linear_rgb(70, 72, 76), linear_rgb(150, 152, 150),
)  # fmt: skip
_STEEL_CAN = (linear_rgb(66, 74, 48), linear_rgb(140, 28, 26), linear_rgb(52, 56, 58))
_PLASTIC_CAN = (linear_rgb(170, 36, 30), linear_rgb(30, 70, 140), linear_rgb(214, 210, 196))


def _carton(dice: Dice, low: float, high: float) -> tuple[ModelPart, tuple[float, float, float]]:
    """A closed carton with slightly dented sides, its base at ``y = -half``."""
    width, height, depth = (dice.uniform(low, high) / 2 for _ in range(3))
    half = (width, height * dice.uniform(0.6, 1.0), depth * 0.85)
    look = Cardboard(
        half=half,
        colour=dice.choice(_BOARD),
        seed=dice.seed(),
        tape=dice.choice(_TAPE),
        ink=dice.uniform(0.45, 0.85) if dice.chance(0.7) else 0.0,
        label=dice.chance(0.6),
        damp=dice.uniform(0.0, 0.7),
    )
    slack, phase = dice.uniform(0.0, 0.010), dice.uniform(0.0, 6.3)

    def dent(p: FloatArray) -> FloatArray:
        # Sides are dented towards their middles, one corner region more than the others.
        wave = 0.5 + 0.5 * np.sin(p[0] * (2.2 / half[0]) + phase) * np.sin(p[1] * (2.0 / half[1]) + 2 * phase)
        return np.asarray(np.float32(slack) * wave, dtype=np.float32)

    return ModelPart(Eroded(RoundedBox(half, 0.004), dent), look), half


def cardboard_box(dice: Dice) -> Model:
    """A closed carton."""
    part, half = _carton(dice, 0.35, 0.80)
    facts = {"width_m": round(2 * half[0], 3)}
    return Model((part,), pace=0.95, grime=dice.uniform(0.15, 0.5), sink=0.006, facts=facts)


def open_box(dice: Dice) -> Model:
    """A carton whose flaps stand open."""
    half = (dice.uniform(0.20, 0.36), dice.uniform(0.14, 0.26), dice.uniform(0.18, 0.30))
    ink, damp = dice.uniform(0.4, 0.8), dice.uniform(0, 0.6)
    skin = Cardboard(half, dice.choice(_BOARD), dice.seed(), None, ink, dice.chance(0.5), damp)
    wall = 0.006
    inner = Moved(RoundedBox((half[0] - wall, half[1], half[2] - wall)), (0, 2 * wall, 0))
    parts = [ModelPart(Cut(RoundedBox(half, 0.002), inner), skin)]
    plain = Cardboard((half[0], wall, half[2]), skin.colour, dice.seed(), None, 0.0, False, skin.damp)
    for side in range(4):
        along, out = (half[2], half[0]) if side % 2 == 0 else (half[0], half[2])
        length = min(half[0], half[2]) * dice.uniform(0.75, 0.95)
        tilt = dice.uniform(-35, 60) if dice.chance(0.7) else dice.uniform(95, 150)
        # A flap hinges on the rim: with tilt 0 it stands up, with 90 it lies level outwards, with more it hangs down.
        flap = Moved(RoundedBox((wall / 2, length / 2, along * 0.97), 0.002), (0, length / 2, 0))
        hinge = rotation_about("y", -90.0 * side)
        corner = hinge @ np.array([out - wall / 2, half[1], 0], dtype=np.float32)
        rotation = (hinge @ rotation_about("z", -tilt)).astype(np.float32)
        parts.append(ModelPart(flap, plain, (float(corner[0]), float(corner[1]), float(corner[2])), rotation))
    return Model(tuple(parts), grime=dice.uniform(0.15, 0.5), facts={"width_m": round(2 * half[0], 3)})


def stack_of_boxes(dice: Dice) -> Model:
    """Two to four cartons, stacked or side by side."""
    parts: list[ModelPart] = []
    count = dice.integer(2, 4)
    floor, support = 0.0, 9.0
    for _ in range(count):
        part, half = _carton(dice, 0.30, min(0.62, support * 2.1))
        shift = 0.25 * max(0.0, support - half[0]) if support < 5 else 0.0
        place = (dice.uniform(-1, 1) * shift + dice.uniform(-0.03, 0.03), floor + half[1], dice.uniform(-0.04, 0.04))
        parts.append(ModelPart(part.solid, part.material, place, rotation_about("y", dice.uniform(-14, 14))))
        floor += 2 * half[1] - 0.003
        support = min(half[0], half[2])
    if dice.chance(0.6):
        part, half = _carton(dice, 0.28, 0.45)
        side = dice.choice((-1, 1)) * (0.36 + half[0] * 1.25)
        place = (side, half[1], dice.uniform(-0.2, 0.1))
        parts.append(ModelPart(part.solid, part.material, place, rotation_about("y", dice.uniform(-40, 40))))
    return Model(tuple(parts), pace=0.95, grime=dice.uniform(0.1, 0.4), sink=0.006, facts={"boxes": len(parts)})


def suitcase(dice: Dice) -> Model:
    """A hard-shell trolley case, on its wheels or fallen over."""
    half = (dice.uniform(0.20, 0.26), dice.uniform(0.28, 0.37), dice.uniform(0.10, 0.15))
    pitch = half[0] / 4.2

    def ribs(p: FloatArray) -> FloatArray:
        wave = np.sin(p[0] * np.float32(2 * np.pi / pitch))
        return np.asarray(np.float32(0.0022) * (1 + np.clip(wave * 2.5, -1, 1)), dtype=np.float32)

    colour = dice.choice(_LUGGAGE)
    shell = Plain(colour, dice.seed(), dice.uniform(0.35, 0.6), 0.08, dice.uniform(0.1, 0.5), 0.0003, 0.01)
    dark = Plain(linear_rgb(30, 30, 31), dice.seed(), 0.5, 0.1, 0.2)
    metal = Metal((0.45, 0.45, 0.46), dice.seed(), 0.05, 0.35)
    top = half[1]
    handle = Union((
        Capsule((-0.09, top, 0.02), (-0.09, top + 0.035, 0.02), 0.011),
        Capsule((0.09, top, 0.02), (0.09, top + 0.035, 0.02), 0.011),
        Capsule((-0.09, top + 0.035, 0.02), (0.09, top + 0.035, 0.02), 0.013),
    ))  # fmt: skip
    wheel = Moved(Cylinder(0.028, 0.011, 0, 0.005), (0, 0, 0), rotation_about("z", 90))
    wheels = Repeated(wheel, (half[0] * 1.6, 1, half[2] * 1.5), (2, 1, 2))
    zip_line = RoundedBox((half[0] + 0.002, half[1] + 0.002, 0.007), 0.06)
    parts = (
        ModelPart(Eroded(RoundedBox(half, 0.055), ribs), shell),
        ModelPart(zip_line, dark),
        ModelPart(handle, dark),
        ModelPart(Moved(wheels, (0, -half[1] - 0.022, 0)), dark),
        ModelPart(RoundedBox((0.03, 0.008, 0.004), 0.002), metal, (0, half[1] * 0.6, half[2])),
    )
    fallen = dice.chance(0.6)
    model = Model(parts, pace=0.9, grime=dice.uniform(0.1, 0.45), facts={"fallen": int(fallen)})
    if not fallen:
        return model
    flat = rotation_about("x", dice.choice((-90, 90)))
    return model.posed(flat if dice.chance(0.6) else rotation_about("z", 90))


def plastic_crate(dice: Dice) -> Model:
    """A crate for bottles or vegetables, open at the top, with hand holes and slots."""
    half = (dice.uniform(0.19, 0.30), dice.uniform(0.10, 0.16), dice.uniform(0.14, 0.20))
    inner = Moved(RoundedBox((half[0] - 0.012, half[1], half[2] - 0.012)), (0, 0.014, 0))
    slots_x = Repeated(
        RoundedBox((half[0] * 0.075, half[1] * 0.30, half[2] * 2), 0.006), (half[0] * 0.27, 1, 1), (6, 1, 1)
    )
    slots_z = Repeated(
        RoundedBox((half[0] * 2, half[1] * 0.30, half[2] * 0.09), 0.006), (1, 1, half[2] * 0.34), (1, 1, 4)
    )
    hold = Moved(RoundedBox((half[0] * 2, half[1] * 0.13, half[2] * 0.34), 0.02), (0, half[1] * 0.66, 0))
    body: Solid = Cut(RoundedBox(half, 0.012), inner)
    for tool in (Moved(slots_x, (0, -half[1] * 0.1, 0)), Moved(slots_z, (0, -half[1] * 0.1, 0)), hold):
        body = Cut(body, tool)
    rim = Cut(Moved(RoundedBox((half[0] + 0.008, 0.012, half[2] + 0.008), 0.008), (0, half[1] - 0.012, 0)), inner)
    skin = Plain(dice.choice(_PLASTIC), dice.seed(), 0.5, 0.10, dice.uniform(0.3, 0.8))
    model = Model((ModelPart(Union((body, rim)), skin),), pace=0.85, grime=dice.uniform(0.2, 0.6))
    return model.posed(rotation_about("z", dice.choice((90, 180)))) if dice.chance(0.35) else model


def mattress(dice: Dice) -> Model:
    """A mattress lying on the road, tufted, a little sagging."""
    half = (dice.uniform(0.90, 1.0), dice.uniform(0.07, 0.12), dice.uniform(0.40, 0.70))
    cell, depth = dice.uniform(0.17, 0.24), dice.uniform(0.010, 0.02)
    phase = dice.uniform(0, 6.3)

    def tufts(p: FloatArray) -> FloatArray:
        u, v = np.cos(p[0] * (np.pi / cell)), np.cos(p[2] * (np.pi / cell))
        # The welt along the edges stays in place.
        inner = np.clip(1 - (p[0] / half[0]) ** 4, 0, 1) * np.clip(1 - (p[2] / half[2]) ** 4, 0, 1) * (p[1] > 0)
        sag = 0.03 * (0.5 + 0.5 * np.sin(2.3 * p[0] + phase) * np.cos(1.7 * p[2] + phase)) * inner
        return np.asarray(np.float32(depth) * (u * u * v * v) ** 2 + sag, dtype=np.float32)

    white = dice.choice(
        (linear_rgb(214, 208, 196), linear_rgb(196, 200, 204), linear_rgb(205, 190, 165), linear_rgb(188, 196, 206))
    )
    accent = dice.choice(
        (linear_rgb(120, 140, 170), linear_rgb(170, 140, 110), linear_rgb(160, 165, 165), linear_rgb(140, 60, 60))
    )
    stripes = dice.uniform(0.05, 0.10) if dice.chance(0.6) else 0.0
    look = Cloth(white, accent, dice.seed(), stripes, 2, 0.25, dice.uniform(0.2, 0.8))
    welt = Cut(
        RoundedBox((half[0] + 0.004, 0.009, half[2] + 0.004), 0.008),
        RoundedBox((half[0] - 0.02, 1.0, half[2] - 0.02), 0.04),
    )
    cord = Union(tuple(Moved(welt, (0, s * (half[1] - 0.022), 0)) for s in (-1, 1)))
    parts = (
        ModelPart(Eroded(RoundedBox(half, 0.045), tufts), look),
        ModelPart(cord, Cloth(accent, accent, dice.seed())),
    )
    return Model(parts, pace=0.8, grime=dice.uniform(0.2, 0.6), sink=0.004)


def concrete_block(dice: Dice) -> Model:
    """A hollow building block, lying or on edge."""
    half = (dice.uniform(0.19, 0.25), dice.uniform(0.09, 0.12), dice.uniform(0.09, 0.12))
    hole = Repeated(RoundedBox((half[0] * 0.36, half[1] * 2, half[2] * 0.62), 0.02), (half[0] * 0.92, 1, 1), (2, 1, 1))
    chip = dice.uniform(0.002, 0.006)
    f = dice.uniform(20, 32)

    def worn(p: FloatArray) -> FloatArray:
        waves = np.sin(f * p[0] + 2) * np.sin(1.3 * f * p[1]) * np.sin(1.1 * f * p[2])
        return np.asarray(np.float32(chip) * (1 + waves), dtype=np.float32)

    colour = dice.choice((linear_rgb(150, 148, 142), linear_rgb(132, 130, 126), linear_rgb(166, 158, 144)))
    part = ModelPart(Eroded(Cut(RoundedBox(half, 0.008), hole), worn), Stone(colour, dice.seed(), 0.30, 0.003, 0.02))
    model = Model((part,), pace=0.85, grime=dice.uniform(0.2, 0.5))
    return model.posed(rotation_about("x", 90)) if dice.chance(0.5) else model


def jerrycan(dice: Dice) -> Model:
    """A fuel canister of pressed steel or plastic, upright or lying."""
    half = (0.17 * dice.uniform(0.9, 1.05), 0.22 * dice.uniform(0.9, 1.05), 0.08 * dice.uniform(0.9, 1.1))

    def pressed(p: FloatArray) -> FloatArray:
        # The X on both sides: two diagonal troughs, inside a frame.
        u, v = p[0] / half[0], p[1] / half[1]
        diagonal = np.minimum(np.abs(u - v), np.abs(u + v))
        inside = (np.maximum(np.abs(u), np.abs(v)) < 0.74) & (np.abs(p[2]) > half[2] * 0.6)
        return np.asarray(0.007 * np.clip(1 - diagonal * 5, 0, 1) * inside, dtype=np.float32)

    steel = dice.chance(0.6)
    colour = dice.choice(_STEEL_CAN if steel else _PLASTIC_CAN)
    skin = Plain(colour, dice.seed(), 0.45 if steel else 0.55, 0.10, dice.uniform(0.3, 0.9))
    top = half[1]
    grips = [
        Capsule((-half[0] * 0.5, top + 0.045, z), (half[0] * 0.28, top + 0.045, z), 0.010) for z in (-0.035, 0, 0.035)
    ]
    posts = Repeated(RoundedBox((0.009, 0.03, 0.042), 0.006), (half[0] * 0.78, 1, 1), (2, 1, 1))
    spout = Moved(Cylinder(0.030, 0.035, 0, 0.006), (half[0] * 0.72, top + 0.012, 0), rotation_about("z", -30))
    parts = (
        ModelPart(Eroded(RoundedBox(half, 0.045), pressed), skin),
        ModelPart(Union((*grips, Moved(posts, (-half[0] * 0.11, top + 0.018, 0)))), skin),
        ModelPart(spout, Plain(linear_rgb(30, 30, 30), dice.seed(), 0.5) if not steel else skin),
    )
    model = Model(parts, pace=0.85, grime=dice.uniform(0.2, 0.5), facts={"steel": int(steel)})
    return model.posed(rotation_about("x", 90)) if dice.chance(0.4) else model
