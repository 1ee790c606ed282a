from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.errors import SettingError
from poc_aug.masks import dilate
from poc_aug.reading.compose import compose
from poc_aug.reading.compose_opacity import support
from poc_aug.types import Sample
from tests.helpers.compose_cases import make_insertion, make_sample


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    sigma=st.sampled_from([0.0, 0.4, 1.0, 2.5]),
    alpha=st.booleans(),
    shade=st.booleans(),
    parts=st.integers(1, 3),
)
def test_nothing_outside_the_support_changes(seed: int, sigma: float, alpha: bool, shade: bool, parts: int) -> None:
    sample = make_sample(seed, 17, 11)
    insertion = make_insertion(seed, (3, 2, 9, 7), alpha=alpha, shade=shade, parts=parts)
    before = sample.image.clone(), sample.labels.clone()
    ids = {"part0": 100, "part1": 101, "part2": 102}
    after = compose(sample, [insertion], ids, sigma_px=sigma)

    assert torch.equal(sample.image, before[0])
    assert torch.equal(sample.labels, before[1])
    touched = torch.zeros(17, 11, dtype=torch.bool)
    touched[3:12, 2:9] = support(insertion, sigma)
    assert torch.equal(after.image[:, ~touched], sample.image[:, ~touched])
    masked = torch.zeros(17, 11, dtype=torch.bool)
    masked[3:12, 2:9] = insertion.mask
    assert torch.equal(after.labels[~masked], sample.labels[~masked])
    for part in insertion.parts:
        assert (after.labels[3:12, 2:9][part.mask] == ids[part.name]).all()
    # The object itself is opaque.
    assert torch.equal(after.image[:, 3:12, 2:9][:, insertion.mask], insertion.patch[:, insertion.mask])


def test_a_ring_surrounds_the_object_also_beyond_its_patch() -> None:
    sample = make_sample(0, 17, 11)
    insertion = make_insertion(0, (0, 4, 5, 7))  # touches the frame's top and right border
    after = compose(sample, [insertion], {"part0": 100}, ring_px=2, ring_id=255)
    mask = torch.zeros(17, 11, dtype=torch.bool)
    mask[0:5, 4:11] = insertion.mask
    ring = dilate(mask, 2) & ~mask
    assert (after.labels[ring] == 255).all()
    assert (after.labels[mask] == 100).all()
    rest = ~ring & ~mask
    assert torch.equal(after.labels[rest], sample.labels[rest])


def test_a_ring_covers_no_other_object() -> None:
    sample = make_sample(0, 17, 11)
    near, far = make_insertion(1, (8, 2, 8, 7)), make_insertion(2, (1, 2, 7, 7))
    after = compose(sample, [far, near], {"part0": 100}, ring_px=3)
    for insertion in (near, far):
        y, x, h, w = insertion.box_yxhw
        assert (after.labels[y : y + h, x : x + w][insertion.mask] == 100).all()
    assert (after.labels == 255).any()


def test_a_feather_beyond_the_patchs_pixels_is_refused() -> None:
    with pytest.raises(SettingError, match=r"sigma_px=4\.0"):
        compose(make_sample(0, 17, 11), [make_insertion(0, (3, 2, 9, 7))], {"part0": 1}, sigma_px=4.0)


def test_ignored_pixels_under_an_object_become_the_object() -> None:
    sample = make_sample(0, 17, 11)
    ignored = Sample(sample.image, torch.full((17, 11), 255, dtype=torch.uint8), "s")
    insertion = make_insertion(0, (3, 2, 9, 7))
    after = compose(ignored, [insertion], {"part0": 100})
    assert (after.labels[3:12, 2:9][insertion.mask] == 100).all()


def test_a_shadow_only_darkens() -> None:
    sample = make_sample(5, 17, 11)
    insertion = make_insertion(5, (3, 2, 9, 7), shade=True, alpha=True)
    after = compose(sample, [insertion], {"part0": 1})
    assert insertion.alpha is not None
    assert insertion.shade is not None
    free = (insertion.alpha == 0) & (insertion.shade > 0)
    seen, base = after.image[:, 3:12, 2:9][:, free].float(), sample.image[:, 3:12, 2:9][:, free].float()
    assert (seen <= base).all()
    assert torch.allclose(seen, base * (1 - insertion.shade[free].float() / 255), atol=0.51)
