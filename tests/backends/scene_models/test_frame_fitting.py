"""Frames in the size that a model paints, and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.backends.scene_models.frame_fitting import fit_frame


@settings(max_examples=60)
@given(st.integers(1, 90), st.integers(1, 120), st.sampled_from([2, 8, 16, 64]), st.sampled_from([None, 16, 33, 64]))
def test_any_frame_divides_when_painted_and_comes_back_in_its_size(
    height: int, width: int, multiple_of: int, height_px: int | None
) -> None:
    fit = fit_frame((height, width), multiple_of, height_px=height_px, least_side_px=4)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    painted = fit.image(image)
    assert tuple(painted.shape[1:]) == fit.painted_hw
    assert all(side % multiple_of == 0 for side in fit.painted_hw)
    assert all(0 <= more - side < multiple_of for more, side in zip(fit.painted_hw, fit.scaled_hw, strict=True))
    assert fit.frame(painted).shape == image.shape
    labels = torch.arange(height * width).reshape(height, width)
    assert set(fit.labels(labels).flatten().tolist()) <= set(labels.flatten().tolist())


def test_without_resizing_nothing_changes_and_the_padding_is_reflected() -> None:
    labels = torch.arange(5 * 6).reshape(5, 6)
    image = labels.to(torch.uint8).expand(3, -1, -1)
    fit = fit_frame((5, 6), 8, height_px=None)
    assert torch.equal(fit.frame(fit.image(image)), image)
    padded = fit.labels(labels)
    assert torch.equal(padded[:5, :6], labels)
    assert torch.equal(padded[5:], padded[[3, 2, 1]])
    assert torch.equal(padded[:, 6:], padded[:, [4, 3]])
    assert torch.equal((fit.image(image)[0] * 255).round().long(), padded)


def test_labels_lie_where_the_image_shows_them() -> None:
    """Nearest, about the pixels' centres: an edge stays within half a pixel of where the resized image has it."""
    labels = torch.zeros(40, 101, dtype=torch.long)
    labels[13:] = 1
    fit = fit_frame((40, 101), 8, height_px=64)
    image = (labels * 255).to(torch.uint8).expand(3, -1, -1)
    assert float((fit.image(image)[0] - fit.labels(labels)).abs().mean()) < 0.02


@pytest.mark.parametrize(
    ("frame_hw", "expected"), [((1024, 2048), (724, 1448)), ((360, 480), (360, 480)), ((20, 100), (64, 320))]
)
def test_large_frames_are_reduced_and_small_ones_enlarged(frame_hw: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_frame(frame_hw, 16, height_px=None, most_px=1 << 20, least_side_px=64).scaled_hw == expected
