"""The papers' sets by name: POC's test, fine-tuning and new-class sets, its baselines, and GenVal's insertions.

In it: one YAML per set, its dataset and what of it is used, its recipe and models, and what it costs to fill.
May import: backends.diffusion, backends.finders, cache, datasets, errors, files, generation, labels, presets, recipe,
    seeding.
Gives: `load_set`, `set_names`, `set_dataset`, `PaperSet`.
"""

from __future__ import annotations

from poc_aug.paper_sets.paper_set import PaperSet
from poc_aug.paper_sets.set_loading import load_set, set_dataset, set_names

__all__ = ["PaperSet", "load_set", "set_dataset", "set_names"]
