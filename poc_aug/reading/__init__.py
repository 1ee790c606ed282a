"""Reading: from a base item and its variant to the item of a training.

In it: which variant an item shows, where it comes from, checks of base items, composing.
May import: cache, camera_model, counting, errors, items, labels, masks, recipe, seeding, types.
Gives: `VariantSource`, `compose`, `ReadingStatistics`.
"""
