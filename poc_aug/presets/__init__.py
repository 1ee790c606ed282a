"""Presets: the recipes of the papers by name, and the sizes of objects.

In it: recipes as YAML files, real sizes in metres, and what `--sizes` means.
May import: errors, files, labels, recipe.
Gives: `load_preset`, `preset_names`, `preset_ids`.
"""

from __future__ import annotations

from poc_aug.presets.preset_loading import load_preset, preset_ids, preset_names

__all__ = ["load_preset", "preset_ids", "preset_names"]
