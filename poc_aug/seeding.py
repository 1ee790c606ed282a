"""Seeds: ``(seed, key, variant, ...) -> generator``; no global random state is read or written.

A seed is a hash of its parts, so it does not depend on the order of work, the number of workers, or which other samples
exist. Generators are on the CPU, so draws are equal for every device.
"""

from __future__ import annotations

import json
import operator

import torch
import xxhash


def derive_seed(*parts: int | str) -> int:
    """Hash ``parts`` into a seed in ``[0, 2**63)``.

    The parts are joined as canonical JSON, so ``("a", "b")`` and ``("ab",)`` differ, and ``1`` and ``"1"`` too.

    Example:
        >>> derive_seed(7, "frame.png", 0)
        6212385755996188398
    """
    plain = [part if isinstance(part, str) else operator.index(part) for part in parts]
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    # File names that are not UTF-8 are strings with lone surrogates.
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) >> 1


def unit(*parts: int | str) -> float:
    """One float in ``[0, 1)`` from ``parts``, uniform over them, without a generator.

    Example:
        >>> round(unit(7, "frame.png"), 3)
        0.265
    """
    return derive_seed(*parts) / 2**63


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded with `derive_seed` of ``parts``.

    Example:
        >>> torch.rand(2, generator=generator(7, "frame.png"))
        tensor([0.3038, 0.7845])
    """
    return torch.Generator(device="cpu").manual_seed(derive_seed(*parts))


def uniform(rng: torch.Generator, low: float, high: float) -> float:
    """One float, uniform in ``[low, high)``.

    Example:
        >>> round(uniform(generator(7), 2.0, 3.0), 3)
        2.893
    """
    return low + (high - low) * float(torch.rand((), generator=rng, dtype=torch.float64))


def integer(rng: torch.Generator, low: int, high: int) -> int:
    """One integer, uniform in ``[low, high)``.

    Example:
        >>> integer(generator(7), 0, 100)
        86
    """
    return int(torch.randint(low, high, (), generator=rng))
