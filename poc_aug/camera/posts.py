"""Posts of a person's height on the ground: what a camera says about sizes, to be judged by eye."""

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
        distance_m: how far ahead it stands.
        offset_m: how far to the right of the camera.
        col: its column.
        foot_row: row of its foot.
        top_row: row of its top.
    """

    distance_m: float
    offset_m: float
    col: float
    foot_row: float
    top_row: float


def posts(view: Camera) -> Iterator[Post]:
    """The grid of posts, far to near: `HEIGHT_M` high at all `DISTANCES_M` and `OFFSETS_M`."""
    for distance_m in sorted(DISTANCES_M, reverse=True):
        for offset_m in OFFSETS_M:
            yield Post(
                distance_m,
                offset_m,
                view.centre_col + view.focal_px * offset_m / distance_m,
                view.row_of(distance_m),
                view.row_of(distance_m, HEIGHT_M),
            )
