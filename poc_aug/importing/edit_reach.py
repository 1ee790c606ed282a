"""`EditReach`: how far an edit reaches beyond its objects, in figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from poc_aug.types import Json

Beyond: TypeAlias = Literal["keep", "shade", "drop"]
"""What becomes of changes beyond the objects and their soft edges: kept to the bit, kept if they are a shadow, or left
out."""


@dataclass(frozen=True)
class EditReach:
    """Pixels of one edited frame.

    Attributes:
        frame: pixels of the frame.
        changed: pixels that differ from the base.
        objects: pixels of the objects, by the labels.
        edge: changed pixels beside them, within the reach of a feather.
        beyond: changed pixels farther away: a shadow, or noise of a model that repainted more than the object.
        beyond_mean: mean difference of those, in levels of 255 over the channels.
        lost: pixels that composing will show otherwise than the edited frame: 0 if all is kept.
        lost_mean: mean difference of those.

    Example:
        >>> reach = EditReach(frame=1000, changed=50, objects=30, edge=10, beyond=10, beyond_mean=2.0)
        >>> reach.share_beyond
        0.2
    """

    frame: int
    changed: int
    objects: int
    edge: int
    beyond: int
    beyond_mean: float
    lost: int = 0
    lost_mean: float = 0.0

    @property
    def share_beyond(self) -> float:
        """Share of the changed pixels that lie beyond the objects and their edges; 0 if nothing changed."""
        return self.beyond / self.changed if self.changed else 0.0

    def to_dict(self) -> dict[str, Json]:
        """JSON values."""
        return {**asdict(self), "share_beyond": round(self.share_beyond, 6)}
