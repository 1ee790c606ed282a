"""Inspection: pictures to judge by eye what was made.

In it: contact sheets of a cache, every stage of one insertion, and what notebooks show.
May import: augmented_dataset, backends.finders, cache, camera, camera_model, composer, counting, dataset, errors,
    files, generation, items, keys, labels, masks, notebook, number_settings, protocols, reading, recipe,
    scene_dataset, scenes, types.
Gives: `contact_sheet`, `trace_variant`, `NotebookView`.
"""
