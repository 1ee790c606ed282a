"""Canvases over tensors on a device other than the CPU: they lend what they hold, so that it is changed there."""

from __future__ import annotations

import torch

from poc_aug.items.tensor_canvas import TensorImageCanvas, TensorLabelCanvas


class DeviceImageCanvas(TensorImageCanvas):
    """A `TensorImageCanvas` whose pixels are blended on their device; single rectangles can still be read and written.

    Raises:
        ItemFormatError: see `TensorImageCanvas`.
    """

    @property
    def bgr(self) -> bool:
        """Whether the first three channels are blue, green, red."""
        return self._order != (0, 1, 2)

    def lend_image(self) -> torch.Tensor:
        """The canvas's own pixels, uint8 ``[3, H, W]``, to be written to; the item's own are never modified."""
        return self._own()[:3]


class DeviceLabelCanvas(TensorLabelCanvas):
    """A `TensorLabelCanvas` whose ids are written on their device.

    Raises:
        ItemFormatError: see `TensorLabelCanvas`.
    """

    def lend_labels(self) -> torch.Tensor:
        """The canvas's own ids, integer ``[H, W]``, to be written to; the item's own are never modified."""
        return self._own().reshape(self.size_hw)
