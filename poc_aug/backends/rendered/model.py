"""A model of an object: solids with materials, standing on the ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from poc_aug import seeding
from poc_aug.backends.rendered.solids import Solid, from_local, to_local
from poc_aug.noise import FloatArray

_T = TypeVar("_T")


@dataclass(frozen=True)
class Surface:
    """What a material looks like at ``N`` points.

    Attributes:
        albedo: linear RGB reflectance, float32 ``[3, N]``.
        roughness: 0 mirror, 1 chalk; float32 ``[N]``.
        specular: reflectance at normal incidence, about 0.04 for everything but metal; float32 ``[N]``.
        metal: 0, or 1 where the albedo tints the reflection and nothing is scattered; float32 ``[N]``.
    """

    albedo: FloatArray
    roughness: FloatArray
    specular: FloatArray
    metal: FloatArray

    @classmethod
    def of(
        cls,
        albedo: FloatArray,
        roughness: float | FloatArray = 0.9,
        specular: float | FloatArray = 0.04,
        metal: float | FloatArray = 0.0,
    ) -> Surface:
        """A surface with the given values at all points."""
        count = albedo.shape[1]
        spread = [np.broadcast_to(np.asarray(v, dtype=np.float32), (count,)) for v in (roughness, specular, metal)]
        return cls(albedo.astype(np.float32, copy=False), *spread)


class Material(Protocol):
    """Colours a solid, in the solid's own coordinates."""

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """Surface at points ``p`` with normals ``n`` (``[3, N]``); nothing finer than ``texel`` metres."""
        ...

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """Height of small relief in metres, ``[N]``, which tilts the normals; ``None``: smooth."""
        ...


@dataclass(frozen=True)
class ModelPart:
    """A solid of one material, turned by ``rotation`` and moved to ``centre`` in the object's frame."""

    solid: Solid
    material: Material
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: FloatArray | None = None

    def local(self, p: FloatArray) -> FloatArray:
        """Points ``[3, N]`` in the solid's own frame."""
        return to_local(p, self.rotation, self.centre)

    def points(self) -> FloatArray:
        """Hull points ``[3, K]`` in the object's frame."""
        return from_local(self.solid.points(), self.rotation, self.centre)

    def posed(self, rotation: FloatArray, shift: FloatArray) -> ModelPart:
        """The part after turning the whole object and then moving it."""
        centre = rotation @ np.array(self.centre, dtype=np.float32) + shift
        combined = rotation if self.rotation is None else rotation @ self.rotation
        place = (float(centre[0]), float(centre[1]), float(centre[2]))
        return replace(self, rotation=combined.astype(np.float32), centre=place)


@dataclass(frozen=True)
class Model:
    """An object in metres, ``y`` up, resting on ``y = 0``.

    Attributes:
        parts: its solids.
        pace: fraction of the distance that a ray may safely step (below 1 if a solid's distance is only a bound).
        grime: how dirty it is, 0 to 1.
        sink: how far it is pressed into the ground, in metres (soft or uneven objects do not touch at a point).
        facts: JSON values for the provenance.
    """

    parts: tuple[ModelPart, ...]
    pace: float = 1.0
    grime: float = 0.3
    sink: float = 0.0
    facts: Mapping[str, float | int | str] = field(default_factory=dict)

    def distance(self, p: FloatArray) -> FloatArray:
        """Signed distance of points ``[3, N]`` to the object: ``[N]``."""
        nearest = self.parts[0].solid.distance(self.parts[0].local(p))
        for part in self.parts[1:]:
            nearest = np.minimum(nearest, part.solid.distance(part.local(p)))
        # Whatever is below the ground is invisible.
        return np.maximum(nearest, -p[1]) if self.sink > 0 else nearest

    def part_at(self, p: FloatArray) -> NDArray[np.int64]:
        """Number of the part that each of the points ``[3, N]`` lies on: int64 ``[N]``."""
        if len(self.parts) == 1:
            return np.zeros(p.shape[1], dtype=np.int64)
        distances = [part.solid.distance(part.local(p)) for part in self.parts]
        return np.asarray(np.argmin(distances, axis=0), dtype=np.int64)

    def points(self) -> FloatArray:
        """Hull points ``[3, K]``, none below the ground."""
        points = np.concatenate([part.points() for part in self.parts], axis=1)
        points[1] = np.maximum(points[1], 0)
        return points

    def posed(self, rotation: FloatArray) -> Model:
        """The model after rotation, set on the ground and centred over the origin."""
        raw = np.concatenate([rotation @ part.points() for part in self.parts], axis=1)
        low, high = raw.min(axis=1), raw.max(axis=1)
        shift = np.array([-(low[0] + high[0]) / 2, -low[1] - self.sink, -(low[2] + high[2]) / 2], dtype=np.float32)
        return replace(self, parts=tuple(part.posed(rotation, shift) for part in self.parts))

    def sunk(self, depth: float) -> Model:
        """The model pressed ``depth`` metres into the ground the next time it is posed."""
        return replace(self, sink=depth)


class Dice:
    """Random draws from one CPU generator, in order."""

    def __init__(self, rng: torch.Generator) -> None:
        self._rng = rng

    def uniform(self, low: float, high: float) -> float:
        """One float in ``[low, high)``."""
        return seeding.uniform(self._rng, low, high)

    def integer(self, low: int, high: int) -> int:
        """One integer in ``[low, high)``."""
        return seeding.integer(self._rng, low, high)

    def seed(self) -> int:
        """A seed for noise."""
        return seeding.integer(self._rng, 0, 2**31)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform(0, 1) < probability

    def choice(self, items: Sequence[_T]) -> _T:
        """One of the items."""
        return items[self.integer(0, len(items))]

    def near(self, value: float, tolerance: float) -> float:
        """``value`` times a factor in ``[1 - tolerance, 1 + tolerance)``."""
        return value * self.uniform(1 - tolerance, 1 + tolerance)


Maker = Callable[[Dice], Model]
"""Builds an object of one kind from random draws."""
