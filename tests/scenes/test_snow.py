"""Snow: on what faces upwards, more of it with severity, and flakes at their distances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.scenes.weather.geometry import scene_geometry
from poc_aug.scenes.weather.particles import particles_in_view
from poc_aug.scenes.weather.roadway import roadway
from poc_aug.scenes.weather.snow import snow
from poc_aug.scenes.weather.snow_cover import SnowCover, SnowDepth, snow_cover
from poc_aug.scenes.weather.world_noise import GroundNoise, ground_grid

SCHEMA = LabelSchema("street", {"road": 0, "sidewalk": 1, "grass": 2, "sky": 3, "building": 4, "car": 5, "tree": 6})
CAMERA = Camera(horizon_row=40.0, camera_height_m=1.4, focal_px=160.0, centre_col=79.5)
FALLEN = SnowDepth(road=0.6, footway=0.8, terrain=0.9, vegetation=0.5, cap_m=0.15, dust=0.3)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def street() -> tuple[torch.Tensor, torch.Tensor]:
    """Sky, a building to the left, road, a sidewalk to the right, a car; all but the sky equally grey."""
    labels = torch.full((120, 160), 3, dtype=torch.uint8)
    labels[5:60, :50] = 4
    labels[41:] = torch.where(labels[41:] == 4, 4, 0)
    labels[41:, 130:] = 1
    labels[50:80, 80:120] = 5
    image = torch.full((3, 120, 160), 80, dtype=torch.uint8)
    image[:, labels == 3] = 200
    return image, labels


def cover_of(labels: torch.Tensor, luma: torch.Tensor | None = None, fallen: SnowDepth = FALLEN) -> SnowCover:
    light = (torch.full(labels.shape, 0.1) if luma is None else luma).expand(3, *labels.shape)
    return snow_cover(
        light, scene_geometry(labels, SCHEMA, CAMERA), roadway(labels, SCHEMA), fallen, GroundNoise(seeded())
    )


def test_the_ground_is_whiter_than_facades_and_whiter_with_severity() -> None:
    image, labels = street()
    brightness = [snow(image, labels, CAMERA, s, seeded(), schema=SCHEMA).float().mean(dim=0) for s in range(1, 6)]
    ground = torch.stack([frame[labels == 1].mean() for frame in brightness])
    facade = torch.stack([frame[10:55, 5:45].mean() for frame in brightness])
    assert (ground[1:] > ground[:-1] + 2).all()
    assert (ground[1:] > facade[1:] + 10).all()


def test_ruts_are_darker_than_the_road_between_them() -> None:
    labels = torch.zeros(240, 320, dtype=torch.uint8)
    labels[:100] = 3
    camera = Camera(horizon_row=95.0, camera_height_m=1.4, focal_px=320.0, centre_col=159.5)
    cover = snow_cover(
        torch.full((3, 240, 320), 0.1), scene_geometry(labels, SCHEMA, camera), labels == 0, FALLEN,
        GroundNoise(seeded()),
    )  # fmt: skip
    grid = ground_grid((240, 320), camera, 2, torch.device("cpu"))
    near = (grid.z_m < 12).expand_as(grid.x_m)
    rut = near & ((grid.x_m.abs() - 0.75).abs() < 0.1)
    between = near & (grid.x_m.abs() < 0.2)
    assert cover.share[rut].mean() < 0.4 * cover.share[between].mean()


def test_snow_lies_on_a_car_s_roof_not_on_its_sides() -> None:
    _, labels = street()
    share = cover_of(labels).share
    assert share[25:27, 44:56].mean() > 0.6  # its roof, from row 50 on
    assert share[34:39, 44:56].mean() < 0.1


def test_no_snow_on_a_car_below_something_nearer() -> None:
    _, labels = street()
    labels[45:66, 70:130] = 254
    for nearer_m, expected in ((2.0, False), (90.0, True)):  # it hides the roof, or the roof ends before it
        depth_m = torch.full(labels.shape, 60.0)
        depth_m[labels == 5], depth_m[labels == 254] = 5.0, nearer_m
        cover = snow_cover(
            torch.full((3, *labels.shape), 0.1), scene_geometry(labels, SCHEMA, CAMERA, depth_m=depth_m),
            roadway(labels, SCHEMA), replace(FALLEN, dust=0.0), GroundNoise(seeded()),
        )  # fmt: skip
        assert bool(cover.share[33:35, 44:56].mean() > 0.5) is expected


def test_leaves_that_are_lit_are_white_first() -> None:
    labels = torch.full((120, 160), 6, dtype=torch.uint8)
    labels[100:] = 0
    luma = torch.full((120, 160), 0.05)
    luma[20:80:8] = luma[21:80:8] = 0.3  # lit leaves, every 8 rows
    share = cover_of(labels, luma).share
    assert share[10:40:4].mean() > 2 * share[12:40:4].mean()


def test_no_seam_between_road_and_sidewalk_of_one_depth() -> None:
    _, labels = street()
    labels[labels == 5] = 0
    even = SnowDepth(road=1.1, footway=1.1, terrain=1.1, vegetation=0.5, cap_m=0.1, dust=0.3)
    share = cover_of(labels, fallen=even).share[25:]
    step = (share[:, 1:] - share[:, :-1]).abs()
    assert step[:, 63:66].mean() < 0.08  # the curb, column 130
    # And soft where snow ends: no step from white to bare within one pixel of the coarse grid.
    assert cover_of(labels).share.diff(dim=1).abs().max() < 0.55


def test_shade_follows_that_of_the_ground() -> None:
    labels = torch.full((120, 160), 2, dtype=torch.uint8)
    labels[:50] = 3
    luma = torch.full((120, 160), 0.2)
    luma[60:, :80] = 0.06  # a shadow
    shade = cover_of(labels, luma).shade
    assert shade[40:55, 5:30].mean() < 0.75 * shade[40:55, 50:75].mean()


def test_far_flakes_are_small_and_many_near_ones_large_few_and_faint() -> None:
    camera = Camera(horizon_row=430.0, camera_height_m=1.2, focal_px=2262.0, centre_col=1024.0)
    flakes = particles_in_view(
        (1024, 2048), camera, seeded(), per_m3=20.0, reach_m=(0.5, 14.0), size_m=(0.003, 0.009), fall_m=0.012,
        slant=0.2, scatter=0.5, opacity=0.85, aperture_m=0.008,
    )  # fmt: skip
    near, far = flakes.depth_m < 2.5, flakes.depth_m > 10
    assert flakes.radius_px[near].mean() > 4 * flakes.radius_px[far].mean()
    assert far.sum() > 20 * near.sum()
    assert flakes.soft[near].mean() > flakes.soft[far].mean()
    assert (
        flakes.opacity[flakes.depth_m < 1].mean() < flakes.opacity[(flakes.depth_m > 5) & (flakes.depth_m < 8)].mean()
    )


def test_flakes_are_before_the_sky_and_not_before_a_near_wall() -> None:
    image, labels = street()
    image[:] = 10
    depth_m = torch.full(labels.shape, 30.0)
    depth_m[:, 80:] = 0.4  # nearer than the nearest flake
    labels[:] = 254
    out = snow(image, labels, CAMERA, 5, seeded(), schema=SCHEMA, depth_m=depth_m)[0].float()
    assert 4 * out[:, 82:].std() < out[:, :78].std()


def test_real_frames_whiten_from_the_ground_up(real_data: Path) -> None:
    root = real_data / "scenes" / "cityscapes"
    name = "train/aachen/aachen_000002_000019_"
    size = (1024, 512)
    with Image.open(root / "leftImg8bit" / f"{name}leftImg8bit.png") as picture:
        image = torch.from_numpy(np.array(picture.convert("RGB").resize(size))).permute(2, 0, 1).contiguous()
    with Image.open(root / "gtFine" / f"{name}gtFine_labelTrainIds.png") as picture:
        labels = torch.from_numpy(np.array(picture.resize(size, Image.Resampling.NEAREST)))
    camera = Camera(horizon_row=217.0, camera_height_m=1.22, focal_px=1131.0, centre_col=548.0)
    outs = [
        snow(image, labels, camera, s, seeded(), schema=SCHEMAS["cityscapes-trainIds"]).float().mean(dim=0)
        for s in (1, 3, 5)
    ]
    sidewalk = [float(out[labels == 1].mean()) for out in outs]
    assert sidewalk[0] + 20 < sidewalk[1] < sidewalk[2]
    assert sidewalk[1] > float(outs[1][labels == 2].mean()) + 20  # buildings
