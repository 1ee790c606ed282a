"""Night: dark by class, lit by what stands in the frame."""

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
from poc_aug.scenes.weather.light_beams import headlight_beams
from poc_aug.scenes.weather.night import NIGHTS, night
from tests.helpers.street_frames import (
    BUILDING,
    CAR,
    INSERTED,
    LIGHT,
    PERSON,
    POLE,
    ROAD,
    SKY,
    StreetFrame,
    mean_by_class,
    street_frame,
)

SEVERITIES = range(1, len(NIGHTS) + 1)


@pytest.fixture(scope="module")
def street() -> StreetFrame:
    return street_frame()


@pytest.fixture(scope="module")
def nights(street: StreetFrame) -> list[torch.Tensor]:
    return [street.under(night, severity) for severity in SEVERITIES]


def test_the_sky_is_the_darkest_and_darker_with_severity(street: StreetFrame, nights: list[torch.Tensor]) -> None:
    skies = []
    for image in nights:
        means = mean_by_class(image, street.labels)
        assert min(means, key=means.__getitem__) == SKY, means
        skies.append(means[SKY])
    assert skies == sorted(skies, reverse=True)


def test_every_severity_is_darker_than_the_one_before(street: StreetFrame, nights: list[torch.Tensor]) -> None:
    means = [float(image.float().mean()) for image in (street.image, *nights)]
    assert all(brighter > 1.05 * darker for brighter, darker in itertools.pairwise(means)), means


def test_our_headlights_fall_on_the_near_road_before_us(nights: list[torch.Tensor]) -> None:
    rows = slice(120, 150)
    for image in nights[2:]:
        value = image.float().mean(0)
        before, aside = value[rows, 140:180].mean(), value[rows, 290:].mean()
        assert before > 1.25 * aside
        far = value[84:92, 100:140].mean()  # the road 20 m ahead and more
        assert before > far


def test_beams_by_the_camera_model() -> None:
    camera = Camera(horizon_row=100.0, camera_height_m=1.4, focal_px=800.0, centre_col=400.0)
    rows = torch.tensor([camera.row_of(z) for z in (8.0, 20.0, 60.0)]).round().long()
    depth = torch.full((400, 801), torch.inf)
    depth[101:] = (800 * 1.4 / torch.arange(1, 300.0))[:, None]
    light = headlight_beams(depth, torch.ones_like(depth), camera, step=1)
    near, middle, far = light[rows, 400].tolist()
    assert near > 3 * middle > 9 * far
    assert light[:100].max() == 0  # nothing comes back from the sky
    # Two beams: nearest, there is less light between them than in them.
    close = light[int(camera.row_of(3.8))]
    assert close[240:380].max() > close[400] < close[420:560].max()
    # A wall above the cut-off stays dark.
    wall = headlight_beams(torch.full((400, 801), 20.0), torch.zeros(400, 801), camera, step=1)
    assert wall[150, 400] > 10 * wall[60, 400]


def test_a_street_lamp_is_lit_at_the_top_of_its_pole(street: StreetFrame) -> None:
    without = dataclasses.replace(street, labels=torch.where(street.labels == POLE, BUILDING, street.labels))
    lit, dark = street.under(night, 2).float(), without.under(night, 2).float()
    top = (slice(16, 24), slice(104, 114))
    assert lit[:, *top].max() > 200
    assert dark[:, *top].max() < 120
    red, _, blue = lit[:, 14:34, 98:118].mean(dim=(1, 2)).tolist()
    assert red > blue  # its glow is warm


def test_some_windows_are_lit_and_only_facades_have_them(street: StreetFrame) -> None:
    image = street.under(night, 3).float().mean(0)
    panes = (street.image.float().mean(0) < 50) & (street.labels == BUILDING)
    values = image[panes]
    assert 0.05 < float((values > 60).float().mean()) < 0.6
    assert float(values.median()) < 40
    away_from_lamps = (street.labels == SKY) & (torch.arange(320)[None] < 60)
    assert image[away_from_lamps].max() < 60


def test_red_lamps_of_vehicles_and_signals_keep_their_colour(street: StreetFrame) -> None:
    image, labels = street.image.clone(), street.labels.clone()
    lamp = (slice(80, 83), slice(152, 155))
    image[:, *lamp] = torch.tensor([170, 12, 12], dtype=torch.uint8)[:, None, None]
    signal = (slice(60, 64), slice(200, 203))
    labels[58:70, 199:204] = LIGHT
    image[:, *signal] = torch.tensor([10, 230, 120], dtype=torch.uint8)[:, None, None]
    frame = dataclasses.replace(street, image=image, labels=labels)
    shown = [frame.under(night, 3, seed).float() for seed in range(6)]
    red = [out[:, *lamp].mean(dim=(1, 2)).tolist() for out in shown]
    assert max(r for r, _, _ in red) > 150
    assert all(r > 2 * max(g, b) for r, g, b in red)
    for out in shown:
        r, g, b = out[:, *signal].mean(dim=(1, 2)).tolist()
        assert g > 150
        assert g > b > r


def test_a_red_car_is_no_tail_light(street: StreetFrame) -> None:
    image = street.image.clone()
    image[:, street.labels == CAR] = torch.tensor([150, 20, 20], dtype=torch.uint8)[:, None]
    frame = dataclasses.replace(street, image=image)
    for seed in range(4):
        middle = frame.under(night, 3, seed)[0, 72:78, 156:176]
        assert middle.float().mean() < 120


def test_inserted_objects_are_in_the_same_light(street: StreetFrame) -> None:
    image = street.image.clone()
    image[:, street.labels == INSERTED] = 80
    image[:, street.labels == PERSON] = 80
    means = mean_by_class(dataclasses.replace(street, image=image).under(night, 4), street.labels)
    assert means[INSERTED] < 60
    assert means[INSERTED] > means[SKY]


def test_noise_grows_with_severity_and_neighbours_share_it() -> None:
    frame = street_frame()
    frame.image[:] = 90
    frame.labels[:] = ROAD
    flat = [frame.under(night, s)[:, 20:60, :40].float() for s in SEVERITIES]
    signal = [float(part.mean()) for part in flat]
    rough = [float((part - part.mean(dim=(1, 2), keepdim=True)).std()) for part in flat]
    ratio = [noise / mean for noise, mean in zip(rough, signal, strict=True)]
    assert ratio == sorted(ratio)
    last = flat[-1][1] - flat[-1][1].mean()
    assert float((last[:, 1:] * last[:, :-1]).mean() / last.square().mean()) > 0.2


def test_pure_and_deterministic(street: StreetFrame) -> None:
    image, labels = street.image.clone(), street.labels.clone()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (street.under(night, 3, seed) for seed in (0, 0, 1))
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
    for severity in (1, 5):
        image = frame.under(night, severity)
        assert image.shape == frame.image.shape
        assert float(image.float().mean()) < float(frame.image.float().mean())


def test_a_given_depth_takes_the_estimates_place(street: StreetFrame) -> None:
    depth = torch.full(street.labels.shape, 200.0)
    generator = torch.Generator().manual_seed(0)
    given = night(street.image, street.labels, street.camera, 3, generator, schema=street.schema, depth_m=depth)
    value, usual = given[:, 120:150, 140:180].float().mean(), street.under(night, 3)[:, 120:150, 140:180].float().mean()
    assert value < 0.8 * usual  # the headlights do not reach it


@pytest.mark.parametrize("severity", [0, 6, True])
def test_unknown_severities(street: StreetFrame, severity: int) -> None:
    with pytest.raises(SettingError, match=rf"severity={severity} of night"):
        street.under(night, severity)


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
    lumas = []
    for severity in SEVERITIES:
        out = frame.under(night, severity)
        means = mean_by_class(out, labels)
        names = ("sky", "road", "building", "vegetation", "car")
        by_name = {name: means[schema.id_of(name)] for name in names}
        assert min(by_name, key=by_name.__getitem__) == "sky", by_name
        lumas.append(float(out.float().mean()))
    assert lumas == sorted(lumas, reverse=True)
