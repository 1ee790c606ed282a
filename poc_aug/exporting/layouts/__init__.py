"""Layouts: the files and folders that programs read, one file per layout.

In it: the layouts of OOD fine-tuning code, Cityscapes' own, and those of data set libraries.
May import: augmented_dataset, cache, errors, files, generation, items, joint_transforms, keys, labels, masks,
    reading, recipe, scenes, sharing, types.
Gives: `CityscapesLayout`, `CsSynthLayout`, `OodSegLayout`, `PebalLayout`.
"""
