"""Benchmarking: what the wrapper costs on a dataset and cache of yours.

In it: timing with warm-up and spread, and the stages of reading an item.
May import: cache, counting, dataset, environment, errors, items, keys, labels, reading, types.
Gives: `bench_reading`, `Spread`.
"""
