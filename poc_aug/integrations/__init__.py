"""Integrations: poc_aug inside the pipelines of other libraries, each in a file that only its users import.

In it: rows of Hugging Face's datasets, labels in WebDataset's shards, Lightning's epochs.
May import: composer, epochs, errors, keys.
Gives: `ComposeRows`, `decode_ids`, `AugmentationEpochs`.
"""
