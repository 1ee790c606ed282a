"""Label policies: class names of an insertion -> label ids, chosen when reading. And the rule for two parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

from poc_aug.errors import LabelPolicyError
from poc_aug.schema import LabelSchema
from poc_aug.types import Part

_SAME_OBJECT_IOU = 0.8


class LabelPolicy(Protocol):
    """Decides the label ids of what is inserted, and of the rest of the map."""

    @property
    def ring_px(self) -> int:
        """Width of the ring of ignored pixels around each object; 0: none."""
        ...

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Label id of each class name.

        Raises:
            LabelPolicyError: a class name without an id.
        """
        ...

    def ring_id(self, schema: LabelSchema | None) -> int:
        """Label id of the ring."""
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

    def ring_id(self, schema: LabelSchema | None) -> int:
        """The policy's ``ignore_id``, else the first ignore id of the schema."""
        if self.ignore_id is not None:
            return self.ignore_id
        if schema is None or not schema.ignore:
            raise LabelPolicyError(
                f"a ring of {self.ring_px} px needs an ignore id, and the dataset's schema is not known",
                expected="an integer label id",
                hint=f"{type(self).__name__}(..., ring_px={self.ring_px}, ignore_id=255), or pass schema=",
            )
        return schema.ignore[0]

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
        ood_id: label id of everything that the dataset has no class for.
        known: class names that are in-distribution, with their ids; ``None``: those of the dataset's schema.
        ring_px: width of a ring of ignored pixels around each object.
        ignore_id: label id of the ring; ``None``: the schema's.
    """

    ood_id: int = 254
    known: Mapping[str, int] | None = None

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Known classes by their id, all others ``ood_id``."""
        known = self.known if self.known is not None else (schema.ids if schema else {})
        ignored = schema.ignore if schema else ()
        return {name: known[name] if name in known and known[name] not in ignored else self.ood_id for name in names}


@dataclass(frozen=True)
class NewClassLabels(_KeepBase):
    """Inserted objects get ids of their own; classes of the dataset's schema that are not named keep theirs.

    Attributes:
        ids: label id of each new class, for example ``{"cat": 19, "dog": 20}``.
        ring_px: width of a ring of ignored pixels around each object.
        ignore_id: label id of the ring; ``None``: the schema's.
    """

    ids: Mapping[str, int] = field(default_factory=dict)

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Ids of the policy first, then of the schema.

        Raises:
            LabelPolicyError: a class name that neither has.
        """
        table = {**(schema.ids if schema else {}), **self.ids}
        wanted = list(names)
        missing = sorted({name for name in wanted if name not in table})
        if missing:
            raise LabelPolicyError(
                f"no label id for the inserted classes {missing}",
                expected=f"an id for each inserted class; known are {', '.join(table) or 'none'}",
                hint="add them: NewClassLabels({" + ", ".join(f'"{name}": <id>' for name in missing) + ", ...})",
            )
        return {name: table[name] for name in wanted}


@dataclass(frozen=True)
class AnomalyLabels:
    """Anomaly segmentation test labels: 0 in-distribution, 1 OOD, 255 ignore.

    Inserted known classes (those of the schema) count as in-distribution, as in POC's test sets (§3.2), so that a
    model cannot tell anomalies by their being synthetic.

    Attributes:
        known: class names that count as in-distribution; ``None``: those of the dataset's schema.
        ring_px: width of a ring of ignored pixels around each object.
    """

    known: tuple[str, ...] | None = None
    ring_px: int = 0

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """0 for known classes, 1 for all others."""
        if self.known is not None:
            known = set(self.known)
        else:
            known = {n for n, i in schema.ids.items() if i not in schema.ignore} if schema else set()
        return {name: 0 if name in known else 1 for name in names}

    def ring_id(self, schema: LabelSchema | None) -> int:
        """255."""
        return 255

    @property
    def rewrites_base(self) -> bool:
        """True."""
        return True

    def rewrite(self, labels: torch.Tensor, schema: LabelSchema | None) -> torch.Tensor:
        """0 where the base is labelled, 255 where it is ignored.

        Raises:
            LabelPolicyError: no schema, so the ignore ids are not known.
        """
        if schema is None:
            raise LabelPolicyError(
                "AnomalyLabels needs the base's ignore ids, and the dataset's schema is not known",
                expected="a LabelSchema",
                hint="pass schema=, for example POCAugmentedDataset(..., schema='cityscapes-trainIds')",
            )
        return torch.where(schema.ignored(labels), 255, 0).to(labels.dtype)


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


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0
