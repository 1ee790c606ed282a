"""Segmenters for the check of labels on shifted frames: one frame to one map of class places."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import FunctionType
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
import xxhash
from torch import nn

from poc_aug.errors import ModelError, PocAugError, SchemaError, SettingError, in_one_line
from poc_aug.evaluation.inference import evaluating, resize_logits
from poc_aug.labels.schema import LabelSchema
from poc_aug.tensor_inputs import INTEGERS
from poc_aug.types import Json

_MULTIPLE = 32
"""Networks halve a frame up to five times."""


@runtime_checkable
class FrameSegmenter(Protocol):
    """Finds the classes of a frame's pixels."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by place."""
        ...

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides what it finds; part of a cache's fingerprint."""
        ...

    def segment(self, image: torch.Tensor) -> torch.Tensor:
        """The class of each pixel of a frame, uint8 ``[3, H, W]``, as its place in `classes`: int64 ``[H, W]``."""
        ...


class ModelSegmenter:
    """A model as `poc-aug evaluate` takes it, or any callable, as a `FrameSegmenter`.

    Frames run one at a time, so that no frame depends on its neighbours in a batch. Sides that are not multiples of 32
    are extended by repeating the last row and column; what comes of that is cut off again.

    Args:
        model: maps float32 ``[1, 3, H, W]``, RGB in [0, 1], to logits ``[1, C, h, w]``, which are resized (bilinear),
            or to labels: integer ``[1, H, W]`` or ``[H, W]``, places of classes.
        classes: names of the first channels, in order, or the label schema, or its name, whose ids are the channels.
            Channels beyond them (void) are left out; labels beyond them are errors like any other.
        device: where a module runs; ``None``: where it is.
        name: what identifies the model in a cache's fingerprint. A module is identified by its class and parameters,
            and a function by its name; another callable needs a name.

    Raises:
        SettingError: not callable, or a callable without a name.
        SchemaError: no class, or a schema whose ids are not 0 and upwards.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.frame_segmenter import ModelSegmenter
        >>> colours = ModelSegmenter(nn.Identity(), ("road", "grass", "sky"))
        >>> frame = torch.zeros(3, 2, 3, dtype=torch.uint8)
        >>> frame[2, 0] = frame[0, 1] = 255
        >>> colours.segment(frame).tolist()
        [[2, 2, 2], [0, 0, 0]]
    """

    def __init__(
        self,
        model: Callable[[torch.Tensor], torch.Tensor],
        classes: Sequence[str] | LabelSchema | str,
        *,
        device: str | torch.device | None = None,
        name: str | None = None,
    ) -> None:
        if not callable(model) or isinstance(model, type):
            what = f"the class {model.__name__}" if isinstance(model, type) else f"of type {type(model).__name__}"
            raise SettingError(f"a segmenter that is {what}", expected="a module or function of images [B, 3, H, W]")
        if isinstance(classes, str):
            classes = LabelSchema.load(classes)
        self.classes: tuple[str, ...] = channel_names(classes) if isinstance(classes, LabelSchema) else tuple(classes)
        if not self.classes or not all(isinstance(each, str) for each in self.classes):
            raise SchemaError(f"classes={classes!r}", expected="the names of the segmenter's channels, in order")
        self.model = model.to(device) if isinstance(model, nn.Module) and device is not None else model
        self._device = device
        self.name = name if name is not None else _name_of(model)

    def describe(self) -> dict[str, Json]:
        """Name, parameters and classes."""
        described: dict[str, Json] = {"segmenter": self.name, "classes": list(self.classes)}
        if isinstance(self.model, nn.Module):
            described["parameters"] = parameters_digest(self.model)
        return described

    @torch.inference_mode()
    def segment(self, image: torch.Tensor) -> torch.Tensor:
        """See `FrameSegmenter.segment`; on the CPU.

        Raises:
            ModelError: the model fails, or returns neither logits nor labels.
        """
        height, width = image.shape[-2:]
        right, below = -width % _MULTIPLE, -height % _MULTIPLE
        pixels = image[None].to(self._where()).float() / 255
        if right or below:
            pixels = F.pad(pixels, (0, right, 0, below), mode="replicate")
        with evaluating(self.model) if isinstance(self.model, nn.Module) else nullcontext():
            found = self._run(pixels)
        size = (height + below, width + right)
        if found.dtype in INTEGERS and tuple(found.shape) in (size, (1, *size)):
            return found.reshape(size)[:height, :width].long().cpu()
        if not found.is_floating_point() or found.ndim != 4 or len(found) != 1 or not found.numel():
            raise ModelError(
                f"the segmenter {self.name} returned {found.dtype} {list(found.shape)} for images {list(pixels.shape)}",
                expected="logits [B, C, h, w], or integer labels [B, H, W] of the images' size",
            )
        if found.shape[1] < len(self.classes):
            raise ModelError(
                f"the segmenter {self.name} returned {found.shape[1]} channels for {len(self.classes)} classes",
                expected="one channel per class, in the order of classes",
            )
        logits = resize_logits(found[:, : len(self.classes)].float(), size)
        return logits[0, :, :height, :width].argmax(dim=0).cpu()

    def _run(self, pixels: torch.Tensor) -> torch.Tensor:
        try:
            found = self.model(pixels)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the model is the user's: also sys.exit, and the panics of compiled packages
            if isinstance(error, PocAugError):
                raise
            raise ModelError(
                f"the segmenter {self.name} failed on images of {list(pixels.shape)}: {in_one_line(error)}",
                expected="a model that takes a batch [B, 3, H, W] of float32",
            ) from error
        if not isinstance(found, torch.Tensor):
            raise ModelError(
                f"the segmenter {self.name} returned a {type(found).__name__}",
                expected="logits [B, C, h, w], or integer labels [B, H, W]",
                hint="wrap it: a module whose forward returns the logits alone (of torchvision's models: ['out'])",
            )
        return found

    def _where(self) -> torch.device:
        if isinstance(self.model, nn.Module):
            for tensor in (*self.model.parameters(), *self.model.buffers()):
                return tensor.device
        return torch.device(self._device or "cpu")


def channel_names(schema: LabelSchema) -> tuple[str, ...]:
    """The classes of a schema whose ids are a model's channels: the first name of each id.

    Raises:
        SchemaError: ids that are not 0 and upwards, without a gap.

    Example:
        >>> from poc_aug.evaluation.frame_segmenter import channel_names
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> channel_names(SCHEMAS["camvid"])[:5]
        ('sky', 'building', 'pole', 'road', 'sidewalk')
    """
    by_id = {label_id: name for name, label_id in reversed(list(schema.ids.items())) if label_id not in schema.ignore}
    if sorted(by_id) != list(range(len(by_id))):
        raise SchemaError(
            f"the ids of schema {schema.name!r}, {sorted(by_id)}, are no model's channels",
            expected="ids from 0 upwards, without a gap",
            hint="name the model's classes in the order of its channels: an attribute `classes` of the model",
        )
    return tuple(by_id[channel] for channel in range(len(by_id)))


def parameters_digest(module: nn.Module) -> str:
    """A hash of what a module is made of: its layers, parameters and buffers.

    Example:
        >>> from torch import nn
        >>> from poc_aug.evaluation.frame_segmenter import parameters_digest
        >>> one, other = nn.Conv2d(3, 5, 1), nn.Conv2d(3, 5, 1)
        >>> parameters_digest(one) == parameters_digest(other)
        False
        >>> _ = other.load_state_dict(one.state_dict())
        >>> parameters_digest(one) == parameters_digest(other)
        True
    """
    digest = xxhash.xxh3_64(re.sub(r" at 0x[0-9a-fA-F]+", "", repr(module)).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{list(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def _name_of(model: Any) -> str:
    if isinstance(model, nn.Module):
        return f"{type(model).__module__}.{type(model).__qualname__}"
    if isinstance(model, FunctionType) and "<" not in model.__qualname__:
        return f"{model.__module__}.{model.__qualname__}"
    raise SettingError(
        f"a segmenter of type {type(model).__name__} without a name",
        expected="what identifies it in a cache's fingerprint: name=",
        hint="name='my-segmenter-2': another name whenever it finds other classes",
    )
