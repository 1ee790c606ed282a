"""Running a model for an evaluation: eval mode, logits that are checked and resized, frames at one size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from poc_aug.errors import ModelError, PocAugError, in_one_line


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode for a block; afterwards each of its modules is back in the mode that it was in.

    Example:
        >>> from torch import nn
        >>> from poc_aug.evaluation.inference import evaluating
        >>> model = nn.Sequential(nn.Conv2d(3, 19, 1), nn.BatchNorm2d(19).eval())
        >>> with evaluating(model):
        ...     model.training
        False
        >>> model.training, model[1].training
        (True, False)
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def logits_of(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Run a model on a batch and check that it returns logits.

    Args:
        model: returns logits ``[B, C, h, w]``, of any resolution.
        images: batch ``[B, ...]``, as the model takes it.

    Returns:
        The logits as they are.

    Raises:
        ModelError: the model fails, or returns something else, or a map that is transposed.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.inference import logits_of
        >>> logits_of(nn.Conv2d(3, 19, 1, stride=4), torch.rand(2, 3, 32, 64)).shape
        torch.Size([2, 19, 8, 16])
        >>> logits_of(nn.Flatten(), torch.rand(2, 3, 32, 64))
        Traceback (most recent call last):
        poc_aug.errors.ModelError: Flatten returned shape [2, 6144] for images of [2, 3, 32, 64]
        Expected: logits [B, C, h, w]
        Next step: wrap it: a module whose forward returns the logits alone (of torchvision's models: ['out'])
    """
    try:
        logits = model(images)
    # The model is the user's: it may raise anything, or end the process.
    except (Exception, SystemExit) as error:
        if isinstance(error, PocAugError):
            raise
        raise ModelError(
            f"{type(model).__name__} failed on images of {list(images.shape)}: {in_one_line(error)}",
            expected=f"a model that takes a batch [B, 3, H, W] of {str(images.dtype).removeprefix('torch.')}",
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 4 or len(logits) != len(images):
        returned = f"shape {list(logits.shape)}" if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
        raise ModelError(
            f"{type(model).__name__} returned {returned} for images of {list(images.shape)}",
            expected="logits [B, C, h, w]",
            hint="wrap it: a module whose forward returns the logits alone (of torchvision's models: ['out'])",
        )
    if logits.is_complex() or not logits.numel():
        raise ModelError(
            f"{type(model).__name__} returned {logits.dtype} {list(logits.shape)} for images of {list(images.shape)}",
            expected="logits [B, C, h, w]: real numbers, one channel or more",
        )
    height, width = images.shape[-2:]
    if height != width and tuple(logits.shape[-2:]) == (width, height):
        raise ModelError(
            f"{type(model).__name__} returned logits {list(logits.shape)} for images of {height}x{width} (h x w)",
            expected="logits [B, C, h, w], not transposed",
            hint="swap the last two axes: logits.transpose(-1, -2)",
        )
    return logits


def resize_logits(logits: torch.Tensor, size_hw: Sequence[int]) -> torch.Tensor:
    """Resize logits ``[B, C, h, w]`` to the labels' height and width (bilinear).

    Example:
        >>> import torch
        >>> from poc_aug.evaluation.inference import resize_logits
        >>> resize_logits(torch.tensor([[[[0.0, 4.0]]]]), (1, 4))
        tensor([[[[0., 1., 3., 4.]]]])
    """
    if tuple(logits.shape[-2:]) == tuple(size_hw):
        return logits
    return F.interpolate(logits, tuple(size_hw), mode="bilinear", align_corners=False)


def frame_logits(model: nn.Module, image: torch.Tensor, size_hw: Sequence[int]) -> torch.Tensor:
    """Logits of one frame at the labels' size.

    Args:
        model: maps float32 ``[1, 3, H, W]``, RGB in [0, 1], to logits ``[1, C, h, w]``.
        image: uint8 ``[3, H, W]``.
        size_hw: height and width of the labels.

    Returns:
        float32 ``[1, C, *size_hw]``.

    Raises:
        ModelError: see `logits_of`.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.inference import frame_logits
        >>> frame = torch.full((3, 4, 8), 255, dtype=torch.uint8)
        >>> frame_logits(nn.AvgPool2d(2), frame, (4, 8))[0, :, 0, 0]
        tensor([1., 1., 1.])
    """
    return resize_logits(logits_of(model, image[None].float() / 255).float(), size_hw)


def resize_pair(
    image: torch.Tensor, labels: torch.Tensor, size_hw: tuple[int, int] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Resize an image (bilinear) and its labels (nearest); ``None`` leaves both as they are.

    Args:
        image: uint8 ``[3, H, W]``.
        labels: uint8 ``[H, W]``.
        size_hw: new height and width.

    Example:
        >>> import torch
        >>> from poc_aug.evaluation.inference import resize_pair
        >>> image, labels = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.eye(8, dtype=torch.uint8)
        >>> small, small_labels = resize_pair(image, labels, (2, 4))
        >>> small.shape, small_labels.tolist()
        (torch.Size([3, 2, 4]), [[0, 0, 0, 0], [0, 0, 0, 0]])
    """
    if size_hw is None or tuple(labels.shape) == size_hw:
        return image, labels
    small = F.interpolate(image[None].float(), size_hw, mode="bilinear", align_corners=False, antialias=True)
    return small[0].round().clamp(0, 255).to(torch.uint8), resize_labels(labels, size_hw)


def resize_labels(labels: torch.Tensor, size_hw: Sequence[int]) -> torch.Tensor:
    """Resize labels, uint8 ``[H, W]``, to a height and width (nearest).

    Example:
        >>> import torch
        >>> from poc_aug.evaluation.inference import resize_labels
        >>> resize_labels(torch.tensor([[7, 255]], dtype=torch.uint8), (1, 4)).tolist()
        [[7, 7, 255, 255]]
    """
    if tuple(labels.shape) == tuple(size_hw):
        return labels
    return F.interpolate(labels[None, None].float(), tuple(size_hw), mode="nearest-exact")[0, 0].to(torch.uint8)
