"""What is shown of a sample, and of what a composer returns."""

from __future__ import annotations

import numpy as np
from PIL import Image

from poc_aug.composer import Composed
from poc_aug.inspection.label_colours import label_panel, new_classes, reduced_labels
from poc_aug.inspection.notebook_view import NotebookView, Panel, PanelRow, plain_line
from poc_aug.inspection.record_views import described_insertion
from poc_aug.items.open_item import open_item
from poc_aug.labels.schema import LabelSchema
from poc_aug.types import Sample

_ENLARGED = 4
_FAR_M = 100.0
_MOST_OBJECTS = 6


def view_of_sample(thing: Sample | Composed, schema: LabelSchema | str | None = None) -> NotebookView:
    """What is shown of one of them.

    Args:
        thing: the thing.
        schema: names the label ids: a schema, its name, or a YAML file; ``None``: numbers are shown.

    Raises:
        SchemaError: no such schema.
    """
    known = schema if isinstance(schema, LabelSchema | None) else LabelSchema.load(schema)
    return _sample_view(thing, known) if isinstance(thing, Sample) else _composed_view(thing, known)


def _sample_view(sample: Sample, schema: LabelSchema | None) -> NotebookView:
    view = NotebookView(f"Sample {plain_line(sample.key)}", _facts(sample, schema))
    labels, view.legend = label_panel(sample.labels, sample.image, schema)
    panels = [Panel("image", reduced_labels(sample.labels, sample.image)[1]), labels]
    if sample.depth_m is not None:
        panels.append(Panel(f"depth, 0 to {_FAR_M:.0f} m (dark)", _depth_picture(sample)))
    if sample.calibration is not None:
        view.facts.append(("calibration", plain_line(sample.calibration)))
    view.rows = [PanelRow(panels, "", _ENLARGED)]
    return view


def _composed_view(composed: Composed, schema: LabelSchema | None) -> NotebookView:
    sample = open_item((composed.image, composed.labels), key=composed.key).sample()
    schema = schema or composed.schema
    view = NotebookView(f"Composed {plain_line(composed.key)}", _facts(sample, schema))
    insertions = () if composed.variant is None else composed.variant.insertions
    if composed.variant is None:
        view.facts.append(("objects", "none was inserted"))
    else:
        view.facts.append(("objects", f"{len(insertions)}, variant {composed.variant.index}"))
    for insertion in insertions[:_MOST_OBJECTS]:
        view.facts.append(("", described_insertion(insertion)))
    names = {part.name for insertion in insertions for part in insertion.parts}
    inserted = new_classes(composed.ids, names, schema)
    labels, view.legend = label_panel(sample.labels, sample.image, schema, inserted)
    view.rows = [PanelRow((Panel("image", reduced_labels(sample.labels, sample.image)[1]), labels), "", _ENLARGED)]
    return view


def _facts(sample: Sample, schema: LabelSchema | None) -> list[tuple[str, str]]:
    height, width = sample.size_hw
    named = "" if schema is None else f", schema {plain_line(schema.name)}"
    return [
        ("size", f"{height} × {width} pixels (height × width)"),
        ("labels", f"{str(sample.labels.dtype).removeprefix('torch.')}{named}"),
    ]


def _depth_picture(sample: Sample) -> Image.Image:
    assert sample.depth_m is not None
    near = 1 - np.clip(np.nan_to_num(sample.depth_m.numpy(force=True), nan=_FAR_M), 0, _FAR_M) / _FAR_M
    return Image.fromarray((255 * near).round().astype(np.uint8)).convert("RGB")
