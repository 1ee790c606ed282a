"""Posts of a person's height on the ground, to judge by eye which sizes a camera gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from poc_aug.camera_model import Camera

HEIGHT_M = 1.7
DISTANCES_M = (5.0, 10.0, 20.0, 40.0, 80.0)
OFFSETS_M = (-6.0, -3.0, 0.0, 3.0, 6.0)


@dataclass(frozen=True, slots=True)
class Post:
    """An upright post, in pixels of the frame (it may lie outside).

    Attributes:
        distance_m: its distance ahead of the camera.
        offset_m: its distance to the right of the camera.
        col: its column.
        foot_row: row of its foot.
        top_row: row of its top.
    """

    distance_m: float
    offset_m: float
    col: float
    foot_row: float
    top_row: float


def posts(camera: Camera) -> Iterator[Post]:
    """The grid of posts, far to near: `HEIGHT_M` high at all `DISTANCES_M` and `OFFSETS_M`.

    Example:
        >>> grid = list(posts(Camera(horizon_row=200.0, camera_height_m=1.7, focal_px=1000.0, centre_col=512.0)))
        >>> len(grid), grid[0].distance_m, grid[0].top_row  # as high as the camera, so the top is at the horizon
        (25, 80.0, 200.0)
    """
    for distance_m in sorted(DISTANCES_M, reverse=True):
        for offset_m in OFFSETS_M:
            yield Post(
                distance_m,
                offset_m,
                camera.centre_col + camera.focal_px * offset_m / distance_m,
                camera.row_of(distance_m),
                camera.row_of(distance_m, HEIGHT_M),
            )
