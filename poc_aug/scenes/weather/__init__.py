"""Weather without weights: physics on what labels and camera already say. Vectorised torch, on the CPU or a GPU.

In it: depth and kinds of surfaces from labels and camera; fog, night, rain, snow and low sun.
May import: camera, camera_model, camera_spec, errors, labels, masks, noise, notebook, optional_imports, recipe,
    seeding, types.
Gives: `SceneGeometry`, `scene_geometry`.
"""
