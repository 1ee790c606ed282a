"""From a scene to a picture and its labels: far to near, then the camera's own traits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from poc_aug.render.noise import hash_unit
from poc_aug.synthetic.buildings import draw_building
from poc_aug.synthetic.camera import F32, U8, Camera, Canvas
from poc_aug.synthetic.figures import draw_figure
from poc_aug.synthetic.furniture import draw_boundary, draw_post
from poc_aug.synthetic.ground import draw_ground
from poc_aug.synthetic.light import Light
from poc_aug.synthetic.plants import draw_tree
from poc_aug.synthetic.scene import Scene
from poc_aug.synthetic.sky import draw_sky
from poc_aug.synthetic.vehicles import draw_vehicle


def render(scene: Scene, camera: Camera, ids: Mapping[str, int]) -> tuple[U8, U8]:
    """Render a scene.

    Args:
        scene: what to draw.
        camera: where from, and the size.
        ids: label id of each Cityscapes class name.

    Returns:
        sRGB picture uint8 ``[H, W, 3]`` and labels uint8 ``[H, W]``.
    """
    canvas, light, known = Canvas(camera.height_px, camera.width_px), Light(scene), dict(ids)
    draw_sky(canvas, camera, scene.sky, known["sky"])
    draw_ground(canvas, camera, scene, light, known)
    front = min(scene.street.front_m)
    jobs: list[tuple[float, Callable[[], None]]] = []

    def add(z: float, job: Callable[[], None]) -> None:
        jobs.append((z, job))

    for house in scene.buildings:
        add(1e4 + house.near_m, lambda h=house: draw_building(canvas, camera, h, light, known["building"]))
    for tree in scene.trees:
        # What grows behind the building line is behind its fence, whatever its distance.
        behind = abs(tree.x) > front + 0.2 and tree.trunk_m != 2.0
        add(tree.z + (5e3 if behind else 0), lambda t=tree: draw_tree(canvas, camera, t, light, known["vegetation"]))
    for number in (0, 1):
        add(4e3, lambda n=number: draw_boundary(canvas, camera, scene, n, light, known))
    for vehicle in scene.vehicles:
        label = known[vehicle.kind if vehicle.kind in ("bus", "truck") else "car"]
        add(vehicle.z, lambda v=vehicle, i=label: draw_vehicle(canvas, camera, v, light, i))
    for figure in scene.figures:
        add(figure.z, lambda f=figure: draw_figure(canvas, camera, f, light, known))
    for post in scene.posts:
        add(post.z, lambda p=post: draw_post(canvas, camera, p, light, known))
    for _, job in sorted(jobs, key=lambda pair: -pair[0]):
        job()
    return _develop(canvas.rgb, scene), canvas.labels


def _develop(linear: F32, scene: Scene) -> U8:
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
    return np.clip(v * 255 + np.float32(0.5), 0, 255).astype(np.uint8)
