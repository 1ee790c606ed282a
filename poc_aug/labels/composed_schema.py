"""`composed_schema`: the schema of labels into which a policy has written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import IGNORED


def composed_schema(schema: LabelSchema, policy: LabelPolicy, ids: Mapping[str, int]) -> LabelSchema | None:
    """The schema of a dataset's labels after insertions were written into them.

    Args:
        schema: schema of the base's labels.
        policy: the policy that writes.
        ids: its label id of each inserted class.

    Returns:
        The schema; ``None`` if the policy rewrites the base's labels, too.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> composed = composed_schema(SCHEMAS["camvid"], OodLabels(254), {"dog": 254, "car": 8})
        >>> composed.id_of("dog"), composed.ood, composed.id_of("car")
        (254, ('dog',), 8)
    """
    if policy.rewrites_base:
        return None
    ignore = list(schema.ignore)
    if policy.ring_px and (ring_id := policy.ring_id(schema)) not in ignore:
        ignore.append(ring_id)
    known = {label_id for name, label_id in schema.ids.items() if name not in schema.ood}
    new = {
        name: label_id
        for name, label_id in ids.items()
        if name != IGNORED and name not in schema and label_id not in ignore
    }
    anomalies = tuple(name for name, label_id in new.items() if label_id not in known)
    ood = (*schema.ood, *anomalies) if isinstance(policy, OodLabels) else schema.ood
    return replace(schema, ids={**schema.ids, **new}, ignore=tuple(ignore), ood=ood)
