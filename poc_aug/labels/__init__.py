"""Labels: which id means which class, before and after.

In it: label schemas, the schemas of known datasets, label policies, and the digest of labels by class name.
May import: errors, files, items, keys, notebook, recipe, types.
Gives: `LabelSchema`, `find_schema`, `OodLabels`, `NewClassLabels`, `AnomalyLabels`.
"""
