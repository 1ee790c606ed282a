"""Datasets: readers of folders, and the datasets that the papers use.

In it: a general reader, pairing of files, datasets by name; synthetic streets in a folder of their own.
May import: errors, files, joint_transforms, labels.
Gives: `PairedFolder` and the datasets of the papers.

torchvision's own `Cityscapes` and `VOCSegmentation` can be used as they are. The readers are loaded on first use,
because they load torchvision, which `poc_aug.datasets.synthetic` does not need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poc_aug.datasets.named_datasets import (
        acdc,
        camvid,
        cityscapes,
        fishyscapes,
        idd,
        road_anomaly,
        segment_me_if_you_can,
    )
    from poc_aug.datasets.paired_folder import PairedFolder

__all__ = [
    "PairedFolder",
    "acdc",
    "camvid",
    "cityscapes",
    "fishyscapes",
    "idd",
    "road_anomaly",
    "segment_me_if_you_can",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "paired_folder" if name == "PairedFolder" else "named_datasets"
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
