from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug import seeding
from poc_aug.camera_model import Camera
from poc_aug.generation.regions import ValidArea, crop_around, find_region
from poc_aug.recipe import PAPER_LADDER, Recipe
from poc_aug.types import Extent, Region, Rejection


def recipe_of(**changes: object) -> Recipe:
    return Recipe.from_dict({"objects": ["thing"], "ladder": [{"min_overlap": 0.5}], **changes})


def overlap(mask: torch.Tensor, box: tuple[int, int, int, int], foot_px: int | None = None) -> float:
    y, x, h, w = box
    strip = h if foot_px is None else foot_px
    return float(mask[y + h - strip : y + h, x : x + w].double().mean())


def brute_force(mask: torch.Tensor, recipe: Recipe, h: int, w: int) -> set[tuple[int, int]]:
    """All valid corners, tested one at a time."""
    height, width = mask.shape
    margin, rung = recipe.margin_px, recipe.ladder[0]
    foot = None if recipe.overlap_on == "box" else max(1, round(recipe.foot_fraction * h))
    return {
        (y, x)
        for y in range(margin, height - margin - h + 1)
        for x in range(margin, width - margin - w + 1)
        if overlap(mask, (y, x, h, w), foot) >= rung.min_overlap - 1e-9
    }


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(9, 30),
    width=st.integers(9, 30),
    margin=st.integers(0, 2),
    overlap_on=st.sampled_from(["box", "foot"]),
    min_overlap=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
)
def test_every_place_satisfies_the_limits(
    seed: int, height: int, width: int, margin: int, overlap_on: str, min_overlap: float
) -> None:
    mask = torch.rand(height, width, generator=seeding.generator(seed)) > 0.3
    recipe = recipe_of(
        size={"kind": "pixels", "min_px": 4, "max_px": 8},
        margin_px=margin,
        overlap_on=overlap_on,
        ladder=[{"min_overlap": min_overlap}],
    )
    outcome = find_region(ValidArea(mask, (height, width)), recipe.objects[0], recipe, seeding.generator(seed))
    if isinstance(outcome, Rejection):
        assert outcome.reason == "no room"
        return
    y, x, h, w = outcome.box_yxhw
    assert 4 <= h < 8
    assert 4 <= w <= 8
    assert (y, x) in brute_force(mask, recipe, h, w)
    cy, cx, ch, cw = outcome.crop_yxhw
    assert cy <= y
    assert cx <= x
    assert cy + ch >= y + h
    assert cx + cw >= x + w


def test_no_room_exactly_where_brute_force_finds_none() -> None:
    recipe = recipe_of(size={"kind": "pixels", "min_px": 5, "max_px": 6}, aspect_min=1, aspect_max=1)
    outcomes: Counter[bool] = Counter()
    for seed in range(60):
        mask = torch.rand(17, 11, generator=seeding.generator(seed)) > 0.62
        outcome = find_region(ValidArea(mask, (17, 11)), recipe.objects[0], recipe, seeding.generator(seed))
        places = brute_force(mask, recipe, 5, 5)
        assert isinstance(outcome, Region) == bool(places)
        outcomes[bool(places)] += 1
    assert min(outcomes.values()) > 5  # both cases came


def test_places_are_uniform_over_all_valid_ones() -> None:
    mask = torch.zeros(12, 13, dtype=torch.bool)
    mask[2:7, 1:6] = True
    mask[6:12, 8:13] = True
    recipe = recipe_of(
        size={"kind": "pixels", "min_px": 4, "max_px": 5},
        aspect_min=1,
        aspect_max=1,
        ladder=[{"min_overlap": 1.0}],
    )
    area = ValidArea(mask, (12, 13))
    places = sorted(brute_force(mask, recipe, 4, 4))
    drawn: Counter[tuple[int, int]] = Counter()
    total = 3000
    for seed in range(total):
        region = find_region(area, recipe.objects[0], recipe, seeding.generator(seed))
        assert isinstance(region, Region)
        drawn[region.box_yxhw[:2]] += 1
    assert sorted(drawn) == places
    expected = total / len(places)
    chi_square = sum((count - expected) ** 2 / expected for count in drawn.values())
    assert chi_square < 2.5 * len(places)


def test_perspective_sizes_follow_the_foot_row() -> None:
    view = Camera(horizon_row=40, camera_height_m=1.5, focal_px=200, centre_col=100)
    mask = torch.zeros(121, 201, dtype=torch.bool)
    mask[45:] = True
    recipe = recipe_of(
        size={"kind": "perspective", "size_m": 0.6, "jitter": 0, "min_px": 4},
        overlap_on="foot",
        ladder=[{"min_overlap": 0.9}],
    )
    feet = set()
    for seed in range(200):
        region = find_region(
            ValidArea(mask, (121, 201)),
            recipe.objects[0],
            recipe,
            seeding.generator(seed),
            camera=view,
            extent=Extent(aspect=2.0),
        )
        assert isinstance(region, Region)
        y, _, h, w = region.box_yxhw
        foot = y + h
        assert abs(h - 0.6 * (foot - 40) / 1.5) <= 0.51
        assert abs(w - 1.2 * (foot - 40) / 1.5) <= 0.51
        assert region.camera == view
        feet.add(foot)
    assert len(feet) > 30


def test_longest_side_is_measured_where_asked() -> None:
    view = Camera(10, 1.0, 100, 50)
    mask = torch.ones(90, 101, dtype=torch.bool)
    recipe = recipe_of(
        size={"kind": "perspective", "size_m": 0.8, "measure": "longest", "jitter": 0, "min_px": 4},
        overlap_on="foot",
    )
    for seed in range(20):
        region = find_region(
            ValidArea(mask, (90, 101)),
            recipe.objects[0],
            recipe,
            seeding.generator(seed),
            camera=view,
            extent=Extent(aspect=4.0),
        )
        assert isinstance(region, Region)
        y, _, h, w = region.box_yxhw
        assert abs(w - 0.8 * view.px_per_m(y + h)) <= 0.51
        assert abs(h - 0.2 * view.px_per_m(y + h)) <= 0.51


def test_deep_objects_reach_higher() -> None:
    view = Camera(10, 1.5, 100, 50)
    mask = torch.ones(90, 101, dtype=torch.bool)
    recipe = recipe_of(size={"kind": "perspective", "min_px": 4}, overlap_on="foot")

    def height(depth_m: float) -> int:
        extent = Extent(aspect=4.0, height_m=0.1, depth_m=depth_m)
        region = find_region(
            ValidArea(mask, (90, 101)),
            recipe.objects[0],
            recipe,
            seeding.generator(3),
            camera=view,
            extent=extent,
        )
        assert isinstance(region, Region)
        y, _, h, _ = region.box_yxhw
        z = view.distance_m(y + h)
        top = min(view.row_of(z, 0.1), view.row_of(z + depth_m, 0.1))
        assert abs(top - y) <= 1
        return h

    assert height(1.0) > height(0.0)


def test_objects_of_one_variant_keep_their_distance() -> None:
    mask = torch.ones(60, 90, dtype=torch.bool)
    recipe = recipe_of(size={"kind": "pixels", "min_px": 8, "max_px": 14}, gap_px=3)
    area = ValidArea(mask, (60, 90))
    occupied: list[tuple[int, int, int, int]] = []
    for seed in range(40):
        outcome = find_region(area, recipe.objects[0], recipe, seeding.generator(seed), occupied=occupied)
        if isinstance(outcome, Region):
            occupied.append(outcome.box_yxhw)
    assert len(occupied) > 5
    owner = np.full((60, 90), -1)
    for number, (y, x, h, w) in enumerate(occupied):
        grown = owner[max(0, y - 3) : y + h + 3, max(0, x - 3) : x + w + 3]
        assert (grown == -1).all()
        owner[y : y + h, x : x + w] = number


def test_the_ladder_is_explicit_and_recorded() -> None:
    mask = torch.zeros(60, 60, dtype=torch.bool)
    mask[50:, :] = True
    base = {
        "size": {"kind": "pixels", "min_px": 30, "max_px": 31},
        "ladder": [r.model_dump() for r in PAPER_LADDER],
    }
    recipe = recipe_of(**base)
    area = ValidArea(mask, (60, 60))
    region = find_region(area, recipe.objects[0], recipe, seeding.generator(0))
    assert isinstance(region, Region)
    assert region.rung == 1
    assert region.box_yxhw[2] == 21
    mask[50:, :] = False
    mask[59, 0] = True
    region = find_region(ValidArea(mask, (60, 60)), recipe.objects[0], recipe, seeding.generator(0))
    assert isinstance(region, Region)
    assert region.rung == 2
    strict = recipe_of(**{**base, "ladder": [{"min_overlap": 0.5}]})
    rejected = find_region(ValidArea(mask, (60, 60)), strict.objects[0], strict, seeding.generator(0))
    assert isinstance(rejected, Rejection)


@pytest.mark.parametrize("reason", ["empty area", "no horizon", "larger than the frame"])
def test_what_gives_no_place_is_a_rejection(reason: str) -> None:
    mask = torch.ones(17, 11, dtype=torch.bool)
    recipe = recipe_of(size={"kind": "pixels", "min_px": 40, "max_px": 50})
    if reason == "empty area":
        mask &= False
        recipe = recipe_of(size={"kind": "pixels", "min_px": 4, "max_px": 5})
    if reason == "no horizon":
        recipe = recipe_of(size={"kind": "perspective", "size_m": 1})
    outcome = find_region(ValidArea(mask, (17, 11)), recipe.objects[0], recipe, seeding.generator(0))
    assert isinstance(outcome, Rejection)
    assert outcome.reason == "no room"
    assert outcome.detail


def test_the_rung_anywhere_needs_no_valid_pixel() -> None:
    recipe = recipe_of(
        size={"kind": "pixels", "min_px": 4, "max_px": 6}, ladder=[{"min_overlap": 0.5}, {"min_overlap": 0}]
    )
    area = ValidArea(torch.zeros(17, 11, dtype=torch.bool), (17, 11))
    region = find_region(area, recipe.objects[0], recipe, seeding.generator(0))
    assert isinstance(region, Region)
    assert region.rung == 1


def test_anywhere_needs_no_mask() -> None:
    recipe = recipe_of(size={"kind": "pixels", "min_px": 4, "max_px": 6})
    regions = [
        find_region(ValidArea(None, (17, 11)), recipe.objects[0], recipe, seeding.generator(seed))
        for seed in range(300)
    ]
    assert all(isinstance(region, Region) for region in regions)
    corners = {region.box_yxhw[:2] for region in regions if isinstance(region, Region)}
    assert len(corners) > 60


@given(
    y=st.integers(0, 20),
    x=st.integers(0, 20),
    h=st.integers(1, 30),
    w=st.integers(1, 30),
    scale=st.floats(1, 3),
)
def test_crops_are_square_where_the_frame_allows(y: int, x: int, h: int, w: int, scale: float) -> None:
    size = (y + h + 3, x + w + 5)
    top, left, ch, cw = crop_around((y, x, h, w), scale, size)
    assert top >= 0
    assert left >= 0
    assert top + ch <= size[0]
    assert left + cw <= size[1]
    assert top <= y
    assert left <= x
    assert top + ch >= y + h
    assert left + cw >= x + w
    assert ch == cw or ch == size[0] or cw == size[1]


@pytest.mark.parametrize(
    "size", [{"kind": "pixels", "min_px": 10, "max_px": 60}, {"kind": "perspective", "size_m": 0.8, "min_px": 4}]
)
def test_no_box_is_larger_than_the_inserter_can_draw(size: dict[str, object]) -> None:
    view = Camera(10, 1.0, 100, 50)
    recipe = recipe_of(size=size, overlap_on="foot")
    area = ValidArea(None, (90, 101))
    for aspect in (0.5, 2.0):
        heights = []
        for seed in range(60):
            extent = Extent(aspect=aspect, max_height_px=21)
            rng = seeding.generator(seed)
            region = find_region(area, recipe.objects[0], recipe, rng, camera=view, extent=extent)
            assert isinstance(region, Region)
            heights.append(region.box_yxhw[2])
        assert 16 < max(heights) <= 21
    tiny = Extent(aspect=1.0, max_height_px=3)
    rejected = find_region(area, recipe.objects[0], recipe, seeding.generator(0), camera=view, extent=tiny)
    assert isinstance(rejected, Rejection)
