"""What mmsegmentation's `LoadAnnotations` makes of the ids in label files: ``reduce_zero_label`` and ``label_map``."""

from __future__ import annotations

from collections.abc import Mapping

from poc_aug.errors import SchemaError
from poc_aug.labels.schema import LabelSchema

IGNORED_ID = 255
"""The id that mmsegmentation gives to what is not trained on, its ``ignore_index``."""


def mapped_schema(
    schema: LabelSchema, *, reduce_zero_label: bool = False, label_map: Mapping[int, int] | None = None
) -> LabelSchema:
    """The schema of labels as mmsegmentation 1.x loads them, from that of their files.

    ``reduce_zero_label`` makes 0 the ignore id 255 and moves the other ids down by one; ``label_map`` then replaces
    ids. Labels have 8 bits. Classes that become 255 are ignored, and classes that become one id share it.

    Args:
        schema: schema of the files.
        reduce_zero_label: as the dataset has it.
        label_map: new id of each old one.

    Raises:
        SchemaError: ids that 8 bits cannot hold, or a mix of classes that no schema can have, such as an anomaly that
            gets the id of a known class.

    Example:
        >>> files = LabelSchema("rooms", {"other": 0, "wall": 1, "floor": 2, "door": 3})
        >>> loaded = mapped_schema(files, reduce_zero_label=True, label_map={0: 0, 1: 1, 2: 0})
        >>> dict(loaded.ids), loaded.ignore
        ({'other': 255, 'wall': 0, 'floor': 1, 'door': 0}, (255,))
    """
    if not reduce_zero_label and not label_map:
        return schema
    table = label_map or {}
    changes = f"reduce_zero_label={reduce_zero_label}" + (f", label_map={dict(table)}" if table else "")

    def loaded(label_id: int) -> int:
        if not -1 <= label_id <= IGNORED_ID:
            raise SchemaError(
                f"id {label_id} of schema {schema.name!r} with {changes}",
                expected="ids in [0, 255]: mmsegmentation loads labels in 8 bits",
            )
        label_id %= 256
        if reduce_zero_label:
            label_id = IGNORED_ID if label_id in (0, IGNORED_ID) else label_id - 1
        return table.get(label_id, label_id) % 256

    ids = {name: loaded(label_id) for name, label_id in schema.ids.items()}
    evaluated = {ids[name] for name, label_id in schema.ids.items() if label_id not in schema.ignore} - {IGNORED_ID}
    ignored = [IGNORED_ID] if IGNORED_ID in ids.values() or reduce_zero_label else []
    ignored += [label_id for each in schema.ignore if (label_id := loaded(each)) not in evaluated]
    ignore = tuple(dict.fromkeys(ignored))
    try:
        return LabelSchema(
            schema.name,
            ids,
            ignore=ignore,
            ground=tuple(name for name in schema.ground if _id_of(ids, schema, name) not in ignore),
            ood=tuple(name for name in schema.ood if _id_of(ids, schema, name) not in ignore),
        )
    except SchemaError as error:
        raise SchemaError(
            f"schema {schema.name!r} with {changes}: {error.problem}", expected=error.expected, hint=error.hint
        ) from error


def _id_of(ids: Mapping[str, int], schema: LabelSchema, name: str) -> int:
    """The new id of a class whose name may be spelt in another way in ``ground`` and ``ood``."""
    spelt = next(other for other in ids if schema.id_of(other) == schema.id_of(name))
    return ids[spelt]
