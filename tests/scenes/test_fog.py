"""Fog: by depth, severity and position, and nothing else."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.camera_model import Camera
from poc_aug.errors import SchemaError, SettingError
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.weather.fog import VISIBILITIES_M, Fog, airlight, fog, fog_colour, in_fog, visibility_m
from poc_aug.scenes.weather.geometry import scene_depth
from poc_aug.scenes.weather.surface_kinds import SurfaceKind
from tests.helpers.weather_cases import CAMERA, CAR, REAL_FRAMES, STREET, empty_street, noise_image, real_frames

LIGHT = (210, 214, 216)
SIZE_HW = (120, 160)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shifted(severity: int = 3, seed: int = 0, labels: torch.Tensor | None = None) -> torch.Tensor:
    labels = empty_street() if labels is None else labels
    return fog(noise_image(), labels, CAMERA, severity, generator(seed), schema=STREET)


def even(visibility: float, depth_m: float, level: int = 40) -> int:
    """The grey value of a pixel in even fog."""
    image = torch.full((3, 1, 1), level, dtype=torch.uint8)
    mist = Fog(3 / visibility, LIGHT, seed=0, unevenness=0.0)
    return int(in_fog(image, torch.full((1, 1), depth_m), Camera(0.0, 1.5, 10.0, 0.0), mist)[0, 0, 0])


@pytest.mark.parametrize("depth_m", [1.0, 5.0, 20.0, 60.0, 150.0, 300.0])
@pytest.mark.parametrize("visibility", VISIBILITIES_M)
def test_fog_is_koschmiedes_law(visibility: float, depth_m: float) -> None:
    left = math.exp(-3 / visibility * depth_m)
    assert even(visibility, depth_m) == pytest.approx(40 * left + LIGHT[0] * (1 - left), abs=2.5)


def test_at_the_visibility_a_twentieth_of_the_contrast_is_left() -> None:
    dark, bright = (even(150.0, 150.0, level) for level in (0, 200))
    assert (bright - dark) / 200 == pytest.approx(0.05, abs=0.01)


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1), st.floats(0.0, 0.9), st.sampled_from(VISIBILITIES_M))
def test_fog_thickens_with_depth_along_every_ray(seed: int, unevenness: float, visibility: float) -> None:
    image = torch.zeros(3, 8, 33, dtype=torch.uint8)
    mist = Fog(3 / visibility, LIGHT, seed, unevenness)
    camera = Camera(4.0, 1.5, 30.0, 16.0)
    frames = [in_fog(image, torch.full((8, 33), d), camera, mist).int() for d in (0.0, 2.0, 9.0, 30.0, 90.0, 400.0)]
    assert all((far >= near).all() for near, far in pairwise(frames))


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_fog_thickens_with_severity_in_every_pixel(seed: int) -> None:
    image = torch.zeros(3, 8, 33, dtype=torch.uint8)
    depth_m = torch.rand(8, 33, generator=generator(seed)) * 200
    camera = Camera(4.0, 1.5, 30.0, 16.0)
    frames = [in_fog(image, depth_m, camera, Fog.of_visibility(v, LIGHT, seed)).int() for v in VISIBILITIES_M]
    assert all((more >= less).all() for less, more in pairwise(frames))
    assert (frames[-1] > frames[0]).any()


def test_even_fog_is_equal_where_depth_is_equal() -> None:
    image = torch.full((3, *SIZE_HW), 70, dtype=torch.uint8)
    depth_m = scene_depth(empty_street(), STREET, CAMERA)
    made = in_fog(image, depth_m, CAMERA, Fog(0.04, LIGHT, seed=0, unevenness=0.0))
    for row in (45, 60, 119):
        assert (made[0, row] == made[0, row, 0]).all()


def test_banks_of_fog_lie_in_the_world() -> None:
    # Two cameras side by side see one bank at the same place of the world, not of the picture.
    image = torch.zeros(3, 1, 400, dtype=torch.uint8)
    depth_m = torch.full((1, 400), 50.0)
    mist = Fog(0.02, LIGHT, seed=3)
    one = in_fog(image, depth_m, Camera(0.0, 1.5, 200.0, 200.0), mist)[0, 0].float()
    turned = in_fog(image, depth_m, Camera(0.0, 1.5, 200.0, 160.0), mist)[0, 0].float()
    assert float(one.std()) > 0.3  # it is uneven
    assert float((one[40:] - turned[:-40]).abs().max()) <= 2
    assert float((one - turned).abs().max()) > float((one[40:] - turned[:-40]).abs().max())


def test_what_is_at_the_camera_stays_and_the_far_has_the_colour_of_fog() -> None:
    image = noise_image()
    mist = Fog.of_visibility(40.0, LIGHT, seed=1)
    assert torch.equal(in_fog(image, torch.zeros(SIZE_HW), CAMERA, mist), image)
    level = Camera(-1.0, 1.5, 100.0, 79.5)  # no ray goes upwards, through the fog's top
    far = in_fog(image, torch.full(SIZE_HW, math.inf), level, mist)
    assert torch.equal(far, torch.tensor(LIGHT, dtype=torch.uint8)[:, None, None].expand_as(far))


def test_the_sky_is_seen_through_light_fog_upwards_only() -> None:
    image = torch.zeros(3, 400, 3, dtype=torch.uint8)
    sky = torch.full((400, 3), math.inf)
    mist = Fog(3 / 600, LIGHT, seed=1, unevenness=0.0)
    column = in_fog(image, sky, Camera(400.0, 1.5, 500.0, 1.0), mist)[0, :, 1].int()
    assert (column.diff() >= 0).all()
    assert column[0] < 0.9 * LIGHT[0]
    assert column[-1] == LIGHT[0]


def test_edges_are_those_of_the_labels() -> None:
    labels = empty_street()
    labels[30:70, 60:90] = CAR
    image = torch.full((3, *SIZE_HW), 20, dtype=torch.uint8)
    image[:, labels == 0] = 200
    made = fog(image, labels, CAMERA, 5, generator(), schema=STREET)[0].int()
    inside, outside = made[35, 60:90], torch.cat([made[35, 40:60], made[35, 90:110]])
    assert int(inside.max()) + 60 < int(outside.min())  # the step is at the very pixel
    assert int(inside.max() - inside.min()) <= 4


@pytest.mark.parametrize("size_hw", [(17, 11), (1, 1), (1, 40), (40, 1), (65, 129), (127, 515)])
@pytest.mark.parametrize("severity", [1, 5])
def test_odd_sizes(size_hw: tuple[int, int], severity: int) -> None:
    labels = torch.ones(size_hw, dtype=torch.uint8)
    labels[: size_hw[0] // 3] = 0
    made = fog(
        noise_image(size_hw), labels, Camera(size_hw[0] / 3, 1.5, 50.0, 5.0), severity, generator(), schema=STREET
    )
    assert made.shape == (3, *size_hw)
    assert made.dtype == torch.uint8


def test_it_is_a_pure_function_of_its_arguments() -> None:
    image, labels = noise_image(), empty_street()
    depth_m = torch.rand(SIZE_HW) * 100 + 1
    kept = image.clone(), labels.clone(), depth_m.clone()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = fog(image, labels, CAMERA, 3, generator(5), schema=STREET, depth_m=depth_m)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = fog(image, labels, CAMERA, 3, generator(5), schema=STREET, depth_m=depth_m)
    assert torch.equal(first, again)
    assert all(torch.equal(a, b) for a, b in zip((image, labels, depth_m), kept, strict=True))
    assert not torch.equal(first, fog(image, labels, CAMERA, 3, generator(6), schema=STREET, depth_m=depth_m))


def test_strides_of_the_image_do_not_matter() -> None:
    image = noise_image().permute(1, 2, 0).contiguous().permute(2, 0, 1)
    made = fog(image, empty_street(), CAMERA, 3, generator(), schema=STREET)
    assert torch.equal(made, shifted())
    assert made.is_contiguous()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_is_the_same_to_the_pixel() -> None:
    made = fog(noise_image().cuda(), empty_street().cuda(), CAMERA, 3, generator(), schema=STREET)
    assert made.is_cuda
    assert torch.equal(made.cpu(), shifted())


@pytest.mark.parametrize("severity", [0, 6, 2.5, True, "3"])
def test_severities_are_1_to_5(severity: object) -> None:
    with pytest.raises(SettingError, match="severity"):
        visibility_m(severity)  # type: ignore[arg-type]


def test_a_schema_without_ground_is_refused_with_a_depth_map_too() -> None:
    schema = LabelSchema("rooms", {"bed": 0, "lamp": 1})
    with pytest.raises(SchemaError, match="no class of the ground"):
        fog(noise_image(), empty_street(), CAMERA, 3, generator(), schema=schema, depth_m=torch.ones(SIZE_HW))
    with pytest.raises(SettingError, match="depth map of shape"):
        fog(noise_image(), empty_street(), CAMERA, 3, generator(), schema=STREET, depth_m=torch.ones(3, 4))


def test_airlight_is_that_of_the_sky_not_that_of_a_white_car() -> None:
    image = torch.full((3, 40, 60), 50, dtype=torch.uint8)
    image[:, :15] = 170
    image[:, 25:35, 10:30] = 255
    kinds = torch.full((40, 60), int(SurfaceKind.GROUND), dtype=torch.uint8)
    kinds[:15] = int(SurfaceKind.SKY)
    kinds[25:35, 10:30] = int(SurfaceKind.VEHICLE)
    assert airlight(image, kinds) == (170, 170, 170)


def test_airlight_without_sky_follows_from_how_bright_the_road_is() -> None:
    kinds = torch.full((40, 60), int(SurfaceKind.GROUND), dtype=torch.uint8)
    kinds[:15] = int(SurfaceKind.STRUCTURE)
    lights = [airlight(torch.full((3, 40, 60), level, dtype=torch.uint8), kinds)[0] for level in (30, 60, 80)]
    assert lights == [72, 144, 192]


@pytest.mark.parametrize("name", REAL_FRAMES)
def test_fog_on_real_frames(real_data: Path, name: str) -> None:
    frame = real_frames(real_data)[name]
    depth_m = scene_depth(frame.labels, frame.schema, frame.camera)
    light = fog_colour(frame.image, frame.labels, frame.schema)
    assert 150 <= min(light) <= max(light) <= 225
    near = (depth_m > 4) & (depth_m < 9)
    far = (depth_m > 60) & torch.isfinite(depth_m)
    contrasts, before = [], frame.image.float().mean(dim=0)
    for severity in (1, 3, 5):
        made = fog(frame.image, frame.labels, frame.camera, severity, generator(), schema=frame.schema)
        after = made.float().mean(dim=0)
        contrasts.append([float(after[where].std() / before[where].std()) for where in (near, far)])
    # The near road keeps most of its contrast in light fog; of the far, less is left the thicker it is.
    assert contrasts[0][0] > 0.85
    assert contrasts[0][1] > contrasts[1][1] > contrasts[2][1]
    assert contrasts[2][1] < 0.12
    assert all(at_far < at_near for at_near, at_far in contrasts)
