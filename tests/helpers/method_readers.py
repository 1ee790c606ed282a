"""Readers of exported trees, written from descriptions of what OOD fine-tuning code reads.

Each gives, by the frame's name, the picture and the label map as the method sees it: 0 to 18, 255 void, 254 OOD.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tests.helpers.export_cases import read_picture

Seen: TypeAlias = dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def _pictures(folder: Path, ending: str) -> list[Path]:
    """All files of a folder and of those in it; another kind of file would end these loaders."""
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    assert all(path.name.endswith(ending) for path in found), found
    return sorted(found)


def cs_synth(root: Path, split: str) -> Seen:
    """POC's forks of RbA, RPL and Mask2Anomaly: any id above 18 but 255 is trained on as 254."""
    seen = {}
    for image in _pictures(root / "leftImg8bit" / split, ".png"):
        labels = read_picture(root / "gtFine" / split / image.parent.name / image.name)
        assert labels.dtype == np.uint8
        assert labels.ndim == 2
        assert image.parent.parent == root / "leftImg8bit" / split  # one folder per city
        seen[image.stem] = read_picture(image), np.where((labels > 18) & (labels != 255), 254, labels)
    return seen


def cs_synth_evaluated(root: Path, split: str) -> Seen:
    """The same trees in evaluation: up to 18 is 0, everything else 1; here as 254."""
    return {
        name: (image, np.where(read_labels > 18, 254, 0))
        for name, (image, read_labels) in cs_synth(root, split).items()
    }


def cityscapes_by_suffix(root: Path, split: str) -> Seen:
    """RbA, Mask2Anomaly and mmseg: the suffix of each picture is replaced."""
    seen = {}
    for image in _pictures(root / "leftImg8bit" / split, "_leftImg8bit.png"):
        name = str(image.relative_to(root / "leftImg8bit")).replace("_leftImg8bit.png", "_gtFine_labelTrainIds.png")
        labels = read_picture(root / "gtFine" / name)
        assert labels.dtype == np.uint8
        seen[image.name.removesuffix("_leftImg8bit.png")] = read_picture(image), labels
    return seen


def torchvision_cityscapes(root: Path, split: str) -> Seen:
    """torchvision's own reader, which gives labelIds; its classes say which of them are trained on."""
    from torchvision.datasets import Cityscapes

    dataset = Cityscapes(root, split=split, mode="fine", target_type="semantic")
    table = np.arange(256)
    for kind in dataset.classes:
        if kind.id >= 0:
            table[kind.id] = kind.train_id if 0 <= kind.train_id < 19 else 255
    seen = {}
    for path, (image, labels) in zip(dataset.images, dataset, strict=True):
        seen[Path(path).name.removesuffix("_leftImg8bit.png")] = np.asarray(image), table[np.asarray(labels)]
    return seen


def pebal(root: Path, split: str) -> Seen:
    """PEBAL and RPL: flat folders, of equal names but for the suffix."""
    seen = {}
    for image in sorted((root / "images" / "city_gt_fine" / split).iterdir()):
        assert image.name.endswith("_leftImg8bit.png")
        name = image.name.replace("_leftImg8bit.png", "_gtFine.png")
        labels = read_picture(root / "annotation" / "city_gt_fine" / split / name)
        assert labels.dtype == np.uint8
        seen[image.name.removesuffix("_leftImg8bit.png")] = read_picture(image), labels
    return seen


def ood_seg(root: Path, split: str) -> Seen:
    """Meta-OoD and all that paste objects themselves: label maps are listed, pictures have the same number."""
    seen = {}
    for labels in _pictures(root / "annotations" / f"ood_seg_{split}", ".png"):
        number = labels.name.split(".")[0]
        assert f"{int(number):012d}" == number
        seen[number] = read_picture(root / split / f"{number}.jpg"), read_picture(labels)
    assert {path.stem for path in _pictures(root / split, ".jpg")} == set(seen)
    return seen


READERS: dict[str, tuple[str, Callable[[Path, str], Seen]]] = {
    "forks of POC": ("cs-synth", cs_synth),
    "forks of POC, evaluation": ("cs-synth", cs_synth_evaluated),
    "RbA, Mask2Anomaly, mmseg": ("cityscapes", cityscapes_by_suffix),
    "torchvision": ("cityscapes", torchvision_cityscapes),
    "PEBAL, RPL": ("pebal", pebal),
    "Meta-OoD": ("ood-seg", ood_seg),
}
"""The layout and the reader of each method."""
