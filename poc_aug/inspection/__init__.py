"""Inspection: pictures to judge by eye what was made.

In it: contact sheets of a cache, and every stage of one insertion.
May import: backends.finders, cache, camera, camera_model, errors, files, generation, items, keys, protocols, reading,
    recipe, scenes, types.
Gives: `contact_sheet`, `trace_variant`.
"""
