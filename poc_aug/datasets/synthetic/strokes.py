"""Figures drawn from tapered strokes, shaded as if they were round limbs: people, bicycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poc_aug.datasets.synthetic.filters import pulse
from poc_aug.datasets.synthetic.street_camera import F32, U8
from poc_aug.datasets.synthetic.street_light import StreetLight


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
class RingStroke:
    """A wheel from the side: its centre, radius and half width of the tyre, in metres."""

    centre: tuple[float, float]
    radius: float
    tyre: float
    rgb: F32
    label: int


@dataclass(slots=True)
class Sprite:
    """A figure while it is drawn, at one sample per pixel; parts are anti-aliased by the distance to their outline.

    Attributes:
        x: metres to the right, float32 ``[w]``.
        y: metres up, float32 ``[h]``.
        pixel: size of a pixel in metres.
        rgb: linear colours times ``alpha``, float32 ``[h, w, 3]``.
        alpha: coverage, float32 ``[h, w]``.
        labels: label of the last part that covers at least half of the pixel, uint8 ``[h, w]``.
    """

    x: F32
    y: F32
    pixel: float
    rgb: F32
    alpha: F32
    labels: U8

    @classmethod
    def over(cls, x: F32, y: F32, pixel: float, label: int) -> Sprite:
        """An empty sprite; pixels covered by half by all parts together, but by none alone, get ``label``."""
        shape = (len(y), len(x))
        labels = np.full(shape, label, np.uint8)
        return cls(x, y, pixel, np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32), labels)

    def window(self, low_x: float, high_x: float, low_y: float, high_y: float) -> tuple[slice, slice] | None:
        """Index of the pixels that may show a part within these bounds; ``None``: outside of the picture."""
        rows = np.flatnonzero((self.y > low_y - self.pixel) & (self.y < high_y + self.pixel))
        cols = np.flatnonzero((self.x > low_x - self.pixel) & (self.x < high_x + self.pixel))
        if not len(rows) or not len(cols):
            return None
        return slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)

    def put(self, window: tuple[slice, slice], rgb: F32, cover: F32, label: int) -> None:
        """Put a part in front of what is there."""
        self.rgb[window] *= (1 - cover)[..., None]
        self.rgb[window] += rgb * cover[..., None]
        self.alpha[window] += (1 - self.alpha[window]) * cover
        self.labels[window][cover >= 0.5] = label


def draw_strokes(sprite: Sprite, parts: Sequence[Stroke | RingStroke], light: StreetLight, lit: float) -> None:
    """Draw parts in order, later ones in front; ``lit`` is the share of the sun that falls on them."""
    for part in parts:
        if isinstance(part, RingStroke):
            grow = part.radius
            low_x = high_x = part.centre[0]
            low_y = high_y = part.centre[1]
        else:
            low_x, high_x = sorted((part.start[0], part.end[0]))
            low_y, high_y = sorted((part.start[1], part.end[1]))
            grow = max(part.start_w, part.end_w)
        window = sprite.window(low_x - grow, high_x + grow, low_y - grow, high_y + grow)
        if window is None:
            continue
        px, py = sprite.x[window[1]][None], sprite.y[window[0]][:, None]
        across_x, across_y, width = _ring(part, px, py) if isinstance(part, RingStroke) else _stroke(part, px, py)
        reach = across_x * across_x + across_y * across_y
        cover = pulse(np.sqrt(reach) * width, -width, width, sprite.pixel)
        squash = 1.3 if isinstance(part, RingStroke) else part.squash
        normal = np.stack([across_x, across_y, -np.sqrt(np.maximum(squash * squash - reach, 0.05))], axis=-1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        open_sky = np.float32(0.62) + np.float32(0.38) * np.clip(py / np.float32(1.2), 0, 1)
        rgb = light.shade(part.rgb, normal.astype(np.float32), np.full((1, 1), lit, np.float32), open_sky)
        sprite.put(window, rgb, cover, part.label)


def _stroke(part: Stroke, x: F32, y: F32) -> tuple[F32, F32, F32]:
    """Offset from the limb's axis divided by its half width (inside: a unit disc), and the half width."""
    (ax, ay), (bx, by) = part.start, part.end
    dx, dy = bx - ax, by - ay
    length = np.float32(max(dx * dx + dy * dy, 1e-9))
    t = np.clip(((x - np.float32(ax)) * np.float32(dx) + (y - np.float32(ay)) * np.float32(dy)) / length, 0, 1)
    width = np.float32(part.start_w) + t * np.float32(part.end_w - part.start_w)
    off_x = (x - np.float32(ax) - t * np.float32(dx)) / width
    off_y = (y - np.float32(ay) - t * np.float32(dy)) / width
    return off_x, off_y, width


def _ring(part: RingStroke, x: F32, y: F32) -> tuple[F32, F32, F32]:
    dx, dy = x - np.float32(part.centre[0]), y - np.float32(part.centre[1])
    r = np.maximum(np.sqrt(dx * dx + dy * dy), np.float32(1e-4))
    off = (r - np.float32(part.radius - part.tyre)) / np.float32(part.tyre)
    return off * dx / r, off * dy / r, np.full_like(r, part.tyre)
