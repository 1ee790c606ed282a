"""Transforms inside the base dataset that silently change its label ids, since torchvision passes them a PIL image."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from torch.utils.data import ConcatDataset, Subset

from poc_aug.errors import TransformError
from poc_aug.joint_transforms.transform_kinds import is_v2, steps_of

_V2_WRAPPERS = "torchvision.tv_tensors._dataset_wrapper"
_SMOOTHING = ("GaussianBlur", "GaussianNoise")


def check_base_transforms(dataset: Any) -> None:
    """Check that no transform of a torchvision dataset interpolates or recolours the labels as if they were a picture.

    It checks ``transforms=`` of torchvision v2 and ``target_transform=`` of v1 or v2, also inside `Subset` and
    `ConcatDataset`, but not the user's own functions. Scaled labels are floats, which are refused when they are read.

    Raises:
        TransformError: such a transform; the message names it.
    """
    for vision in _vision_datasets(dataset):
        if any(cls.__module__ == _V2_WRAPPERS for cls in type(vision).__mro__):
            continue  # its labels are tv_tensors.Mask
        joint, of_labels = getattr(vision, "transforms", None), getattr(vision, "target_transform", None)
        name = type(vision).__name__
        if of_labels is not None and (step := _changes_ids(of_labels)):
            raise TransformError(
                f"{name}(target_transform=...) has {step}, which makes label ids that do not exist",
                expected="a transform of the labels that keeps ids",
                hint="interpolation=InterpolationMode.NEAREST; or build the dataset without transforms, and pass joint "
                "ones to POCAugmentedDataset(transforms=...)",
            )
        # This library's own datasets give v2 a tv_tensors.Mask.
        takes_masks = type(vision).__module__.startswith("poc_aug.")
        if not takes_masks and any(is_v2(part) for part in steps_of(joint)) and (step := _changes_ids(joint)):
            raise TransformError(
                f"{name}(transforms=...) has {step}; torchvision passes it the labels as a PIL image, which "
                "makes label ids that do not exist",
                expected="labels as tv_tensors.Mask",
                hint="build the dataset without transforms=, and pass them to POCAugmentedDataset(transforms=...), or "
                "wrap it: torchvision.datasets.wrap_dataset_for_transforms_v2(dataset)",
            )


def _vision_datasets(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, Subset):
        yield from _vision_datasets(dataset.dataset)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _vision_datasets(part)
    elif "torchvision.datasets" in sys.modules:  # not imported for this, see `poc_aug.labels.detect`
        from torchvision.datasets import VisionDataset

        if isinstance(dataset, VisionDataset):
            yield dataset


def _changes_ids(transforms: Any) -> str | None:
    """The first step that would change label ids as it changes pixels."""
    for step in steps_of(transforms):
        name, module = type(step).__name__, type(step).__module__
        if not module.startswith("torchvision.transforms."):
            continue
        mode = getattr(step, "interpolation", None)
        if mode is not None and not str(getattr(mode, "value", mode)).startswith("nearest"):
            return f"{name}(interpolation={getattr(mode, 'value', mode)})"
        if name in _SMOOTHING or module.endswith("._color") or name == "ColorJitter":
            return name
    return None
