"""Low sun: glare, shade and shadows, sheen."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.camera import find_camera
from poc_aug.camera_model import Camera
from poc_aug.camera_spec import CAMERAS
from poc_aug.errors import SettingError
from poc_aug.labels.schema import SCHEMAS
from poc_aug.scenes.weather.light_sun import LowSun, low_sun_position, sun_shadows
from poc_aug.scenes.weather.low_sun import SUNLIGHT, low_sun
from tests.helpers.street_frames import (
    BUILDING,
    INSERTED,
    PERSON,
    ROAD,
    SKY,
    StreetFrame,
    mean_by_class,
    street_frame,
)

SEVERITIES = range(1, len(SUNLIGHT) + 1)


@pytest.fixture(scope="module")
def street() -> StreetFrame:
    return street_frame()


@pytest.fixture(scope="module")
def suns(street: StreetFrame) -> list[torch.Tensor]:
    return [street.under(low_sun, severity) for severity in SEVERITIES]


def test_the_suns_surroundings_are_the_brightest(suns: list[torch.Tensor]) -> None:
    for image in suns:
        value = image.float().mean(0)
        blocks = torch.nn.functional.avg_pool2d(value[None], 8)[0]
        at = int(blocks.argmax())
        row, col = divmod(at, blocks.shape[1])
        assert blocks.max() > 245
        around = value[max(row * 8 - 8, 0) : row * 8 + 16, max(col * 8 - 8, 0) : col * 8 + 16].mean()
        assert around > value.mean() + 40
        assert row * 8 < 77  # over the horizon


def test_contrast_falls_with_severity(street: StreetFrame, suns: list[torch.Tensor]) -> None:
    car = (slice(68, 94), slice(140, 190))
    values = [image[:, *car].float().mean(0) for image in suns]
    contrasts = [float(value.std() / value.mean()) for value in values]
    assert contrasts[1:] == sorted(contrasts[1:], reverse=True)
    assert contrasts[-1] < 0.5 * contrasts[0]
    lows = [float(image.float().mean(0).quantile(0.02)) for image in suns]
    assert lows == sorted(lows)
    blown = [float((image.float().mean(0) > 240).float().mean()) for image in suns]
    assert blown == sorted(blown)
    assert blown[-1] > 3 * blown[0] > 0


def test_it_almost_blinds_at_last(suns: list[torch.Tensor]) -> None:
    assert suns[-1].float().mean() > 140
    assert suns[-1].float().mean(0).quantile(0.05) > 70


def test_facades_are_in_the_shade(street: StreetFrame) -> None:
    far_from_the_sun = (street.labels == BUILDING) & (torch.arange(320)[None] > 260)
    before = street.image[:, far_from_the_sun].float().mean()
    assert street.under(low_sun, 2)[:, far_from_the_sun].float().mean() < before


def test_the_road_shines_under_the_sun(street: StreetFrame) -> None:
    labels = torch.full_like(street.labels, SKY)
    labels[77:] = ROAD
    image = torch.where(labels == SKY, 200, 90).to(torch.uint8).expand(3, -1, -1)
    frame = dataclasses.replace(street, image=image, labels=labels)
    out = frame.under(low_sun, 3).float()
    value = out.mean(0)
    sun = int(value[:77].sum(0).argmax())
    row = value[90]
    assert abs(int(row.argmax()) - sun) < 24
    assert row[sun] > 1.25 * min(row[8], row[-8])
    red, _, blue = out[:, 90, sun].tolist()
    assert red > 1.1 * blue  # warm


def test_the_sun_stands_in_the_sky_where_it_is_free() -> None:
    camera = Camera(horizon_row=80.0, camera_height_m=1.4, focal_px=300.0, centre_col=150.0)
    sky = torch.zeros(160, 300)
    sky[:70, 100:180] = 1
    places = set()
    for a, b in itertools.product((0.05, 0.5, 0.95), (0.1, 0.9)):
        sun = low_sun_position(sky, camera, torch.tensor([a, b, 0.5], dtype=torch.float64), step=1)
        assert sky[int(sun.row), int(sun.col)] == 1
        assert sun.open > 0.3
        places.add((sun.row, sun.col))
    assert len(places) >= 3


def test_without_sky_it_stands_above_the_frame_and_is_partly_hidden() -> None:
    camera = Camera(horizon_row=80.0, camera_height_m=1.4, focal_px=300.0, centre_col=150.0)
    sun = low_sun_position(torch.zeros(160, 300), camera, torch.rand(3, dtype=torch.float64), step=1)
    assert sun.row < 0
    assert 0 <= sun.col < 300
    assert sun.open < 0.6


def test_shadows_fall_towards_the_camera_from_what_stands_before_the_sun() -> None:
    # A post 12 m ahead, the sun straight behind it, 10 degrees high.
    camera = Camera(horizon_row=50.0, camera_height_m=1.5, focal_px=200.0, centre_col=100.0)
    rows = torch.arange(120.0)[:, None].expand(120, 201)
    ground = rows > 50
    depth = torch.where(ground, 200 * 1.5 / (rows - 50).clamp(min=1), torch.inf)
    foot = int(camera.row_of(12.0))
    post = (torch.arange(201)[None] - 100).abs().le(3) & (rows <= foot) & (rows > 10)
    depth = torch.where(post, 12.0, depth)
    sun = LowSun(row=50 - 200 * 0.176, col=100.0, open=1.0)
    shadow = sun_shadows(depth, post.float(), ground & ~post, sun, camera, step=1)
    near = int(camera.row_of(8.0))
    assert shadow[near, 100] > 0.5
    assert shadow[near, 60] == 0
    assert shadow[near, 140] == 0
    assert shadow[foot - 8, 100 - 12 : 100 - 6].max() < 0.5  # nothing behind it
    # A sun to the right casts it to the left.
    aside = sun_shadows(depth, post.float(), ground & ~post, LowSun(15.0, 160.0, 1.0), camera, step=1)
    assert aside[near, :100].sum() > 5 * aside[near, 101:].sum()


def test_shadows_end_as_far_as_the_sun_is_high() -> None:
    camera = Camera(horizon_row=50.0, camera_height_m=1.5, focal_px=200.0, centre_col=100.0)
    rows = torch.arange(200.0)[:, None].expand(200, 201)
    ground = rows > 50
    depth = torch.where(ground, 300 / (rows - 50).clamp(min=1), torch.inf)
    foot, top = camera.row_of(10.0), camera.row_of(10.0, 1.0)  # a wall 1 m high
    wall = (rows <= foot) & (rows > top)
    depth = torch.where(wall, 10.0, depth)
    sun = LowSun(row=50 - 200 * 0.25, col=100.0, open=1.0)  # a shadow of 1 m / 0.25
    shadow = sun_shadows(depth, wall.float() * 12, ground & ~wall, sun, camera, step=1)
    assert shadow[int(camera.row_of(8.0)), 100] > 0.5
    assert shadow[int(camera.row_of(5.0)), 100] < 0.1


def test_inserted_objects_are_in_the_same_light(street: StreetFrame) -> None:
    labels = street.labels.clone()
    labels[street.labels == INSERTED] = PERSON
    as_person = dataclasses.replace(street, labels=labels).under(low_sun, 4).float()
    as_object = street.under(low_sun, 4).float()
    where = street.labels == INSERTED
    assert abs(float(as_person[:, where].mean() - as_object[:, where].mean())) < 4


def test_pure_and_deterministic(street: StreetFrame) -> None:
    image, labels = street.image.clone(), street.labels.clone()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (street.under(low_sun, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(street.image, image)
    assert torch.equal(street.labels, labels)
    assert first.dtype == torch.uint8
    assert first.shape == image.shape


@pytest.mark.parametrize("what", ["17x11", "no sky", "no ground", "all sky", "all road", "all unknown", "all inserted"])
def test_any_frame(what: str) -> None:
    frame = street_frame(*((11, 17) if what == "17x11" else (60, 90)))
    labels = frame.labels
    if what == "no sky":
        labels[labels == SKY] = BUILDING
    elif what == "no ground":
        labels[labels == ROAD] = BUILDING
        labels[labels == 1] = BUILDING
    elif what.startswith("all"):
        labels[:] = {"all sky": SKY, "all road": ROAD, "all unknown": 255, "all inserted": INSERTED}[what]
    weak, blinding = frame.under(low_sun, 1), frame.under(low_sun, 5)
    assert weak.shape == blinding.shape == frame.image.shape
    assert blinding.float().mean() > weak.float().mean() > 20


@pytest.mark.parametrize("severity", [0, 6, True])
def test_unknown_severities(street: StreetFrame, severity: int) -> None:
    with pytest.raises(SettingError, match=rf"severity={severity} of low-sun"):
        street.under(low_sun, severity)


@pytest.mark.real_data
def test_real_frames(real_data: Path) -> None:
    folder = real_data / "scenes" / "cityscapes"
    key, schema = "aachen_000001_000019", SCHEMAS["cityscapes-labelIds"]
    picture = Image.open(next(folder.rglob(f"{key}_leftImg8bit.png"))).convert("RGB").resize((1024, 512))
    ids = Image.open(next(folder.rglob(f"{key}_gtFine_labelIds.png"))).resize((1024, 512), Image.Resampling.NEAREST)
    image, labels = torch.from_numpy(np.array(picture)).permute(2, 0, 1), torch.from_numpy(np.array(ids))
    camera = find_camera(CAMERAS["cityscapes"], labels, schema)
    assert camera is not None
    frame = StreetFrame(image, labels, camera, schema)
    for severity in SEVERITIES:
        out = frame.under(low_sun, severity)
        means = mean_by_class(out, labels)
        assert max(means, key=means.__getitem__) == schema.id_of("sky")
        blocks = torch.nn.functional.avg_pool2d(out.float().mean(0)[None], 16)[0]
        row, _ = divmod(int(blocks.argmax()), blocks.shape[1])
        assert row * 16 < camera.horizon_row
        assert blocks.max() > 250
