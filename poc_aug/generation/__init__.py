"""Generation: from a sample and a recipe to insertions.

In it: regions, jobs, the engine that batches them, acceptance, shadows, statistics, and the job that fills a cache.
May import: cache, camera, camera_model, errors, gaussian, items, joint_transforms, keys, labels, luma, masks,
    protocols, recipe, seeding, types.
Gives: `InsertionPipeline`, `warm_cache`, `Statistics`.
"""
