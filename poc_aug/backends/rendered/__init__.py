"""Rendered: lost cargo, ray-cast into the frame; nothing to download.

In it: solids, materials, light and shadow, and the catalogue of objects.
May import: camera_model, errors, noise, presets, recipe, seeding, types.
Gives: `RenderedInserter`.
"""
