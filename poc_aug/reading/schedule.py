"""`Schedule`: which variant of a sample each epoch shows when a share of them is generated anew."""

from __future__ import annotations

import math

from poc_aug import seeding


class Schedule:
    """Which variant a slot of a sample holds in an epoch: a share ``refresh`` of them changes from epoch to epoch.

    Variant ``k`` of a sample is followed by ``k + variants``, then ``k + 2 * variants``: each remains a pure function
    of (recipe, sample, index), so nothing in the cache is replaced. Each slot draws once in which epochs it changes.

    Args:
        variants: slots per sample.
        refresh: share of the slots that change each epoch, 0 to 1.
        seed: seed of the draw.

    Example:
        >>> schedule = Schedule(variants=3, refresh=0.5, seed=0)
        >>> [schedule.index("frame-0", slot, epoch=0) for slot in range(3)]
        [0, 1, 2]
        >>> [schedule.index("frame-0", slot, epoch=2) for slot in range(3)]
        [3, 4, 5]
    """

    def __init__(self, variants: int, refresh: float, seed: int) -> None:
        self.variants, self.refresh, self.seed = variants, refresh, seed

    def index(self, key: str, slot: int, epoch: int) -> int:
        """Index of the variant in a slot."""
        if not self.refresh:
            return slot
        phase = seeding.unit(self.seed, "refresh", key, slot)
        return slot + self.variants * max(0, math.floor(epoch * self.refresh + phase))

    def older(self, index: int) -> range:
        """Variants that the slot held before, the newest first."""
        return range(index - self.variants, -1, -self.variants)

    def coming(self, key: str, epoch: int) -> list[int]:
        """Variants of a sample that the next epoch needs and this one does not."""
        if not self.refresh:
            return []
        pairs = [(self.index(key, slot, epoch), self.index(key, slot, epoch + 1)) for slot in range(self.variants)]
        return [after for before, after in pairs if after != before]
