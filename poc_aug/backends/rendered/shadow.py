"""The shadow that an object casts on the ground of its crop."""

from __future__ import annotations

import numpy as np

from poc_aug.backends.rendered.light import ground_irradiance
from poc_aug.backends.rendered.materials import smoothstep
from poc_aug.backends.rendered.stage import Stage
from poc_aug.noise import FloatArray

# Ground points whose light is computed; the shade is interpolated between them, so that large objects cost no more.
_SHADE_POINTS = 12000
# Darkening below this fraction of white is left out: it would only enlarge the stored patch.
_SHADE_FLOOR = 6 / 255


def ground_shade(stage: Stage, size_hw: tuple[int, int], strength: float) -> FloatArray:
    """How much the object darkens the crop, as a factor on its encoded (sRGB) values.

    Returns:
        float32 ``[h, w]`` in [0, 1): 0 leaves a pixel unchanged; smooth, and zero towards the crop's border, above
        the horizon, and away from the object.
    """
    height, width = size_hw
    low, high = stage.bounds
    shade = np.zeros(size_hw, dtype=np.float32)
    reach = 1.7 * float(high[1]) + 0.25 * float(max(high[0] - low[0], high[2] - low[2]))
    near = np.array([(x, 0, z) for x in (low[0] - reach, high[0] + reach) for z in (low[2] - reach, high[2] + reach)])
    # Keep the corners in front of the camera, so that they can be projected.
    corners = near.T.astype(np.float32)
    corners[2] = np.maximum(corners[2], -stage.pose.distance_m + 0.25)
    row, col, depth = stage.pose.project(corners)
    first_row = int(np.clip(np.ceil(stage.pose.camera.horizon_row) + 1, 0, height))
    behind = bool((depth < 0.2).any())
    top = int(np.clip(row.min(), first_row, height))
    bottom = height if behind else int(np.clip(row.max() + 2, first_row, height))
    left = 0 if behind else int(np.clip(col.min() - 1, 0, width))
    right = width if behind else int(np.clip(col.max() + 2, 0, width))
    if bottom - top < 2 or right - left < 2:
        return shade
    stride = max(1, int(np.ceil(np.sqrt((bottom - top) * (right - left) / _SHADE_POINTS))))
    rows, cols = _knots(top, bottom, stride), _knots(left, right, stride)
    grid_row, grid_col = np.meshgrid(rows, cols, indexing="ij")
    p = stage.pose.ground(grid_row.ravel(), grid_col.ravel())
    light = ground_irradiance(stage.model, p, stage.light, stage.to_sun, stage.bounds)
    outside = np.maximum(np.maximum(low[[0, 2], None] - p[[0, 2]], p[[0, 2]] - high[[0, 2], None]), 0)
    fade = smoothstep(reach, 0.45 * reach, np.sqrt((outside * outside).sum(axis=0)))
    dark = (fade * strength * (1 - np.maximum(light, 0.03) ** (1 / 2.2))).reshape(grid_row.shape)
    area = _hat(rows, top, bottom) @ dark @ _hat(cols, left, right).T
    shade[top:bottom, left:right] = area
    # Fades in to full strength just above the threshold, so that the shadow ends without a step.
    shade = np.maximum(shade - _SHADE_FLOOR, 0) * smoothstep(0, 3 * _SHADE_FLOOR, shade)
    return np.asarray(shade * _border_window(height, width, first_row), dtype=np.float32)


def _knots(low: int, high: int, stride: int) -> FloatArray:
    count = max(2, (high - low - 1) // stride + 2)
    return np.linspace(low + 0.5, high - 0.5, count).astype(np.float32)


def _hat(knots: FloatArray, low: int, high: int) -> FloatArray:
    """Weights of linear interpolation from knots to the pixels ``low..high``: ``[pixels, knots]``."""
    at = np.arange(low, high, dtype=np.float32) + 0.5
    spacing = knots[1] - knots[0]
    weights = np.clip(1 - np.abs(at[:, None] - knots[None]) / spacing, 0, 1)
    return np.asarray(weights, dtype=np.float32)


def _border_window(height: int, width: int, first_row: int) -> FloatArray:
    margin = 0.06
    rows, cols = np.arange(height) + 0.5, np.arange(width) + 0.5
    vertical = np.minimum((rows - first_row) / (0.02 * height + 2), (height - rows) / (margin * height + 1))
    sideways = np.minimum(cols, width - cols) / (margin * width + 1)
    return smoothstep(0, 1, vertical.astype(np.float32))[:, None] * smoothstep(0, 1, sideways.astype(np.float32))
