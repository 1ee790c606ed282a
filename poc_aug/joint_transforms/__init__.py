"""Joint transforms: ``transforms=`` of image and labels together, called as its library expects, and checked.

In it: torchvision v2, albumentations and kornia; the ids that they fill with; the check of label ids.
May import: errors, items, labels, recipe, seeding.
Gives: `JointTransforms`, `check_base_transforms`.
"""
