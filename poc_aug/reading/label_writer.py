"""`LabelWriter`: writes what a label policy says into the labels of base items."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from poc_aug.errors import LabelPolicyError
from poc_aug.items.canvas import LabelCanvas
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.compose import paint_labels
from poc_aug.recipe import IGNORED
from poc_aug.types import Insertion


class LabelWriter:
    """Writes the base's labels in a policy's ids, the objects' ids, and the rings around them.

    Args:
        policy: turns class names into label ids.
        schema: schema of the base's labels, if it is known.
        names: class names of all objects that may be inserted.

    Attributes:
        ids: label id of each name.

    Raises:
        LabelPolicyError: a name without an id, or a policy that needs a schema.
    """

    def __init__(self, policy: LabelPolicy, schema: LabelSchema | None, names: Collection[str]) -> None:
        self._policy, self._schema = policy, schema
        self.ids = policy.resolve(sorted(names), schema)
        self._ring_id = policy.ring_id(schema) if policy.ring_px else 0
        self._rewrites_base = policy.rewrites_base
        if self._rewrites_base:  # asks for a schema before the first item is read, not after
            known_id = next(iter(schema.ids.values())) if schema is not None else 0
            policy.rewrite(torch.full((1, 1), known_id), schema)

    def write(self, labels: LabelCanvas, insertions: Sequence[Insertion]) -> None:
        """Write into the labels of one item, whose ids are checked.

        Raises:
            LabelPolicyError: an id that does not fit their dtype.
        """
        if self._rewrites_base:
            whole = (0, 0, *labels.size_hw)
            labels.write(whole, self._policy.rewrite(labels.read(whole), self._schema, checked=True))
        if insertions:
            self._check_dtype(labels, {part.name for insertion in insertions for part in insertion.parts})
            paint_labels(labels, insertions, self.ids, ring_px=self._policy.ring_px, ring_id=self._ring_id)

    def _check_dtype(self, labels: LabelCanvas, names: set[str]) -> None:
        if IGNORED in names - self.ids.keys():  # in few caches, and a policy need not have an ignore id
            self.ids |= self._policy.resolve([IGNORED], self._schema)
        ids = {name: self.ids[name] for name in names}
        if self._policy.ring_px:
            ids["the ring"] = self._ring_id
        for name, label_id in ids.items():
            if not labels.min_id <= label_id <= labels.max_id:
                raise LabelPolicyError(
                    f"label id {label_id} of {name!r} does not fit the labels' dtype",
                    expected=f"an id in [{labels.min_id}, {labels.max_id}]",
                    hint=f"change the id in {self._policy!r}, or give the base labels of a wider dtype",
                )
