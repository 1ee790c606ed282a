"""Label policies: class names of an insertion -> label ids, chosen when reading."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import torch

from poc_aug.errors import LabelPolicyError
from poc_aug.labels.label_parameters import check_label_id, check_names, check_ring
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema, class_key, is_any
from poc_aug.recipe import IGNORED


@dataclass(frozen=True)
class _KeepBase:
    """Base of the policies that change labels only inside the objects."""

    ring_px: int = field(default=0, kw_only=True)
    ignore_id: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_ring(self.ring_px)
        if self.ignore_id is not None:
            check_label_id("ignore_id", self.ignore_id)

    def ring_id(self, schema: LabelSchema | None) -> int:
        """The policy's ``ignore_id``, otherwise the first ignore id of the schema.

        Raises:
            LabelPolicyError: there is neither, or ``ignore_id`` is the id of a class.
        """
        if self.ignore_id is not None:
            name = None if schema is None else schema.class_of(self.ignore_id)
            if schema is not None and name is not None and self.ignore_id not in schema.ignore:
                raise LabelPolicyError(
                    f"ignore_id={self.ignore_id} is the id of {name!r} in schema {schema.name!r}",
                    expected=f"an id of no class, such as its ignore ids {list(schema.ignore)}",
                    hint="leave ignore_id out, or choose another",
                )
            return self.ignore_id
        if schema is None or not schema.ignore:
            raise LabelPolicyError(
                f"{self._needs_ignore()} an ignore id, and the dataset's schema is not known or has none",
                expected="an integer label id",
                hint=f"{type(self).__name__}(..., ignore_id=255), or pass schema=",
            )
        return schema.ignore[0]

    def _needs_ignore(self) -> str:
        return f"a ring of {self.ring_px} px needs" if self.ring_px else "pasted background without a label needs"

    @property
    def rewrites_base(self) -> bool:
        """False."""
        return False

    def rewrite(self, labels: torch.Tensor, schema: LabelSchema | None, *, checked: bool = False) -> torch.Tensor:
        """The base's labels as they are."""
        return labels


@dataclass(frozen=True)
class OodLabels(_KeepBase):
    """Inserted objects get an out-of-distribution id; inserted *known* classes keep theirs (POC §3.2).

    Attributes:
        ood_id: label id of everything that the dataset has no class for. Either an id that the base uses neither for a
            class nor as an ignore id, or the id of the base's own anomalies (``LabelSchema.ood``).
        known: class names that are in-distribution, with their ids; ``None``: those of the dataset's schema. A further
            name may share the id of a class of the base, such as ``{"stop sign": 7}`` on Cityscapes' trainIds.
        void: ``ood_id`` is an ignore id of the base on purpose: ``OodLabels(255, void=True)`` makes objects void.
        ring_px: width of a ring of ignored pixels around each object.
        ignore_id: label id of the ring and of pasted background; ``None``: the schema's.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> OodLabels(254).resolve(["dog", "car"], SCHEMAS["cityscapes-trainIds"])
        {'dog': 254, 'car': 13}
    """

    ood_id: int = 254
    known: Mapping[str, int] | None = None
    void: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_label_id("ood_id", self.ood_id)
        check_names("known", {} if self.known is None else self.known)
        taken = {label_id: name for name, label_id in (self.known or {}).items()}
        if self.ood_id in taken:
            raise LabelPolicyError(
                f"ood_id={self.ood_id} is the id of the known class {taken[self.ood_id]!r}",
                expected="an id that no class has",
                hint="choose another, for example OodLabels(254)",
            )
        if self.ignore_id in taken:
            raise LabelPolicyError(
                f"ignore_id={self.ignore_id} is the id of the known class {taken[self.ignore_id]!r}",
                expected="an id that no class has",
            )
        if self.ood_id == self.ignore_id and not self.void:
            raise self._ignored("ignore_id")

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Ids of class names: their own for known classes, ``ood_id`` for all others, the ignore id for `IGNORED`.

        Raises:
            LabelPolicyError: neither the policy nor a schema says which classes are in-distribution; ``ood_id`` is the
                id of a class, or, without ``void``, an ignore id; ``known`` gives a class another id than the schema.
        """
        names, ignored = _without_ignored(names, self, schema)
        if schema is not None:
            self._check_base_ids(schema)
        if self.known is not None:
            table = {class_key(name): label_id for name, label_id in self.known.items()}
            ids: dict[str, int | None] = {name: table.get(class_key(name)) for name in names}
        elif schema is None:
            raise LabelPolicyError(
                "OodLabels needs to know which classes are known, and the dataset's schema is not known",
                expected="a LabelSchema, or the known classes with their ids",
                hint="pass schema=, or OodLabels(..., known={'car': 13}); known={} makes every object OOD",
            )
        else:
            ids = {name: schema.known_id(name) for name in names}
        return {name: self.ood_id if label_id is None else label_id for name, label_id in ids.items()} | ignored

    @property
    def known_schema(self) -> LabelSchema | None:
        """The part of the base's schema that ``known`` gives, for a base of unknown schema; ``None`` without it."""
        return LabelSchema("known=", self.known, ignore=()) if self.known else None

    def check_base(self, ids: Collection[int], schema: LabelSchema | None, key: str) -> None:
        """Check that labels whose schema is not known do not hold ``ood_id`` already; `resolve` checks a known schema.

        Raises:
            LabelPolicyError: they do.
        """
        if schema is None and self.ood_id in ids and not self.void:
            raise LabelPolicyError(
                f"labels of {key!r} hold ood_id={self.ood_id} already, and the dataset's schema is not known",
                expected="an id that the labels do not hold",
                hint="choose another; or say what it is: OodLabels(..., void=True) if it is ignored, "
                "schema=LabelSchema(..., ood=...) if it marks anomalies of the base",
            )

    def _check_base_ids(self, schema: LabelSchema) -> None:
        ood = {schema.id_of(name) for name in schema.ood}
        name = schema.class_of(self.ood_id)
        if self.ood_id in schema.ignore:
            if not self.void:
                raise self._ignored(f"schema {schema.name!r}")
        elif name is not None and self.ood_id not in ood:
            raise LabelPolicyError(
                f"ood_id={self.ood_id} is the id of the known class {name!r} in schema {schema.name!r}",
                expected=f"an id that no class has; the schema's are {sorted(schema.known_ids)}",
                hint="choose another, for example OodLabels(254)",
            )
        elif self.void and self.ood_id != self.ignore_id:
            raise LabelPolicyError(
                f"void=True, and ood_id={self.ood_id} is not an ignore id of schema {schema.name!r}",
                expected=f"one of {list(schema.ignore)}",
                hint="leave void out, or choose an ignore id",
            )
        for name, label_id in (self.known or {}).items():
            own = schema.known_id(name)
            if own is not None and own != label_id:
                raise LabelPolicyError(
                    f"known[{name!r}]={label_id}, but that class has id {own} in schema {schema.name!r}",
                    expected="the ids of the labels that are read",
                    hint=f"known={{{name!r}: {own}}}, or pass the schema of these labels (schema=)",
                )

    def _ignored(self, whose: str) -> LabelPolicyError:
        return LabelPolicyError(
            f"ood_id={self.ood_id} is an ignore id ({whose}): objects would be left out of training and evaluation",
            expected="an id that no class and no ignore id has",
            hint=f"OodLabels(254); or, if that is intended, OodLabels({self.ood_id}, void=True)",
        )


@dataclass(frozen=True)
class NewClassLabels(_KeepBase):
    """Inserted objects get ids of their own; classes of the dataset's schema that ``ids`` does not name keep theirs.

    Attributes:
        ids: label id of each new class, for example ``{"cat": 19, "dog": 20}``. A class of the schema that is named
            gets the id given here.
        merge: ids may be shared on purpose: by several new classes, with a class of the base, or with an ignore id.
        ring_px: width of a ring of ignored pixels around each object.
        ignore_id: label id of the ring and of pasted background; ``None``: the schema's.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> NewClassLabels({"cat": 19}).resolve(["cat", "car"], SCHEMAS["cityscapes-trainIds"])
        {'cat': 19, 'car': 13}
        >>> NewClassLabels({"cat": 19, "dog": 19}, merge=True).resolve(["cat", "dog"], None)
        {'cat': 19, 'dog': 19}
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    merge: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("ids", self.ids)
        first: dict[int, str] = {}
        for name, label_id in self.ids.items():
            if label_id == self.ignore_id:
                raise LabelPolicyError(
                    f"the id of {name!r} is ignore_id={label_id}",
                    expected="a class, or an ignore id",
                    hint="change one",
                )
            other = first.setdefault(label_id, name)
            if class_key(other) != class_key(name):
                self._check_merged(label_id, name, f"of {other!r} too")

    def _check_merged(self, label_id: int, name: str, whose: str) -> None:
        if not self.merge:
            raise LabelPolicyError(
                f"id {label_id} of {name!r} is that {whose}",
                expected="an id of its own for each new class",
                hint="choose another (of presets: preset_ids(name, start=100)); or, if they are one class, "
                "NewClassLabels(..., merge=True)",
            )

    def check_base(self, ids: Collection[int], schema: LabelSchema | None, key: str) -> None:
        """Check that labels whose schema is not known hold no id of a new class yet; `resolve` checks a known schema.

        Raises:
            LabelPolicyError: they do, without ``merge``.
        """
        if schema is None and not self.merge:
            for name, label_id in self.ids.items():
                if label_id in ids:
                    self._check_merged(
                        label_id, name, f"of something in the labels of {key!r}, whose schema is not known"
                    )

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Ids of class names: the policy's if it names them, otherwise the schema's; the ignore id for `IGNORED`.

        Raises:
            LabelPolicyError: a class that neither the policy nor the schema has; without ``merge``, a new class with
                an id of the base.
        """
        for name, label_id in self.ids.items() if schema is not None else ():
            assert schema is not None
            other = schema.class_of(label_id)
            if label_id in schema.ignore:
                self._check_merged(label_id, name, f"of an ignore id of schema {schema.name!r}")
            elif other is not None and (name not in schema or schema.id_of(name) != label_id):
                self._check_merged(label_id, name, f"of {other!r} in schema {schema.name!r}")
        names, ignored = _without_ignored(names, self, schema)
        own = {class_key(name): label_id for name, label_id in self.ids.items()}
        inherited = {name: None if schema is None else schema.known_id(name) for name in names}
        ids = {name: own.get(class_key(name), inherited[name]) for name in names}
        missing = sorted(name for name, label_id in ids.items() if label_id is None)
        if missing:
            known, but = list(self.ids), ""
            if schema is not None:
                known += [name for name in schema.ids if schema.known_id(name) is not None]
                unused = [name for name in missing if schema.has(name)]
                but = f"; schema {schema.name!r} has no usable id for {unused}: ignored, or OOD" if unused else ""
            raise LabelPolicyError(
                f"no label id for the inserted classes {missing}{but}",
                expected=f"an id for each inserted class; known are {', '.join(known) or 'none'}",
                hint="add them: NewClassLabels({" + ", ".join(f'"{name}": <id>' for name in missing) + ", ...})",
            )
        return {name: label_id for name, label_id in ids.items() if label_id is not None} | ignored


@dataclass(frozen=True)
class AnomalyLabels:
    """Labels of an anomaly segmentation test set: 0 in-distribution, 1 OOD, 255 ignore.

    Inserted objects of known classes (those of the schema) count as in-distribution, as in POC's test sets (§3.2), so
    that a model cannot recognise anomalies by their being synthetic. Anomalies of the base stay anomalies.

    Attributes:
        known: class names that count as in-distribution; ``None``: those of the dataset's schema.
        ring_px: width of a ring of ignored pixels around each object.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> AnomalyLabels().resolve(["dog", "car"], SCHEMAS["cityscapes-trainIds"])
        {'dog': 1, 'car': 0}
        >>> AnomalyLabels().rewrite(torch.tensor([[0, 13, 255]]), SCHEMAS["cityscapes-trainIds"])
        tensor([[  0,   0, 255]])
    """

    known: tuple[str, ...] | None = None
    ring_px: int = 0

    def __post_init__(self) -> None:
        check_ring(self.ring_px)
        if isinstance(self.known, str):
            raise LabelPolicyError(f"known={self.known!r}", expected="a tuple of class names", hint="known=('car',)")

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """0 for known classes, 1 for all others; 255 for `IGNORED`.

        Raises:
            LabelPolicyError: neither the policy nor a schema says which classes are in-distribution, or one of
                ``known`` is an anomaly of the base.
        """
        names, ignored = _without_ignored(names, self, schema)
        if self.known is not None:
            known = {class_key(name) for name in self.known}
            anomalies = [] if schema is None else [name for name in schema.ood if class_key(name) in known]
            if schema is not None and anomalies:
                raise LabelPolicyError(
                    f"known={self.known} holds {anomalies}, which schema {schema.name!r} calls out of distribution",
                    expected="classes that are in-distribution",
                    hint="leave them out of known, or out of the schema's ood",
                )
            return {name: 0 if class_key(name) in known else 1 for name in names} | ignored
        return {name: 1 if self._schema(schema).known_id(name) is None else 0 for name in names} | ignored

    def ring_id(self, schema: LabelSchema | None) -> int:
        """255."""
        return 255

    @property
    def rewrites_base(self) -> bool:
        """True."""
        return True

    def rewrite(self, labels: torch.Tensor, schema: LabelSchema | None, *, checked: bool = False) -> torch.Tensor:
        """255 where the base is ignored, 1 where it holds an anomaly, 0 elsewhere.

        Args:
            labels: the base's labels, integer ``[H, W]``.
            schema: their schema.
            checked: the schema is known to have all their ids: not checked again.

        Raises:
            LabelPolicyError: no schema, so the ignore ids are not known; or labels that cannot hold 255.
            SchemaError: an id that the schema does not know, which would count as in-distribution.
        """
        schema = self._schema(schema)
        if not checked:
            schema.check(labels, "the base")
        if torch.iinfo(labels.dtype).max < 255:
            raise LabelPolicyError(
                f"labels of dtype {labels.dtype} cannot hold 255", expected="a dtype that holds 0 to 255, such as uint8"
            )
        rewritten = is_any(labels, [schema.id_of(name) for name in schema.ood]).to(labels.dtype)
        return rewritten.masked_fill_(schema.ignored(labels), 255)

    def _schema(self, schema: LabelSchema | None) -> LabelSchema:
        if schema is None:
            raise LabelPolicyError(
                "AnomalyLabels needs the base's known classes and ignore ids, and its schema is not known",
                expected="a LabelSchema",
                hint="pass schema=, for example POCAugmentedDataset(..., schema='cityscapes-trainIds')",
            )
        return schema


def _without_ignored(
    names: Iterable[str], policy: LabelPolicy, schema: LabelSchema | None
) -> tuple[list[str], dict[str, int]]:
    """The class names among ``names``, and the id of `IGNORED` if it is among them."""
    given = list(names)
    ignored = {IGNORED: policy.ring_id(schema)} if IGNORED in given else {}
    return [name for name in given if name != IGNORED], ignored
