"""Light under clouds, and the veil of what hangs in the air."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

from poc_aug.errors import SettingError
from poc_aug.scenes.weather.geometry import SceneGeometry
from poc_aug.scenes.weather.surface_kinds import SurfaceKind

Strength = TypeVar("Strength")
LUMA = (0.299, 0.587, 0.114)
# Under clouds the sky is so many times as bright as asphalt.
_SKY_OVER_GROUND = 8.0


def strength_of(severity: int, strengths: Sequence[Strength], domain: str) -> Strength:
    """What a severity of 1 to 5 stands for.

    Example:
        >>> strength_of(2, (0.1, 0.2, 0.3, 0.4, 0.5), "rain")
        0.2
        >>> strength_of(6, (0.1, 0.2, 0.3, 0.4, 0.5), "rain")
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: severity=6 of rain
        Expected: an integer from 1 to 5
    """
    if isinstance(severity, bool) or severity not in range(1, len(strengths) + 1):
        raise SettingError(f"severity={severity!r} of {domain}", expected=f"an integer from 1 to {len(strengths)}")
    return strengths[severity - 1]


def under_clouds(
    image: torch.Tensor, *, contrast: float, colour: float, tint: tuple[float, float, float]
) -> torch.Tensor:
    """A frame in the even, cool light under clouds, as linear light: float32 ``[3, H, W]``, about 0 to 1.

    Linear light is the square of the stored value: close to sRGB's curve, and far cheaper.

    Args:
        image: uint8 ``[3, H, W]``.
        contrast: 1 keeps the contrast; less draws shadows and lights towards the mean.
        colour: 1 keeps the colours; 0 leaves grey.
        tint: factors of red, green and blue.

    Example:
        >>> image = torch.tensor([200, 100, 50], dtype=torch.uint8)[:, None, None]
        >>> under_clouds(image, contrast=1.0, colour=0.0, tint=(1.0, 1.0, 1.0))[:, 0, 0]
        tensor([0.2372, 0.2372, 0.2372])
    """
    device = image.device
    luma = torch.tensor(LUMA, device=device)
    tints = torch.tensor(tint, device=device)
    mean = (image[:, ::8, ::8].float().mean(dim=(1, 2)) @ luma) / 255
    mix = torch.eye(3, device=device) * colour + luma[None] * (1 - colour)
    matrix = tints[:, None] * mix * (contrast / 255)
    bias = tints[:, None] * mean * (1 - contrast)
    light = torch.addmm(bias.expand(3, image[0].numel()), matrix, image.reshape(3, -1).float())
    return light.square_().reshape(image.shape)


def airlight_of(light: torch.Tensor, geometry: SceneGeometry, tint: tuple[float, float, float]) -> torch.Tensor:
    """The colour of lit air, of the sky as clouds show it: float32 ``[3]``, linear; nearly grey.

    It is as bright as the sky, or, with none in sight, brighter than the ground under it and than most of what is seen.
    """
    coarse = light[:, ::4, ::4].reshape(3, -1)
    means = coarse.mean(dim=1)
    cast = (means / means.mean().clamp(min=1e-4)).clamp(0.8, 1.25).sqrt()  # half of the camera's colour cast
    luma = torch.tensor(LUMA, device=light.device) @ coarse
    kinds = geometry.kinds[::4, ::4].reshape(-1)
    sky, ground = kinds == int(SurfaceKind.SKY), kinds == int(SurfaceKind.GROUND)
    if int(sky.sum()) >= max(luma.numel() // 300, 1):
        level = luma[sky].mean()
    else:
        level = torch.quantile(luma[:: max(luma.numel() // 4096, 1)], 0.97)
        if bool(ground.any()):
            level = torch.maximum(level, luma[ground].median() * _SKY_OVER_GROUND)
    return level.clamp(0.1, 0.72) * cast * torch.tensor(tint, device=light.device)


def veil(
    light: torch.Tensor, geometry: SceneGeometry, airlight: torch.Tensor, *, visibility_m: float, sky: float
) -> torch.Tensor:
    """A frame through air that scatters: I = J t + A (1 - t), t = exp(-3 d / visibility). Changes ``light`` itself.

    Args:
        light: float32 ``[3, H, W]``, linear.
        geometry: gives the depth.
        airlight: float32 ``[3]``.
        visibility_m: the distance at which 5% of the contrast is left.
        sky: how much of the sky's own look is left; the clouds are in front of it.
    """
    through = torch.exp(geometry.depth_m.clamp(max=4 * visibility_m) * (-3 / visibility_m))
    through = torch.where(geometry.kinds == int(SurfaceKind.SKY), sky, through)
    through = torch.where(geometry.kinds == int(SurfaceKind.EGO), 1.0, through)
    for channel in range(3):
        light[channel].sub_(airlight[channel]).mul_(through).add_(airlight[channel])
    return light


def cover_with(light: torch.Tensor, cover: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """A colour over a frame, as far as ``cover`` says (0 to 1). Changes ``light`` itself."""
    for channel in range(3):
        light[channel].add_((colour[channel] - light[channel]).mul_(cover))
    return light


def to_pixels(light: torch.Tensor) -> torch.Tensor:
    """Linear light as a picture: uint8 ``[3, H, W]``. Changes ``light`` itself.

    Example:
        >>> to_pixels(torch.tensor([0.0, 0.25, 2.0])[:, None, None])[:, 0, 0]
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return light.clamp_(0, 1).sqrt_().mul_(255).round_().to(torch.uint8)
