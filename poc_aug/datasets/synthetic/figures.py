"""People, cyclists, bicycles and motorcyclists."""

from __future__ import annotations

import numpy as np

from poc_aug.datasets.synthetic.filters import srgb
from poc_aug.datasets.synthetic.street_camera import Canvas, Layer, StreetCamera
from poc_aug.datasets.synthetic.street_light import StreetLight
from poc_aug.datasets.synthetic.street_scene import Figure
from poc_aug.datasets.synthetic.strokes import RingStroke, Sprite, Stroke, draw_strokes

_SHOE = srgb("1d1a18")
_METAL = srgb("3a3d40")
_RUBBER = srgb("141414")
_HELMET = srgb("d8d8d4")
_RED = srgb("c01812")
Parts = list[Stroke | RingStroke]


def draw_figure(canvas: Canvas, camera: StreetCamera, figure: Figure, light: StreetLight, ids: dict[str, int]) -> None:
    """Draw a figure that stands at ``figure.base_m`` over the road."""
    half = 1.05 if figure.kind != "person" else 0.75
    top = figure.height_m + 0.1
    if figure.z < 1.5:
        return
    rect = camera.rect((figure.x + a, figure.base_m + y, figure.z) for a in (-half, half) for y in (-0.05, top))
    if rect.empty:
        return
    right, down = camera.rays(rect)
    x = right[0] * np.float32(figure.z) - np.float32(figure.x)
    y = np.float32(camera.pinhole.camera_height_m - figure.base_m) - down[:, 0] * np.float32(figure.z)
    if figure.mirrored:
        x = -x
    lit = float(light.sunlit(figure.x, figure.base_m + 1.0, figure.z))
    if figure.kind == "person":
        parts = _side_walker(figure, ids["person"]) if figure.side_view else _walker(figure, ids["person"])
    elif figure.kind == "bicycle":
        parts = _bicycle(figure, ids["bicycle"])
    elif figure.kind == "cyclist" and figure.side_view:
        parts = [*_bicycle(figure, ids["bicycle"]), *_side_rider(figure, ids["rider"])]
    else:
        vehicle = ids["motorcycle"] if figure.kind == "motorcyclist" else ids["bicycle"]
        parts = _rider_from_behind(figure, vehicle, ids["rider"])
    sprite = Sprite.over(x, y, figure.z / camera.pinhole.focal_px, parts[-1].label)
    draw_strokes(sprite, parts, light, lit)
    canvas.over(Layer(rect, light.haze(sprite.rgb, figure.z, sprite.alpha), sprite.alpha, sprite.labels))


def _head(figure: Figure, x: float, y: float, label: int, side: bool) -> Parts:
    """Neck, head and hair, the chin at ``y``; from the side, from the front or, for some strides, from behind."""
    skin, hair = figure.skin_rgb, figure.hair_rgb
    neck = Stroke((x, y - 0.12), (x, y - 0.02), 0.052, 0.05, skin * 0.75, label)
    skull = Stroke((x, y + 0.075), (x, y + 0.125), 0.074, 0.080, skin, label)
    if side:
        return [
            neck,
            skull,
            Stroke((x + 0.045, y + 0.045), (x + 0.055, y + 0.085), 0.036, 0.034, skin, label),
            Stroke((x - 0.030, y + 0.095), (x - 0.012, y + 0.150), 0.066, 0.068, hair, label),
        ]
    if figure.stride * 10 % 1 < 0.5:
        return [neck, skull, Stroke((x, y + 0.085), (x, y + 0.140), 0.076, 0.080, hair, label)]
    face = Stroke((x, y + 0.060), (x, y + 0.105), 0.060, 0.066, skin, label)
    return [neck, Stroke((x, y + 0.110), (x, y + 0.145), 0.080, 0.080, hair, label), face]


def _walker(figure: Figure, label: int) -> Parts:
    """Seen from the front or from behind."""
    k, step = figure.height_m / 1.75, figure.stride
    legs, top, skin = figure.legs_rgb, figure.top_rgb, figure.skin_rgb
    raised, swing = 0.09 * step, 0.07 * step
    parts: Parts = [
        Stroke((0.10, 0.05 + raised), (0.11, 0.06 + raised), 0.055, 0.05, _SHOE, label),
        Stroke((0.10, 0.10 + raised), (0.095, 0.50), 0.055, 0.075, legs * 0.85, label),
        Stroke((0.095, 0.50), (0.085, 0.88), 0.078, 0.105, legs * 0.85, label),
        Stroke((-0.10, 0.04), (-0.115, 0.04), 0.055, 0.05, _SHOE, label),
        Stroke((-0.10, 0.09), (-0.095, 0.48), 0.056, 0.076, legs, label),
        Stroke((-0.095, 0.48), (-0.085, 0.88), 0.08, 0.108, legs, label),
        Stroke((0.24 - swing, 0.82), (0.235 - swing, 0.76), 0.040, 0.034, skin, label),
        Stroke((0.195, 1.37), (0.235, 1.09), 0.062, 0.056, top * 0.9, label),
        Stroke((0.235, 1.09), (0.235 - swing, 0.86), 0.054, 0.045, top * 0.9, label),
        Stroke((-0.24 + swing, 0.83), (-0.235 + swing, 0.77), 0.040, 0.034, skin, label),
        Stroke((-0.195, 1.37), (-0.235, 1.09), 0.062, 0.056, top, label),
        Stroke((-0.235, 1.09), (-0.235 + swing, 0.87), 0.054, 0.045, top, label),
        Stroke((-0.125, 1.375), (0.125, 1.375), 0.062, 0.062, top, label, 1.7),
        Stroke((0, 0.93), (0, 1.26), 0.160, 0.190, top, label, 1.7),
        *_head(figure, 0.0, 1.52, label, side=False),
    ]
    return _scaled(parts, k)


def _side_walker(figure: Figure, label: int) -> Parts:
    """Seen from the side, walking to the right."""
    k, step = figure.height_m / 1.75, 0.12 + 0.22 * figure.stride
    legs, top, skin = figure.legs_rgb, figure.top_rgb, figure.skin_rgb
    parts: Parts = [
        Stroke((-0.02, 1.34), (-0.06 - 0.5 * step, 1.08), 0.055, 0.05, top * 0.75, label),
        Stroke((-0.06 - 0.5 * step, 1.08), (-0.5 * step, 0.86), 0.048, 0.04, top * 0.75, label),
        Stroke((-step - 0.02, 0.07), (-step + 0.12, 0.05), 0.05, 0.04, _SHOE, label),
        Stroke((-step, 0.12), (-0.35 * step, 0.48), 0.05, 0.075, legs * 0.7, label),
        Stroke((-0.35 * step, 0.48), (0, 0.90), 0.078, 0.11, legs * 0.7, label),
        Stroke((step - 0.02, 0.045), (step + 0.14, 0.045), 0.045, 0.038, _SHOE, label),
        Stroke((step, 0.10), (0.65 * step, 0.50), 0.052, 0.076, legs, label),
        Stroke((0.65 * step, 0.50), (0, 0.90), 0.08, 0.115, legs, label),
        Stroke((0, 0.95), (0.005, 1.32), 0.118, 0.122, top, label, 1.6),
        *_head(figure, 0.02, 1.52, label, side=True),
        Stroke((0, 1.33), (0.02 + 0.35 * step, 1.08), 0.06, 0.052, top * 1.05, label),
        Stroke((0.02 + 0.35 * step, 1.08), (0.10 + 0.8 * step, 0.90), 0.05, 0.042, top * 1.05, label),
        Stroke((0.12 + 0.8 * step, 0.88), (0.13 + 0.8 * step, 0.86), 0.042, 0.04, skin, label),
    ]
    return _scaled(parts, k)


def _bicycle(figure: Figure, label: int) -> Parts:
    """A bicycle from the side, front to the right."""
    frame = figure.top_rgb * 0.8 if figure.kind == "bicycle" else _METAL
    parts: Parts = [RingStroke((wheel, 0.34), 0.34, 0.028, _RUBBER, label) for wheel in (-0.53, 0.53)]
    for wheel in (-0.53, 0.53):
        for turn in range(6):
            a = turn * np.pi / 6 + 0.2
            c, s = 0.30 * float(np.cos(a)), 0.30 * float(np.sin(a))
            parts.append(Stroke((wheel - c, 0.34 - s), (wheel + c, 0.34 + s), 0.004, 0.004, _METAL * 2, label))
    for start, end in (
        ((-0.53, 0.34), (-0.08, 0.30)),
        ((-0.53, 0.34), (-0.20, 0.82)),
        ((-0.08, 0.30), (-0.22, 0.92)),
        ((-0.08, 0.30), (0.36, 0.78)),
        ((-0.20, 0.82), (0.36, 0.84)),
        ((0.53, 0.34), (0.34, 0.98)),
    ):
        parts.append(Stroke(start, end, 0.018, 0.018, frame, label))
    parts += [
        Stroke((-0.34, 0.95), (-0.12, 0.96), 0.04, 0.022, _RUBBER, label),
        Stroke((0.34, 0.98), (0.46, 1.02), 0.016, 0.02, _RUBBER, label),
        RingStroke((-0.08, 0.30), 0.10, 0.02, _METAL, label),
    ]
    return parts


def _side_rider(figure: Figure, label: int) -> Parts:
    legs, top, skin = figure.legs_rgb, figure.top_rgb, figure.skin_rgb
    return [
        Stroke((-0.20, 1.02), (0.14, 0.72), 0.10, 0.075, legs * 0.75, label),
        Stroke((0.14, 0.72), (0.02, 0.36), 0.07, 0.05, legs * 0.75, label),
        Stroke((-0.20, 1.02), (-0.08, 1.42), 0.13, 0.12, top, label, 1.5),
        Stroke((-0.20, 1.00), (0.12, 0.62), 0.11, 0.08, legs, label),
        Stroke((0.12, 0.62), (-0.08, 0.24), 0.072, 0.05, legs, label),
        Stroke((-0.10, 0.20), (0.04, 0.20), 0.045, 0.04, _SHOE, label),
        *_head(figure, 0.0, 1.60, label, side=True),
        Stroke((-0.06, 1.44), (0.20, 1.20), 0.06, 0.05, top * 1.05, label),
        Stroke((0.20, 1.20), (0.42, 1.04), 0.048, 0.038, skin, label),
    ]


def _rider_from_behind(figure: Figure, vehicle: int, label: int) -> Parts:
    motor = figure.kind == "motorcyclist"
    legs, top = figure.legs_rgb, figure.top_rgb
    wide, tyre = (0.17, 0.075) if motor else (0.05, 0.028)
    parts: Parts = [
        Stroke((-0.33, 1.02), (0.33, 1.02), 0.018, 0.018, _RUBBER, vehicle),
        Stroke((0, 0.06), (0, 0.60), tyre, tyre, _RUBBER, vehicle),
        Stroke((0, 0.55), (0, 0.88), wide, wide * 0.8, _METAL if not motor else figure.top_rgb * 0.7, vehicle),
        Stroke((-0.03, 0.66), (0.03, 0.66), 0.035, 0.035, _RED, vehicle),
    ]
    if motor:
        parts += [
            Stroke((0.20, 0.40), (0.20, 0.48), 0.07, 0.07, _METAL * 2, vehicle),
            Stroke((-0.09, 0.52), (0.09, 0.52), 0.05, 0.05, _HELMET, vehicle),
        ]
    knee = 0.23 if motor else 0.17
    lift = 0.0 if motor else 0.16 * figure.stride
    parts += [
        Stroke((-knee * 0.9, 0.28 + lift), (-knee, 0.62 + lift), 0.05, 0.072, legs * 0.9, label),
        Stroke((-knee, 0.62 + lift), (-0.10, 0.95), 0.08, 0.11, legs * 0.9, label),
        Stroke((knee * 0.9, 0.30), (knee, 0.60), 0.05, 0.072, legs, label),
        Stroke((knee, 0.60), (0.10, 0.95), 0.08, 0.11, legs, label),
        Stroke((-knee * 0.9, 0.24 + lift), (-knee * 0.9, 0.27 + lift), 0.05, 0.05, _SHOE, label),
        Stroke((knee * 0.9, 0.26), (knee * 0.9, 0.29), 0.05, 0.05, _SHOE, label),
        Stroke((-0.09, 0.94), (0.09, 0.94), 0.12, 0.12, legs, label),
        Stroke((-0.22, 1.38), (-0.31, 1.18), 0.06, 0.05, top * 0.9, label),
        Stroke((-0.31, 1.18), (-0.31, 1.04), 0.048, 0.04, top * 0.9, label),
        Stroke((0.22, 1.38), (0.31, 1.18), 0.06, 0.05, top, label),
        Stroke((0.31, 1.18), (0.31, 1.04), 0.048, 0.04, top, label),
        Stroke((-0.12, 1.42), (0.12, 1.42), 0.065, 0.065, top, label, 1.7),
        Stroke((0, 1.02), (0, 1.30), 0.150, 0.190, top, label, 1.7),
        *_head(figure, 0.0, 1.56, label, side=False),
    ]
    if motor or figure.stride > 0.6:
        parts.append(Stroke((0, 1.665), (0, 1.69), 0.105, 0.100, _HELMET if not motor else top * 0.5, label))
    return parts


def _scaled(parts: Parts, k: float) -> Parts:
    scaled: Parts = []
    for part in parts:
        assert isinstance(part, Stroke)
        (ax, ay), (bx, by) = part.start, part.end
        scaled.append(
            Stroke(
                (ax * k, ay * k),
                (bx * k, by * k),
                part.start_w * k,
                part.end_w * k,
                part.rgb,
                part.label,
                part.squash,
            )
        )
    return scaled
