"""A different random stream of albumentations in each worker process of a ``DataLoader``.

torchvision and kornia draw from torch's generator, which a ``DataLoader`` seeds in each worker. albumentations 2 keeps
a generator in each transform. After forking or unpickling, all workers would augment alike, and so would every epoch
that starts new workers.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from torch.utils.data import get_worker_info

from poc_aug import seeding

_seeded: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def seed_in_worker(transforms: Any) -> None:
    """Seed the transform from its own seed and the worker's, at its first call in a worker; do nothing elsewhere.

    The worker's seed comes from the loader: it differs in each epoch, and is reproducible by ``torch.manual_seed``.
    """
    worker = get_worker_info()
    set_seed = getattr(transforms, "set_random_seed", None)  # since albumentations 1.4.19
    if worker is None or set_seed is None or _seeded.get(transforms) == worker.seed:
        return
    own = getattr(transforms, "seed", None)
    set_seed(seeding.derive_seed("albumentations", "none" if own is None else own, worker.seed) % 2**32)
    _seeded[transforms] = worker.seed
