"""Label policies: class names of an insertion -> label ids, chosen when reading. And the rule for two parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

from poc_aug.errors import LabelPolicyError
from poc_aug.schema import LabelSchema, class_key, is_any
from poc_aug.types import IGNORED, Part

_SAME_OBJECT_IOU = 0.8


class LabelPolicy(Protocol):
    """Decides the label ids of what is inserted, and of the rest of the map."""

    @property
    def ring_px(self) -> int:
        """Width of the ring of ignored pixels around each object; 0: none."""
        ...

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Label id of each class name; of `poc_aug.types.IGNORED`, which is no class, the ignore id.

        Raises:
            LabelPolicyError: a class name without an id.
        """
        ...

    def ring_id(self, schema: LabelSchema | None) -> int:
        """The ignore id: label id of the ring."""
        ...

    @property
    def rewrites_base(self) -> bool:
        """Whether the labels outside the objects change too: then `rewrite` is called for every item."""
        ...

    def rewrite(self, labels: torch.Tensor, schema: LabelSchema | None) -> torch.Tensor:
        """The base's labels, integer ``[H, W]``, in the policy's ids: a map of the same shape and dtype."""
        ...


@dataclass(frozen=True)
class _KeepBase:
    """Policies that change the labels inside the objects only."""

    ring_px: int = field(default=0, kw_only=True)
    ignore_id: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_ring(self.ring_px)
        if self.ignore_id is not None:
            _check_id("ignore_id", self.ignore_id)

    def ring_id(self, schema: LabelSchema | None) -> int:
        """The policy's ``ignore_id``, else the first ignore id of the schema."""
        if self.ignore_id is not None:
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

    def rewrite(self, labels: torch.Tensor, schema: LabelSchema | None) -> torch.Tensor:
        """The base's labels as they are."""
        return labels


@dataclass(frozen=True)
class OodLabels(_KeepBase):
    """Inserted objects get an out-of-distribution id; inserted *known* classes keep theirs (POC §3.2).

    Attributes:
        ood_id: label id of everything that the dataset has no class for; an ignore id makes it void.
        known: class names that are in-distribution, with their ids; ``None``: those of the dataset's schema.
        ring_px: width of a ring of ignored pixels around each object.
        ignore_id: label id of the ring and of pasted background; ``None``: the schema's.
    """

    ood_id: int = 254
    known: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_id("ood_id", self.ood_id)
        for name, label_id in (self.known or {}).items():
            _check_id(f"known[{name!r}]", label_id)

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Known classes by their id, all others ``ood_id``; `IGNORED` the ignore id.

        Raises:
            LabelPolicyError: it is not known which classes are known, or ``ood_id`` is the id of one.
        """
        names, ignored = _without_ignored(names, self, schema)
        if self.known is not None:
            table = {class_key(name): label_id for name, label_id in self.known.items()}
            taken = {label_id: name for name, label_id in self.known.items()}
            ids: dict[str, int | None] = {name: table.get(class_key(name)) for name in names}
        elif schema is None:
            raise LabelPolicyError(
                "OodLabels needs to know which classes are known, and the dataset's schema is not known",
                expected="a LabelSchema, or the known classes with their ids",
                hint="pass schema=, or OodLabels(..., known={'car': 13}); known={} makes every object OOD",
            )
        else:
            taken = {label_id: name for name, label_id in schema.ids.items() if schema.known_id(name) is not None}
            ids = {name: schema.known_id(name) for name in names}
        if self.ood_id in taken:
            raise LabelPolicyError(
                f"ood_id={self.ood_id} is the id of the known class {taken[self.ood_id]!r}",
                expected="an id that no class has",
                hint="choose another, for example OodLabels(254)",
            )
        return {name: self.ood_id if label_id is None else label_id for name, label_id in ids.items()} | ignored


@dataclass(frozen=True)
class NewClassLabels(_KeepBase):
    """Inserted objects get ids of their own; classes of the dataset's schema that are not named keep theirs.

    Attributes:
        ids: label id of each new class, for example ``{"cat": 19, "dog": 20}``.
        ring_px: width of a ring of ignored pixels around each object.
        ignore_id: label id of the ring and of pasted background; ``None``: the schema's.
    """

    ids: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, label_id in self.ids.items():
            _check_id(f"the id of {name!r}", label_id)

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Ids of the policy first, then of the schema; `IGNORED` the ignore id.

        Raises:
            LabelPolicyError: a class name that neither has.
        """
        names, ignored = _without_ignored(names, self, schema)
        own = {class_key(name): label_id for name, label_id in self.ids.items()}
        found = {
            name: own[class_key(name)] if class_key(name) in own else schema.known_id(name) if schema else None
            for name in names
        }
        missing = sorted(name for name, label_id in found.items() if label_id is None)
        if missing:
            known = [*self.ids, *(schema.ids if schema else ())]
            raise LabelPolicyError(
                f"no label id for the inserted classes {missing}",
                expected=f"an id for each inserted class; known are {', '.join(known) or 'none'}",
                hint="add them: NewClassLabels({" + ", ".join(f'"{name}": <id>' for name in missing) + ", ...})",
            )
        return {name: label_id for name, label_id in found.items() if label_id is not None} | ignored


@dataclass(frozen=True)
class AnomalyLabels:
    """Anomaly segmentation test labels: 0 in-distribution, 1 OOD, 255 ignore.

    Inserted known classes (those of the schema) count as in-distribution, as in POC's test sets (§3.2), so that a
    model cannot tell anomalies by their being synthetic. Anomalies that the base has already stay anomalies.

    Attributes:
        known: class names that count as in-distribution; ``None``: those of the dataset's schema.
        ring_px: width of a ring of ignored pixels around each object.
    """

    known: tuple[str, ...] | None = None
    ring_px: int = 0

    def __post_init__(self) -> None:
        _check_ring(self.ring_px)
        if isinstance(self.known, str):
            raise LabelPolicyError(f"known={self.known!r}", expected="a tuple of class names", hint="known=('car',)")

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """0 for known classes, 1 for all others; 255 for `IGNORED`.

        Raises:
            LabelPolicyError: it is not known which classes are known.
        """
        names, ignored = _without_ignored(names, self, schema)
        if self.known is not None:
            known = {class_key(name) for name in self.known}
            return {name: 0 if class_key(name) in known else 1 for name in names} | ignored
        return {name: 1 if self._schema(schema).known_id(name) is None else 0 for name in names} | ignored

    def ring_id(self, schema: LabelSchema | None) -> int:
        """255."""
        return 255

    @property
    def rewrites_base(self) -> bool:
        """True."""
        return True

    def rewrite(self, labels: torch.Tensor, schema: LabelSchema | None) -> torch.Tensor:
        """255 where the base is ignored, 1 where it holds an anomaly, else 0.

        Raises:
            LabelPolicyError: no schema, so the ignore ids are not known; or labels that cannot hold 255.
        """
        schema = self._schema(schema)
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


def resolve_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Make part masks disjoint by the paper's rule for two-part objects such as ("rider", "bicycle").

    Two masks with an IoU over 0.8 are one object, found twice: the later part's. Else the earlier part wins the
    overlap (POC's public parameters). Parts left without a pixel are dropped.
    """
    kept: list[Part] = []
    for part in parts:
        kept = [other for other in kept if _iou(other.mask, part.mask) <= _SAME_OBJECT_IOU]
        kept.append(part)
    free: list[Part] = []
    taken: torch.Tensor | None = None
    for part in kept:
        mask = part.mask if taken is None else part.mask & ~taken
        taken = part.mask if taken is None else taken | part.mask
        if bool(mask.any()):
            free.append(Part(part.name, mask, part.score))
    return tuple(free)


def _without_ignored(
    names: Iterable[str], policy: LabelPolicy, schema: LabelSchema | None
) -> tuple[list[str], dict[str, int]]:
    """The class names among ``names``, and the id of `IGNORED` where it is among them."""
    given = list(names)
    ignored = {IGNORED: policy.ring_id(schema)} if IGNORED in given else {}
    return [name for name in given if name != IGNORED], ignored


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


def _check_id(what: str, label_id: int) -> None:
    if not isinstance(label_id, int) or isinstance(label_id, bool):
        raise LabelPolicyError(f"{what}={label_id!r}", expected="an integer label id")


def _check_ring(ring_px: int) -> None:
    if not isinstance(ring_px, int) or ring_px < 0:
        raise LabelPolicyError(f"ring_px={ring_px!r}", expected="a whole number of pixels, 0 or more")
