"""Random draws for a scene from one generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

from poc_aug import seeding
from poc_aug.datasets.synthetic.filters import srgb
from poc_aug.datasets.synthetic.street_camera import F32

_T = TypeVar("_T")


class Draw:
    """Draws from a CPU generator; the order of the calls decides the scene."""

    def __init__(self, rng: torch.Generator) -> None:
        self._rng = rng

    def uniform(self, low: float, high: float) -> float:
        """A float in ``[low, high)``."""
        return seeding.uniform(self._rng, low, high)

    def integer(self, low: int, high: int) -> int:
        """An integer in ``[low, high)``."""
        return seeding.integer(self._rng, low, high)

    def chance(self, p: float) -> bool:
        """True with probability ``p``."""
        return self.uniform(0, 1) < p

    def choice(self, options: Sequence[_T]) -> _T:
        """One of ``options``."""
        return options[self.integer(0, len(options))]

    def seed(self) -> int:
        """A seed for a texture."""
        return self.integer(0, 2**31)

    def colour(self, codes: Sequence[str], spread: float = 0.12) -> F32:
        """One of the colours written ``"rrggbb"``, its brightness varied by ``spread``."""
        return srgb(self.choice(codes)) * (1 + self.uniform(-spread, spread))
