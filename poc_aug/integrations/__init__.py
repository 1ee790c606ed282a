"""Integrations: poc_aug inside the pipelines of other libraries, each in a file of its own, imported by whoever uses it.

In it: a transform and a dataset wrapper for mmsegmentation, and mappers for detectron2.
May import: composer, errors, labels.
Gives: `PocInsert`, `PocDataset`, `PocMapper`.
"""
