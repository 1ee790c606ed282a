"""The sky: gradient, glow of the sun, clouds on a plane above."""

from __future__ import annotations

import numpy as np

from poc_aug.datasets.synthetic.filters import lerp, lerp_rgb, smooth
from poc_aug.datasets.synthetic.street_camera import Canvas, Rect, StreetCamera
from poc_aug.datasets.synthetic.street_scene import Sky
from poc_aug.noise import fbm_2d


def draw_sky(canvas: Canvas, camera: StreetCamera, sky: Sky, label: int) -> None:
    """Fill the picture from its top to just below the horizon."""
    bottom = int(np.clip(np.ceil(camera.pinhole.horizon_row) + 2, 0, camera.height_px))
    rect = Rect(0, 0, bottom, camera.width_px)
    if rect.empty:
        return
    right, down = camera.rays(rect)
    length = np.sqrt(1 + right * right + down * down)
    up = np.maximum(-down, 0) / length
    base = lerp_rgb(sky.horizon_rgb, sky.zenith_rgb, np.power(np.clip(up * 2.0, 0, 1), 0.75))
    toward = (right * sky.sun[0] - down * sky.sun[1] + sky.sun[2]) / length
    glow = np.power(np.clip(toward, 0, 1), 8)
    base += (glow * np.float32(0.10))[..., None] * sky.sun_rgb
    # Clouds lie on a plane, softened at the horizon, where a true plane would squeeze them into stripes.
    reach = np.float32(1.0) / (up + np.float32(0.13))
    cloud_x, cloud_z = right * reach * np.float32(1.5), reach * np.float32(1.1) * np.ones_like(right)
    density = fbm_2d(cloud_z, cloud_x, sky.seed, octaves=5)
    thick = smooth(density, 0.62 - 0.24 * sky.clouds, 0.80 - 0.20 * sky.clouds)
    # Lit by the sun: clouds that get thinner towards it have a bright rim, thick ones are grey.
    towards_sun = fbm_2d(cloud_z + 0.12 * sky.sun[2], cloud_x + 0.12 * sky.sun[0], sky.seed, octaves=2)
    relief = np.clip(0.62 + 3.0 * (density - towards_sun), 0.25, 1.15)
    white = 0.52 * sky.sun_rgb * (0.65 + 0.5 * glow[..., None]) + 0.5 * sky.ambient_rgb
    grey = 0.75 * sky.ambient_rgb + 0.06 * sky.sun_rgb
    cloud = lerp_rgb(grey, white, relief)
    cloud = lerp_rgb(cloud, sky.horizon_rgb, smooth(up, 0.10, 0.0) * np.float32(0.75))
    opacity = thick * lerp(0.45, 0.95, smooth(up, 0.0, 0.12)).astype(np.float32)
    canvas.rgb[rect.window] = lerp_rgb(base, cloud, opacity)
    canvas.labels[rect.window] = label
