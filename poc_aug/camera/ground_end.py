"""Where the visible ground ends: the last resort for the horizon, without any other evidence."""

from __future__ import annotations

import torch

# Assumed distance of the farthest ground that a street frame shows before cars and bends hide it. Chosen by eye from
# the horizons that it gives on eight frames of Cityscapes, CamVid and KITTI, not calibrated.
_FARTHEST_GROUND_M = 60.0
# Ground above this share of all ground pixels is taken for specks and labelling errors.
_SPECKS = 0.002
# Cars and vans right ahead hide the far ground: an estimate below this row (fraction of the height) says so.
_LOWEST_HORIZON = 0.55


def top_of_ground(ground: torch.Tensor) -> int | None:
    """The row where the ground begins, without specks; ``None`` if there is no ground.

    Args:
        ground: bool ``[H, W]``.
    """
    rows = ground.sum(dim=1).cumsum(0)
    total = int(rows[-1])
    if total == 0:
        return None
    return int(torch.searchsorted(rows, _SPECKS * total, right=True))


def ground_end(top: int, frame_height: int, focal_px: float, camera_height_m: float) -> float:
    """Estimate the horizon's row from where the ground ends: the farthest ground in sight is assumed to be 60 m away.

    Fitting a line to the ground's width by row instead fails on real frames: parked cars and junctions cut the edges,
    and on Cityscapes frames most fits lay above the picture.

    Args:
        top: `top_of_ground`.
        frame_height: rows of the frame.
        focal_px: focal length in pixels.
        camera_height_m: height of the camera over the ground.
    """
    return min(top - focal_px * camera_height_m / _FARTHEST_GROUND_M, _LOWEST_HORIZON * frame_height)
