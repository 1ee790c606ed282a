"""Samples and insertions of random pixels, to be composed."""

from __future__ import annotations

import torch

from poc_aug import seeding
from poc_aug.types import Box, Insertion, Part, Sample


def blob(rng: torch.Generator, h: int, w: int, share: float = 0.5) -> torch.Tensor:
    mask = torch.rand(h, w, generator=rng) < share
    mask[h // 2, w // 2] = True
    return mask


def make_insertion(seed: int, box: Box, *, alpha: bool = False, shade: bool = False, parts: int = 1) -> Insertion:
    rng = seeding.generator(seed)
    _, _, h, w = box
    union = blob(rng, h, w)
    owner = torch.randint(0, parts, (h, w), generator=rng)
    return Insertion(
        box_yxhw=box,
        patch=torch.randint(0, 256, (3, h, w), generator=rng, dtype=torch.uint8),
        parts=tuple(Part(f"part{k}", union & (owner == k), 0.9) for k in range(parts)),
        alpha=torch.where(union, 255, torch.randint(0, 128, (h, w), generator=rng)).to(torch.uint8) if alpha else None,
        shade=torch.randint(0, 100, (h, w), generator=rng, dtype=torch.uint8) if shade else None,
        object_name="thing",
        max_sigma_px=3.0,
    )


def make_sample(seed: int, h: int, w: int) -> Sample:
    rng = seeding.generator(seed, "sample")
    image = torch.randint(0, 256, (3, h, w), generator=rng, dtype=torch.uint8)
    return Sample(image, torch.randint(0, 19, (h, w), generator=rng, dtype=torch.uint8), f"s{seed}")
