"""`PocInsert` and `PocDataset`: insertions in the pipelines and datasets of mmsegmentation 1.x, by config.

A config imports this file, and names the transform right after the one that loads labels::

    custom_imports = dict(imports=["poc_aug.integrations.mmsegmentation"])
    train_pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations"),
        dict(type="PocInsert", cache="cityscapes.cache", schema="cityscapes-trainIds"),
        ...
    ]

Both are registered with mmengine, where mmsegmentation, and any other library of the family, finds them.
"""

from poc_aug.integrations._mmseg_dataset import PocDataset as PocDataset
from poc_aug.integrations._mmseg_insert import PocInsert as PocInsert

__all__ = ["PocDataset", "PocInsert"]
