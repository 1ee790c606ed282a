"""Frames in the size that a model paints: resized, padded by reflection to what divides, and cropped back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from poc_aug.backends.diffusion.pipeline_inserter import resize_bicubic, to_uint8


@dataclass(frozen=True, slots=True)
class FrameFit:
    """How a frame is fitted to a model, and back.

    Attributes:
        frame_hw: size of the frame.
        scaled_hw: its size in the painted picture.
        painted_hw: size of the painted picture: ``scaled_hw`` padded at the bottom and at the right.
    """

    frame_hw: tuple[int, int]
    scaled_hw: tuple[int, int]
    painted_hw: tuple[int, int]

    def rows_and_cols(self) -> tuple[torch.Tensor, torch.Tensor]:
        """For each row and each column of the painted picture, the nearest of the frame."""
        rows, cols = (
            _nearest(frame, scaled, painted)
            for frame, scaled, painted in zip(self.frame_hw, self.scaled_hw, self.painted_hw, strict=True)
        )
        return rows, cols

    def labels(self, labels: torch.Tensor) -> torch.Tensor:
        """A label map ``[H, W]`` in the painted size: nearest, so that no id is made up."""
        rows, cols = self.rows_and_cols()
        return labels[rows.to(labels.device)][:, cols.to(labels.device)]

    def image(self, image: torch.Tensor) -> torch.Tensor:
        """A uint8 frame ``[3, H, W]`` in the painted size: float32 in 0 to 1, bicubic without aliasing."""
        scaled = resize_bicubic(image.float() / 255, self.scaled_hw)
        rows, cols = (
            _reflected(scaled_px, painted_px)
            for scaled_px, painted_px in zip(self.scaled_hw, self.painted_hw, strict=True)
        )
        return scaled[:, rows.to(image.device)][:, :, cols.to(image.device)]

    def frame(self, painted: torch.Tensor) -> torch.Tensor:
        """A painted picture, float32 in 0 to 1, as a uint8 frame of the frame's size, without the padding."""
        h, w = self.scaled_hw
        return to_uint8(resize_bicubic(painted[:, :h, :w], self.frame_hw))


def fit_frame(
    frame_hw: tuple[int, int],
    multiple_of: int,
    *,
    height_px: int | None,
    most_px: int | None = None,
    least_side_px: int = 1,
) -> FrameFit:
    """How a frame of any size is fitted to a model.

    Args:
        frame_hw: size of the frame.
        multiple_of: what height and width of the painted picture must divide by.
        height_px: height to paint; ``None``: the frame's own, or less if ``most_px`` is exceeded.
        most_px: most pixels that are painted if no height is given.
        least_side_px: least height and width that the model takes; smaller frames are enlarged.

    Example:
        >>> fit_frame((370, 1224), 8, height_px=512).painted_hw
        (512, 1696)
        >>> fit_frame((227, 320), 8, height_px=None)
        FrameFit(frame_hw=(227, 320), scaled_hw=(227, 320), painted_hw=(232, 320))
    """
    height, width = frame_hw
    scale = 1.0 if height_px is None else height_px / height
    if height_px is None and most_px is not None:
        scale = min(1.0, math.sqrt(most_px / (height * width)))
    scale = max(scale, least_side_px / min(height, width))
    scaled = max(1, round(height * scale)), max(1, round(width * scale))
    painted_h, painted_w = (-(-side // multiple_of) * multiple_of for side in scaled)
    return FrameFit(frame_hw, scaled, (painted_h, painted_w))


def _nearest(frame: int, scaled: int, painted: int) -> torch.Tensor:
    centres = (_reflected(scaled, painted).double() + 0.5) * (frame / scaled)
    return centres.long().clamp(max=frame - 1)


def _reflected(scaled: int, painted: int) -> torch.Tensor:
    """Indices 0 to ``scaled - 1``, then back again from the edge, as often as it takes."""
    there_and_back = [*range(scaled), *range(scaled - 2, 0, -1)]
    return torch.tensor(there_and_back)[torch.arange(painted) % len(there_and_back)]
