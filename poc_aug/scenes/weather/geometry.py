"""`SceneGeometry`: depth and kind of every pixel, from labels and camera alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.weather.surface_kinds import SurfaceKind, surface_kinds


@dataclass(frozen=True, slots=True)
class SceneGeometry:
    """What weather needs to know of a frame.

    Attributes:
        kinds: uint8 ``[H, W]``, values of `SurfaceKind`.
        depth_m: float32 ``[H, W]``, metres along the optical axis, infinite on the sky.
        foot_row: float32 ``[H, W]``, the row at which what a pixel shows meets the ground: its own row on the ground;
            infinite on the sky.
        camera: the frame's camera.
    """

    kinds: torch.Tensor
    depth_m: torch.Tensor
    foot_row: torch.Tensor
    camera: Camera

    def of_kind(self, *kinds: SurfaceKind) -> torch.Tensor:
        """The pixels of some kinds: bool ``[H, W]``."""
        mask = torch.zeros_like(self.kinds, dtype=torch.bool)
        for kind in kinds:
            mask |= self.kinds == int(kind)
        return mask


def scene_geometry(
    labels: torch.Tensor, schema: LabelSchema, camera: Camera, *, depth_m: torch.Tensor | None = None
) -> SceneGeometry:
    """Depth and kind of every pixel.

    Args:
        labels: integer ``[H, W]``.
        schema: names their classes.
        camera: the frame's camera.
        depth_m: float32 ``[H, W]``, a known depth in metres, which takes the place of the estimate.
    """
    kinds = surface_kinds(labels, schema)
    height, width = labels.shape
    rows = torch.arange(height, dtype=torch.float32, device=labels.device)[:, None].expand(height, width)
    level = (kinds == int(SurfaceKind.GROUND)) | (kinds == int(SurfaceKind.TERRAIN))
    # In each column, the foot of what stands is the lowest row of its run.
    change = torch.ones_like(level)
    change[:-1] = kinds[:-1] != kinds[1:]
    ends = torch.where(change, rows, torch.inf)
    foot_row = ends.flip(0).cummin(0).values.flip(0)
    foot_row = torch.where(level, rows, foot_row)
    foot_row[kinds == int(SurfaceKind.SKY)] = torch.inf
    if depth_m is None:
        below = (foot_row - camera.horizon_row).clamp(min=1.0)
        depth_m = camera.focal_px * camera.camera_height_m / below
        depth_m = torch.where(kinds == int(SurfaceKind.SKY), torch.inf, depth_m)
    return SceneGeometry(kinds, depth_m, foot_row, camera)
