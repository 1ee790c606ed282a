"""Export: composed frames as files in the layouts that other programs read.

In it: frames on their way to files, what a layout is, the layouts, and the job that writes them.
May import: augmented_dataset, cache, errors, files, generation, items, joint_transforms, keys, labels, masks,
    reading, recipe, scenes, sharing, types.
Gives: `export`, `ExportedFrame`, `ExportLayout`, `ExportPlan`.
"""

from poc_aug.exporting.exporter import export as export

__all__ = ["export"]
