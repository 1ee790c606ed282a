"""Solids, camera and ray casting: distances, hulls, projection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.backends.rendered.catalogue import CATALOGUE, build_object
from poc_aug.backends.rendered.materials import Plain
from poc_aug.backends.rendered.model import Model, ModelPart
from poc_aug.backends.rendered.raycast import bounds_of, normals, soft_visibility, sphere_trace
from poc_aug.backends.rendered.render_camera import ObjectPose, box_size, hull_extent, stand_in_box
from poc_aug.backends.rendered.solids import (
    Capsule,
    Cut,
    Cylinder,
    Ellipsoid,
    Frustum,
    Moved,
    Polyhedron,
    Repeated,
    RoundedBox,
    Solid,
    Union,
    directions,
    rotation_about,
)
from poc_aug.camera_model import Camera

SOLIDS: dict[str, Solid] = {
    "box": RoundedBox((0.3, 0.2, 0.1)),
    "rounded box": RoundedBox((0.3, 0.2, 0.1), 0.05),
    "cylinder": Cylinder(0.2, 0.3),
    "tyre": Cylinder(0.3, 0.1, 0.18, 0.04),
    "cone": Frustum(0.3, 0.1, 0.25, 0, 0.01),
    "cup": Frustum(0.2, 0.3, 0.25, 0.02),
    "sphere": Ellipsoid((0.2, 0.2, 0.2)),
    "capsule": Capsule((-0.2, 0, 0), (0.1, 0.1, 0.2), 0.05),
    "stone": Polyhedron(directions(14).T.copy(), np.full(14, 0.2, dtype=np.float32)),
    "row": Repeated(RoundedBox((0.05, 0.05, 0.05)), (0.2, 1, 0.3), (3, 1, 2)),
    "turned": Moved(RoundedBox((0.3, 0.1, 0.1)), (0.1, 0.2, 0.3), rotation_about("z", 30)),
    "bitten": Cut(RoundedBox((0.3, 0.2, 0.1)), Ellipsoid((0.1, 0.1, 0.1))),
    "pair": Union((RoundedBox((0.1, 0.1, 0.1)), Ellipsoid((0.2, 0.2, 0.2)))),
}
CAMERA = Camera(horizon_row=100.0, camera_height_m=1.4, focal_px=600.0, centre_col=200.0)


def cloud(scale: float, count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-scale, scale, (3, count)).astype(np.float32)


@pytest.mark.parametrize("name", sorted(SOLIDS))
def test_distance_never_overestimates(name: str) -> None:
    # A distance function changes by no more than the way between two points.
    p, q = cloud(0.6), cloud(0.6)[:, ::-1]
    change = np.abs(SOLIDS[name].distance(p) - SOLIDS[name].distance(q))
    assert (change <= np.linalg.norm(p - q, axis=0) * 1.02 + 1e-5).all()


@pytest.mark.parametrize("name", sorted(SOLIDS))
def test_hull_points_hold_the_solid_tightly(name: str) -> None:
    inside = cloud(0.6, 60000)
    inside = inside[:, SOLIDS[name].distance(inside) < 0]
    ways, hull = directions(60).T, SOLIDS[name].points()
    reach, bound = (ways @ inside).max(axis=1), (ways @ hull).max(axis=1)
    assert (bound >= reach - 0.006).all()
    assert (bound <= reach + 0.06).all()


def test_turned_is_a_rotation() -> None:
    for axis in "xyz":
        matrix = rotation_about(axis, 37)
        assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_models_stand_on_the_ground_over_the_origin(kind: str) -> None:
    for seed in range(4):
        model, _ = build_object(kind, seed)
        points = model.points()
        assert points[1].min() == pytest.approx(0, abs=1e-4)
        assert np.abs(points[[0, 2]].min(axis=1) + points[[0, 2]].max(axis=1)).max() < 0.35
        # Something of it is just over the ground: no kind floats.
        x, z = np.meshgrid(np.linspace(-1.3, 1.3, 131), np.linspace(-1.3, 1.3, 131))
        sole = np.stack([x.ravel(), np.full(x.size, 0.012), z.ravel()]).astype(np.float32)
        assert model.distance(sole).min() < 0.01


def test_trace_hits_a_sphere_where_it_is() -> None:
    model = Model((ModelPart(Ellipsoid((0.5, 0.5, 0.5)), Plain((0.5, 0.5, 0.5), 1), (0, 0.5, 0)),))
    ray = np.array([[0, 0, 1], [0, 0.9, 0.1]], dtype=np.float32).T
    ray /= np.linalg.norm(ray, axis=0)
    hits = sphere_trace(model, np.array([0, 0.5, -3], dtype=np.float32), ray, bounds_of(model.points()), 1e-3)
    assert hits.hit.tolist() == [True, False]
    assert hits.t[0] == pytest.approx(2.5, abs=2e-3)
    top = normals(model, np.array([[0], [1.0], [0]], dtype=np.float32), 1e-3)
    assert np.allclose(top[:, 0], [0, 1, 0], atol=1e-3)


def test_shadow_falls_away_from_the_light() -> None:
    model = Model((ModelPart(RoundedBox((0.2, 0.5, 0.2)), Plain((0.5, 0.5, 0.5), 1), (0, 0.5, 0)),))
    light = np.array([-1, 1, 0], dtype=np.float32) / np.float32(2**0.5)
    ground = np.array([[0.5, 0, 0], [-0.5, 0, 0], [0.5, 0, 1.5], [9, 0, 0]], dtype=np.float32).T
    visibility = soft_visibility(model, ground, light, bounds_of(model.points()), 0.1)
    assert visibility[0] < 0.05
    assert (visibility[1:] > 0.95).all()


@settings(max_examples=60)
@given(
    foot=st.integers(125, 380),
    middle=st.integers(20, 380),
    kind=st.sampled_from(sorted(CATALOGUE)),
    seed=st.integers(0, 2**40),
)
def test_silhouette_fits_the_box(foot: int, middle: int, kind: str, seed: int) -> None:
    points = build_object(kind, seed)[0].points()
    extent = hull_extent(points)
    height, width = box_size(extent, CAMERA, foot)
    h, w = max(1, round(height)), max(1, round(width))
    near = CAMERA.distance_m(foot)
    if near < 1.5 * extent.depth_m or max(h, w) < 16:
        return
    box = (foot - h, middle - w // 2, h, w)
    pose = stand_in_box(points, CAMERA, box)
    assert pose is not None
    row, col, _ = pose.project(points)
    assert row.max() == pytest.approx(foot, abs=1.5 + 0.01 * h)
    assert (col.max() + col.min()) / 2 == pytest.approx(box[1] + w / 2, abs=1)
    assert np.ptp(row) <= h * 1.03 + 1
    assert np.ptp(col) <= w * 1.03 + 1


def test_rays_and_projection_are_inverse() -> None:
    for turn in (0.0, 0.5, 1.0):
        pose = ObjectPose(CAMERA, (1.5, 6.0), turn)
        p = cloud(0.4, 50)
        row, col, _ = pose.project(p)
        ray = pose.rays(row, col)
        towards = p - pose.eye[:, None]
        towards /= np.linalg.norm(towards, axis=0)
        assert np.allclose(ray, towards, atol=1e-4)


def test_ground_points_project_back() -> None:
    pose = ObjectPose(CAMERA, (-1.0, 5.0))
    row, col = np.array([150.0, 300.0], dtype=np.float32), np.array([10.0, 250.0], dtype=np.float32)
    again = pose.project(pose.ground(row, col))
    assert np.allclose(again[0], row, atol=0.05)
    assert np.allclose(again[1], col, atol=0.05)


def test_no_view_above_the_horizon_or_inside_the_camera() -> None:
    points = RoundedBox((0.3, 0.3, 0.3)).points()
    points[1] += 0.3
    assert stand_in_box(points, CAMERA, (50, 100, 40, 40)) is None
    assert stand_in_box(points, CAMERA, (0, 100, 4000, 4000)) is None


def soles(kind: str, seed: int) -> np.ndarray:
    """Places of the ground, ``[2, K]`` in metres, that the object touches to within a centimetre."""
    model, _ = build_object(kind, seed)
    x, z = np.meshgrid(np.linspace(-1, 1, 201), np.linspace(-1, 1, 201))
    low = np.stack([x.ravel(), np.full(x.size, 0.004), z.ravel()]).astype(np.float32)
    return low[[0, 2]][:, model.distance(low) < 0.006]


@pytest.mark.parametrize("kind", ["fallen traffic cone", "fallen barrel", "bucket", "metal pipe", "log"])
def test_what_lies_touches_the_ground_at_both_ends(kind: str) -> None:
    for seed in range(8):
        model, _ = build_object(kind, seed)
        if kind == "bucket" and not model.facts["fallen"]:
            continue
        length = float(np.hypot(*np.ptp(model.points()[[0, 2]], axis=1)))
        touched = soles(kind, seed)
        apart = np.hypot(*(touched[:, :, None] - touched[:, None, :])).max()
        assert apart > (0.45 if kind in ("fallen traffic cone", "bucket") else 0.6) * min(length, 1.9)
