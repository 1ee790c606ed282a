"""Datasets: readers of folders, and the datasets that the papers use.

In it: a general reader, pairing of files, datasets by name; synthetic streets in a folder of their own.
May import: errors, files, joint_transforms, labels.
Gives: `PairedFolder` and the datasets of the papers.

torchvision's own `Cityscapes` and `VOCSegmentation` are used as they are.
"""

from __future__ import annotations

from poc_aug.datasets.named_datasets import acdc, camvid, fishyscapes, idd, road_anomaly, segment_me_if_you_can
from poc_aug.datasets.paired_folder import PairedFolder

__all__ = [
    "PairedFolder",
    "acdc",
    "camvid",
    "fishyscapes",
    "idd",
    "road_anomaly",
    "segment_me_if_you_can",
]
