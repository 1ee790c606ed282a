"""Reporting: one page about a cache, for whoever gets it without running anything.

In it: figures over its records, charts, sample pictures, and the page that holds them.
May import: cache, errors, files, inspection, items, keys, luma, masks, recipe, scenes, types, version.
Gives: `write_report`.
"""

from __future__ import annotations

from poc_aug.reporting.cache_report import write_report

__all__ = ["write_report"]
