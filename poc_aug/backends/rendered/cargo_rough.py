"""Lost cargo of wood, stone and film: planks, pallets, crates, logs, ladders, rocks, rubbish bags."""

from __future__ import annotations

import numpy as np

from poc_aug.backends.rendered.cargo_materials import Film, Wood
from poc_aug.backends.rendered.materials import Metal, Rgb, Stone, linear_rgb
from poc_aug.backends.rendered.model import Dice, Model, ModelPart
from poc_aug.backends.rendered.solids import (
    Bent,
    Cylinder,
    Ellipsoid,
    Eroded,
    Frustum,
    Moved,
    Polyhedron,
    Repeated,
    RoundedBox,
    Union,
    directions,
    rotation_about,
)
from poc_aug.noise import FloatArray

Triple = tuple[float, float, float]
_TIMBER = (linear_rgb(186, 150, 104), linear_rgb(170, 130, 86), linear_rgb(150, 118, 84), linear_rgb(196, 164, 122))
_BAGS = (
    linear_rgb(24, 25, 27),
    linear_rgb(30, 31, 33),
    linear_rgb(30, 48, 92),
    linear_rgb(200, 200, 196),
    linear_rgb(72, 76, 80),
)


def plank(dice: Dice) -> Model:
    """A single board, a little warped."""
    half = (dice.uniform(0.5, 1.25), dice.uniform(0.011, 0.022), dice.uniform(0.05, 0.12))
    wood = Wood(half, dice.choice(_TIMBER), dice.seed(), dice.uniform(0.0, 0.8))
    part = ModelPart(Bent(RoundedBox(half, 0.003), dice.uniform(0.0, 0.012)), wood)
    return Model((part,), pace=0.9, grime=dice.uniform(0.1, 0.5))


def pile_of_planks(dice: Dice) -> Model:
    """Four to seven boards and beams, thrown on top of each other."""
    parts: list[ModelPart] = []
    floor = 0.0
    spread = dice.uniform(6, 24)
    for layer in range(dice.integer(2, 5)):
        thick = dice.uniform(0.012, 0.035)
        for side in (-1, 1) if layer < 2 else (dice.choice((-0.4, 0.5)),):
            half = (dice.uniform(0.5, 1.05), thick, dice.uniform(0.05, 0.09))
            wood = Wood(half, dice.choice(_TIMBER), dice.seed(), dice.uniform(0.0, 0.7))
            place = (dice.uniform(-0.15, 0.15), floor + thick, side * dice.uniform(0.10, 0.16))
            parts.append(
                ModelPart(RoundedBox(half, 0.003), wood, place, rotation_about("y", dice.uniform(-spread, spread)))
            )
        floor += 2 * thick
    return Model(tuple(parts), grime=dice.uniform(0.1, 0.5), facts={"boards": len(parts)})


def pallet(dice: Dice) -> Model:
    """A EUR pallet (1.2 by 0.8 m), or part of one, flat on the ground."""
    long, wide = 0.60, dice.choice((0.40, 0.40, 0.30))
    colour, seed, grey = dice.choice(_TIMBER), dice.seed(), dice.uniform(0.1, 0.9)

    def boards(half: Triple, spacing: Triple, counts: tuple[int, int, int], y: float, axis: int) -> ModelPart:
        copies = Repeated(RoundedBox(half, 0.003), spacing, counts)
        return ModelPart(copies, Wood(half, colour, seed + len(parts), grey, copies, axis), (0, y, 0))

    parts: list[ModelPart] = []
    deck = 5 if wide > 0.35 else 4
    parts.append(boards((long, 0.011, 0.058), (1, 1, (2 * wide - 0.116) / (deck - 1)), (1, 1, deck), 0.133, 0))
    parts.append(boards((0.0725, 0.011, wide), (long - 0.0725, 1, 1), (3, 1, 1), 0.111, 2))
    parts.append(boards((0.0725, 0.039, 0.05), (long - 0.0725, 1, wide - 0.05), (3, 1, 3), 0.061, 0))
    parts.append(boards((long, 0.011, 0.05), (1, 1, wide - 0.05), (1, 1, 3), 0.011, 0))
    return Model(tuple(parts), grime=dice.uniform(0.2, 0.6), facts={"width_m": 2 * wide})


def wooden_crate(dice: Dice) -> Model:
    """A transport crate: boards in a frame, often with a brace across two sides."""
    half = (dice.uniform(0.22, 0.42), dice.uniform(0.18, 0.32), dice.uniform(0.20, 0.36))
    colour, seed, grey = dice.choice(_TIMBER), dice.seed(), dice.uniform(0.0, 0.6)
    inner = (half[0] - 0.018, half[1] - 0.018, half[2] - 0.018)
    rows = dice.integer(4, 6)
    pitch = 2 * inner[1] / rows
    gap = dice.uniform(0.006, 0.012)
    boards = Repeated(RoundedBox((inner[0], pitch / 2 - gap / 2, inner[2]), 0.003), (1, pitch, 1), (1, rows, 1))
    dark = RoundedBox((inner[0] - 0.02, inner[1], inner[2] - 0.02))
    w = dice.uniform(0.03, 0.042)
    upright = Repeated(RoundedBox((w, half[1], w), 0.003), (2 * (half[0] - w), 1, 2 * (half[2] - w)), (2, 1, 2))
    across = Repeated(RoundedBox((half[0], w, w), 0.003), (1, 2 * (half[1] - w), 2 * (half[2] - w)), (1, 2, 2))
    along = Repeated(RoundedBox((w, w, half[2]), 0.003), (2 * (half[0] - w), 2 * (half[1] - w), 1), (2, 2, 1))
    lids = max(2, int(2 * inner[2] / pitch))
    lid = Repeated(RoundedBox((inner[0], 0.008, pitch / 2 - gap / 2), 0.003), (1, 1, pitch), (1, 1, lids))
    parts = [
        ModelPart(boards, Wood((inner[0], pitch / 2, inner[2]), colour, seed, grey, boards, around=True)),
        ModelPart(dark, Stone((0.02, 0.017, 0.014), seed, 0.1)),
        ModelPart(Moved(lid, (0, half[1] - 0.012, 0)), Wood((inner[0], 0.01, pitch / 2), colour, seed + 4, grey)),
        ModelPart(upright, Wood((w, half[1], w), colour, seed + 1, grey, upright, 1)),
        ModelPart(across, Wood((half[0], w, w), colour, seed + 2, grey, across, 0)),
        ModelPart(along, Wood((w, w, half[2]), colour, seed + 3, grey, along, 2)),
    ]
    if dice.chance(0.7):
        lean = float(np.degrees(np.arctan2(half[1] - w, half[0] - w)))
        brace_half = (float(np.hypot(half[0] - 2 * w, half[1] - 2 * w)), w * 0.85, 0.008)
        brace = Repeated(RoundedBox(brace_half, 0.002), (1, 1, 2 * half[2] - 0.02), (1, 1, 2))
        parts.append(
            ModelPart(brace, Wood(brace_half, colour, seed + 5, grey, brace), (0, 0, 0), rotation_about("z", lean))
        )
    return Model(tuple(parts), grime=dice.uniform(0.1, 0.5))


def log(dice: Dice) -> Model:
    """A cut log: furrowed bark, pale ends."""
    length, radius = dice.uniform(0.5, 1.4), dice.uniform(0.09, 0.18)
    phase, count = dice.uniform(0, 6.3), dice.integer(13, 21)

    def furrows(p: FloatArray) -> FloatArray:
        angle = np.arctan2(p[2], p[0])
        wave = np.sin(count * angle + 5 * np.sin(4 * p[1] + phase))
        wave += 0.6 * np.sin(1.7 * count * angle + 3 * np.sin(9 * p[1]))
        bow = 0.5 + 0.5 * np.sin(2 * angle + 2 * p[1] + phase)
        return np.asarray(0.0045 * np.abs(wave) + 0.012 * bow, dtype=np.float32)

    bark: Rgb = dice.choice((linear_rgb(92, 76, 62), linear_rgb(78, 68, 58), linear_rgb(120, 112, 100)))
    trunk = Moved(Eroded(Cylinder(radius, length / 2, 0, 0.01), furrows), (0, 0, 0), rotation_about("z", 90))
    skin = ModelPart(trunk, Stone(bark, dice.seed(), 0.5, 0.010, 0.04))
    pale = Wood((radius, length / 2, radius), dice.choice(_TIMBER), dice.seed(), dice.uniform(0, 0.4), None, 1)
    core = ModelPart(Cylinder(radius - 0.022, length / 2 + 0.001), pale, (0, 0, 0), rotation_about("z", 90))
    return Model((skin, core), pace=0.7, grime=dice.uniform(0.1, 0.4), sink=0.006)


def ladder(dice: Dice) -> Model:
    """An aluminium or wooden ladder, flat on the road."""
    rungs, pitch, wide = dice.integer(5, 9), 0.28, dice.uniform(0.17, 0.21)
    half = rungs * pitch / 2
    rails = Repeated(RoundedBox((half, 0.030, 0.0125), 0.004), (1, 1, 2 * wide), (1, 1, 2))
    steps = Repeated(RoundedBox((0.015, 0.011, wide), 0.005), (pitch, 1, 1), (rungs, 1, 1))
    metal = Metal((0.52, 0.53, 0.54), dice.seed(), 0.15, 0.42, linear_rgb(150, 150, 146))
    wood = Wood((half, 0.03, 0.0125), dice.choice(_TIMBER), dice.seed(), dice.uniform(0.2, 0.9), rails)
    chosen = metal if dice.chance(0.65) else wood
    return Model(
        (ModelPart(rails, chosen), ModelPart(steps, chosen)), grime=dice.uniform(0.1, 0.5), facts={"rungs": rungs}
    )


def _any_turn(dice: Dice) -> FloatArray:
    turn = rotation_about("x", dice.uniform(0, 180)) @ rotation_about("y", dice.uniform(0, 180))
    return np.asarray(turn, dtype=np.float32)


def rock(dice: Dice) -> Model:
    """A broken stone, partly sunk into the ground."""
    size = dice.uniform(0.12, 0.34)
    stretch = np.array([dice.uniform(0.8, 1.25), dice.uniform(0.65, 0.95), dice.uniform(0.75, 1.1)])
    count = dice.integer(13, 20)
    normals = directions(count).T + np.array([[dice.uniform(-0.35, 0.35) for _ in range(3)] for _ in range(count)])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    reach = np.linalg.norm(normals * stretch, axis=1)
    offsets = np.array([dice.uniform(0.80, 1.0) for _ in range(count)]) * reach * size
    waves = [(dice.uniform(5, 9) / size, dice.uniform(0, 6.3), _any_turn(dice)) for _ in range(3)]

    def rough(p: FloatArray) -> FloatArray:
        total = np.zeros(p.shape[1], dtype=np.float32)
        for k, (frequency, phase, rotation) in enumerate(waves):
            q = rotation @ p * np.float32(frequency * (1 + 0.8 * k))
            total += np.float32(0.5**k) * (1 + np.sin(q[0] + phase + np.sin(q[2])) * np.sin(q[1]))
        return np.asarray(total * np.float32(0.016 * size), dtype=np.float32)

    colour = dice.choice(
        (linear_rgb(128, 122, 112), linear_rgb(110, 108, 106), linear_rgb(150, 138, 118), linear_rgb(92, 88, 84))
    )
    solid = Eroded(Polyhedron(normals.astype(np.float32), offsets.astype(np.float32)), rough)
    part = ModelPart(solid, Stone(colour, dice.seed(), 0.38, 0.010, 0.07))
    return Model((part,), pace=0.7, grime=dice.uniform(0.2, 0.5), sink=0.45 * float(stretch[1]) * size)


def rubbish_bag(dice: Dice) -> Model:
    """A full rubbish bag, tied at the top: lumps below, folds that run to the knot."""
    wide, high = dice.uniform(0.22, 0.34), dice.uniform(0.22, 0.32)
    deep = wide * dice.uniform(0.8, 1.0)
    folds, phase = dice.integer(9, 15), dice.uniform(0, 6.3)
    waves = [(dice.uniform(7, 13), dice.uniform(0, 6.3), _any_turn(dice)) for _ in range(3)]

    def lumps(p: FloatArray) -> FloatArray:
        total = np.zeros(p.shape[1], dtype=np.float32)
        for frequency, shift, rotation in waves:
            q = rotation @ p * np.float32(frequency)
            # Bulges pressed against each other: broad crests, narrow valleys.
            wave = np.sin(q[0] + shift + 0.8 * np.sin(q[1]))
            total += np.sqrt(wave * wave + np.float32(0.02))
        angle = np.arctan2(p[2], p[0])
        share = np.clip(p[1] / np.float32(high), -1, 1)
        gather = np.abs(np.sin(0.5 * folds * angle + phase + 0.7 * np.sin(3 * angle + phase)))
        pleats = np.float32(0.030) * (1 - gather) * np.clip(share + 0.25, 0, 1)
        taper = np.float32(0.05) * np.clip(share - 0.3, 0, 1)
        return np.asarray(np.float32(0.026) * (3 - total) + pleats + taper, dtype=np.float32)

    colour = dice.choice(_BAGS)
    film = Film(colour, dice.seed(), dice.uniform(0.006, 0.011), dice.uniform(0.22, 0.38))
    knot_y = high * 0.80

    def frills(p: FloatArray) -> FloatArray:
        angle = np.arctan2(p[2], p[0])
        rising = 0.5 + 0.5 * np.clip(p[1] / 0.05, -1, 1)
        return np.asarray(0.014 * (1 + np.sin(5 * angle + phase)) * rising, dtype=np.float32)

    neck = Union((
        Moved(Frustum(0.075, 0.024, 0.055, 0, 0.01), (0, knot_y, 0)),
        Moved(Eroded(Frustum(0.022, 0.060, 0.045, 0, 0.008), frills), (0.008, knot_y + 0.085, 0)),
    ))  # fmt: skip
    tilt = rotation_about("z", dice.uniform(-16, 16))
    body = ModelPart(Eroded(Ellipsoid((wide, high, deep)), lumps), film)
    parts = (body, ModelPart(neck, film))
    return Model(parts, pace=0.6, grime=dice.uniform(0.05, 0.35)).posed(tilt).sunk(0.18 * high + 0.05)
