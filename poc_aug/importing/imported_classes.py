"""`ImportedClasses`: which label ids of edited frames are of inserted objects, and which objects there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from poc_aug.errors import ImportFilesError, LabelPolicyError
from poc_aug.labels.label_parameters import check_label_id, check_names
from poc_aug.labels.schema import LabelSchema, class_key
from poc_aug.presets import load_preset, preset_ids
from poc_aug.recipe import ObjectSpec

_FIRST_NEW_ID = {"cityscapes-labelIds": 100}
"""POC's sets number new classes from 19, and from 100 on labelIds (ACDC)."""


@dataclass(frozen=True)
class ImportedClasses:
    """What the labels of edited frames mean.

    Attributes:
        schema: schema of the base's classes in the edited labels, which may be another one than the base dataset's own.
        new: label ids of classes that the schema does not have.
        objects: the objects that may have been inserted; their parts are classes of ``new`` or of the schema. Empty:
            one for each class of ``new``.

    Raises:
        ImportFilesError: no object, or an object's part that has no id.
        LabelPolicyError: an id of ``new`` that the schema uses.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> classes = ImportedClasses(SCHEMAS["cityscapes-trainIds"], {"cat": 19}, (ObjectSpec(name="cat"),))
        >>> classes.ids
        {'cat': 19}
    """

    schema: LabelSchema
    new: Mapping[str, int]
    objects: tuple[ObjectSpec, ...] = field(default=())

    def __post_init__(self) -> None:
        check_names("classes", self.new)
        used: dict[int, str] = {}
        for name, label_id in self.new.items():
            check_label_id(f"the id of {name!r}", label_id)
            other = self.schema.class_of(label_id) or ("ignored" if label_id in self.schema.ignore else None)
            other = other or used.get(label_id)
            if other is not None and class_key(other) != class_key(name):
                raise LabelPolicyError(
                    f"id {label_id} of {name!r} is that of {other!r}",
                    expected=f"ids that schema {self.schema.name!r} does not use, one per class",
                    hint="give the schema of the edited labels: ImportedClasses(schema=...)",
                    command="give the schema of the edited labels: --labels-schema NAME|FILE.yaml",
                )
            used[label_id] = name
        if not self.objects:
            object.__setattr__(self, "objects", tuple(ObjectSpec(name=name) for name in self.new))
        if not self.objects:
            raise ImportFilesError(
                "no inserted class is named",
                expected="the label ids of the classes that were inserted",
                hint='ImportedClasses(schema, {"dog": 19}), or classes_of_preset("poc-alt")',
                command="--preset poc-alt, or --classes dog=19,cat=20",
            )
        missing = [part for spec in self.objects for part in spec.parts if self.id_of(part) is None]
        if missing:
            raise ImportFilesError(
                f"no label id for the inserted classes {sorted(set(missing))}",
                expected=f"classes of the edited labels: {', '.join([*self.new, *self.schema.ids])}",
                hint="correct the names, or add their ids to ImportedClasses(new=...)",
                command="correct the names in --objects, or add their ids: --classes dog=19",
            )

    def id_of(self, name: str) -> int | None:
        """Label id of a class that is not ignored; ``None`` if there is none."""
        own = {class_key(other): label_id for other, label_id in self.new.items()}
        return own.get(class_key(name), self.schema.known_id(name))

    @cached_property
    def ids(self) -> dict[str, int]:
        """Label id of each part of the objects."""
        found = {part: self.id_of(part) for spec in self.objects for part in spec.parts}
        return {name: label_id for name, label_id in found.items() if label_id is not None}

    @cached_property
    def known_ids(self) -> frozenset[int]:
        """Every id that edited labels may hold."""
        return self.schema.known_ids | frozenset(self.new.values())

    @cached_property
    def families(self) -> tuple[tuple[ObjectSpec, ...], ...]:
        """The objects in groups that share classes: those with a rider are one, since a rider may be of any of them."""
        groups: list[tuple[set[int], list[ObjectSpec]]] = []
        for spec in self.objects:
            ids = {self.ids[part] for part in spec.parts}
            joined = [group for group in groups if group[0] & ids]
            groups = [group for group in groups if not group[0] & ids]
            members = [other for group in joined for other in group[1]]
            groups.append((ids.union(*(group[0] for group in joined)), [*members, spec]))
        return tuple(tuple(members) for _, members in groups)

    def object_called(self, text: str) -> ObjectSpec | None:
        """The object of a name or a prompt, however articles, case and dashes are written; ``None`` if there is none.

        Example:
            >>> classes = classes_of_preset("poc-alt")
            >>> classes.object_called("bicycle-with-rider").parts, classes.object_called("gnu")
            (('rider', 'bicycle'), None)
        """
        return self._by_text.get(_plain(text))

    @cached_property
    def _by_text(self) -> dict[str, ObjectSpec]:
        # A name counts before a prompt of another object.
        prompts = {_plain(prompt): spec for spec in reversed(self.objects) for prompt in spec.prompts}
        return prompts | {_plain(spec.name): spec for spec in reversed(self.objects)}


def classes_of_preset(name: str, schema: LabelSchema | str = "cityscapes-trainIds") -> ImportedClasses:
    """The classes of labels that were made with a preset of POC: new ids in its order, from 19, on labelIds from 100.

    Args:
        name: the preset, such as "poc-alt".
        schema: schema of the base's classes in the edited labels.

    Raises:
        RecipeError: no such preset.
        ImportFilesError: the schema has no class for one of its objects.

    Example:
        >>> classes_of_preset("poc-animals").new["dog"]
        22
    """
    schema = LabelSchema.load(schema) if isinstance(schema, str) else schema
    new = preset_ids(name, _FIRST_NEW_ID.get(schema.name, 19))
    return ImportedClasses(schema, new, load_preset(name).objects)


def classes_named(
    schema: LabelSchema, new: Mapping[str, int], objects: Sequence[str] = (), known: Collection[str] = ()
) -> ImportedClasses:
    """Classes by name, each object of one part.

    Args:
        schema: schema of the base's classes in the edited labels.
        new: label ids of classes that the schema does not have.
        objects: names of the inserted objects; empty: all of ``new`` and of ``known``.
        known: classes of the schema that were inserted too.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> classes_named(SCHEMAS["cityscapes-trainIds"], {"cat": 19}, known=["car"]).ids
        {'cat': 19, 'car': 13}
    """
    names = dict.fromkeys(objects or (*new, *known))
    return ImportedClasses(schema, new, tuple(ObjectSpec(name=name) for name in names))


def _plain(text: str) -> str:
    words = class_key(text).split()
    words = [word for word in words if word not in ("a", "an", "the")]
    # The published sets and their paper spell this word in two ways.
    return " ".join("mattress" if word == "matress" else word for word in words)
