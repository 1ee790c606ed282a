"""Figures drawn from tapered strokes, shaded as if they were round limbs: people, bicycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poc_aug.synthetic.camera import F32, U8
from poc_aug.synthetic.light import Light


@dataclass(frozen=True, slots=True)
class Stroke:
    """A limb from ``start`` to ``end`` (metres right and up), with its half widths there.

    ``squash`` > 1 flattens its relief: 1 is a round limb, 3 a coat.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    start_w: float
    end_w: float
    rgb: F32
    label: int
    squash: float = 1.3


@dataclass(frozen=True, slots=True)
class Ring:
    """A wheel seen from the side: its centre, radius and half width of the tyre, metres."""

    centre: tuple[float, float]
    radius: float
    tyre: float
    rgb: F32
    label: int


def paint(
    parts: list[Stroke | Ring], x: F32, y: F32, light: Light, lit: float
) -> tuple[F32, F32, U8]:
    """Draw parts in order, later ones in front.

    Args:
        parts: what to draw.
        x: metres to the right, float32 ``[w]``.
        y: metres up, float32 ``[h]``.
        light: the scene's light.
        lit: share of the sun that falls on the figure.

    Returns:
        linear colours ``[h, w, 3]``, coverage ``[h, w]`` (0 or 1), labels ``[h, w]``.
    """
    shape = (len(y), len(x))
    rgb, alpha = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.uint8)
    for part in parts:
        if isinstance(part, Ring):
            low_x, high_x = part.centre[0] - part.radius, part.centre[0] + part.radius
            low_y, high_y, grow = part.centre[1] - part.radius, part.centre[1] + part.radius, part.tyre
        else:
            low_x, high_x = sorted((part.start[0], part.end[0]))
            low_y, high_y = sorted((part.start[1], part.end[1]))
            grow = max(part.start_w, part.end_w)
        rows = np.flatnonzero((y > low_y - grow) & (y < high_y + grow))
        cols = np.flatnonzero((x > low_x - grow) & (x < high_x + grow))
        if not len(rows) or not len(cols):
            continue
        window = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        px, py = x[window[1]][None], y[window[0]][:, None]
        across_x, across_y = _ring(part, px, py) if isinstance(part, Ring) else _stroke(part, px, py)
        reach = across_x * across_x + across_y * across_y
        inside = reach < 1
        squash = 1.3 if isinstance(part, Ring) else part.squash
        normal = np.stack([across_x, across_y, -np.sqrt(np.maximum(squash * squash - reach, 0.05))], axis=-1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        colour = light.shade(
            np.broadcast_to(part.rgb, normal.shape),
            normal.astype(np.float32),
            np.full(reach.shape, lit, np.float32),
            np.float32(0.62) + np.float32(0.38) * np.clip(py / np.float32(1.2), 0, 1) * np.ones_like(px),
        )
        rgb[window][inside] = colour[inside]
        alpha[window][inside] = 1
        labels[window][inside] = part.label
    return rgb, alpha, labels


def _stroke(part: Stroke, x: F32, y: F32) -> tuple[F32, F32]:
    """Offset from the limb's axis over its half width: a unit disc inside."""
    (ax, ay), (bx, by) = part.start, part.end
    dx, dy = bx - ax, by - ay
    length = max(dx * dx + dy * dy, 1e-9)
    t = np.clip(((x - np.float32(ax)) * np.float32(dx) + (y - np.float32(ay)) * np.float32(dy)) / length, 0, 1)
    t = t.astype(np.float32)
    width = np.float32(part.start_w) + t * np.float32(part.end_w - part.start_w)
    off_x = (x - np.float32(ax) - t * np.float32(dx)) / width
    off_y = (y - np.float32(ay) - t * np.float32(dy)) / width
    return off_x, off_y


def _ring(part: Ring, x: F32, y: F32) -> tuple[F32, F32]:
    dx, dy = x - np.float32(part.centre[0]), y - np.float32(part.centre[1])
    r = np.maximum(np.sqrt(dx * dx + dy * dy), np.float32(1e-4))
    off = (r - np.float32(part.radius - part.tyre)) / np.float32(part.tyre)
    return off * dx / r, off * dy / r
