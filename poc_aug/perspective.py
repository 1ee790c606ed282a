"""The frame's camera: from the recipe, with the horizon given or estimated from the labels."""

from __future__ import annotations

import torch

from poc_aug.recipe import CameraSpec
from poc_aug.schema import LabelSchema
from poc_aug.types import Perspective

# An assumption: how far away the farthest ground is that a street frame shows before cars and bends hide it. Chosen
# by looking at the horizons that it gives on eight frames of Cityscapes, CamVid and KITTI, not calibrated.
_FARTHEST_GROUND_M = 60.0
# Ground above this share of all ground pixels is taken for specks and labelling errors.
_SPECKS = 0.002
# Cars and vans right ahead hide the far ground: an estimate below this row (fraction of the height) says so.
_LOWEST_HORIZON = 0.55


def camera_of(spec: CameraSpec, labels: torch.Tensor, schema: LabelSchema | None = None) -> Perspective | None:
    """The camera of one frame.

    Args:
        spec: the recipe's camera. Its horizon is used where it is given.
        labels: integer ``[H, W]``.
        schema: names the ground classes, where the horizon has to be estimated.

    Returns:
        The camera, or ``None`` where the horizon is neither given nor can be estimated (no ground in sight, or a
        schema without ground classes).
    """
    height, width = labels.shape
    focal_px = spec.focal * width
    if spec.horizon is not None:
        horizon_row: float | None = spec.horizon * height
    elif schema is None or not schema.ground:
        horizon_row = None
    else:
        far_px = focal_px * spec.height_m / _FARTHEST_GROUND_M
        # Every 4th column is enough to find a row.
        columns = labels[:, :: 4 if width >= 512 else 1]
        horizon_row = estimate_horizon(schema.mask(columns, schema.ground), far_px)
    if horizon_row is None:
        return None
    return Perspective(horizon_row, spec.height_m, focal_px, (width - 1) / 2)


def estimate_horizon(ground: torch.Tensor, far_px: float) -> float | None:
    """Estimate the horizon's row from where the ground ends.

    The top of the visible ground lies ``far_px`` below the horizon. Fitting a line to the ground's width by row
    instead fails on real frames: parked cars and junctions cut the edges, and on the Cityscapes frames at hand most
    fits lay above the picture. There was no true horizon to measure either against.

    Args:
        ground: bool ``[H, W]``.
        far_px: distance in pixels from the horizon to the farthest ground in sight.

    Returns:
        The row, or ``None`` where there is no ground.
    """
    rows = ground.sum(dim=1).cumsum(0)
    total = int(rows[-1])
    if total == 0:
        return None
    top = int(torch.searchsorted(rows, _SPECKS * total, right=True))
    return float(min(top - far_px, _LOWEST_HORIZON * ground.shape[0]))
