"""Integrations: poc_aug inside the pipelines of other libraries, each in a file that only its users import.

In it: rows of Hugging Face's datasets, labels in WebDataset's shards, Lightning's epochs.
May import: backends.paste, cache, composer, errors, exporting, items, keys, labels, masks, reading, types.
Gives: `ComposeRows`, `decode_ids`, `AugmentationEpochs`.
"""
