"""Seeds: ``(seed, key, variant, ...) -> generator``; no global random state is read or written.

A seed is a hash of its parts, so it does not depend on the order of work, the number of workers, or which
other samples exist. Generators live on the CPU: the same draw for every device.
"""

from __future__ import annotations

import json

import torch
import xxhash


def derive_seed(*parts: int | str) -> int:
    """Hash ``parts`` into a seed in ``[0, 2**63)``.

    The parts are joined as canonical JSON, so ``("a", "b")`` and ``("ab",)`` differ, and ``1`` and ``"1"`` too.
    """
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return xxhash.xxh3_64_intdigest(text.encode()) >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded with `derive_seed` of ``parts``."""
    return torch.Generator(device="cpu").manual_seed(derive_seed(*parts))


def uniform(rng: torch.Generator, low: float, high: float) -> float:
    """One float, uniform in ``[low, high)``."""
    return low + (high - low) * float(torch.rand((), generator=rng, dtype=torch.float64))


def integer(rng: torch.Generator, low: int, high: int) -> int:
    """One integer, uniform in ``[low, high)``."""
    return int(torch.randint(low, high, (), generator=rng))
