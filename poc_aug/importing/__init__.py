"""Import: frames that others edited, as the insertions that make them of their base frames.

In it: the layouts of edited frames, which pixels are of which object, exact alpha, patches and shades, the import
    job.
May import: cache, datasets, errors, files, generation, items, joint_transforms, keys, labels, masks, presets,
    reading, recipe, types.
Gives: `import_pairs`, `poc_release_pairs`, `matched_pairs`, `ImportedClasses`, `ImportReport`.
"""

from poc_aug.importing.import_edits import import_pairs
from poc_aug.importing.import_report import ImportReport
from poc_aug.importing.imported_classes import ImportedClasses, classes_named, classes_of_preset
from poc_aug.importing.pair_files import matched_pairs
from poc_aug.importing.poc_release import poc_release_pairs

__all__ = [
    "ImportReport",
    "ImportedClasses",
    "classes_named",
    "classes_of_preset",
    "import_pairs",
    "matched_pairs",
    "poc_release_pairs",
]
