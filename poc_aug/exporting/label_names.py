"""Names of the ids in exported label maps."""

from __future__ import annotations

from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.labels.policies import AnomalyLabels, OodLabels
from poc_aug.recipe import IGNORED


def label_names(plan: ExportPlan) -> dict[int, str]:
    """The name of each id that the label maps may hold, by id; ids that are ignored are "ignored".

    Args:
        plan: what is exported.

    Example:
        >>> from poc_aug.labels.schema import LabelSchema
        >>> schema = LabelSchema("street", {"road": 0, "car": 1})
        >>> plan = ExportPlan(schema, OodLabels(254), {"dog": 254, "car": 1}, 1, ("train",), False, {})
        >>> label_names(plan)
        {0: 'road', 1: 'car', 254: 'out of distribution', 255: 'ignored'}
    """
    if isinstance(plan.policy, AnomalyLabels):
        return {0: "in distribution", 1: "out of distribution", 255: "ignored"}
    names: dict[int, str] = {}
    if plan.schema is not None:
        names = {label_id: plan.schema.class_of(label_id) or "" for label_id in sorted(plan.schema.ids.values())}
        names |= dict.fromkeys(plan.schema.ignore, "ignored")
    if IGNORED in plan.ids:
        names[plan.ids[IGNORED]] = "ignored"
    for name, label_id in plan.ids.items():
        if label_id not in names:
            ood = isinstance(plan.policy, OodLabels) and label_id == plan.policy.ood_id
            names[label_id] = "out of distribution" if ood else name
    return dict(sorted(names.items()))
