"""Depth and kinds of surfaces from labels and camera."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.camera_model import Camera
from poc_aug.errors import SchemaError, SettingError
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.scenes.weather.geometry import (
    EGO_M,
    FARTHEST_FOOT_M,
    FARTHEST_M,
    assumed_camera,
    scene_depth,
    scene_geometry,
)
from poc_aug.scenes.weather.surface_kinds import SurfaceKind, check_surfaces, kind_of_class, mapped_ids, surface_kinds
from tests.helpers.weather_cases import (
    BUILDING,
    CAMERA,
    CAR,
    EGO,
    FENCE,
    PERSON,
    POLE,
    REAL_FRAMES,
    ROAD,
    SIGN,
    SKY,
    STREET,
    TREE,
    empty_street,
    real_frames,
)

INSERTED = 254


def depth_at(row: int) -> float:
    return CAMERA.distance_m(row)


def depth(labels: torch.Tensor) -> torch.Tensor:
    return scene_depth(labels, STREET, CAMERA)


def test_ground_has_the_depth_of_its_row() -> None:
    found = depth(empty_street())
    for row in (50, 80, 119):
        assert torch.allclose(found[row], torch.tensor(depth_at(row)))
    assert torch.isinf(found[:42]).all()


def test_ground_above_the_horizon_is_bounded() -> None:
    labels = torch.full((120, 160), ROAD, dtype=torch.uint8)
    found = depth(labels)
    assert (found[:41] == FARTHEST_M).all()
    assert (found > 0).all()
    assert (found.diff(dim=0) <= 0).all()


@pytest.mark.parametrize("label", [CAR, PERSON, POLE, INSERTED])
def test_a_thing_has_one_depth_that_of_its_lowest_foot(label: int) -> None:
    labels = empty_street()
    labels[30:70, 60:90] = label
    labels[70:74, 62:66] = label  # one wheel, or leg, nearer than the other
    labels[70:72, 84:88] = label
    found = depth(labels)[labels == label]
    assert torch.allclose(found, torch.tensor(depth_at(73)), rtol=1e-4)


def test_parked_cars_that_touch_have_depths_of_their_own() -> None:
    labels = empty_street()
    labels[40:100, 0:40] = CAR
    labels[40:46, 40:120] = CAR  # a far one, to the right of it
    found = depth(labels)
    assert float(found[60, 20]) == pytest.approx(depth_at(99), rel=1e-3)
    assert float(found[43, 110]) == pytest.approx(depth_at(45), rel=1e-3)


def test_an_inserted_object_keeps_one_depth_however_wide() -> None:
    labels = empty_street()
    labels[50:60, 10:150] = INSERTED
    labels[60:100, 10:30] = INSERTED
    assert torch.allclose(depth(labels)[labels == INSERTED], torch.tensor(depth_at(99)))


def test_a_sign_on_a_pole_stands_where_the_pole_does() -> None:
    labels = empty_street()
    labels[20:90, 100:102] = POLE
    labels[10:20, 90:112] = SIGN
    found = depth(labels)
    assert float(found[15, 95]) == float(found[60, 100]) == pytest.approx(depth_at(89), rel=1e-4)


@pytest.mark.parametrize("label", [PERSON, POLE])
def test_parts_that_reach_far_over_the_ground_stand_where_the_foot_does(label: int) -> None:
    labels = empty_street((240, 640))
    labels[60:160, 300:308] = label
    labels[60:90, 270:340] = label  # an arm or a plate, under which farther ground is seen
    found = depth(labels)[labels == label]
    assert torch.allclose(found, torch.tensor(depth_at(159)))


def test_a_facade_recedes_along_the_street() -> None:
    labels = empty_street()
    for column in range(80):
        labels[5 : 100 - column // 2, column] = BUILDING
    found = depth(labels)
    columns = found[20, 5:75]
    assert (columns.diff() >= 0).all()
    assert float(found[20, 10]) == pytest.approx(depth_at(94), rel=0.03)
    assert float(found[20, 70]) == pytest.approx(depth_at(64), rel=0.03)


def test_a_facade_behind_a_car_is_interpolated_over_it() -> None:
    labels = empty_street()
    labels[5:70, :] = BUILDING
    labels[50:100, 60:100] = CAR
    found = depth(labels)
    assert torch.allclose(found[10], torch.tensor(depth_at(69)), rtol=1e-3)


@pytest.mark.parametrize("hider", [CAR, FENCE, TREE, INSERTED])
@pytest.mark.parametrize("label", [BUILDING, TREE])
def test_what_is_hidden_is_never_nearer_than_what_hides_it_and_never_at_infinity(label: int, hider: int) -> None:
    if label == hider:
        return
    labels = empty_street()
    labels[5:60, :] = label
    labels[30:80, :] = hider  # its foot is hidden everywhere
    found = depth(labels)
    nearest = found[labels == hider].max()
    hidden = found[labels == label]
    assert (hidden >= nearest).all()
    assert (hidden <= FARTHEST_FOOT_M).all()


def test_a_facade_of_which_nothing_is_seen_but_the_top_is_not_at_infinity() -> None:
    labels = empty_street()
    labels[5:30, 40:80] = BUILDING  # over sky only
    found = depth(labels)[10, 60]
    assert 10 < float(found) <= FARTHEST_FOOT_M


def test_sky_is_infinite_and_the_own_car_nearest() -> None:
    labels = empty_street()
    labels[110:, :] = EGO
    found = depth(labels)
    assert torch.isinf(found[labels == SKY]).all()
    assert (found[labels == EGO] == EGO_M).all()
    assert float(found[labels != EGO].min()) > EGO_M


def test_what_is_not_labelled_takes_what_is_around_it() -> None:
    labels = empty_street()
    labels[:, :3], labels[:, -3:], labels[:2], labels[-2:] = 255, 255, 255, 255  # the rectification's border
    labels[30:60, 70:90] = 255  # something that stands on the road
    found = depth(labels)
    assert torch.isinf(found[0]).all()
    assert torch.allclose(found[80], torch.tensor(depth_at(80)))
    assert float(found[119, 80]) == pytest.approx(depth_at(119))
    assert torch.allclose(found[30:60, 70:90], torch.tensor(depth_at(59)), rtol=1e-3)


def test_specks_of_sky_on_the_road_are_not_far() -> None:
    labels = empty_street()
    labels[80, 60] = SKY
    assert float(depth(labels)[80, 60]) < 60


def test_nothing_but_unknown_pixels_gives_a_finite_depth() -> None:
    found = depth(torch.full((9, 7), 255, dtype=torch.uint8))
    assert torch.isfinite(found).all()


@settings(max_examples=30)
@given(
    st.integers(1, 24),
    st.integers(1, 30),
    st.floats(-40, 60),
    st.integers(0, 2**31),
)
def test_any_labels_give_a_positive_depth(height: int, width: int, horizon: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 12, (height, width), dtype=torch.uint8, generator=generator)
    labels[labels == 11] = 255
    camera = Camera(horizon, 1.5, 60.0, width / 2)
    before = labels.clone()
    scene = scene_geometry(labels, STREET, camera)
    assert torch.equal(labels, before)
    assert scene.depth_m.shape == scene.foot_row.shape == scene.kinds.shape == labels.shape
    assert not scene.depth_m.isnan().any()
    assert not scene.foot_row.isnan().any()
    assert (scene.depth_m > 0).all()
    sky = labels == SKY
    known = labels != 255
    assert torch.isfinite(scene.depth_m[known & ~sky]).all()
    assert torch.equal(scene.depth_m, scene_depth(labels, STREET, camera))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64, torch.uint16])
def test_all_integer_labels_are_taken(dtype: torch.dtype) -> None:
    labels = empty_street()
    labels[30:70, 60:90] = INSERTED
    assert torch.equal(depth(labels.to(dtype)), depth(labels))


def test_ids_far_apart_are_taken() -> None:
    labels = torch.tensor([[0, 2**31 - 1, -5, 3]])
    assert mapped_ids(labels, {0: 7, 2**31 - 1: 8}, 9).tolist() == [[7, 8, 9, 9]]


def test_a_given_depth_takes_the_place_of_the_estimate() -> None:
    labels = empty_street()
    given_m = torch.rand(labels.shape) * 50 + 1
    given_m[labels == SKY] = math.inf
    scene = scene_geometry(labels, STREET, CAMERA, depth_m=given_m.double())
    assert torch.equal(scene.depth_m, given_m)
    assert scene.depth_m.dtype == torch.float32
    assert torch.equal(scene.foot_row[60:], torch.arange(60.0, 120)[:, None].expand(-1, 160))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (torch.ones(60, 80), r"shape \[60, 80\] for a frame of 120x160"),
        (torch.ones(120, 160, dtype=torch.int32), "dtype torch.int32"),
        (torch.full((120, 160), -2.0), "such as -2"),
        (torch.full((120, 160), math.nan), "such as nan"),
        (torch.zeros(120, 160), "such as 0"),
    ],
)
def test_a_depth_map_that_does_not_fit_is_refused(wrong: torch.Tensor, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        scene_geometry(empty_street(), STREET, CAMERA, depth_m=wrong)


def test_a_schema_without_ground_is_refused_and_the_user_may_name_it() -> None:
    schema = LabelSchema("planet", {"lava": 0, "sky": 1})
    with pytest.raises(SchemaError, match="names no class of the ground: lava, sky"):
        check_surfaces(schema)
    with pytest.raises(SchemaError, match="schema is not known"):
        check_surfaces(None)
    labels = torch.tensor([[1, 1], [0, 0]])
    camera = Camera(0.0, 1.5, 10.0, 1.0)
    found = scene_depth(labels, schema, camera, kinds={"lava": SurfaceKind.GROUND})
    assert found[1].tolist() == [15.0, 15.0]


@pytest.mark.parametrize("name", ["cityscapes-labelIds", "cityscapes-trainIds", "camvid", "idd-lite"])
def test_every_class_of_the_known_street_schemas_has_a_kind(name: str) -> None:
    plain = {"static", "dynamic"}
    kinds = {cls: kind_of_class(cls) for cls in SCHEMAS[name].ids}
    assert {cls for cls, kind in kinds.items() if kind is SurfaceKind.OBJECT} <= plain


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Lane Marking - Crosswalk", SurfaceKind.GROUND),  # Mapillary Vistas
        ("Traffic Sign (Front)", SurfaceKind.POST),
        ("road, route", SurfaceKind.GROUND),  # ADE20K
        ("earth;ground", SurfaceKind.TERRAIN),
        ("sky-other-merged", SurfaceKind.SKY),  # COCO
        ("obs-str-bar-fallback", SurfaceKind.STRUCTURE),  # IDD
        ("SUVPickupTruck", SurfaceKind.VEHICLE),  # CamVid, 32 classes
        ("zeppelin", SurfaceKind.OBJECT),
    ],
)
def test_names_of_other_datasets(name: str, kind: SurfaceKind) -> None:
    assert kind_of_class(name) is kind


def test_an_ignored_id_without_a_name_is_unknown_and_an_id_of_no_class_is_an_object() -> None:
    kinds = surface_kinds(torch.tensor([[255, 254]]), STREET)
    assert kinds.tolist() == [[int(SurfaceKind.UNKNOWN), int(SurfaceKind.OBJECT)]]


def test_the_camera_of_a_frame_without_one() -> None:
    camera, source = assumed_camera((120, 160))
    assert source == "assumed"
    assert camera.horizon_row == pytest.approx(50.4)
    camera, source = assumed_camera((120, 160), empty_street(), STREET)
    assert source == "ground"
    assert camera.horizon_row < 42


@pytest.mark.parametrize("name", REAL_FRAMES)
def test_depth_of_real_frames(real_data: Path, name: str) -> None:
    frame = real_frames(real_data)[name]
    scene = scene_geometry(frame.labels, frame.schema, frame.camera)
    known = scene.kinds != int(SurfaceKind.UNKNOWN)
    assert torch.equal(torch.isinf(scene.depth_m) & known, scene.of_kind(SurfaceKind.SKY))
    # No facade and no tree vanishes, and few are as far as what has its foot at the horizon.
    for kind in (SurfaceKind.STRUCTURE, SurfaceKind.VEGETATION):
        depths = scene.depth_m[scene.of_kind(kind)]
        assert float(depths.max()) <= FARTHEST_FOOT_M
        assert float((depths < FARTHEST_FOOT_M).float().mean()) > 0.5
        assert float(depths.min()) > 3
    rows = scene.of_kind(SurfaceKind.GROUND).nonzero()[:, 0]
    ground = scene.depth_m[scene.of_kind(SurfaceKind.GROUND)]
    near = rows > frame.camera.horizon_row + frame.camera.focal_px / 100
    expected = frame.camera.focal_px * frame.camera.camera_height_m / (rows[near] - frame.camera.horizon_row)
    assert torch.allclose(ground[near], expected, rtol=1e-4)


def test_an_object_in_a_real_frame_has_its_own_depth(real_data: Path) -> None:
    frame = real_frames(real_data)["cityscapes-2"]
    labels = frame.labels.clone()
    labels[600:800, 700:900] = INSERTED
    found = scene_depth(labels, frame.schema, frame.camera)[600:800, 700:900]
    assert torch.allclose(found, torch.tensor(frame.camera.distance_m(799)), rtol=1e-4)
    # What stood behind it stays behind it.
    assert float(scene_depth(labels, frame.schema, frame.camera)[590, 800]) > float(found[0, 0])


def test_a_patch_without_labels_on_the_ground_lies_on_it() -> None:
    labels = torch.full((60, 80), 10, dtype=torch.uint8)  # sky
    labels[20:] = 0  # road
    labels[35:45, 10:70] = 255  # a parking area of trainIds: road above it and below it
    camera = Camera(15.0, 1.4, 80.0, 39.5)
    depth = scene_depth(labels, SCHEMAS["cityscapes-trainIds"], camera)
    rows = torch.arange(35, 45)
    assert torch.allclose(depth[35:45, 40], torch.tensor([camera.distance_m(float(row)) for row in rows]))
    labels[12:22, 30:33] = 255  # a thing that is not labelled, in front of the sky: it stands
    stands = scene_depth(labels, SCHEMAS["cityscapes-trainIds"], camera)[12:20, 31]
    assert float(stands.max() - stands.min()) == 0
