"""Scene shifts: whole frames in another domain (fog, night, rain, snow, ...) whose labels stay as they are.

In it: what a shifter is given and returns, shifts by their names, recipes of shifts, and weather without weights.
May import: camera, camera_model, camera_spec, errors, labels, masks, noise, notebook, optional_imports, recipe,
    seeding, types.
Gives: `Shifter`.
"""
