"""Upkeep: what is done to a cache after it was filled, without changing a record.

In it: decisions about many insertions at once, compacting, repairing, merging, and verifying all recipes of a cache.
May import: cache, errors, files, items, types.
Gives: `drop`, `undo_decision`, `decisions`, `compact_cache`, `repair`, `merge_caches`, `verify_cache`.
"""

from __future__ import annotations

from poc_aug.upkeep.compacting import CompactReport, compact_cache
from poc_aug.upkeep.dropping import DropReport, decisions, drop
from poc_aug.upkeep.merging import MergeReport, merge_caches
from poc_aug.upkeep.repairing import RepairReport, SetAside, repair
from poc_aug.upkeep.undoing import undo_decision
from poc_aug.upkeep.verifying import verify_cache

__all__ = [
    "CompactReport",
    "DropReport",
    "MergeReport",
    "RepairReport",
    "SetAside",
    "compact_cache",
    "decisions",
    "drop",
    "merge_caches",
    "repair",
    "undo_decision",
    "verify_cache",
]
