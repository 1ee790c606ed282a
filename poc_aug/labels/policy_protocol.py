"""What a label policy is: the interface of `poc_aug.OodLabels` and the others, and of policies of your own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol, runtime_checkable

import torch

from poc_aug.labels.schema import LabelSchema


class LabelPolicy(Protocol):
    """Decides the label ids of what is inserted, and of the rest of the map."""

    @property
    def ring_px(self) -> int:
        """Width of the ring of ignored pixels around each object; 0: none."""
        ...

    def resolve(self, names: Iterable[str], schema: LabelSchema | None) -> dict[str, int]:
        """Label id of each class name, and the ignore id for `poc_aug.recipe.IGNORED`, which is not a class.

        Raises:
            LabelPolicyError: a class name without an id.
        """
        ...

    def ring_id(self, schema: LabelSchema | None) -> int:
        """The ignore id: the label id of the ring."""
        ...

    @property
    def rewrites_base(self) -> bool:
        """Whether the labels outside the objects change too: then `rewrite` is called for every item."""
        ...

    def rewrite(self, labels: torch.Tensor, schema: LabelSchema | None, *, checked: bool = False) -> torch.Tensor:
        """The base's labels, integer ``[H, W]``, in the policy's ids: a map of the same shape and dtype.

        ``checked``: the schema is known to have all ids of the labels (`LabelSchema.check_ids`), so the policy need not
        check them again.
        """
        ...


@runtime_checkable
class ChecksBase(Protocol):
    """A policy that checks, if the schema is not known, that a frame's labels do not use one of its own ids already."""

    def check_base(self, ids: Collection[int], schema: LabelSchema | None, key: str) -> None:
        """Raise a `LabelPolicyError` that names the id and the sample's key."""
        ...
