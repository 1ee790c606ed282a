"""Light on the object and on the ground around it: one soft sun, the sky, and light reflected by the ground.

Radiance is relative: a white, level, unoccluded surface has 1. The sun is a wide patch of bright cloud rather than a
disc, because most road datasets were recorded under an overcast sky, and a hard shadow that disagrees with the scene
would reveal the insertion at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poc_aug.backends.rendered.materials import smoothstep
from poc_aug.backends.rendered.model import Model, Surface
from poc_aug.backends.rendered.raycast import Bounds, normals, soft_visibility, unit_vectors
from poc_aug.noise import FloatArray

_GROUND_ALBEDO = 0.13
_SKY_RGB = np.array([0.95, 1.0, 1.07], dtype=np.float32)
_SUN_RGB = np.array([1.06, 1.0, 0.92], dtype=np.float32)
# Directions (elevation, azimuth in degrees, weight) that stand for the sky over the ground. Weights: cosine law.
_SKY_CONES = ((75, 20, 0.28), *((32, azimuth, 0.12) for azimuth in (0, 60, 120, 180, 240, 300)))


@dataclass(frozen=True)
class SceneLight:
    """The light of one insertion.

    Attributes:
        azimuth_deg: of the sun in the camera's frame: 0 ahead, 90 to the right, 180 behind the camera.
        elevation_deg: of the sun.
        sun: fraction of the ground's light that comes from it; the rest comes from the sky.
        width: half width of the sun at distance 1, which is the penumbra's slope.
    """

    azimuth_deg: float
    elevation_deg: float
    sun: float
    width: float

    def direction(self) -> FloatArray:
        """Towards the sun, in the camera's axes: float32 ``[3]``."""
        azimuth, elevation = np.deg2rad(self.azimuth_deg), np.deg2rad(self.elevation_deg)
        return np.array(
            [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)],
            dtype=np.float32,
        )

    def facts(self) -> dict[str, float]:
        """JSON values for the provenance."""
        return {
            "azimuth_deg": round(self.azimuth_deg, 1),
            "elevation_deg": round(self.elevation_deg, 1),
            "sun": round(self.sun, 3),
            "width": round(self.width, 3),
        }


def relief_normals(model: Model, part: int, p: FloatArray, n: FloatArray, texel: float) -> FloatArray:
    """Normals ``[3, N]`` tilted by the part's small relief (Blinn, "Wrinkled Surfaces", SIGGRAPH 1978)."""
    model_part = model.parts[part]
    local = model_part.local(p)
    base = model_part.material.bump(local, texel)
    if base is None:
        return n
    step = np.float32(max(texel, 0.0015))
    slope = np.empty_like(p)
    for axis in range(3):
        ahead = local.copy()
        ahead[axis] += step
        raised = model_part.material.bump(ahead, texel)
        slope[axis] = (raised - base) / step if raised is not None else 0
    if model_part.rotation is not None:
        slope = model_part.rotation @ slope
    slope -= n * (slope * n).sum(axis=0)
    steep = np.sqrt((slope * slope).sum(axis=0))
    return unit_vectors(n - slope * np.minimum(1, 0.8 / np.maximum(steep, 1e-6)))


def ambient_occlusion(model: Model, p: FloatArray, n: FloatArray, reach: float) -> FloatArray:
    """Fraction of the surroundings that is visible from points ``[3, N]`` past the model and the ground: ``[N]``."""
    openness = np.zeros(p.shape[1], dtype=np.float32)
    total = 0.0
    for share, weight in ((0.08, 0.22), (0.22, 0.26), (0.5, 0.28), (1.0, 0.24)):
        h = np.float32(reach * share)
        q = p + n * h
        clear = np.minimum(model.distance(q), np.maximum(q[1], 0) * np.float32(1.1))
        openness += np.float32(weight) * np.clip(clear / h, 0, 1)
        total += weight
    return np.asarray(openness / np.float32(total), dtype=np.float32)


def reflected_light(
    surface: Surface,
    n: FloatArray,
    ray: FloatArray,
    light: SceneLight,
    to_sun: FloatArray,
    sun_visibility: FloatArray,
    sky_visibility: FloatArray,
) -> FloatArray:
    """Relative linear radiance of surface points.

    Diffuse light after Lambert under a hemisphere (sky above, ground below); reflection with the Fresnel term of
    Schlick (1994) and the distribution of Trowbridge and Reitz (GGX), the surroundings blurred by roughness.

    Args:
        surface: what is lit, ``N`` points.
        n: normals ``[3, N]``.
        ray: unit directions from the eye, ``[3, N]``.
        light: the light.
        to_sun: its direction in the object's frame, ``[3]``.
        sun_visibility: fraction of the sun that is visible, ``[N]``.
        sky_visibility: fraction of the surroundings that is visible, ``[N]``.

    Returns:
        float32 ``[3, N]``.
    """
    sky, sun = 1 - light.sun, light.sun / max(float(to_sun[1]), 0.2)
    up = n[1]
    facing = np.clip(to_sun @ n, 0, 1)
    above = (0.5 + 0.5 * up) ** 1.2 * sky
    below = (0.5 - 0.5 * up) * np.float32(_GROUND_ALBEDO) * (0.35 + 0.65 * sky_visibility)
    ambient = _SKY_RGB[:, None] * above * sky_visibility + below * (0.3 + 0.7 * sky_visibility)
    direct = _SUN_RGB[:, None] * (np.float32(sun) * facing * sun_visibility)
    diffuse = surface.albedo * (1 - surface.metal) * (ambient + direct)

    cos = np.clip(-(ray * n).sum(axis=0), 0.02, 1)
    f0 = surface.specular * (1 - surface.metal) + surface.albedo * surface.metal
    rough = np.clip(surface.roughness, 0.08, 1)
    fresnel = f0 + np.maximum(1 - rough - f0, 0) * (1 - cos) ** 5
    mirror = ray + 2 * cos * n
    # A street's surroundings: bright sky above, dim houses at the horizon, asphalt below.
    spread = 0.12 + 0.8 * rough
    sky_part = smoothstep(-0.25, 1.0, (mirror[1] - 0.12) / spread)
    around = 0.17 + (np.float32(sky) * 1.05 + 0.12 - 0.17) * sky_part
    half = unit_vectors(to_sun[:, None] - ray)
    nh = np.clip((n * half).sum(axis=0), 0, 1)
    # The sun's width counts as additional roughness.
    alpha2 = np.clip(rough * rough + light.width * 0.35, 0.01, 1) ** 2
    lobe = alpha2 / (4 * (nh * nh * (alpha2 - 1) + 1) ** 2)
    shine = np.float32(sun) * facing * sun_visibility * np.minimum(lobe, 6)
    occlusion = np.clip(sky_visibility * 1.1 - 0.05, 0, 1)
    reflected = fresnel * (_SKY_RGB[:, None] * (around * occlusion) + _SUN_RGB[:, None] * shine)
    return np.asarray(diffuse + reflected, dtype=np.float32)


def ground_irradiance(model: Model, p: FloatArray, light: SceneLight, to_sun: FloatArray, bounds: Bounds) -> FloatArray:
    """Fraction of the light of open ground that reaches ground points ``[3, N]`` around the model: ``[N]``."""
    sky = np.zeros(p.shape[1], dtype=np.float32)
    for elevation, azimuth, weight in _SKY_CONES:
        e, a = np.deg2rad(elevation), np.deg2rad(azimuth)
        towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], dtype=np.float32)
        sky += np.float32(weight) * soft_visibility(model, p, towards, bounds, 0.55, steps=9)
    direct = soft_visibility(model, p, to_sun, bounds, light.width, steps=16)
    open_light = (1 - light.sun) * sky + light.sun * direct
    # The few cones miss the crevice where object and ground meet.
    size = float((bounds[1] - bounds[0]).max())
    near = np.exp(-np.maximum(model.distance(p), 0) / np.float32(np.clip(0.06 * size, 0.010, 0.045)))
    return np.asarray(open_light * (1 - 0.6 * near), dtype=np.float32)


def surface_normals(model: Model, p: FloatArray, texel: float) -> FloatArray:
    """Geometric normals, sampled at about the size of a pixel so that no edge is finer than the picture."""
    return normals(model, p, float(np.clip(0.4 * texel, 4e-4, 0.01)))
