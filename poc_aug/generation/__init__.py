"""Generation: from a sample and a recipe to insertions.

In it: regions, jobs and the engine that batches their work items, acceptance, shadows, statistics, and warming.
May import: cache, camera, camera_model, camera_spec, counting, errors, files, gaussian, items, joint_transforms,
    keys, labels, luma, masks, optional_imports, protocols, recipe, scenes, seeding, types.
Gives: `InsertionPipeline`, `warm_cache`, `Statistics`.
"""
