"""Calls of torchvision v2, albumentations or kornia on one item, and the result in the item's form.

All three get RGB. An item whose channels are blue, green, red (mmseg's arrays, ``Adapt(bgr=True)``) has them in that
order afterwards too, except in a PIL image, which is RGB.
"""

from __future__ import annotations

import copy
from collections import UserDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import TransformError
from poc_aug.items.container import describe_value
from poc_aug.items.open_item import OpenItem
from poc_aug.joint_transforms.fill_ids import dtype_holding
from poc_aug.joint_transforms.transform_kinds import called_by, name_of
from poc_aug.joint_transforms.worker_seed import seed_in_worker

_EXACT_FLOAT32 = 2**24
_EXACT_FLOAT64 = 2**53


def call_v2(transforms: Callable[..., Any], item: OpenItem, fills: Iterable[int], *, one: bool) -> tuple[Any, Any]:
    """Call a v2 transform with ``tv_tensors.Image`` and ``tv_tensors.Mask`` in the places of image and labels.

    The transform sees further fields that are tv_tensors (``BoundingBoxes``), numbers and labels of boxes, and changes
    them jointly. Further pictures of other types (PIL, arrays, tensors of two or more dimensions) stay as they are.

    Args:
        transforms: the transform.
        item: the item.
        fills: ids that it fills masks with.
        one: whether it takes the fields of a tuple as one argument, as ``nn.Sequential`` does.

    Returns:
        The transformed item, and its labels.
    """
    image, mask = _tv_image(item), _tv_mask(item, fills)
    if item.fields is None:
        out = transforms((image, mask)) if one else transforms(image, mask)
        if not isinstance(out, tuple | list) or len(out) != 2:
            raise TransformError(
                f"item {item.key!r}: transforms={name_of(transforms)} returned {describe_value(out)}",
                expected="image and labels, which adapt= puts back into the item",
                hint="leave out the step that returns something else, or do it in the dataset's collate_fn",
            )
        return item.put(_in_order(out[0], item), out[1]), out[1]
    whole = item.close()
    at_image, at_labels = item.fields
    if isinstance(whole, dict | UserDict):
        given = {name: _hidden(value) for name, value in whole.items()} | {at_image: image, at_labels: mask}
        out = _shown(transforms(given))
        if not isinstance(out, dict):
            return out, None
        if at_image in out:
            out[at_image] = _in_order(out[at_image], item)
        return _like(whole, out), out.get(at_labels)
    fields = (image, mask, *(_hidden(field) for field in whole[2:]))
    out = _shown(transforms(fields) if one else transforms(*fields))
    if not isinstance(out, tuple | list) or len(out) < 2:
        return out, None
    labels = out[1]
    if item.bgr:
        out = type(out)((_in_order(out[0], item), *out[1:]))
    if len(out) != len(whole):
        return out, labels
    if isinstance(whole, list):
        return [*out], labels
    make = getattr(type(whole), "_make", tuple)  # a namedtuple takes its fields one by one
    return make(out), labels


def call_albumentations(transforms: Callable[..., Any], item: OpenItem, fills: Iterable[int]) -> tuple[Any, Any]:
    """Call albumentations with ``image=`` uint8 ``[H, W, 3]`` and ``mask=`` ``[H, W]``.

    Fields of a dict that it knows (``additional_targets``, boxes, keypoints and their labels) are passed with them.
    OpenCV converts int64 to int32, and not all of its versions can warp these, so ids are passed in a dtype that it
    can.

    Returns:
        The transformed item, and its labels in their original dtype, as arrays or as ``ToTensorV2`` returns them.
    """
    target = called_by(transforms)
    seed_in_worker(target)
    labels = _labels(item)
    carried = _opencv_dtype(labels, fills, item.key)
    image = np.ascontiguousarray(_pixels(item).permute(1, 2, 0).numpy())
    fields = item.close()
    named = _further_targets(target) if isinstance(fields, dict | UserDict) else set()
    further = {name: fields[name] for name in named if name in fields}
    out = transforms(image=image, mask=labels.numpy().astype(carried, copy=False), **further)
    mask = out["mask"]
    wanted = dtype_holding(labels.dtype, fills)
    done = item.put(_in_order(out["image"], item), _as_ids(mask, wanted, carried))
    for name in further:
        done[name] = out[name]
    return done, mask


def call_kornia(transforms: Callable[..., Any], item: OpenItem, fills: Iterable[int]) -> tuple[Any, Any]:
    """Call kornia with a batch of one: float32 ``[1, 3, H, W]`` in [0, 1], and the ids as float32 ``[1, 1, H, W]``.

    Returns:
        The transformed item, with a float image ``[3, H, W]`` and ids ``[H, W]`` in the labels' dtype; and its labels.

    Raises:
        TransformError: ids that float32 cannot hold, values between the ids, or a step that does not transform masks.
    """
    labels = _labels(item)
    low, high = (int(bound) for bound in torch.aminmax(labels))
    if max(-low, high) > _EXACT_FLOAT32:
        raise TransformError(
            f"item {item.key!r}: label id {high if high > -low else low} is too large for kornia, which resamples "
            "labels as float32",
            expected=f"ids up to {_EXACT_FLOAT32}",
            hint="number the ids from 0 in the dataset, or transform with torchvision v2",
        )
    pixels = _pixels(item).contiguous()[None].to(torch.float32).div_(255)
    try:
        image, mask = transforms(pixels, labels[None, None].to(torch.float32), data_keys=["input", "mask"])
    except NotImplementedError as error:  # without a message, from thin plate splines, fisheye and mixing
        raise TransformError(
            f"item {item.key!r}: transforms={name_of(transforms)} has a step that kornia cannot apply to labels",
            expected="augmentations of kornia that transform masks",
            hint="leave that step out; mixing needs a batch, in the training loop",
        ) from error
    image, mask = image.squeeze(0), mask.reshape(mask.shape[-2:])
    if bool((between := mask != mask.round()).any()):
        raise TransformError(
            f"item {item.key!r}: transforms={name_of(transforms)} made values between label ids, such as "
            f"{float(mask[between][0]):.6g}",
            expected="labels resampled with nearest neighbour",
            hint="leave extra_args of AugmentationSequential out, or set resample nearest for DataKey.MASK there",
        )
    done = _as_ids(mask, dtype_holding(labels.dtype, fills))
    return item.put(_in_order(image, item), done), mask


def _further_targets(compose: Any) -> set[str]:
    names = set(getattr(compose, "additional_targets", None) or ())
    for name, processor in (getattr(compose, "processors", None) or {}).items():
        names |= {name, *(processor.params.label_fields or ())}
    return names


@dataclass(frozen=True, slots=True)
class _Hidden:
    """A field that v2 would treat as another image."""

    value: Any


def _hidden(field: Any) -> Any:
    from torch.utils._pytree import tree_map  # v2 itself flattens items with it
    from torchvision.tv_tensors import TVTensor

    def hide(value: Any) -> Any:
        plain = isinstance(value, torch.Tensor) and not isinstance(value, TVTensor) and value.ndim >= 2
        return _Hidden(value) if plain or isinstance(value, np.ndarray | Image.Image) else value

    return tree_map(hide, field)


def _shown(out: Any) -> Any:
    from torch.utils._pytree import tree_map

    return tree_map(lambda value: value.value if isinstance(value, _Hidden) else value, out)


def _tv_image(item: OpenItem) -> Any:
    from torchvision import tv_tensors

    value = item.image.value
    if item.bgr or not isinstance(value, torch.Tensor):
        return tv_tensors.Image(_pixels(item))
    return value if isinstance(value, tv_tensors.Image) else tv_tensors.Image(value)


def _tv_mask(item: OpenItem, fills: Iterable[int]) -> Any:
    from torchvision import tv_tensors

    value = item.labels.value
    if isinstance(value, tv_tensors.Mask):
        return tv_tensors.wrap(value.to(dtype_holding(value.dtype, fills)), like=value)
    labels = _labels(item)
    return tv_tensors.Mask(labels.to(dtype_holding(labels.dtype, fills)))


def _pixels(item: OpenItem) -> torch.Tensor:
    """The image in RGB, followed by its further bands: uint8 ``[C, H, W]``."""
    rgb, value = item.image.whole(), item.image.value
    if not item.image.more_bands:
        return rgb
    bands = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.moveaxis(value, -1, 0).copy())
    return torch.cat([rgb, bands[3:].as_subclass(torch.Tensor).cpu()])


def _labels(item: OpenItem) -> torch.Tensor:
    """The ids, ``[H, W]``, in a dtype that torch can compute with: uint16 as int32, uint32 as int64."""
    return item.labels.read((0, 0, *item.labels.size_hw))


def _in_order(image: Any, item: OpenItem) -> Any:
    """The image with its channels in the item's order."""
    if not item.bgr:
        return image
    channels = 3 + item.image.more_bands
    order = [2, 1, 0, *range(3, channels)]
    if isinstance(image, torch.Tensor) and image.ndim >= 3 and image.shape[-3] == channels:
        reordered = image.index_select(-3, torch.tensor(order, device=image.device))
        return reordered if type(reordered) is type(image) else reordered.as_subclass(type(image))
    if isinstance(image, np.ndarray) and image.ndim >= 3 and image.shape[-1] == channels:
        return np.ascontiguousarray(image[..., order])
    return image


def _like(whole: Any, out: dict[Any, Any]) -> Any:
    if type(whole) is dict:
        return out
    new = copy.copy(whole)
    new.clear()
    new.update(out)
    return new


def _opencv_dtype(labels: torch.Tensor, fills: Iterable[int], key: str) -> np.dtype[Any]:
    """The narrowest dtype that holds the ids and that every version of OpenCV can warp.

    uint8, int16 and uint16 are passed as they are; float64 holds larger ids exactly, and some versions refuse int32.
    """
    if labels.dtype in (torch.uint8, torch.int16):
        low, high = torch.iinfo(labels.dtype).min, torch.iinfo(labels.dtype).max
    else:
        low, high = (int(bound) for bound in torch.aminmax(labels))
    low, high = min({low, *fills}), max({high, *fills})
    for dtype in (np.uint8, np.int16, np.uint16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    if max(-low, high) > _EXACT_FLOAT64:
        raise TransformError(
            f"item {key!r}: label id {high if high > -low else low} is too large for albumentations",
            expected=f"ids up to {_EXACT_FLOAT64}",
            hint="number the ids from 0 in the dataset",
        )
    return np.dtype(np.float64)


def _as_ids(mask: Any, dtype: torch.dtype, carried: np.dtype[Any] | None = None) -> Any:
    """The ids as ``dtype``; a mask that no longer has the dtype in which it was passed is left as it is."""
    if isinstance(mask, torch.Tensor):
        current = _numpy_dtype(mask.dtype)
        return mask.to(dtype) if carried is None or current == carried else mask
    if isinstance(mask, np.ndarray) and mask.dtype == carried:
        return mask.astype(_numpy_dtype(dtype), copy=False)
    return mask


def _numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    return np.dtype(str(dtype).removeprefix("torch."))
