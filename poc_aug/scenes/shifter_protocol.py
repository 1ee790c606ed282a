"""What a shifter is given and returns, and the protocols of what a shift pipeline may use besides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import LabelSchema
from poc_aug.types import Json, Rejection


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """A frame that a shifter is given.

    Attributes:
        image: uint8 ``[3, H, W]``, RGB; never modified.
        labels: integer ``[H, W]``, label ids; never modified.
        key: key of the base sample.
        severity: 1 to 5, as in ImageNet-C.
        seed: equal seeds give equal frames.
        schema: label schema of ``labels``; ``None`` if it is not known.
        camera: the frame's camera; ``None`` if nothing gives its horizon.
        depth_m: float32 ``[H, W]``, depth of each pixel in metres, infinite on the sky, if the dataset or a depth model
            gives it; ``None``: from labels and camera.
        caption: what the frame shows, for shifters that take a prompt.
    """

    image: torch.Tensor
    labels: torch.Tensor
    key: str
    severity: int
    seed: int
    schema: LabelSchema | None = None
    camera: Camera | None = None
    depth_m: torch.Tensor | None = None
    caption: str = ""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[-2], self.image.shape[-1]


@dataclass(frozen=True, slots=True)
class Shifted:
    """What a shifter makes of a frame.

    Attributes:
        image: uint8 ``[3, H, W]`` of the frame's size; the labels stay where they are.
        provenance: JSON values that describe how it was made.
    """

    image: torch.Tensor
    provenance: Mapping[str, Json] = field(default_factory=dict)


@runtime_checkable
class Shifter(Protocol):
    """Shifts frames into one domain. Must be a pure function of each frame: batching changes nothing.

    Example:
        >>> class Dusk:
        ...     domain = "dusk"
        ...
        ...     def describe(self):
        ...         return {"shifter": "dusk"}
        ...
        ...     def shift(self, frames):
        ...         return [Shifted(frame.image // (1 + frame.severity)) for frame in frames]
        >>> isinstance(Dusk(), Shifter)
        True
    """

    @property
    def domain(self) -> str:
        """Name of the domain, as in keys: ``KEY@DOMAIN-SEVERITY``."""
        ...

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides what is made; part of a cache's fingerprint."""
        ...

    def shift(self, frames: Sequence[SceneFrame]) -> list[Shifted | Rejection]:
        """Shift each frame; one result per frame, in order."""
        ...


@runtime_checkable
class ChecksScenes(Protocol):
    """A shifter that checks, before any long work, whether it can shift frames of a dataset."""

    def check_schema(self, schema: LabelSchema | None) -> None:
        """Raise a `PocAugError` if it cannot: a palette without one of the schema's classes, for one."""
        ...


@runtime_checkable
class Captioner(Protocol):
    """Says what frames show."""

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides what it says; part of a cache's fingerprint."""
        ...

    def caption(self, images: Sequence[torch.Tensor]) -> list[str]:
        """One caption per image, uint8 ``[3, H, W]``, in order."""
        ...


@runtime_checkable
class DepthEstimator(Protocol):
    """Estimates depth from images."""

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides the depth; part of a cache's fingerprint."""
        ...

    def depth(self, images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Depth in metres, float32 ``[H, W]``, of each image, uint8 ``[3, H, W]``, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the labels of a shifted frame still hold.

    Attributes:
        by_class: by class name, the segmenter's IoU with the labels on the shifted frame, over that on the original
            frame; 1 where both are equal. Classes that it does not find on the original frame are left out.
        value: one figure for the frame, what the threshold is compared with.
        holds: whether the frame may be kept.
        detail: figures that explain a rejection ("agreement 0.41, at least 0.70 needed; worst: pole 0.05").
    """

    by_class: Mapping[str, float]
    value: float
    holds: bool
    detail: str = ""


@runtime_checkable
class AgreementCheck(Protocol):
    """Checks whether the labels still hold on shifted frames."""

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides what is kept; part of a cache's fingerprint."""
        ...

    def check(self, frames: Sequence[SceneFrame], shifted: Sequence[torch.Tensor]) -> list[Agreement]:
        """Compare original and shifted frames, uint8 ``[3, H, W]``; one result per frame, in order."""
        ...
