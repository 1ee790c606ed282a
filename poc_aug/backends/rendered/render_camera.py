"""The scene's pinhole camera in the coordinate frame of the object to draw.

The frame has its origin on the ground under the object, ``y`` up, ``z`` horizontally away from the camera and ``x``
to the right. Its yaw follows the line of sight, so that an object shows the same side wherever it stands, and its
width in metres does not depend on its position (as `Extent` promises to region search).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from poc_aug.camera_model import Camera
from poc_aug.noise import FloatArray
from poc_aug.types import Box, Extent

_NEAREST_M = 0.3
# Objects off the axis are shrunk by at most this factor per step, in at most three steps.
_LEAST_SHRINK = 0.88


@dataclass(frozen=True)
class ObjectPose:
    """A camera and the object's position in front of it.

    Attributes:
        camera: the camera in crop coordinates, its height in the object's metres.
        centre_xz: the object's origin on the ground: right of the optical axis, and ahead.
        turn: how far the object's frame follows the line of sight: 1 fully, 0 keeps the camera's axes.
    """

    camera: Camera
    centre_xz: tuple[float, float]
    turn: float = 1.0

    @property
    def distance_m(self) -> float:
        """Ground distance from below the camera to the object's origin."""
        return float(np.hypot(*self.centre_xz))

    @property
    def eye(self) -> FloatArray:
        """The camera in the object's frame: float32 ``[3]``."""
        right, ahead = self.centre_xz
        foot = np.array([-right, self.camera.camera_height_m, -ahead], dtype=np.float32)
        return np.asarray(self.from_camera @ foot, dtype=np.float32)

    @property
    def texel_m(self) -> float:
        """Size of a pixel at the object's origin."""
        return float(np.hypot(self.distance_m, self.camera.camera_height_m)) / self.camera.focal_px

    @property
    def from_camera(self) -> FloatArray:
        """Rotation from the camera's axes to the object's: float32 ``[3, 3]``."""
        angle = self.turn * np.arctan2(self.centre_xz[0], self.centre_xz[1])
        s, c = np.sin(angle), np.cos(angle)
        return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]], dtype=np.float32)

    def rays(self, row: FloatArray, col: FloatArray) -> FloatArray:
        """Unit directions ``[3, N]`` through the picture's points (pixel ``(0, 0)`` spans 0 to 1)."""
        camera = self.camera
        x = (col - camera.centre_col) / camera.focal_px
        y = (camera.horizon_row - row) / camera.focal_px
        ray = np.stack([x, y, np.ones_like(x)]).astype(np.float32)
        ray /= np.sqrt((ray * ray).sum(axis=0))
        return np.asarray(self.from_camera @ ray, dtype=np.float32)

    def project(self, p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows, columns and depth ahead of points ``[3, K]``."""
        camera = self.camera
        offset = np.array([self.centre_xz[0], 0, self.centre_xz[1]], dtype=np.float32)[:, None]
        x, y, z = self.from_camera.T @ p + offset
        depth = np.maximum(z, 1e-3)
        row = camera.horizon_row + camera.focal_px * (camera.camera_height_m - y) / depth
        return row, camera.centre_col + camera.focal_px * x / depth, z

    def ground(self, row: FloatArray, col: FloatArray) -> FloatArray:
        """Points of the ground ``[3, N]`` seen at rows below the horizon."""
        ray = self.rays(row, col)
        reach = self.eye[1] / np.maximum(-ray[1], 1e-6)
        p = self.eye[:, None] + ray * reach
        p[1] = 0
        return np.asarray(p, dtype=np.float32)


def hull_extent(points: FloatArray) -> Extent:
    """An object's extent from its hull points ``[3, K]``, as region search needs it."""
    width, height, depth = (float(v) for v in np.ptp(points, axis=1))
    height = float(points[1].max())
    return Extent(aspect=width / height, height_m=height, depth_m=depth)


def box_size(extent: Extent, camera: Camera, foot_row: float) -> tuple[float, float]:
    """Height and width in pixels of the box of an object whose nearest ground contact appears at ``foot_row``."""
    height_m = extent.height_m or 0.0
    near = camera.distance_m(foot_row)
    top = min(camera.row_of(near, height_m), camera.row_of(near + extent.depth_m, height_m))
    return foot_row - top, extent.aspect * height_m * camera.px_per_m(foot_row)


def stand_in_box(points: FloatArray, camera: Camera, box_yxhw: Box) -> ObjectPose | None:
    """Place an object in a box: its lowest visible point at the bottom row, its silhouette centred.

    If the box is larger or smaller than the object would appear there, the object is scaled to it (a recipe may set
    other sizes); within the rounding of boxes to pixels it keeps its true size. Far from the optical axis a pinhole
    camera stretches objects, which boxes do not account for: there, the object's frame follows the line of sight
    less, or the object is drawn a little smaller, so that it stays in its box.

    Args:
        points: hull points ``[3, K]`` in the object's frame.
        camera: the camera in crop coordinates.
        box_yxhw: the box in crop coordinates.

    Returns:
        The pose, its camera height divided by the object's scale; ``None`` if the box's foot is not below the horizon,
        or the camera would be inside the object.
    """
    y, _, h, _ = box_yxhw
    if y + h <= camera.horizon_row + 0.5:
        return None
    camera = _scaled_to_box(hull_extent(points), camera, box_yxhw)
    poses = [_pose(points, camera, box_yxhw, turn) for turn in (1.0, 0.5, 0.0)]
    # The first of the best-fitting poses: max() keeps the earliest of equals.
    room, pose = max(((min(_room(points, p, box_yxhw), 0.995), p) for p in poses), key=lambda pair: pair[0])
    for _ in range(3):
        if room >= 0.995:
            break
        smaller = max(room, _LEAST_SHRINK)
        camera = replace(camera, camera_height_m=camera.camera_height_m / smaller)
        pose = _pose(points, camera, box_yxhw, pose.turn)
        room = _room(points, pose, box_yxhw)
    row, _, depth = pose.project(points)
    fits = float(depth.min()) >= _NEAREST_M and abs(float(row.max()) - (y + h)) < 2 + 0.02 * h
    return pose if fits else None


def _scaled_to_box(extent: Extent, camera: Camera, box_yxhw: Box) -> Camera:
    y, _, h, w = box_yxhw
    for _ in range(8):
        want_h, want_w = box_size(extent, camera, y + h)
        if abs(want_h - h) <= 1.5 and abs(want_w - w) <= 1.5:
            break
        scale = float(np.sqrt(h * w / (want_h * want_w)))
        camera = replace(camera, camera_height_m=camera.camera_height_m / scale)
    return camera


def _pose(points: FloatArray, camera: Camera, box_yxhw: Box, turn: float) -> ObjectPose:
    y, x, h, w = box_yxhw
    near, middle = camera.distance_m(y + h), x + w / 2
    ahead = near + float(np.ptp(points[2])) / 2
    right = (middle - camera.centre_col) * ahead / camera.focal_px
    for _ in range(8):
        row, col, depth = ObjectPose(camera, (right, ahead), turn).project(points)
        if float(depth.min()) < _NEAREST_M:
            ahead += _NEAREST_M - float(depth.min()) + 0.2
            continue
        # The object has to move by the difference of both rows' ground distances.
        ahead += near - camera.distance_m(float(row.max()))
        right += (middle - (float(col.min()) + float(col.max())) / 2) * ahead / camera.focal_px
    return ObjectPose(camera, (right, ahead), turn)


def _room(points: FloatArray, pose: ObjectPose, box_yxhw: Box) -> float:
    """The box's size over the silhouette's, in the tighter direction, with a tolerance of a fraction of a pixel."""
    row, col, _ = pose.project(points)
    _, _, h, w = box_yxhw
    tall, wide = float(np.ptp(row)), float(np.ptp(col))
    return min((h + 0.4) / max(tall, 1e-3), (w + 0.4) / max(wide, 1e-3))
