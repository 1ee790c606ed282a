from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.backends.paste.matte import clean_cutout, extend_colours
from poc_aug.masks import connected_components


def test_fringe_colours_give_way_to_inner_ones() -> None:
    image = torch.zeros((3, 31, 23), dtype=torch.uint8)
    image[0] = 200
    alpha = torch.zeros((31, 23), dtype=torch.uint8)
    alpha[5:26, 5:18] = 255
    inner = torch.zeros_like(alpha, dtype=torch.bool)
    inner[8:23, 8:15] = True
    image[:, ~inner] = 255  # white fringe of 3 px
    cleaned = clean_cutout(image, alpha, erode_px=2)
    assert cleaned is not None
    colours, mask, _ = cleaned
    assert mask.shape == (17, 9)
    assert float(colours[1].float().mean()) < 110
    assert int(colours[1, 1:-1, 1:-1].float().amax()) <= 1


def test_thin_mask_is_not_pulled_away() -> None:
    alpha = torch.zeros((20, 9), dtype=torch.uint8)
    alpha[2:18, 3:5] = 255
    cleaned = clean_cutout(torch.full((3, 20, 9), 90, dtype=torch.uint8), alpha)
    assert cleaned is not None
    assert cleaned[1].shape == (16, 2)


def test_soft_matte_keeps_its_alpha_and_sheds_background_colour() -> None:
    ramp = torch.linspace(0, 255, 24).round().to(torch.uint8)
    alpha = torch.cat((ramp, torch.full((24,), 255, dtype=torch.uint8))).expand(17, 48).contiguous()
    share = alpha.float() / 255
    image = torch.stack((share * 40, share * 80, 255 - share * 135)).round().to(torch.uint8)  # blue behind
    cleaned = clean_cutout(image, alpha)
    assert cleaned is not None
    colours, kept, soft = cleaned
    assert soft
    assert torch.equal(kept, alpha[:, alpha[0] > 8])
    # Where the matte is half open, the object's own blue (120) shows, not the background's (255).
    half = int((kept[8].int() - 128).abs().argmin())
    assert abs(int(colours[2, 8, half]) - 120) < 25


def test_specks_are_dropped() -> None:
    alpha = torch.zeros((40, 31), dtype=torch.uint8)
    alpha[3:20, 3:28] = 255
    alpha[36:39, 10:13] = 255
    cleaned = clean_cutout(torch.zeros((3, 40, 31), dtype=torch.uint8), alpha, erode_px=0)
    assert cleaned is not None
    assert cleaned[1].shape == (36, 25)  # 9 of 425 pixels: more than a hundredth, kept
    alpha[36:39, 11:13] = 0
    cleaned = clean_cutout(torch.zeros((3, 40, 31), dtype=torch.uint8), alpha, erode_px=0)
    assert cleaned is not None
    assert cleaned[1].shape == (17, 25)


@pytest.mark.parametrize("size", [(17, 11), (1, 1), (8, 5), (1, 9)])
def test_extend_colours_keeps_what_is_trusted(size: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(3)
    colours = torch.rand((3, *size), generator=rng)
    trust = (torch.rand(size, generator=rng) < 0.3).float()
    trust[0, 0] = 1
    filled = extend_colours(colours, trust)
    known = trust > 0
    assert torch.allclose(filled[:, known], colours[:, known], atol=1e-6)
    low, high = colours[:, known].amin(1), colours[:, known].amax(1)
    assert bool((filled >= low[:, None, None] - 1e-4).all())
    assert bool((filled <= high[:, None, None] + 1e-4).all())


# ---------------------------------------------------------------- components


def flood(mask: np.ndarray, diagonal: bool) -> np.ndarray:
    labels = np.zeros(mask.shape, dtype=np.int32)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        labels[start] = count
        stack = [start]
        while stack:
            r, c = stack.pop()
            for dr in (-1, 0, 1):
                for dc in (-1, 0, 1):
                    n = (r + dr, c + dc)
                    reachable = diagonal or dr == 0 or dc == 0
                    inside = 0 <= n[0] < mask.shape[0] and 0 <= n[1] < mask.shape[1]
                    if reachable and inside and mask[n] and not labels[n]:
                        labels[n] = count
                        stack.append(n)
    return labels


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 19), st.integers(1, 19), st.floats(0.1, 0.9), st.booleans())
def test_components_equal_flood_fill(seed: int, height: int, width: int, share: float, diagonal: bool) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    labels, count = connected_components(torch.from_numpy(mask), diagonal=diagonal)
    expected = flood(mask, diagonal)
    assert count == expected.max(initial=0)
    assert np.array_equal(labels.numpy(), expected)


def test_components_of_a_long_spiral() -> None:
    size = 121
    mask = torch.zeros((size, size), dtype=torch.bool)
    mask[::2] = True
    mask[1::4, -1] = True
    mask[3::4, 0] = True
    assert connected_components(mask, diagonal=False)[1] == 1
    mask[1, -1] = False
    assert connected_components(mask, diagonal=False)[1] == 2
