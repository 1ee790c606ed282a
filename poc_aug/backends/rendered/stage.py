"""Everything that is needed to draw one object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poc_aug.backends.rendered.exposure import Exposure
from poc_aug.backends.rendered.light import SceneLight
from poc_aug.backends.rendered.model import Model
from poc_aug.backends.rendered.raycast import Bounds, bounds_of
from poc_aug.backends.rendered.render_camera import ObjectPose
from poc_aug.noise import FloatArray


@dataclass(frozen=True)
class Stage:
    """A model, its pose, its light and its exposure.

    Attributes:
        model: what is drawn.
        pose: the camera, and the object's position.
        light: the light.
        exposure: how the camera records it.
        grime_seed: of the dirt's pattern.
    """

    model: Model
    pose: ObjectPose
    light: SceneLight
    exposure: Exposure
    grime_seed: int

    @cached_property
    def bounds(self) -> Bounds:
        """Box around the model, in its frame."""
        return bounds_of(self.model.points())

    @cached_property
    def to_sun(self) -> FloatArray:
        """Direction of the sun in the object's frame: ``[3]``."""
        return np.asarray(self.pose.from_camera @ self.light.direction(), dtype=np.float32)
