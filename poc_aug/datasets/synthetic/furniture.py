"""Street furniture: lamp posts, traffic signs, traffic lights; and garden walls and fences."""

from __future__ import annotations

import numpy as np

from poc_aug.datasets.synthetic.filters import lerp_rgb, pulse, srgb, stripes, tint
from poc_aug.datasets.synthetic.street_camera import F32, NEAR_M, Canvas, Layer, Rect, StreetCamera
from poc_aug.datasets.synthetic.street_light import StreetLight
from poc_aug.datasets.synthetic.street_scene import KERB_HEIGHT_M, StreetPost, StreetScene
from poc_aug.datasets.synthetic.strokes import Sprite, Stroke, draw_strokes
from poc_aug.noise import fbm_2d

_STEEL = srgb("6f7471")
_DARK_STEEL = srgb("3b403f")
_BLACK = srgb("121314")
_RED = srgb("b3161b")
_BLUE = srgb("1c4fa0")
_WHITE = srgb("e9e9e4")
_SIGNALS = (srgb("ff3018"), srgb("ffb020"), srgb("30ff9a"))
_LAMP = srgb("ffd9a0")


def draw_post(canvas: Canvas, camera: StreetCamera, post: StreetPost, light: StreetLight, ids: dict[str, int]) -> None:
    """Draw a post and what hangs on it, facing the camera."""
    if post.z < 2:
        return
    top = {"lamp": 8.2, "signal": 3.7}.get(post.kind, 2.9)
    reach = 2.4 if post.kind == "lamp" else 0.6
    rect = camera.rect((post.x + a, y, post.z) for a in (-reach, reach) for y in (0.0, top + 0.2))
    if rect.empty:
        return
    right, down = camera.rays(rect)
    x = right[0] * np.float32(post.z) - np.float32(post.x)
    y = np.float32(camera.pinhole.camera_height_m - post.base_m) - down[:, 0] * np.float32(post.z)
    pole, sign, signal = ids["pole"], ids["traffic sign"], ids["traffic light"]
    steel = _DARK_STEEL if post.kind == "lamp" else _STEEL
    lit = float(light.sunlit(post.x, 2.5, post.z))
    strokes: list[Stroke] = []
    if post.kind == "lamp":
        arm = -post.side * 1.7
        strokes += [
            Stroke((0, 0.0), (0, 1.1), 0.10, 0.09, steel, pole),
            Stroke((0, 1.1), (0, 7.6), 0.065, 0.045, steel, pole),
            Stroke((0, 7.55), (arm, 8.0), 0.045, 0.035, steel, pole),
            Stroke((arm, 8.0), (arm * 1.32, 8.02), 0.085, 0.06, steel * 1.3, pole),
        ]
    else:
        strokes.append(Stroke((0, 0.0), (0, top), 0.055, 0.055, steel, pole))
    sprite = Sprite.over(x, y, post.z / camera.pinhole.focal_px, pole)
    draw_strokes(sprite, strokes, light, lit)
    if post.kind == "signal":
        _signal(post, sprite, signal)
    elif post.kind != "lamp":
        _sign(post, sprite, sign, light)
    elif light.sky.lamps_on:
        arm = -post.side * 1.7 * 1.16
        glow = np.exp(-(((x[None] - arm) / 0.28) ** 2 + ((y[:, None] - 7.95) / 0.10) ** 2)).astype(np.float32)
        sprite.rgb += (glow * sprite.alpha * 6)[..., None] * _LAMP
    canvas.over(Layer(rect, light.haze(sprite.rgb, post.z, sprite.alpha), sprite.alpha, sprite.labels))


def _signal(post: StreetPost, sprite: Sprite, label: int) -> None:
    window = sprite.window(-0.17, 0.17, 2.78, 3.72)
    if window is None:
        return
    px, py, pixel = sprite.x[window[1]][None], sprite.y[window[0]][:, None], sprite.pixel
    sprite.put(window, _BLACK, pulse(px, -0.165, 0.165, pixel) * pulse(py, 2.78, 3.72, pixel), label)
    for number, centre in enumerate((3.55, 3.25, 2.95)):
        r = np.sqrt(px * px + (py - np.float32(centre)) ** 2)
        on = number == post.state
        sprite.put(window, _SIGNALS[number] * (2.6 if on else 0.05), pulse(r, -1, 0.105, pixel), label)
        if on:
            glow = np.exp(-((r / np.float32(0.13)) ** 2)) * np.float32(0.5) * sprite.alpha[window]
            sprite.rgb[window] += glow[..., None] * _SIGNALS[number]


def _sign(post: StreetPost, sprite: Sprite, label: int, light: StreetLight) -> None:
    window = sprite.window(-0.42, 0.42, 2.15, 3.0)
    if window is None:
        return
    px, py, pixel = sprite.x[window[1]][None], sprite.y[window[0]][:, None] - np.float32(2.55), sprite.pixel
    level = light.sky.ambient_rgb * np.float32(0.75) + light.sky.sun_rgb * np.float32(0.22)

    def put(rgb: F32, cover: F32) -> None:
        sprite.put(window, rgb * level, cover, label)

    if post.kind == "warning":
        # Distance to the nearest edge of a triangle with its point up.
        slant = np.float32(0.22) - np.float32(0.5) * py - np.float32(0.866) * np.abs(px)
        edge = np.minimum(np.float32(0.22) + py, slant)
        put(_RED, pulse(edge, 0, 9, pixel))
        put(_WHITE, pulse(edge, 0.065, 9, pixel))
        bar = pulse(py, -0.02, 0.14, pixel) + pulse(py, -0.11, -0.06, pixel)
        put(_BLACK, pulse(px, -0.025, 0.025, pixel) * bar)
    elif post.kind == "round":
        r = np.sqrt(px * px + py * py)
        put(_RED, pulse(r, -1, 0.30, pixel))
        if post.state % 2:
            put(_WHITE, pulse(r, -1, 0.225, pixel))
            # "30": two digits as strokes.
            three = pulse(px, -0.125, -0.03, pixel) * _rungs(py, pixel) + pulse(px, -0.06, -0.025, pixel) * pulse(
                py, -0.1, 0.1, pixel
            )
            zero = pulse(px, 0.025, 0.125, pixel) * pulse(py, -0.1, 0.1, pixel)
            zero = zero - pulse(px, 0.06, 0.09, pixel) * pulse(py, -0.065, 0.065, pixel)
            put(_BLACK, np.clip(three + zero, 0, 1))
        else:
            put(_WHITE, pulse(py, -0.055, 0.055, pixel) * pulse(px, -0.21, 0.21, pixel))
    else:
        put(_WHITE, pulse(px, -0.29, 0.29, pixel) * pulse(py, -0.29, 0.29, pixel))
        put(_BLUE, pulse(px, -0.265, 0.265, pixel) * pulse(py, -0.265, 0.265, pixel))
        stem = pulse(px, -0.12, -0.05, pixel) * pulse(py, -0.18, 0.18, pixel)
        bowl = np.sqrt(px * px + (py - np.float32(0.075)) ** 2)
        put(_WHITE, np.maximum(stem, pulse(bowl, 0.045, 0.115, pixel) * pulse(px, -0.09, 9, pixel)))


def _rungs(y: F32, pixel: float) -> F32:
    return pulse(y, 0.065, 0.1, pixel) + pulse(y, -0.017, 0.017, pixel) + pulse(y, -0.1, -0.065, pixel)


def draw_boundary(
    canvas: Canvas, camera: StreetCamera, scene: StreetScene, number: int, light: StreetLight, ids: dict[str, int]
) -> None:
    """A fence or a wall along the left (0) or right (1) building line, where no houses stand."""
    kind = scene.street.boundary[number]
    if kind == "houses":
        return
    pinhole, side, front = camera.pinhole, -1 if number == 0 else 1, scene.street.front_m[number]
    height, near, far = (1.15 if kind == "fence" else 1.9), 2 * NEAR_M, 170.0
    base = KERB_HEIGHT_M
    rect: Rect = camera.rect((side * front, y, z) for y in (base, base + height) for z in (near, far))
    if rect.empty:
        return
    right, down = camera.rays(rect)
    facing = right * side
    z = (front / np.maximum(facing, np.float32(1e-4))).astype(np.float32)
    y = np.float32(pinhole.camera_height_m - base) - down * z
    fy, fz = z / np.float32(pinhole.focal_px), z * z / np.float32(pinhole.focal_px * front)
    within = ((z > near) & (z < far)).astype(np.float32)
    lit = light.sunlit(np.float32(side * (front - 0.05)), y, z)
    normal = np.array([-side, 0, 0], np.float32)
    if kind == "fence":
        bars = stripes(z / np.float32(0.14), 0, 0.22, fz / np.float32(0.14)) * pulse(y, 0.08, height - 0.03, fy)
        posts = stripes(z / np.float32(2.4), 0, 0.03, fz / np.float32(2.4)) * pulse(y, 0, height + 0.05, fy)
        rails = pulse(y, height - 0.14, height - 0.09, fy) + pulse(y, 0.12, 0.17, fy)
        cover = np.maximum(np.maximum(bars, posts), np.minimum(rails, 1)) * within
        albedo = np.broadcast_to(_DARK_STEEL * np.float32(0.7), (*y.shape, 3))
        label = ids["fence"]
    else:
        cover = pulse(y, 0, height, fy) * within
        stain = fbm_2d(y * np.float32(0.8), z * np.float32(0.5), scene.street.seed + 60, 4)
        course = np.maximum(
            stripes(y / np.float32(0.30), 0, 0.06, fy / np.float32(0.30)),
            stripes(
                z / np.float32(0.62) + 0.5 * np.mod(np.floor(y / np.float32(0.30)), 2), 0, 0.03, fz / np.float32(0.62)
            ),
        )
        albedo = tint(np.float32(0.65) + np.float32(0.6) * stain, srgb("9b8f7c"))
        albedo = tint(1 - np.float32(0.35) * course, albedo)
        albedo = lerp_rgb(albedo, srgb("8b867c"), pulse(y, height - 0.14, height, fy))
        label = ids["wall"]
    rgb = light.haze(light.shade(albedo, normal, lit, np.float32(0.75)), np.broadcast_to(z, y.shape))
    if kind == "fence":
        # Labels follow the fence's area, as annotators outline it, not its single bars.
        canvas.over(Layer(rect, tint(np.asarray(cover, np.float32), rgb), np.asarray(cover, np.float32), label))
        area = pulse(y, 0, height, fy) * within
        canvas.labels[rect.window][area >= 0.5] = label
    else:
        canvas.over(Layer(rect, tint(np.asarray(cover, np.float32), rgb), np.asarray(cover, np.float32), label))
