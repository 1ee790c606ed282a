"""Cut-outs fit in their box at any size."""

from __future__ import annotations

import torch

from poc_aug.backends.paste.resample import fit_to_box
from poc_aug.seeding import generator


def test_fit_keeps_within_the_box_at_any_size() -> None:
    rng = generator(9)
    opacity = torch.zeros((60, 41))
    opacity[5:50, 6:33] = 1
    colours = torch.rand((3, 60, 41), generator=rng)
    for box_h, box_w in ((4, 4), (17, 11), (11, 17), (45, 27), (90, 54), (7, 200)):
        placed = fit_to_box(colours, opacity, (10, 20, box_h, box_w), soft=False)
        assert placed is not None
        mask = placed.mask
        assert int(mask.any(1).sum()) <= box_h
        assert int(mask.any(0).sum()) <= box_w
        assert placed.y + int(mask.any(1).nonzero()[-1]) == 10 + box_h - 1
