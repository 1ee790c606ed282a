"""Lost cargo with round sections: drums, tyres, cones, balls, buckets, pipes, rolls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from poc_aug.backends.rendered.cargo_materials import Cloth
from poc_aug.backends.rendered.cargo_skins import BallSkin, Banded, DrumPaint, Tyre
from poc_aug.backends.rendered.materials import Metal, Plain, Rgb, linear_rgb
from poc_aug.backends.rendered.model import Dice, Model, ModelPart
from poc_aug.backends.rendered.solids import (
    Bent,
    Capsule,
    Cut,
    Cylinder,
    Ellipsoid,
    Eroded,
    Frustum,
    Moved,
    RoundedBox,
    Solid,
    Union,
    rotation_about,
)
from poc_aug.noise import FloatArray

_DRUM = (
    linear_rgb(24, 66, 120), linear_rgb(134, 32, 28), linear_rgb(44, 84, 58),
    linear_rgb(60, 62, 64), linear_rgb(176, 120, 30), linear_rgb(150, 150, 148),
)  # fmt: skip
_BUCKET = (
    linear_rgb(36, 36, 38),
    linear_rgb(200, 198, 190),
    linear_rgb(34, 80, 150),
    linear_rgb(180, 50, 34),
    linear_rgb(206, 160, 40),
)
_ROD = rotation_about("z", 90)


def _drum(dice: Dice) -> Model:
    radius, half = dice.near(0.29, 0.05), dice.near(0.44, 0.05)
    deep, place, turn = dice.uniform(0.0, 0.035), dice.uniform(-0.5, 0.5) * half, dice.uniform(0, 6.3)

    def form(p: FloatArray) -> FloatArray:
        y = p[1] / np.float32(half)
        hoops = np.exp(-(((np.abs(y) - 0.34) / 0.035) ** 2)) + np.exp(-(((np.abs(y) - 0.985) / 0.03) ** 2))
        lid = np.float32(0.016) * (np.sqrt(p[0] ** 2 + p[2] ** 2) < radius - 0.022) * (np.abs(y) > 0.9)
        at = (np.cos(turn) * radius, place, np.sin(turn) * radius)
        gap = (p[0] - at[0]) ** 2 + (p[1] - at[1]) ** 2 + (p[2] - at[2]) ** 2
        dent = deep * np.exp(-gap / np.float32(0.02))
        return np.asarray(0.010 * (1 - np.clip(hoops, 0, 1)) + lid + dent, dtype=np.float32)

    stencil: Rgb | None = dice.choice((None, None, linear_rgb(200, 200, 195), linear_rgb(190, 150, 40)))
    paint = DrumPaint(dice.choice(_DRUM), half, dice.seed(), dice.uniform(0.05, 0.75), stencil)
    bung = Moved(Cylinder(0.03, 0.012, 0, 0.005), (radius * 0.62, half - 0.010, 0))
    parts = (
        ModelPart(Eroded(Cylinder(radius, half, 0, 0.006), form), paint),
        ModelPart(bung, Metal((0.4, 0.4, 0.38), dice.seed(), 0.5)),
    )
    return Model(parts, pace=0.8, grime=dice.uniform(0.15, 0.5), facts={"radius_m": round(radius, 3)})


def barrel(dice: Dice) -> Model:
    """A 200 litre steel drum, upright."""
    return _drum(dice)


def fallen_barrel(dice: Dice) -> Model:
    """A steel drum on its side."""
    return _drum(dice).posed((_ROD @ rotation_about("y", dice.uniform(0, 360))).astype(np.float32))


def tyre(dice: Dice) -> Model:
    """A car's tyre, usually lying flat, sometimes standing, sometimes with its wheel rim."""
    outer, half = dice.uniform(0.28, 0.34), dice.uniform(0.085, 0.115)
    inner = outer - dice.uniform(0.10, 0.13)
    seed = dice.seed()

    def form(p: FloatArray) -> FloatArray:
        y = np.abs(p[1]) / np.float32(half)
        rho = np.sqrt(p[0] ** 2 + p[2] ** 2)
        crown = np.clip(y, 0, 1) ** 3 * 0.012 * (rho > (outer + inner) / 2)
        nearest = np.minimum(y, np.abs(y - 0.45))
        grooves = np.clip(1 - nearest * 14, 0, 1)
        return np.asarray(crown + 0.008 * grooves * (rho > outer - 0.03), dtype=np.float32)

    hollow = Cylinder(outer - 0.022, half - 0.016, inner - 0.06, 0.03)
    carcass = Eroded(Cut(Cylinder(outer, half, inner, 0.040), hollow), form)
    parts = [ModelPart(carcass, Tyre(outer, inner, half, seed))]
    rim = dice.chance(0.35)
    if rim:
        metal = Metal((0.42, 0.42, 0.43), dice.seed(), dice.uniform(0.0, 0.4), 0.4)
        holes = [
            Moved(Cylinder(inner * 0.20, 0.2), (inner * 0.62 * np.cos(a), 0, inner * 0.62 * np.sin(a)))
            for a in np.arange(5) * 2 * np.pi / 5
        ]
        disc = Cut(Cylinder(inner + 0.004, 0.014, 0, 0.006), Union((*holes, Cylinder(inner * 0.14, 0.2))))
        parts.append(ModelPart(Moved(disc, (0, half * 0.35, 0)), metal))
        parts.append(ModelPart(Cylinder(inner + 0.008, half * 0.86, inner - 0.010, 0.004), metal))
    standing = dice.chance(0.3)
    facts = {"standing": int(standing), "rim": int(rim)}
    model = Model(tuple(parts), pace=0.85, grime=dice.uniform(0.2, 0.6), sink=0.002, facts=facts)
    return model.posed(_ROD) if standing else model


def _cone(dice: Dice) -> Model:
    height = dice.choice((0.50, 0.75))
    foot, half = height * 0.27, height / 2
    orange = dice.choice((linear_rgb(214, 74, 24), linear_rgb(205, 60, 28), linear_rgb(222, 92, 30)))
    white = dice.choice((linear_rgb(226, 226, 222), linear_rgb(196, 197, 194)))
    two = ((height * 0.12, height * 0.085), (height * -0.14, height * 0.085))
    bands = two if height > 0.6 else ((height * 0.06, height * 0.11),)
    skin = Banded(orange, bands, white, dice.seed())
    base = Plain(linear_rgb(38, 37, 36) if dice.chance(0.6) else orange, dice.seed(), 0.7, 0.1, 0.4)
    parts = (
        ModelPart(Frustum(foot * 0.72, height * 0.045, half - 0.005, 0.006), skin, (0, half + 0.005, 0)),
        ModelPart(Cylinder(foot * 0.80, 0.012, foot * 0.6, 0.008), skin, (0, 0.035, 0)),
        ModelPart(RoundedBox((foot, 0.018, foot), 0.012), base, (0, 0.018, 0)),
    )
    return Model(parts, pace=0.9, grime=dice.uniform(0.2, 0.55), facts={"height_m": height})


def traffic_cone(dice: Dice) -> Model:
    """A traffic cone, upright."""
    return _cone(dice)


def fallen_cone(dice: Dice) -> Model:
    """A traffic cone knocked over: it rests on the edge of its base and on its tip."""
    model = _cone(dice)
    height = float(model.facts["height_m"])
    # The line from the base's edge to the rim of the tip becomes horizontal.
    lean = float(np.degrees(np.arctan2(height * 0.27 - height * 0.045, height)))
    return model.posed(rotation_about("z", 90 + lean)).posed(rotation_about("y", dice.choice((0, 180))))


def ball(dice: Dice) -> Model:
    """A football, a basketball or a beach ball."""
    style = dice.choice(("football", "football", "basketball", "wedges"))
    radius = {"football": 0.11, "basketball": 0.12, "wedges": dice.uniform(0.13, 0.20)}[style]
    panels = dice.choice((linear_rgb(28, 28, 30), linear_rgb(30, 50, 120), linear_rgb(170, 30, 30)))
    wedges = dice.choice((linear_rgb(190, 36, 36), linear_rgb(36, 96, 170), linear_rgb(220, 170, 40)))
    colours: dict[str, tuple[Rgb, Rgb]] = {
        "football": (linear_rgb(216, 214, 208), panels),
        "basketball": (linear_rgb(172, 88, 42), linear_rgb(34, 28, 24)),
        "wedges": (linear_rgb(222, 218, 210), wedges),
    }
    turn = (rotation_about("x", dice.uniform(0, 360)) @ rotation_about("z", dice.uniform(0, 360))).astype(np.float32)
    skin = BallSkin(style, *colours[style], dice.seed())
    part = ModelPart(Ellipsoid((radius, radius, radius)), skin, (0, radius, 0), turn)
    return Model((part,), grime=dice.uniform(0.1, 0.4), sink=0.003, facts={"style": style})


def bucket(dice: Dice) -> Model:
    """A builder's bucket, upright or rolled over."""
    height, top = dice.near(0.30, 0.12), dice.near(0.155, 0.1)
    bottom, half = top * dice.uniform(0.70, 0.82), height / 2
    zinc = dice.chance(0.3)
    colour = dice.choice(_BUCKET)
    plastic = Plain(colour, dice.seed(), 0.5, 0.1, dice.uniform(0.3, 0.9))
    skin = Metal((0.5, 0.51, 0.52), dice.seed(), 0.15, 0.5) if zinc else plastic
    rim = Moved(Cylinder(top + 0.006, 0.006, top - 0.006, 0.005), (0, half - 0.006, 0))
    hoop = Moved(Cylinder(top * 0.97 + 0.004, 0.010, top * 0.97 - 0.008, 0.003), (0, half * 0.62, 0))
    swung = rotation_about("x", dice.uniform(55, 100))
    arc = [(top * 1.03 * np.cos(a), top * 1.03 * np.sin(a), 0.0) for a in np.linspace(0, np.pi, 9)]
    wire = Union(tuple(Capsule(a, b, 0.0035) for a, b in pairwise(arc)))
    parts = (
        ModelPart(Union((Frustum(bottom, top, half, 0.004), rim, hoop)), skin),
        ModelPart(wire, Metal((0.4, 0.4, 0.4), dice.seed(), 0.3), (0, half - 0.03, 0), swung),
    )
    fallen = dice.chance(0.5)
    model = Model(parts, pace=0.85, grime=dice.uniform(0.2, 0.7), facts={"fallen": int(fallen)})
    if not fallen:
        return model
    # It rests on the edge of its bottom, and on its rim and the ends of its handle.
    lean = float(np.degrees(np.arctan2(top * 1.03 + 0.0035 - bottom, height - 0.03)))
    return model.posed(rotation_about("z", 90 - lean))


def metal_pipe(dice: Dice) -> Model:
    """A length of pipe: steel, copper-brown or grey plastic."""
    length, radius = dice.uniform(0.8, 2.4), dice.uniform(0.025, 0.075)
    body = Moved(Cylinder(radius, length / 2, radius * 0.84, 0.002), (0, 0, 0), _ROD)
    if dice.chance(0.3):
        plastic = dice.choice((linear_rgb(120, 122, 122), linear_rgb(190, 110, 60)))
        skin: Metal | Plain = Plain(plastic, dice.seed(), 0.5, 0.1, 0.5)
    else:
        skin = Metal((0.36, 0.35, 0.34), dice.seed(), dice.uniform(0.2, 0.9), 0.45)
    return Model((ModelPart(body, skin),), grime=dice.uniform(0.1, 0.4), facts={"length_m": round(length, 2)})


def exhaust(dice: Dice) -> Model:
    """A car's exhaust: a bent pipe with its silencer, rusty."""
    length, bend = dice.uniform(0.5, 0.8), dice.uniform(0.08, 0.2) * dice.choice((-1, 1))

    def oval(p: FloatArray) -> FloatArray:
        return np.asarray(0.02 * np.abs(p[2]) / 0.085, dtype=np.float32)

    silencer = Moved(Eroded(Cylinder(0.085, length * 0.36, 0, 0.02), oval), (0, 0, 0), _ROD)
    a = length * 0.36
    front = [(-a - 0.5, -0.03, bend), (-a - 0.28, -0.03, bend), (-a - 0.10, 0.0, 0.0)]
    path = [*front, (a + 0.12, 0.0, 0.0), (a + 0.30, 0.0, -bend * 0.6)]
    pipe = Union(tuple(Capsule(p, q, 0.024) for p, q in pairwise(path)))
    skin = Metal((0.33, 0.32, 0.31), dice.seed(), dice.uniform(0.35, 0.85), 0.5)
    parts = (
        ModelPart(silencer, Metal((0.36, 0.35, 0.34), dice.seed(), dice.uniform(0.2, 0.7), 0.45)),
        ModelPart(pipe, skin),
    )
    return Model(parts, pace=0.85, grime=dice.uniform(0.2, 0.5))


def carpet_roll(dice: Dice) -> Model:
    """A rolled carpet, sagging a little."""
    length, radius = dice.uniform(0.9, 1.9), dice.uniform(0.08, 0.14)
    colour, accent = dice.choice((
        (linear_rgb(110, 34, 36), linear_rgb(190, 160, 110)), (linear_rgb(58, 66, 84), linear_rgb(150, 150, 146)),
        (linear_rgb(140, 122, 96), linear_rgb(90, 74, 56)), (linear_rgb(74, 80, 66), linear_rgb(160, 150, 120)),
    ))  # fmt: skip
    spiral = radius / dice.uniform(5.0, 8.0)

    def layers(p: FloatArray) -> FloatArray:
        rho = np.sqrt(p[0] ** 2 + p[2] ** 2)
        angle = np.arctan2(p[2], p[0]) / np.float32(2 * np.pi)
        turn = rho / np.float32(spiral) - angle
        gap = np.abs(turn - np.rint(turn)) < 0.17
        lip = 0.010 * np.clip(np.sin(np.pi * (angle + 0.5)) * 0.5 + (angle + 0.5) * 0.5, 0, 1)
        ends = gap & (np.abs(p[1]) > length / 2 - 0.03) & (rho < radius - 0.012)
        return np.asarray(0.018 * ends + lip, dtype=np.float32)

    look = Cloth(colour, accent, dice.seed(), dice.uniform(0.12, 0.4), 0, dice.uniform(0.1, 0.5), 0.3, 0.002)
    solid: Solid = Moved(Eroded(Cylinder(radius, length / 2, 0, 0.012), layers), (0, 0, 0), _ROD)
    part = ModelPart(Bent(solid, dice.uniform(-0.02, 0.02)), look)
    return Model((part,), pace=0.75, grime=dice.uniform(0.1, 0.5), sink=0.004)
