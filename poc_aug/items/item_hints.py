"""The next step for an image or labels that cannot be used, by what they are and by the values that they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from poc_aug.items.canvas import AnyArray
from poc_aug.items.whole_floats import holds_bytes

_MOST_BANDS = 16
_PIL_IMAGES = {
    "F": "scale it to 8 bits in the dataset, with one range for all: its mode does not say which value is white",
    "I": "scale it to 8 bits in the dataset, with one range for all: PIL's convert would make all above 255 white",
}
_PIL_LABELS = {
    "1": 'say which ids black and white are: .convert("L") makes 0 and 255, '
    'Image.fromarray(numpy.asarray(mask, "uint8")) 0 and 1',
    "F": 'ids are whole numbers: Image.fromarray(numpy.asarray(labels).astype("int32")), if they were not resized '
    "or normalised on the way",
    "LA": 'leave the alpha channel out: .getchannel("L")',
    "PA": 'leave the alpha channel out: .getchannel("P")',
}


def pil_image_hint(mode: str) -> str:
    """For a PIL image that is not RGB."""
    if mode.startswith("I;16"):
        return (
            "scale its 16 bits to 8 in the dataset: poc_aug.files.pictures.to_rgb(picture, path); "
            "PIL's convert would make all above 255 white"
        )
    if mode in ("RGBA", "LA", "PA"):
        return (
            'in the dataset, open it with Image.open(path).convert("RGB"), which drops alpha; if the last band '
            "is not alpha, return an array [H, W, 4] and say what becomes of it: adapt=Adapt(bands=...)"
        )
    return _PIL_IMAGES.get(mode, 'in the dataset, open it with Image.open(path).convert("RGB")')


def pil_labels_hint(mode: str) -> str:
    """For a PIL label image of a mode that holds no ids."""
    colours = 'let the dataset return ids instead of colours (torchvision: target_type="semantic")'
    return _PIL_LABELS.get(mode, colours)


def image_hint(value: torch.Tensor | AnyArray) -> str:
    """For a tensor or array image of another dtype or shape."""
    if isinstance(value, torch.Tensor):
        floating, is_tensor = value.is_floating_point(), True
    else:
        floating, is_tensor = value.dtype.kind == "f", False
    shape = tuple(value.shape)
    whole = floating and holds_bytes(value)
    if floating and not whole:
        return _float_hint(value)
    if len(shape) == 4:
        return "this is a batch: wrap the dataset, not the DataLoader"
    steps = [] if whole or value.dtype in (torch.uint8, np.uint8) else [_to_eight_bits(value, is_tensor)]
    channels, other = (shape[0], shape[-1]) if is_tensor and shape else (shape[-1], shape[0]) if shape else (0, 0)
    turn = ".permute(2, 0, 1)" if is_tensor else ".transpose(1, 2, 0)"
    if len(shape) != 3 or min(channels, other) < 3:
        grey = "x.expand(3, -1, -1)" if is_tensor else "numpy.dstack([x] * 3)"
        steps.append(f"return three colour channels (RGB); a grey image repeats its channel three times: {grey}")
    elif channels == 3:
        return "; ".join(steps)
    elif other == 3:
        steps.append(f"turn the channels with {turn}, in the dataset or adapt=")
    elif channels <= _MOST_BANDS:
        steps.append(
            "say what becomes of the bands besides the first three under an object: adapt=Adapt(bands=0) or another "
            f"value, bands='keep' or a function; or return three of the {channels}"
        )
    elif other <= _MOST_BANDS:
        steps.append(f"turn the channels with {turn}, and say with adapt=Adapt(bands=...) what becomes of the rest")
    else:
        steps.append("return three colour channels (RGB)")
    return "; ".join(steps)


def _float_hint(value: torch.Tensor | AnyArray) -> str:
    """For floats that are not whole numbers from 0 to 255, or may be a picture from 0 to 1."""
    normalised = (
        "is it already normalised? Wrap the dataset before its normalising transform: build it without transform=, and "
        "pass transforms= to POCAugmentedDataset instead; "
    )
    low, high = (float(value.min()), float(value.max())) if 0 not in value.shape else (0.0, 0.0)
    if low >= 0 and high <= 1 and bool(((value == 0) | (value == 1)).all()):
        return (
            f"{normalised}its values are all 0 or 1, so that it is not clear whether 1 or 255 is white: convert it in "
            "adapt=, get=lambda item: (item['image'].to(torch.uint8), ...)"
        )
    if low < 0 or high > 1:
        return (
            f"{normalised}its values go from {low:g} to {high:g}: scale it to whole numbers from 0 to 255 in the "
            "dataset, with one range for all"
        )
    return normalised + "pictures that are stored as floats are scaled to uint8 in the dataset, with one range for all"


def label_hint(*, floating: bool, boolean: bool) -> str:
    """For labels of another dtype or shape, tensor or array alike."""
    if floating:
        return (
            "ids must stay integers: build the dataset without ToTensor or scaling on its labels "
            "(transforms.v2: PILToTensor), and pass transforms= to POCAugmentedDataset instead"
        )
    if boolean:
        return "turn a mask into ids, for example mask.to(torch.uint8) or mask.astype('uint8')"
    return (
        "return one map of ids per pixel; one-hot maps become ids with argmax over their classes, colours (of COCO's "
        "panoptic segments, say) by the dataset's table of them"
    )


def _to_eight_bits(value: Any, is_tensor: bool) -> str:
    """How whole numbers become uint8: scaled if they hold more than 8 bits, otherwise as they are."""
    values = value.to(torch.int64) if is_tensor else value
    low, high = (int(values.min()), int(values.max())) if 0 not in values.shape else (0, 0)
    convert = ".to(torch.uint8)" if is_tensor else ".astype('uint8')"
    wide = "x.to(torch.int32)" if is_tensor else "x"
    if low < 0 or high > 65535:
        return f"its values go from {low} to {high}: scale them to 0 to 255 in the dataset, with one range for all"
    if high > 255:
        few = f"; a sensor's 12 bits: {wide} >> 4" if high < 4096 else ""
        return f"scale its 16 bits to 8 in the dataset: ({wide} >> 8){convert}{few}"
    if value.dtype in (torch.bool, np.bool_):
        return f"make black and white of it, in the dataset or adapt=: x{convert} * 255"
    if value.dtype in (torch.uint16, np.uint16):
        return (
            f"scale 16 bits to 8 in the dataset, ({wide} >> 8){convert}; if they never hold more than 255 "
            f"(here {high}), convert the dtype without scaling: x{convert}"
        )
    return f"convert the dtype without scaling, in the dataset or adapt=: x{convert}"
