"""Rain: the mirror in the road, streaks at their distances, and that nothing else changes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.camera_model import Camera
from poc_aug.errors import SettingError
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.scenes.weather.geometry import scene_geometry
from poc_aug.scenes.weather.lens_drops import LensDrops
from poc_aug.scenes.weather.particles import particle_cover, particles_in_view
from poc_aug.scenes.weather.rain import rain
from poc_aug.scenes.weather.roadway import roadway
from poc_aug.scenes.weather.snow import snow
from poc_aug.scenes.weather.wet_ground import Wetness, ground_mirror, wet_ground
from poc_aug.scenes.weather.world_noise import GroundNoise

SCHEMA = LabelSchema("street", {"road": 0, "sidewalk": 1, "grass": 2, "sky": 3, "building": 4, "car": 5, "tree": 6})
CAMERA = Camera(horizon_row=40.0, camera_height_m=1.4, focal_px=160.0, centre_col=79.5)
GREY = torch.tensor([0.4, 0.4, 0.4])
DRENCHED = Wetness(darkness=0.5, gloss=0.9, puddles=0.6, evenness=0.0)
WEATHERS = pytest.mark.parametrize("weather", [rain, snow])


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def street(ground: int = 0, thing: int | None = 254) -> tuple[torch.Tensor, torch.Tensor]:
    """Sky over grey ground, and a red thing 40 px wide upon it, from row 44 to row 60."""
    labels = torch.full((120, 160), 3, dtype=torch.uint8)
    labels[41:] = ground
    image = torch.full((3, 120, 160), 90, dtype=torch.uint8)
    image[:, labels == 3] = 200
    if thing is not None:
        labels[44:60, 60:100] = thing
        image[:, 44:60, 60:100] = torch.tensor([220, 20, 20], dtype=torch.uint8)[:, None, None]
    return image, labels


def redness(image: torch.Tensor) -> torch.Tensor:
    return image[0].float() - image[1].float()


def wetted(image: torch.Tensor, labels: torch.Tensor, wetness: Wetness) -> torch.Tensor:
    light = (image.float() / 255) ** 2
    geometry = scene_geometry(labels, SCHEMA, CAMERA)
    return wet_ground(light, geometry, roadway(labels, SCHEMA), wetness, GroundNoise(seeded()), GREY)


@pytest.mark.parametrize("thing", [254, 5], ids=["inserted object", "car"])
def test_a_thing_is_mirrored_below_its_foot(thing: int) -> None:
    image, labels = street(thing=thing)
    red = redness(rain(image, labels, CAMERA, 5, seeded(), schema=SCHEMA))
    below, aside = red[61:72, 65:95].mean(), red[61:72, 10:50].mean()
    assert below > aside + 8
    assert red[90:, 65:95].mean() < aside + 4  # its image is as high as it is


def test_the_mirror_image_is_the_thing_upside_down() -> None:
    image, labels = street()
    image[:, 44:52, 60:100] = torch.tensor([20, 20, 220], dtype=torch.uint8)[:, None, None]  # its upper half is blue
    light = image.float() / 255
    level = labels == 0
    mirror = ground_mirror(light, scene_geometry(labels, SCHEMA, CAMERA), level, GREY, first=20).light
    columns = mirror[:, :, 35:45]  # the coarse grid has every second pixel, and starts at its row 20
    assert (columns[0, 31 - 20 : 33 - 20] > columns[2, 31 - 20 : 33 - 20]).all()  # red next to the foot, row 60 / 2
    assert (columns[2, 35 - 20 : 37 - 20] > columns[0, 35 - 20 : 37 - 20]).all()  # then blue
    torch.testing.assert_close(columns[:, 45 - 20 :], GREY[:, None, None].expand_as(columns[:, 45 - 20 :]))  # then sky


@pytest.mark.parametrize(
    ("ground", "wetness"),
    [(0, Wetness(darkness=0.0, gloss=0.0, puddles=0.0, evenness=0.0)), (2, DRENCHED)],
    ids=["dry road", "grass"],
)
def test_no_mirror_on_a_dry_road_and_on_grass(ground: int, wetness: Wetness) -> None:
    image, labels = street(ground)
    red = redness(wetted(image, labels, wetness))
    assert red[60:].abs().max() < 1e-3
    image, labels = street()
    assert redness(wetted(image, labels, DRENCHED))[61:72, 65:95].mean() > 0.05


def test_the_mirror_is_stronger_farther_away() -> None:
    image, labels = street(thing=None)
    wet = wetted(image, labels, Wetness(darkness=0.0, gloss=1.0, puddles=0.0, evenness=0.0))
    dry = (90 / 255) ** 2
    share = ((wet[0] - dry) / (0.4 - dry)).mean(dim=1)
    assert share[46:52].mean() > share[70:80].mean() > share[110:].mean() > 0


def test_what_a_thing_hides_is_mirrored_too() -> None:
    image, labels = street(thing=None)
    labels[:44], image[:, :44] = 4, 60  # a wall behind everything
    labels[10:60, 80:84], image[:, 10:60, 80:84] = 254, 60  # a post before it, of the wall's colour
    light = image.float() / 255
    mirror = ground_mirror(light, scene_geometry(labels, SCHEMA, CAMERA), labels == 0, torch.ones(3), first=24).light
    assert float(mirror[:, 2:15].max()) < 0.4  # no gap in the wall's image, through which the bright sky is seen


def test_severity_darkens_the_road_and_takes_contrast() -> None:
    image, labels = street()
    image = torch.randint(40, 160, image.shape, generator=seeded(3), dtype=torch.uint8)
    spread = [rain(image, labels, CAMERA, s, seeded(), schema=SCHEMA)[:, 70:].float().std() for s in range(1, 6)]
    assert all(more < less for less, more in itertools.pairwise(spread))


def test_streaks_are_never_before_what_is_nearer() -> None:
    drops = particles_in_view(
        (120, 160), CAMERA, seeded(), per_m3=60.0, reach_m=(2.0, 12.0), size_m=(0.002, 0.004), fall_m=0.1, slant=0.1,
        scatter=0.04, opacity=0.5,
    )  # fmt: skip
    wall_m = torch.full((120, 160), torch.inf)
    wall_m[:, 80:] = 1.9
    cover = particle_cover(drops, wall_m)
    assert cover[:, 80:].max() == 0
    assert cover[:, :80].mean() > 0.001
    wall_m[:, 80:] = 6.0
    between = particle_cover(drops, wall_m)[:, 80:]
    assert 0 < between.sum() < particle_cover(drops, torch.full((120, 160), torch.inf))[:, 80:].sum()


def test_near_streaks_are_long_wide_and_faint_and_far_ones_many() -> None:
    camera = Camera(horizon_row=430.0, camera_height_m=1.2, focal_px=2262.0, centre_col=1024.0)
    drops = particles_in_view(
        (1024, 2048), camera, seeded(), per_m3=30.0, reach_m=(0.6, 12.0), size_m=(0.0012, 0.0035), fall_m=0.1,
        slant=0.1, scatter=0.04, opacity=0.2,
    )  # fmt: skip
    near, far = drops.depth_m < 2, drops.depth_m > 9
    middle = (drops.depth_m > 5) & (drops.depth_m < 7)
    for values in (drops.fall_px, drops.radius_px):
        assert values[near].mean() > 1.5 * values[middle].mean() > 1.5 * values[far].mean()
    assert drops.opacity[near].mean() < drops.opacity[middle].mean()
    assert far.sum() > 10 * near.sum()


def test_a_drop_on_the_lens_shows_the_scene_upside_down() -> None:
    light = torch.zeros(3, 400, 600)
    light[:, :200] = 1.0  # bright above, dark below
    drops = LensDrops(60, seeded(4))
    shown = drops.over(light.clone())
    changed = (shown - light).abs().amax(dim=0) > 0.3
    assert (shown[0, 240:][changed[240:]] > 0.3).all()  # bright in drops on the dark half
    assert changed[240:].sum() > 50
    assert 0.002 < changed.float().mean() < 0.2


@WEATHERS
def test_pure_and_repeatable(weather: object) -> None:
    image, labels = street()
    before, state = (image.clone(), labels.clone()), torch.random.get_rng_state()
    results = [weather(image, labels, CAMERA, 4, seeded(7), schema=SCHEMA) for _ in range(2)]  # type: ignore[operator]
    assert torch.equal(*results)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(image, before[0])
    assert torch.equal(labels, before[1])
    other = weather(image, labels, CAMERA, 4, seeded(8), schema=SCHEMA)  # type: ignore[operator]
    assert not torch.equal(other, results[0])
    assert results[0].dtype == torch.uint8
    assert results[0].shape == image.shape


@WEATHERS
@pytest.mark.parametrize("size_hw", [(17, 11), (16, 33), (1, 5), (5, 1)])
@pytest.mark.parametrize("only", [None, 0, 3, 4, 254], ids=["all", "road", "sky", "walls", "object"])
def test_any_size_and_frames_without_sky_or_ground(weather: object, size_hw: tuple[int, int], only: int | None) -> None:
    labels = torch.randint(0, 7, size_hw, generator=seeded(2)) if only is None else torch.full(size_hw, only)
    image = torch.randint(0, 256, (3, *size_hw), generator=seeded(3), dtype=torch.uint8)
    camera = Camera(size_hw[0] * 0.4, 1.4, float(size_hw[1]), size_hw[1] / 2)
    for severity in (1, 5):
        out = weather(image, labels, camera, severity, seeded(), schema=SCHEMA)  # type: ignore[operator]
        assert out.shape == image.shape
        assert out.dtype == torch.uint8


@WEATHERS
@pytest.mark.parametrize("severity", [0, 6, 2.5, True])
def test_a_severity_out_of_range(weather: object, severity: object) -> None:
    image, labels = street()
    with pytest.raises(SettingError, match="severity"):
        weather(image, labels, CAMERA, severity, seeded(), schema=SCHEMA)  # type: ignore[operator]


@WEATHERS
def test_a_given_depth_takes_its_place(weather: object) -> None:
    image, labels = street()
    depth_m = torch.full(labels.shape, 900.0)
    far = weather(image, labels, CAMERA, 4, seeded(), schema=SCHEMA, depth_m=depth_m)  # type: ignore[operator]
    near = weather(image, labels, CAMERA, 4, seeded(), schema=SCHEMA, depth_m=depth_m / 450)  # type: ignore[operator]
    # What is far away is as bright as the air before it.
    assert redness(far)[46:58, 62:98].mean() < redness(near)[46:58, 62:98].mean() / 3


def test_real_frames_mirror(real_data: Path) -> None:
    root = real_data / "scenes" / "cityscapes"
    name = "train/aachen/aachen_000003_000019_"
    size = (1024, 512)
    with Image.open(root / "leftImg8bit" / f"{name}leftImg8bit.png") as picture:
        image = torch.from_numpy(np.array(picture.convert("RGB").resize(size))).permute(2, 0, 1).contiguous()
    with Image.open(root / "gtFine" / f"{name}gtFine_labelTrainIds.png") as picture:
        labels = torch.from_numpy(np.array(picture.resize(size, Image.Resampling.NEAREST)))
    camera = Camera(horizon_row=217.0, camera_height_m=1.22, focal_px=1131.0, centre_col=548.0)
    schema = SCHEMAS["cityscapes-trainIds"]
    light = (image.float() / 255) ** 2
    wet = wet_ground(
        light.clone(), scene_geometry(labels, schema, camera), roadway(labels, schema), DRENCHED,
        GroundNoise(seeded()), GREY,
    )  # fmt: skip
    # Mirrored walls and windows are upright in the road: columns differ more, relative to their brightness.
    road = (slice(None), slice(320, 400), slice(420, 700))
    contrast = [float(x[road].mean(dim=(0, 1)).std() / x[road].mean()) for x in (light, wet)]
    assert contrast[1] > 1.3 * contrast[0]
    assert torch.equal(wet[:, labels == 2], light[:, labels == 2])  # buildings are as they were
