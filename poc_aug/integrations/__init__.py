"""Integrations: poc_aug inside the pipelines of other libraries, each in a file that only its users import.

In it: rows of Hugging Face's datasets, labels in WebDataset's shards, Lightning's epochs; a transform and a dataset
    of mmsegmentation, mappers of detectron2.
May import: backends.paste, cache, composer, counting, errors, exporting, items, keys, labels, masks, reading, types.
Gives: `ComposeRows`, `decode_ids`, `AugmentationEpochs`, `PocInsert`, `PocDataset`, `PocMapper`.
"""
