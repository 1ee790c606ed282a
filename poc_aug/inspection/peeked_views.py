"""What is shown of one item of a dataset, as `AugmentedDataset.peek` finds it: before, after, labels."""

from __future__ import annotations

from poc_aug.augmented_dataset import Peeked
from poc_aug.inspection.label_colours import label_panel, new_classes, reduced_labels
from poc_aug.inspection.notebook_view import NotebookView, Panel, PanelRow, plain_line
from poc_aug.inspection.record_views import described_insertion

_MOST_OBJECTS = 3


def view_of_peeked(peeked: Peeked) -> NotebookView:
    """What is shown of an item."""
    before, after, variant = peeked.before, peeked.after, peeked.variant
    insertions = () if variant is None else variant.insertions
    names = {part.name for insertion in insertions for part in insertion.parts}
    labels, legend = label_panel(
        after.labels, after.image, peeked.schema, new_classes(peeked.ids, names, peeked.schema)
    )
    panels = (
        Panel("before", reduced_labels(before.labels, before.image)[1]),
        Panel("after", reduced_labels(after.labels, after.image)[1]),
        labels,
    )
    view = NotebookView(f"Item {plain_line(before.key)}", [("shows", _shown(peeked))])
    if objects := [described_insertion(insertion) for insertion in insertions[:_MOST_OBJECTS]]:
        more = len(insertions) - len(objects)
        view.facts.append(("objects", "; ".join(objects) + (f"; and {more} more" if more else "")))
    view.rows.append(PanelRow(panels, "", 4))
    view.legend = list(legend)
    return view


def _shown(peeked: Peeked) -> str:
    variant = peeked.variant
    if variant is None:
        return "as it is in its base"
    if variant.frame is not None:
        return f"{plain_line(variant.frame.domain)}, severity {variant.frame.severity}"
    return f"variant {variant.index}"
