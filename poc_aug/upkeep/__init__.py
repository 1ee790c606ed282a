"""Upkeep: what is done to a cache after it was filled, without changing a record.

In it: dropping and restoring, compacting, repairing, merging, and verifying all recipes of a cache.
May import: cache, errors, files, items, types.
Gives: `drop`, `compact`, `repair`, `merge_caches`, `verify_cache`.
"""

from __future__ import annotations
