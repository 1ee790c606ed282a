"""The rendered inserter: exact mattes, sizes that follow perspective, shadows that stay on the ground."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.backends.rendered.catalogue import CATALOGUE
from poc_aug.backends.rendered.render_camera import box_size
from poc_aug.backends.rendered.rendered_inserter import RenderedInserter, default_recipe
from poc_aug.camera_model import Camera
from poc_aug.errors import RecipeError, SettingError
from poc_aug.presets import load_preset, preset_names
from poc_aug.protocols import Inserter
from poc_aug.recipe import PerspectiveSize
from poc_aug.types import Annotation, Crop, Filled, Rejection

CAMERA = Camera(horizon_row=38.0, camera_height_m=1.3, focal_px=300.0, centre_col=70.0)


def ground(height: int = 131, width: int = 147, level: int = 104) -> torch.Tensor:
    """Asphalt under a bright sky, with a little structure."""
    rows, cols = torch.arange(height)[:, None], torch.arange(width)[None]
    image = (level + (rows * 7 + cols * 13) % 9).expand(3, height, width).clone().to(torch.uint8)
    image[:, :38] = 190
    return image


def crop_for(kind: str, seed: int, *, foot: int = 100, centre: float = 72.0, image: torch.Tensor | None = None) -> Crop:
    """A crop whose box is what region search computes for the object."""
    height, width = box_size(RenderedInserter().extent(kind, seed), CAMERA, foot)
    h, w = max(1, round(height)), max(1, round(width))
    box = (foot - h, round(centre - w / 2), h, w)
    return Crop(ground() if image is None else image, box, kind, kind, (kind,), seed, CAMERA)


@dataclass(frozen=True)
class Drawn:
    """A filled crop with all that the rendered inserter gives."""

    image: torch.Tensor
    alpha: torch.Tensor
    shade: torch.Tensor
    annotation: Annotation
    provenance: Mapping[str, Any]


def filled(crop: Crop, **settings: Any) -> Drawn:
    (result,) = RenderedInserter(**settings).insert([crop])
    assert isinstance(result, Filled), result
    assert result.alpha is not None
    assert result.shade is not None
    assert result.annotation is not None
    return Drawn(result.image, result.alpha, result.shade, result.annotation, result.provenance)


def test_is_an_inserter_and_describes_itself_in_json() -> None:
    inserter = RenderedInserter(["ball", "tyre"], supersample=2)
    assert isinstance(inserter, Inserter)
    assert json.loads(json.dumps(inserter.describe())) == inserter.describe()
    assert inserter.describe()["kinds"] == ["ball", "tyre"]
    assert RenderedInserter().describe() != inserter.describe()


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_every_kind_draws_with_exact_mask_matte_and_shadow(kind: str) -> None:
    crop = crop_for(kind, seed=5)
    before = crop.image.clone()
    result = filled(crop)
    (part,) = result.annotation.parts
    assert part.name == kind
    assert part.score == 1.0
    assert torch.equal(part.mask, result.alpha >= 128)
    assert part.mask.any()
    assert torch.equal(crop.image, before)
    assert torch.equal(result.image[:, result.alpha == 0], crop.image[:, result.alpha == 0])
    assert result.shade.dtype == result.alpha.dtype == result.image.dtype == torch.uint8
    assert int(result.shade.max()) > 60
    assert not result.shade[result.alpha == 255].any()
    json.dumps(dict(result.provenance))
    assert result.provenance["kind"] == kind


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
@pytest.mark.parametrize(("foot", "centre"), [(100, 72.0), (84, 30.0), (110, 112.0)])
def test_mask_stays_in_the_box_that_region_search_computes(kind: str, foot: int, centre: float) -> None:
    for seed in (1, 2):
        crop = crop_for(kind, seed, foot=foot, centre=centre)
        y, x, h, w = crop.box_yxhw
        if max(h, w) < 16 or y < 0 or x < 0 or x + w > 147:
            continue
        mask = filled(crop, supersample=2).annotation.parts[0].mask
        inside = mask[max(0, y - 1) : y + h + 1, max(0, x - 1) : x + w + 1].sum() / mask.sum()
        assert inside >= 0.95
        lowest = int(mask.any(dim=1).nonzero().max()) + 1
        assert abs(lowest - foot) <= max(2, 0.06 * h)


def test_same_seed_same_pixels_alone_or_in_a_batch() -> None:
    crops = [crop_for("tyre", 3), crop_for("barrel", 4), crop_for("tyre", 5)]
    inserter = RenderedInserter()
    batch = inserter.insert(crops)
    for crop, together in zip(crops, batch, strict=True):
        (alone,) = RenderedInserter().insert([crop])
        assert isinstance(alone, Filled)
        assert isinstance(together, Filled)
        for name in ("image", "alpha", "shade"):
            assert torch.equal(getattr(alone, name), getattr(together, name))
        assert alone.provenance == together.provenance
    assert not torch.equal(batch[0].alpha, batch[2].alpha)  # type: ignore[union-attr, arg-type]


def test_global_random_state_is_neither_read_nor_written() -> None:
    torch.manual_seed(0)
    first = filled(crop_for("ball", 3))
    state = torch.get_rng_state()
    torch.manual_seed(1)
    second = filled(crop_for("ball", 3))
    assert torch.equal(first.image, second.image)
    torch.manual_seed(0)
    filled(crop_for("ball", 3))
    assert torch.equal(torch.get_rng_state(), state)


def test_size_follows_perspective() -> None:
    near, far = (filled(crop_for("barrel", 11, foot=f, image=ground(260))).alpha for f in (178, 108))
    heights = [int((a >= 128).any(dim=1).sum()) for a in (near, far)]
    assert heights[0] / heights[1] == pytest.approx((178 - 38) / (108 - 38), rel=0.06)


def test_shade_is_on_the_ground_and_ends_before_the_border() -> None:
    shade = filled(crop_for("barrel", 2, foot=92)).shade
    assert not shade[:39].any()
    for edge in (shade[0], shade[-1], shade[:, 0], shade[:, -1]):
        assert int(edge.max()) <= 2


def test_shade_is_smooth_away_from_the_object() -> None:
    result = filled(crop_for("cardboard box", 2, foot=92))
    open_ground = result.alpha == 0
    step = (result.shade[:, 1:].int() - result.shade[:, :-1].int()).abs()
    both = open_ground[:, 1:] & open_ground[:, :-1]
    assert int(step[both].max()) < 60


def test_object_follows_the_scenes_exposure() -> None:
    crops = [crop_for("cardboard box", 2, image=ground(level=level)) for level in (30, 104, 180)]
    means = []
    for crop in crops:
        result = filled(crop)
        means.append(float(result.image[:, result.alpha == 255].float().mean()))
    assert means[0] < 0.6 * means[1] < 0.6 * means[2]


def test_opaque_edges_hold_the_objects_own_colour() -> None:
    result = filled(crop_for("traffic cone", 2, image=torch.full((3, 131, 147), 104, dtype=torch.uint8)))
    edge = (result.alpha > 60) & (result.alpha < 200)
    # Orange at half coverage is orange, not half way to the asphalt's grey (bands and base are not orange).
    red_over_blue = result.image[0].float() - result.image[2].float()
    opaque = result.alpha == 255
    assert float(red_over_blue[edge].quantile(0.8)) > 0.75 * float(red_over_blue[opaque].quantile(0.8))


def test_a_larger_box_gets_a_larger_object() -> None:
    crop = crop_for("cardboard box", 2, foot=90)
    y, x, h, w = crop.box_yxhw
    larger = Crop(
        crop.image, (y - h // 2, x - w // 4, h + h // 2, w + w // 2), "cardboard box", "", ("box",), 2, CAMERA
    )
    small, large = filled(crop), filled(larger)
    assert float(large.provenance["scale"]) > 1.2
    assert float(small.provenance["scale"]) == pytest.approx(1.0, abs=0.06)
    assert int((large.alpha >= 128).sum()) > 1.4 * int((small.alpha >= 128).sum())
    assert large.annotation.parts[0].name == "box"


@pytest.mark.parametrize("size", [(17, 11), (11, 17)])
def test_tiny_odd_crops(size: tuple[int, int]) -> None:
    image = torch.full((3, *size), 90, dtype=torch.uint8)
    crop = Crop(image, (4, 2, 6, 6), "ball", "ball", ("ball",), 1, Camera(1.0, 0.3, 20.0, 6.0))
    (result,) = RenderedInserter().insert([crop])
    assert isinstance(result, Filled)
    assert result.image.shape == image.shape


def test_extent_does_not_depend_on_the_place_and_varies_with_the_seed() -> None:
    inserter = RenderedInserter()
    assert inserter.extent("plank", 1) == RenderedInserter(supersample=1).extent("plank", 1)
    assert inserter.extent("plank", 1) != inserter.extent("plank", 2)


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_extents_are_plausible_metres(kind: str) -> None:
    for seed in range(6):
        extent = RenderedInserter().extent(kind, seed)
        assert extent.height_m is not None
        assert 0.02 < extent.height_m < 2.2
        assert 0.02 < extent.aspect * extent.height_m < 2.8
        assert 0.02 < extent.depth_m < 2.8


def test_without_perspective_is_a_rejection() -> None:
    (result,) = RenderedInserter().insert([Crop(ground(), (60, 60, 20, 20), "ball", "ball", ("ball",), 1)])
    assert isinstance(result, Rejection)
    assert "camera is not known" in result.detail


def test_several_parts_are_an_error() -> None:
    crop = Crop(ground(), (60, 60, 20, 20), "ball", "ball", ("rider", "bicycle"), 1, CAMERA)
    with pytest.raises(RecipeError, match="rider"):
        RenderedInserter().insert([crop])


@pytest.mark.parametrize("box", [(5, 60, 20, 20), (10, 60, 28, 20)])
def test_a_box_above_the_horizon_is_rejected(box: tuple[int, int, int, int]) -> None:
    (result,) = RenderedInserter().insert([Crop(ground(), box, "ball", "ball", ("ball",), 1, CAMERA)])
    assert isinstance(result, Rejection)
    assert result.reason == "not drawable"
    assert str(box) in result.detail


def test_an_object_outside_the_crop_is_rejected() -> None:
    crop = Crop(ground(), (80, 900, 20, 20), "ball", "ball", ("ball",), 1, CAMERA)
    (result,) = RenderedInserter().insert([crop])
    assert isinstance(result, Rejection)
    assert result.reason == "too small"


def test_unknown_kinds_list_the_known_ones() -> None:
    with pytest.raises(SettingError, match=r"sofa(.|\n)*traffic cone"):
        RenderedInserter(["ball", "sofa"])
    with pytest.raises(SettingError, match="empty"):
        RenderedInserter([])
    with pytest.raises(RecipeError, match=r"no rendered object 'tyre'(.|\n)*one of: ball"):
        RenderedInserter(["ball"]).extent("tyre", 1)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"supersample": 0}, "supersample=0"),
        ({"shadow_strength": (0.9, 0.2)}, "shadow_strength"),
        ({"sun_share": (0.5, 1.5)}, "sun_share"),
        ({"sun_elevation_deg": 5.0}, "sun_elevation_deg"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], word: str) -> None:
    with pytest.raises(SettingError, match=word):
        RenderedInserter(**settings)  # type: ignore[arg-type]


def test_default_recipe_names_every_kind() -> None:
    recipe = default_recipe(seed=4)
    assert [spec.name for spec in recipe.objects] == sorted(CATALOGUE)
    assert recipe.seed == 4
    assert isinstance(recipe.size, PerspectiveSize)
    assert recipe.size.size_m is None


def test_presets_load_and_an_unknown_one_lists_them() -> None:
    assert "obstacles" in preset_names()
    for name in preset_names():
        assert load_preset(name).objects
    with pytest.raises(RecipeError, match=r"no preset 'obstacle'(.|\n)*obstacles"):
        load_preset("obstacle")


@pytest.mark.parametrize("name", ["camvid/train", "kitti5_cropped/image_2"])
def test_on_real_frames_the_object_is_as_bright_as_its_street(real_data: Path, name: str) -> None:
    path = sorted((real_data / "scenes" / name).glob("*.png"))[0]
    image = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
    height, width = image.shape[1:]
    camera = Camera(0.46 * height, 1.5, 0.8 * width, width / 2)
    foot = int(0.85 * height)
    box_h, box_w = box_size(RenderedInserter().extent("cardboard box", 1), camera, foot)
    box = (foot - round(box_h), int(0.55 * width), round(box_h), round(box_w))
    result = filled(Crop(image, box, "cardboard box", "cardboard box", ("cardboard box",), 1, camera))
    assert torch.equal(result.image[:, result.alpha == 0], image[:, result.alpha == 0])
    board = float(result.image[:, result.alpha == 255].float().mean())
    street = float(image[:, foot : foot + 9, box[1] : box[1] + box[3]].float().mean())
    assert 0.6 * street < board < 3 * street
