"""The catalogue of lost cargo: kinds by name, and building one of a kind from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from poc_aug import seeding
from poc_aug.backends.rendered import cargo_boxes, cargo_rough, cargo_round
from poc_aug.backends.rendered.model import Dice, Maker, Model
from poc_aug.backends.rendered.solids import rotation_about

CATALOGUE: Mapping[str, Maker] = MappingProxyType(
    {
        "ball": cargo_round.ball,
        "barrel": cargo_round.barrel,
        "bucket": cargo_round.bucket,
        "cardboard box": cargo_boxes.cardboard_box,
        "carpet roll": cargo_round.carpet_roll,
        "concrete block": cargo_boxes.concrete_block,
        "exhaust": cargo_round.exhaust,
        "fallen barrel": cargo_round.fallen_barrel,
        "fallen traffic cone": cargo_round.fallen_cone,
        "jerrycan": cargo_boxes.jerrycan,
        "ladder": cargo_rough.ladder,
        "log": cargo_rough.log,
        "mattress": cargo_boxes.mattress,
        "metal pipe": cargo_round.metal_pipe,
        "open cardboard box": cargo_boxes.open_box,
        "pallet": cargo_rough.pallet,
        "pile of planks": cargo_rough.pile_of_planks,
        "plank": cargo_rough.plank,
        "plastic crate": cargo_boxes.plastic_crate,
        "rock": cargo_rough.rock,
        "rubbish bag": cargo_rough.rubbish_bag,
        "stack of boxes": cargo_boxes.stack_of_boxes,
        "suitcase": cargo_boxes.suitcase,
        "traffic cone": cargo_round.traffic_cone,
        "tyre": cargo_round.tyre,
        "wooden crate": cargo_rough.wooden_crate,
    }
)
"""The function that builds each kind, by name, in alphabetical order."""


@lru_cache(maxsize=64)
def build_object(kind: str, seed: int) -> tuple[Model, float]:
    """The object that a seed draws of a kind, standing on the ground, and its yaw in degrees.

    Raises:
        KeyError: no such kind.

    Example:
        >>> model, yaw_deg = build_object("traffic cone", seed=1)
        >>> len(model.parts), model.facts["height_m"]
        (3, 0.75)
    """
    maker = CATALOGUE[kind]
    dice = Dice(seeding.generator(seed, "rendered object", kind))
    model = maker(dice)
    yaw = dice.uniform(-180, 180)
    return model.posed(rotation_about("y", yaw)), yaw
