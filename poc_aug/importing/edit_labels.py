"""Labels of base and edited frames in the same ids, so that they can be compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from poc_aug.errors import ImportFilesError
from poc_aug.importing.imported_classes import ImportedClasses
from poc_aug.items.label_ids import distinct_ids
from poc_aug.labels.schema import LabelSchema

CommonIds = npt.NDArray[np.int32]
"""int32 ``[H, W]``: label ids of the edited labels, or one of the two values below."""

ANY = -2
"""In place of a label id: a class of the base that the edited labels have no id for."""
VOID = -3
"""In place of a label id: any id that is ignored."""

_LARGEST_TABLE = 1 << 17


def edited_in_common(labels: npt.NDArray[np.integer], classes: ImportedClasses, name: str) -> CommonIds:
    """The labels of an edited frame.

    Args:
        labels: integer ``[H, W]``.
        classes: what they mean.
        name: their file, for errors.

    Raises:
        ImportFilesError: an id that is no class.
    """
    held = distinct_ids(labels)
    unknown = sorted(held - classes.known_ids)
    if unknown:
        raise ImportFilesError(
            f"{name} holds label ids {unknown[:10]}{' and more' * (len(unknown) > 10)} that are no class",
            expected=f"ids of schema {classes.schema.name!r}, and {dict(classes.new)}",
            hint="name the new classes with their ids, or pass the schema of these labels",
            command="name the new classes with their ids (--preset, --classes), or give --labels-schema",
        )
    return _mapped(labels, held, lambda label_id: VOID if label_id in classes.schema.ignore else label_id)


def base_in_common(labels: npt.NDArray[np.integer], schema: LabelSchema, classes: ImportedClasses) -> CommonIds:
    """The labels of a base frame, integer ``[H, W]``, whose ids its schema knows, in the ids of edited ones."""
    return _mapped(labels, distinct_ids(labels), lambda label_id: _translated(label_id, schema, classes.schema))


def _translated(label_id: int, schema: LabelSchema, to: LabelSchema) -> int:
    if label_id in schema.ignore:
        return VOID
    names = [name for name, own in schema.ids.items() if own == label_id]
    known = next((name for name in names if name in to), None)
    if known is None:
        return ANY
    return VOID if to.id_of(known) in to.ignore else to.id_of(known)


def _mapped(labels: npt.NDArray[np.integer], held: frozenset[int], rule: Callable[[int], int]) -> CommonIds:
    if not held:
        return labels.astype(np.int32)
    low, high = min(held), max(held)
    if high - low < _LARGEST_TABLE:  # one pass over the pixels
        table = np.zeros(high - low + 1, np.int32)
        for label_id in held:
            table[label_id - low] = rule(label_id)
        return table[labels if low == 0 else labels.astype(np.int64) - low]
    mapped = np.zeros(labels.shape, np.int32)
    for label_id in held:
        mapped[labels == label_id] = rule(label_id)
    return mapped
