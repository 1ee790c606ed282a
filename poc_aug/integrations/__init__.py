"""Integrations: poc_aug within the pipelines of other libraries, which are imported only by whoever uses them.

In it: a transform and a dataset wrapper for mmsegmentation, and mappers for detectron2.
May import: backends.paste, cache, composer, errors, exporting, labels, masks, reading, types.
Gives: `PocInsert`, `PocDataset`, `PocMapper`.
"""
