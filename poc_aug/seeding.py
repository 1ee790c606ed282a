"""Seeds: ``(seed, key, variant, ...) -> generator``; no global random state is read or written.

A seed is a hash of its parts, so it does not depend on the order of work, the number of workers, or which
other samples exist. Generators live on the CPU: the same draw for every device.
"""

from __future__ import annotations

import json
import operator

import torch
import xxhash


def derive_seed(*parts: int | str) -> int:
    """Hash ``parts`` into a seed in ``[0, 2**63)``.

    The parts are joined as canonical JSON, so ``("a", "b")`` and ``("ab",)`` differ, and ``1`` and ``"1"`` too.
    """
    plain = [part if isinstance(part, str) else operator.index(part) for part in parts]
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    # File names that are not UTF-8 reach Python with lone surrogates in them.
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) >> 1


def unit(*parts: int | str) -> float:
    """One float in ``[0, 1)`` from ``parts``, uniform over them, without making a generator."""
    return derive_seed(*parts) / 2**63


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded with `derive_seed` of ``parts``."""
    return torch.Generator(device="cpu").manual_seed(derive_seed(*parts))


def uniform(rng: torch.Generator, low: float, high: float) -> float:
    """One float, uniform in ``[low, high)``."""
    return low + (high - low) * float(torch.rand((), generator=rng, dtype=torch.float64))


def integer(rng: torch.Generator, low: int, high: int) -> int:
    """One integer, uniform in ``[low, high)``."""
    return int(torch.randint(low, high, (), generator=rng))
