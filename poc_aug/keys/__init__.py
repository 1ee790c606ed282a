"""Keys: the stable names under which insertions are stored, equal on every machine and in every order.

In it: the keys of a dataset from its own names, paths, columns or wrapped datasets; samples with the same key.
May import: counting, errors, items.
Gives: `dataset_keys`, `number_keys`, `key_advice`, `check_repeats`.

The sources, in order: ``keys=``; the dataset's own ``keys()``; the parts of a `Subset`, `ConcatDataset` or
`StackDataset`; ``get_data_info`` of mmengine's datasets; a list of image paths; the dataset that this one wraps, as it
is, repeated, or selected from by a list of indices; the index. No item is ever read.

Keys need not be unique: a sample that is repeated has its key each time. The digest that is stored with each insertion
checks, when a sample is read, that its key still names the same image.

How the keys of a cache are matched with those of a dataset: `poc_aug.cache.key_matching`.
"""

from __future__ import annotations

from poc_aug.keys.column_keys import key_advice
from poc_aug.keys.dataset_keys import Keys, dataset_keys, first_of_each, number_keys
from poc_aug.keys.repeated_keys import check_repeats

__all__ = ["Keys", "check_repeats", "dataset_keys", "first_of_each", "key_advice", "number_keys"]
