"""Messages between the processes of a training, and their form on a socket: JSON, and arrays as plain bytes.

Nothing that arrives is unpickled or run. Each field is checked before it is used, and sizes before memory is allocated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from poc_aug import errors
from poc_aug.camera_model import Calibration
from poc_aug.errors import GenerationError, PocAugError
from poc_aug.types import Sample

MAX_HEAD_NBYTES = 1 << 20
MAX_BODY_NBYTES = 1 << 32
_MAX_TEXT = 20_000  # characters of a text of an error: a traceback of usual length is whole
_ALIGN = 64
_LABEL_DTYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
_ERRORS = {name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, PocAugError)}


@dataclass(frozen=True, slots=True)
class VariantRequest:
    """A worker requests a variant of a sample.

    Attributes:
        key: the sample's key.
        index: the variant's index.
        image: uint8 ``[3, H, W]``, or ``[H, W, 3]`` if the channels are interleaved in memory.
        labels: integer ``[H, W]``.
        interleaved: whether they are.
        calibration: the frame's camera, see `Sample`.
        depth_m: float32 ``[H, W]``, see `Sample`.
        waits: the worker waits for it; otherwise it continues, and variants that a worker waits for come first.
    """

    key: str
    index: int
    image: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    interleaved: bool
    waits: bool
    calibration: Calibration | None = None
    depth_m: np.ndarray[Any, Any] | None = None

    @classmethod
    def of(cls, sample: Sample, index: int, *, waits: bool) -> VariantRequest:
        """A request; the sample's tensors are not copied."""
        by_pixel = sample.image.permute(1, 2, 0)
        interleaved = not sample.image.is_contiguous() and by_pixel.is_contiguous()
        image = by_pixel if interleaved else sample.image.contiguous()
        labels = sample.labels.contiguous().numpy()
        depth_m = None if sample.depth_m is None else sample.depth_m.contiguous().numpy()
        return cls(sample.key, index, image.numpy(), labels, interleaved, waits, sample.calibration, depth_m)

    def sample(self) -> Sample:
        """The sample; its tensors share the arrays' memory."""
        image = torch.from_numpy(self.image)
        image = image.permute(2, 0, 1) if self.interleaved else image
        depth_m = None if self.depth_m is None else torch.from_numpy(self.depth_m)
        return Sample(image, torch.from_numpy(self.labels), self.key, self.calibration, depth_m)


@dataclass(frozen=True, slots=True)
class Made:
    """The variant, as a cache's record: uint8 ``[n]``."""

    record: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """The variant is made and stored; the answer to a worker that does not wait for it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The variant could not be made; the generation process continues. As message 0: it refuses the connection."""

    error: PocAugError


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no generation process any more, and why; sent as message 0, whatever was requested."""

    reason: str
    closed: bool = False


Message: TypeAlias = VariantRequest | Made | Stored | Failed | Gone


class InvalidMessageError(ValueError):
    """What has arrived is not a message of this version of poc_aug."""


def encode_message(message: Message) -> tuple[bytes, list[memoryview]]:
    """The head of a message as JSON, and its arrays; those of a request start at multiples of 64 bytes.

    Raises:
        GenerationError: a key that is longer than a message may be, or a frame that is larger.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    fields: dict[str, Any] = {"type": type(message).__name__}
    if isinstance(message, VariantRequest):
        calibration = message.calibration
        fields |= {
            "key": message.key,
            "index": message.index,
            "image": message.image.shape,
            "labels": message.labels.shape,
            "dtype": message.labels.dtype.name,
            "interleaved": message.interleaved,
            "waits": message.waits,
            "calibration": None if calibration is None else asdict(calibration),
        }
        arrays = [message.image, message.labels]
        if message.depth_m is not None:
            fields["depth"] = message.depth_m.shape
            arrays.append(message.depth_m)
    elif isinstance(message, Made):
        arrays = [message.record]
    elif isinstance(message, Failed):
        error = message.error
        texts = (str(error.problem), error.expected, error.hint, error.command)
        fields |= {"error": _error_type(error), "texts": [_shortened(text) for text in texts]}
    elif isinstance(message, Gone):
        fields |= {"reason": _shortened(message.reason), "closed": message.closed}
    head = json.dumps(fields, default=_plain).encode()
    nbytes = aligned(sum(aligned(array.nbytes) for array in arrays))
    if len(head) > MAX_HEAD_NBYTES or nbytes > MAX_BODY_NBYTES:
        assert isinstance(message, VariantRequest)
        raise GenerationError(
            f"a request for variant {message.index} of sample {_shortened(message.key, 100)!r} has {len(head):,} bytes "
            f"of text and {nbytes:,} of pixels",
            expected=f"at most {MAX_HEAD_NBYTES:,} and {MAX_BODY_NBYTES:,}: a shorter key, a smaller frame",
        )
    return head, [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays]


def decode_message(head: bytes, body: np.ndarray[Any, Any]) -> Message:
    """A message from its head and its body, uint8 ``[n]``, of which arrays are views.

    Raises:
        InvalidMessageError: it is none.
    """
    try:
        fields = json.loads(head, object_hook=_with_numpy_scalars)
        kind = _typed(fields, "type", str)
        if kind == "VariantRequest":
            return _decode_request(fields, body)
        if kind == "Made":
            return Made(body)
        if len(body):
            raise InvalidMessageError(f"{len(body)} bytes after a {_shortened(kind, 40)!r}")
        if kind == "Stored":
            return Stored()
        if kind == "Failed":
            problem, expected, hint, command = (str(text) for text in _typed(fields, "texts", list))
            cls = _ERRORS.get(_typed(fields, "error", str), GenerationError)
            return Failed(cls(problem, expected=expected, hint=hint, command=command))
        if kind == "Gone":
            return Gone(_typed(fields, "reason", str), _typed(fields, "closed", bool))
    except InvalidMessageError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, PocAugError) as error:
        raise InvalidMessageError(f"{type(error).__name__}: {error}") from error
    raise InvalidMessageError(f"type {_shortened(kind, 40)!r}")


def _decode_request(fields: Mapping[str, Any], body: np.ndarray[Any, Any]) -> VariantRequest:
    image_shape, labels_shape = _shape(fields, "image", 3), _shape(fields, "labels", 2)
    name = _typed(fields, "dtype", str)
    index = _typed(fields, "index", int)
    interleaved = _typed(fields, "interleaved", bool)
    if name not in _LABEL_DTYPES or index < 0 or image_shape[2 if interleaved else 0] != 3:
        raise InvalidMessageError(f"image {image_shape}, labels of {_shortened(name, 40)!r}, index {index}")
    dtype = np.dtype(name)
    image_nbytes = math.prod(image_shape)
    start = aligned(image_nbytes)
    end = start + math.prod(labels_shape) * dtype.itemsize
    depth_start, depth_m = end, None
    if "depth" in fields:
        depth_shape = _shape(fields, "depth", 2)
        depth_start = aligned(end)
        end = depth_start + math.prod(depth_shape) * 4
    if len(body) != end:
        raise InvalidMessageError(f"{len(body)} bytes for image {image_shape} and {name} labels {labels_shape}: {end}")
    image = body[:image_nbytes].reshape(image_shape)
    if "depth" in fields:
        depth_m = body[depth_start:].view(np.float32).reshape(depth_shape)
    calibration = None
    if fields["calibration"] is not None:
        pairs = ("focal_xy", "centre_xy", "size_hw")
        given = _typed(fields, "calibration", dict).items()
        values: dict[str, Any] = {name: tuple(value) if name in pairs and value else value for name, value in given}
        calibration = Calibration(**values)
    labels = body[start : start + math.prod(labels_shape) * dtype.itemsize].view(dtype).reshape(labels_shape)
    key = _typed(fields, "key", str)
    return VariantRequest(key, index, image, labels, interleaved, _typed(fields, "waits", bool), calibration, depth_m)


def aligned(offset: int) -> int:
    """The next multiple of 64."""
    return -(-offset // _ALIGN) * _ALIGN


def _typed(fields: Mapping[str, Any], name: str, of: type) -> Any:
    value = fields[name]
    if type(value) is not of:
        raise InvalidMessageError(f"{name} is a {type(value).__name__}, expected {of.__name__}")
    return value


def _shape(fields: Mapping[str, Any], name: str, ndim: int) -> tuple[int, ...]:
    shape = tuple(_typed(fields, name, list))
    if len(shape) != ndim or not all(type(side) is int and side >= 1 for side in shape):
        raise InvalidMessageError(f"{name} has the shape {shape}"[:200])
    return shape


def _error_type(error: PocAugError) -> str:
    """The error's class, or the nearest of its base classes that each process knows."""
    return next(cls.__name__ for cls in type(error).__mro__ if _ERRORS.get(cls.__name__) is cls)


def _shortened(text: str, length: int = _MAX_TEXT) -> str:
    """A text without its middle if it is long: a traceback says at its end what went wrong."""
    return text if len(text) <= length else f"{text[: length // 4]} [...] {text[-(length * 3 // 4) :]}"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return {"dtype": value.dtype.name, "value": value.item()}
    raise TypeError(f"a {type(value).__name__} in a message: {value!r}")


def _with_numpy_scalars(value: dict[str, Any]) -> Any:
    """A camera's numbers may be NumPy's, which keep their precision when they are calculated with."""
    if value.keys() == {"dtype", "value"} and value["dtype"] in (*_LABEL_DTYPES, "float16", "float32"):
        return np.dtype(value["dtype"]).type(value["value"])
    return value
