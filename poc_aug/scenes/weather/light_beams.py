"""The headlights of the camera's own car: two low beams on the near road, by the camera model."""

from __future__ import annotations

import torch

from poc_aug.camera_model import Camera

_LAMP_HEIGHT_M = 0.62
_HALF_TRACK_M = 0.62
_CUT_OFF_RAD = -0.012
"""Low beams end just below the horizontal."""
_REFERENCE_M = 8.0


def headlight_beams(depth_m: torch.Tensor, level: torch.Tensor, camera: Camera, *, step: int) -> torch.Tensor:
    """Light of two low beams on what stands before the car: float32 ``[h, w]``, about 1 on the road 8 m ahead.

    Args:
        depth_m: float32 ``[h, w]`` at ``1 / step`` of the frame's size; infinite where no light comes back.
        level: float32, 1 on level surfaces, which the light grazes, 0 on upright ones.
        camera: the frame's camera.
        step: pixels of the frame per pixel of ``depth_m``.

    Example:
        >>> camera = Camera(horizon_row=0.0, camera_height_m=1.2, focal_px=100.0, centre_col=0.0)
        >>> depth = torch.tensor([[8.0], [30.0], [float("inf")]])
        >>> light = headlight_beams(depth, torch.ones(3, 1), camera, step=1)
        >>> bool(light[0] > light[1]), float(light[2])
        (True, 0.0)
    """
    height, width = depth_m.shape
    device = depth_m.device
    rows = torch.arange(height, device=device, dtype=torch.float32)[:, None] * step + (step - 1) / 2
    cols = torch.arange(width, device=device, dtype=torch.float32)[None] * step + (step - 1) / 2
    near = depth_m.clamp(min=2.0).reciprocal_()
    lamp_height = min(_LAMP_HEIGHT_M, 0.7 * camera.camera_height_m)
    vertical = near * (camera.camera_height_m - lamp_height)
    vertical -= (rows - camera.horizon_row) / camera.focal_px
    below = ((_CUT_OFF_RAD - vertical) / 0.016 + 0.5).clamp_(0, 1)
    # Most light goes just below the cut-off, far down the road; the foreground gets less.
    strength = vertical.sub_(-0.03).div_(0.055).square_().neg_().exp_().mul_(0.72).add_(0.28)
    strength.mul_(below.mul_(0.965).add_(0.035))
    ahead = (cols - camera.centre_col) / camera.focal_px
    across = torch.zeros_like(near)
    for side in (-_HALF_TRACK_M, _HALF_TRACK_M):
        aside = (ahead - near * side - 0.03).square_()  # a little to the kerb
        across += torch.exp(aside * (-1 / (2 * 0.11**2))) * 0.36
        across += torch.exp(aside * (-1 / (2 * 0.25**2))) * 0.20
    strength *= across
    near *= _REFERENCE_M
    falling = near * near.sqrt()
    # Upright surfaces face the beam; the road sends most of it on, ahead.
    return strength.mul_(falling).mul_((near - 1.6).mul_(level).add_(1.6))
