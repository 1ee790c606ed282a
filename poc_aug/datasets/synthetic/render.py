"""From a scene to a picture and its labels: surfaces from far to near, then the camera's response and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from poc_aug.datasets.synthetic.buildings import draw_building
from poc_aug.datasets.synthetic.figures import draw_figure
from poc_aug.datasets.synthetic.furniture import draw_boundary, draw_post
from poc_aug.datasets.synthetic.ground import draw_ground
from poc_aug.datasets.synthetic.plants import draw_tree
from poc_aug.datasets.synthetic.sky import draw_sky
from poc_aug.datasets.synthetic.street_camera import F32, U8, Canvas, StreetCamera
from poc_aug.datasets.synthetic.street_light import StreetLight
from poc_aug.datasets.synthetic.street_scene import StreetScene
from poc_aug.datasets.synthetic.vehicles import draw_vehicle
from poc_aug.noise import hash_unit

# Added to distances, so that houses are drawn before gardens, and gardens before everything in the street.
_HOUSES, _GARDENS, _BOUNDARIES = 3e4, 2e4, 1e4

_COARSEST_M = 0.45
"""Vehicles, people and posts are left out if a pixel would cover more than this of them."""


def render(scene: StreetScene, camera: StreetCamera, ids: Mapping[str, int]) -> tuple[U8, U8]:
    """Render a scene.

    Args:
        scene: street to draw.
        camera: camera, with the size of the picture.
        ids: label id of each Cityscapes class name.

    Returns:
        sRGB picture uint8 ``[H, W, 3]`` and labels uint8 ``[H, W]``.
    """
    canvas, light, known = Canvas(camera.height_px, camera.width_px), StreetLight(scene), dict(ids)
    draw_sky(canvas, camera, scene.sky, known["sky"])
    draw_ground(canvas, camera, scene, light, known)
    jobs: list[tuple[float, Callable[[], None]]] = []
    for house in scene.buildings:
        jobs.append((_HOUSES + house.near_m, partial(draw_building, canvas, camera, house, light, known["building"])))
    for tree in scene.trees:
        # Trees behind the building line are behind its fence, whatever their distance.
        far = _GARDENS if tree.garden else 0
        jobs.append((far + tree.z, partial(draw_tree, canvas, camera, tree, light, known["vegetation"])))
    for number in (0, 1):
        jobs.append((_BOUNDARIES, partial(draw_boundary, canvas, camera, scene, number, light, known)))
    reach = _COARSEST_M * camera.pinhole.focal_px
    for vehicle in (v for v in scene.vehicles if v.z < reach):
        label = known[vehicle.kind if vehicle.kind in ("bus", "truck") else "car"]
        jobs.append((vehicle.z, partial(draw_vehicle, canvas, camera, vehicle, light, label)))
    for figure in (f for f in scene.figures if f.z < reach):
        jobs.append((figure.z, partial(draw_figure, canvas, camera, figure, light, known)))
    for post in (p for p in scene.posts if p.z < reach):
        jobs.append((post.z, partial(draw_post, canvas, camera, post, light, known)))
    for _, job in sorted(jobs, key=lambda pair: -pair[0]):
        job()
    return _develop(canvas.rgb, scene), canvas.labels


def _develop(linear: F32, scene: StreetScene) -> U8:
    """Vignette, film curve (Narkowicz 2015, a fit of ACES), sRGB, sensor noise."""
    height, width = linear.shape[:2]
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height - 0.5
    x = (np.arange(width, dtype=np.float32)[None] + 0.5) / width - 0.5
    vignette = 1 - np.float32(0.42) * (x * x + y * y)
    v = np.maximum(linear * (vignette * np.float32(0.62 * scene.sky.exposure))[..., None], 0)
    v = (
        v
        * (np.float32(2.51) * v + np.float32(0.03))
        / (v * (np.float32(2.43) * v + np.float32(0.59)) + np.float32(0.14))
    )
    v = np.power(np.clip(v, 0, 1), np.float32(1 / 2.2))
    rows, cols = np.arange(height)[:, None], np.arange(width)[None]
    grain = hash_unit(rows, cols, 1, seed=scene.sky.seed) + hash_unit(rows, cols, 2, seed=scene.sky.seed) - 1
    v += (grain * np.float32(0.016))[..., None]
    developed: U8 = np.clip(v * 255 + np.float32(0.5), 0, 255).astype(np.uint8)
    return developed
