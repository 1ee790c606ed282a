"""The shadow recovered from what was painted around an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.datasets import Cityscapes

from poc_aug.backends.rendered.rendered_inserter import RenderedInserter, default_recipe
from poc_aug.errors import SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.shade import MAX_SHADE, recover_shade, with_recovered_shade
from poc_aug.labels.schema import SCHEMAS
from poc_aug.masks import dilate
from poc_aug.protocols import Inserter
from poc_aug.reading.compose import compose
from poc_aug.recipe import CAMERAS
from poc_aug.types import Annotation, Crop, Extent, Filled, Part, Rejection, Sample
from tests.helpers.fakes import SCHEMA, EllipseInserter, ellipse, make_recipe, make_sample

SIZES = ((97, 131), (61, 43), (160, 160), (201, 90))


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(image: torch.Tensor) -> torch.Tensor:
    return image.round().clamp(0, 255).to(torch.uint8)


def ground(h: int, w: int, seed: int = 0) -> torch.Tensor:
    """Something like asphalt: coarse patches, a bright stripe and grain, a little coloured."""
    rng = rng_of(seed)
    coarse = F.interpolate(torch.rand((1, 1, h // 9 + 2, w // 9 + 2), generator=rng), size=(h, w), mode="bicubic")[0]
    picture = 95 + 30 * (coarse - 0.5) + 5 * torch.randn((3, h, w), generator=rng)
    picture[:, :, w // 3 : w // 3 + 3] += 50
    return levels(picture * torch.tensor([0.95, 1.0, 1.02])[:, None, None])


def standing(h: int, w: int) -> torch.Tensor:
    """An ellipse over the upper and middle part of the crop."""
    mask = torch.zeros((h, w), dtype=torch.bool)
    mask[h // 6 : h // 6 + h // 2, w // 4 : w // 4 + w // 2] = ellipse(h // 2, w // 2)
    return mask


def soft_shade(mask: torch.Tensor, strength: float = 0.5) -> torch.Tensor:
    """A flat Gaussian spot at the foot: float ``[h, w]``, darkness in [0, 1]; 0 on the object."""
    h, w = mask.shape
    rows, cols = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    foot, middle = int(rows[-1]), (int(cols[0]) + int(cols[-1])) / 2
    y = (torch.arange(h) - foot)[:, None] / (0.12 * len(rows))
    x = (torch.arange(w) - middle)[None] / (0.35 * len(cols))
    return (strength * torch.exp(-(y**2 + x**2) / 2)) * ~mask


def with_object(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, torch.tensor([180, 40, 60], dtype=torch.uint8)[:, None, None], image)


def darkened(image: torch.Tensor, shade: torch.Tensor) -> torch.Tensor:
    """What composing does: ``base * (255 - shade) / 255``."""
    return levels(image.float() * (255 - shade.float()) / 255)


@pytest.mark.parametrize("size_hw", SIZES)
def test_where_nothing_changed_there_is_no_shade(size_hw: tuple[int, int]) -> None:
    mask = standing(*size_hw)
    image = ground(*size_hw)
    shade = recover_shade(image, with_object(image, mask), mask)
    assert shade.dtype == torch.uint8
    assert shade.shape == size_hw
    assert not shade.any()


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("strength", [0.25, 0.5, 0.7])
def test_a_soft_shadow_is_recovered_and_composing_shows_it(size_hw: tuple[int, int], strength: float) -> None:
    mask = standing(*size_hw)
    image = ground(*size_hw)
    true = levels(soft_shade(mask, strength) * 255)
    painted = darkened(image, true)
    shade = recover_shade(image, with_object(painted, mask), mask)
    error = shade.int() - true.int()
    shaded = (true >= 20) & ~mask
    assert float(error[shaded].abs().float().mean()) <= 0.15 * float(true[shaded].float().mean())
    assert float((shade[shaded] > 0).float().mean()) >= 0.97
    assert int(shade[(true == 0)].max()) <= 16  # smoothing spreads it by little
    # On the untouched base it looks as it was painted: the darkening by shadow is at least 5 times the error.
    left = (darkened(image, shade).float() - painted.float())[:, shaded]
    was = (image.float() - painted.float())[:, shaded]
    assert float(left.square().mean()) <= float(was.square().mean()) / 25


def test_the_object_itself_is_never_shaded_and_its_edge_has_no_gap() -> None:
    mask = standing(120, 120)
    image = ground(120, 120)
    filled = with_object(darkened(image, soft_shade(mask) * 255), mask)
    filled[:, dilate(mask, 1) & ~mask] = 3  # a dark rim that the mask has missed
    shade = recover_shade(image, filled, mask)
    assert not shade[mask].any()
    below = dilate(mask, 1) & ~mask
    below[: int(mask.any(1).nonzero()[-1])] = False
    assert below.any()
    assert (shade[below] >= 90).all()
    assert (shade[below] <= 150).all()  # about 0.5 * 255, not the rim's 0.97


def test_beyond_the_reach_there_is_no_shade() -> None:
    mask = torch.zeros((150, 150), dtype=torch.bool)
    mask[60:90, 60:80] = True
    image = ground(150, 150)
    filled = with_object(levels(image * 0.5), mask)
    filled[:, :72] = image[:, :72]
    y, x = torch.arange(150)[:, None], torch.arange(150)[None]
    away = torch.hypot((y - 89).clamp(min=0).float(), torch.maximum(60 - x, x - 79).clamp(min=0).float())
    for reach in (0.0, 0.5, 1.0):
        shade = recover_shade(image, filled, mask, reach=reach)
        assert not shade[away >= reach * 30].any()
        assert bool(shade.any()) == (reach > 0)


def test_brightening_gives_no_shade() -> None:
    mask = standing(97, 131)
    image = ground(97, 131)
    brighter = levels(image * (1 + soft_shade(mask, 0.8)))
    assert not recover_shade(image, with_object(brighter, mask), mask).any()


@pytest.mark.parametrize("common", [True, False])
def test_noise_of_three_levels_gives_no_shade(common: bool) -> None:
    for seed, size_hw in enumerate(SIZES):
        mask = standing(*size_hw)
        image = ground(*size_hw)
        noise = torch.randint(-3, 4, (1 if common else 3, *size_hw), generator=rng_of(seed))
        assert not recover_shade(image, with_object(levels(image + noise), mask), mask).any()


def test_ground_painted_a_little_darker_is_no_shadow_and_hides_none() -> None:
    mask = standing(120, 140)
    image = ground(120, 140)
    dimmer = (image.float() - 7).clamp(min=0)
    assert not recover_shade(image, with_object(levels(dimmer), mask), mask).any()
    true = soft_shade(mask, 0.6) * 255
    shade = recover_shade(image, with_object(darkened(dimmer, true), mask), mask)
    assert float((shade[true > 100] >= 90).float().mean()) > 0.95


def test_texture_that_was_painted_anew_is_no_shadow_and_hides_none() -> None:
    mask = standing(140, 140)
    true = levels(soft_shade(mask, 0.6) * 255)
    shaded = true >= 60
    false, errors = [], []
    for seed in range(8):
        image, other = ground(140, 140, seed), ground(140, 140, 50 + seed)
        false.append(float((recover_shade(image, with_object(other, mask), mask) > 0).float().mean()))
        shade = recover_shade(image, with_object(darkened(other, true), mask), mask)
        errors.append(
            float((shade[shaded].int() - true[shaded].int()).abs().float().mean() / true[shaded].float().mean())
        )
    assert sum(false) / len(false) <= 0.01
    assert sum(errors) / len(errors) <= 0.25


def test_what_changed_its_colour_is_no_shadow() -> None:
    mask = standing(120, 120)
    image = ground(120, 120)
    rows = torch.zeros(120, dtype=torch.bool)
    rows[81:95] = True
    spot = (rows[:, None] & (torch.arange(120)[None] > 35) & (torch.arange(120)[None] < 90)) & ~mask
    for factors, shaded in (((0.5, 0.5, 0.5), True), ((0.48, 0.5, 0.54), True), ((0.2, 0.7, 0.2), False)):
        painted = torch.where(spot, levels(image * torch.tensor(factors)[:, None, None]), image)
        shade = recover_shade(image, with_object(painted, mask), mask)
        inside = ~dilate(~spot, 5)
        assert inside.any()
        assert bool((shade[inside] > 100).all()) == shaded
        assert bool((shade[inside] == 0).all()) == (not shaded)


def test_darkness_that_is_not_at_the_foot_is_no_shadow() -> None:
    mask = torch.zeros((150, 150), dtype=torch.bool)
    mask[40:100, 60:80] = True
    image = ground(150, 150)
    for rows, cols, shaded in (
        (slice(95, 108), slice(55, 100), True),  # under the object
        (slice(41, 51), slice(80, 100), False),  # a dark thing behind its head
        (slice(112, 125), slice(60, 90), False),  # another shadow on the road, near but apart
    ):
        painted = image.clone()
        painted[:, rows, cols] = levels(image[:, rows, cols] * 0.5)
        shade = recover_shade(image, with_object(painted, mask), mask)
        assert bool(shade.any()) == shaded, (rows, cols)


def test_black_things_are_cut_and_dark_ground_gives_no_noise() -> None:
    mask = standing(90, 90)
    image = ground(90, 90)
    painted = levels(image * (1 - soft_shade(mask, 1.0)))
    assert int(recover_shade(image, with_object(painted, mask), mask).max()) <= MAX_SHADE
    night = torch.randint(0, 4, (3, 90, 90), generator=rng_of(1), dtype=torch.uint8)
    dark = torch.zeros_like(night)
    assert not recover_shade(night, with_object(dark, mask), mask).any()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 17), (5, 3), (17, 11)])
def test_small_pictures_and_objects_at_the_border(size_hw: tuple[int, int]) -> None:
    image = ground(*size_hw)
    for mask in (torch.ones(size_hw, dtype=torch.bool), torch.zeros(size_hw, dtype=torch.bool)):
        shade = recover_shade(image, levels(image * 0.5), mask)
        assert shade.shape == size_hw
        assert not shade.any()
    corner = torch.zeros(size_hw, dtype=torch.bool)
    corner[-1, -1] = True
    assert recover_shade(image, levels(image * 0.5), corner).shape == size_hw


def test_it_is_pure() -> None:
    mask = standing(97, 131)
    image = ground(97, 131)
    filled = with_object(darkened(image, soft_shade(mask) * 255), mask)
    copies = image.clone(), filled.clone(), mask.clone()
    before = torch.get_rng_state()
    first, second = (recover_shade(image, filled, mask) for _ in range(2))
    assert first.any()
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(copies, (image, filled, mask), strict=True))


def test_bad_input_is_named() -> None:
    image, mask = ground(20, 30), standing(20, 30)
    for changed in ((image[:, 1:], image, mask), (image, image[:, :, 1:], mask), (image, image, mask[1:])):
        with pytest.raises(SettingError, match="of the same size"):
            recover_shade(*changed)
    with pytest.raises(SettingError, match=r"reach=-0\.5"):
        recover_shade(image, image, mask, reach=-0.5)


def test_it_is_a_choice_of_the_recipe_and_an_inserters_own_shade_stays() -> None:
    image, mask = ground(97, 131), standing(97, 131)
    crop = Crop(image, (0, 0, 97, 131), "dog", "a dog", ("dog",), 1)
    parts = (Part("dog", mask),)
    filled = Filled(with_object(darkened(image, soft_shade(mask) * 255), mask))
    wanted = make_recipe(recover_shade=True)
    assert with_recovered_shade(make_recipe(), crop, filled, parts) is filled
    recovered = with_recovered_shade(wanted, crop, filled, parts).shade
    assert recovered is not None
    assert torch.equal(recovered, recover_shade(image, filled.image, mask))
    for own in (replace(filled, shade=torch.zeros((97, 131), dtype=torch.uint8)), replace(filled, unlabelled=True)):
        assert with_recovered_shade(wanted, crop, own, parts) is own


class ShadowPainter(EllipseInserter):
    """Paints a soft shadow too, and says nothing of it."""

    def _one(self, crop: Crop) -> Filled | Rejection:
        filled = super()._one(crop)
        if isinstance(filled, Rejection):
            return filled
        mask = self.mask(crop)
        return replace(filled, image=torch.where(mask, filled.image, darkened(crop.image, soft_shade(mask) * 255)))


def test_the_pipeline_puts_the_painted_shadow_on_the_base() -> None:
    sample = make_sample(size_hw=(131, 160))
    size = {"kind": "pixels", "min_px": 30, "max_px": 40}
    for wanted in (True, False):
        recipe = make_recipe(recover_shade=wanted, size=size, crop_scale=2.0, objects_per_variant=(1, 1))
        (insertion,) = InsertionPipeline(recipe, ShadowPainter(), schema=SCHEMA).generate(sample).insertions
        assert (insertion.shade is not None) == wanted
        if insertion.shade is None:
            continue
        assert not insertion.shade[insertion.mask].any()
        after = compose(sample, [insertion], {insertion.object_name: 9}, sigma_px=0)
        y, x, h, w = insertion.box_yxhw
        dark = insertion.shade >= 30
        assert int(dark.sum()) > 20
        here, was = (each[:, y : y + h, x : x + w][:, dark].float() for each in (after.image, sample.image))
        assert float(here.mean()) < 0.9 * float(was.mean())


class _Watch:
    """A rendered inserter that remembers the crops it was given and what it returned."""

    def __init__(self) -> None:
        self.inner: Inserter = RenderedInserter()
        self.filled: list[tuple[Crop, Filled]] = []

    needs_camera = True

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def extent(self, object_name: str, seed: int) -> Extent | Rejection | None:
        return self.inner.extent(object_name, seed)

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        results = self.inner.insert(crops)
        self.filled += [
            (crop, filled) for crop, filled in zip(crops, results, strict=True) if isinstance(filled, Filled)
        ]
        return results


def test_known_shadows_on_real_frames(real_data: Path) -> None:
    frames = Cityscapes(real_data / "scenes" / "cityscapes", split="train", mode="fine", target_type="semantic")
    watch = _Watch()
    recipe = default_recipe(3).with_changes(camera=CAMERAS["cityscapes"], crop_scale=1.8)
    pipeline = InsertionPipeline(recipe, watch, schema=SCHEMAS["cityscapes-labelIds"])
    for number in range(2):
        image, labels = (torch.from_numpy(np.array(each)) for each in frames[number])
        for variant in range(3):
            pipeline.generate(Sample(image.permute(2, 0, 1).contiguous(), labels, f"frame {number}"), variant)
    left, without = [], []
    for crop, filled in watch.filled:
        assert filled.alpha is not None
        assert filled.shade is not None
        assert isinstance(filled.annotation, Annotation)
        alpha = filled.alpha.float() / 255
        painted = darkened(crop.image, filled.shade)
        picture = levels(torch.lerp(painted.float(), filled.image.float(), alpha))
        mask = filled.alpha >= 128
        shade = recover_shade(crop.image, picture, mask)
        around = ((filled.shade > 0) | (shade > 0)) & ~dilate(mask, 1)  # next to the mask the object's edge is mixed in
        assert float((shade[filled.shade == 0] > 0).float().sum()) <= 0.1 * float(mask.sum())
        left.append((darkened(crop.image, shade).float() - painted.float())[:, around].square())
        without.append((crop.image.float() - painted.float())[:, around].square())
    assert len(watch.filled) >= 6
    rmse, before = (float(torch.cat([each.flatten() for each in all_]).mean()) ** 0.5 for all_ in (left, without))
    assert rmse <= 0.35 * before
