"""What is shown of a dataset with insertions, or of shifted frames: facts, and some items before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poc_aug.augmented_dataset import AugmentedDataset, Peeked
from poc_aug.cache import UnitedCaches
from poc_aug.counting import count_of
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.inspection.decision_facts import decision_facts
from poc_aug.inspection.label_colours import label_panel, new_classes, reduced_labels
from poc_aug.inspection.notebook_view import LegendEntry, NotebookView, Panel, PanelRow, plain_line
from poc_aug.inspection.record_views import described_insertion
from poc_aug.labels.schema import LabelSchema
from poc_aug.scene_dataset import SceneShiftDataset
from poc_aug.types import Insertion

_MOST_ITEMS = 3
_MOST_OPENED = 12
_MOST_OBJECTS = 3
_MOST_NAMES = 12


def view_of_dataset(dataset: AugmentedDataset) -> NotebookView:
    """What is shown of a dataset. It is not read for it: see `AugmentedDataset.peek`."""
    view = NotebookView(f"{type(dataset).__name__}: {count_of(len(dataset), 'item', thousands=True)}", _facts(dataset))
    peeks: list[tuple[int, Peeked]] = []
    unchanged: list[tuple[int, Peeked]] = []
    drawn = dataset.drawn_items() or [*range(min(1, len(dataset)))]
    for index in drawn:
        try:
            peeked = dataset.peek(index)
        except Exception as error:  # a base dataset may raise anything, and its other items are shown nevertheless
            view.notes.append(plain_line(f"item {index} cannot be read: {type(error).__name__}: {error}", 300))
        else:
            (unchanged if peeked.variant is None else peeks).append((index, peeked))
        if len(peeks) == _MOST_ITEMS or len(peeks) + len(unchanged) + len(view.notes) == _MOST_OPENED:
            break
    if not peeks:
        view.notes.append(f"No item that was looked at shows anything in epoch {dataset.epoch}.")
    shown = peeks or unchanged[:1]
    names = {part.name for _, peeked in shown for insertion in _insertions(peeked) for part in insertion.parts}
    inserted = new_classes(_ids(dataset), names, dataset.base_schema)
    legend: dict[LegendEntry, None] = {}
    for index, peeked in shown:
        row, entries = _row(dataset, index, peeked, inserted)
        view.rows.append(row)
        legend.update(dict.fromkeys(entries))
    view.legend = _without_shares(legend)
    return view


def _insertions(peeked: Peeked) -> tuple[Insertion, ...]:
    return () if peeked.variant is None else peeked.variant.insertions


def _row(
    dataset: AugmentedDataset, index: int, peeked: Peeked, inserted: Mapping[str, int]
) -> tuple[PanelRow, list[LegendEntry]]:
    before, after, variant, insertions = peeked.before, peeked.after, peeked.variant, _insertions(peeked)
    labels, legend = label_panel(after.labels, after.image, _schema(dataset), inserted)
    caption = [f"item {index}", plain_line(before.key)]
    if variant is None:
        caption.append("as it is in its base")
    elif variant.frame is not None:
        caption.append(f"{plain_line(variant.frame.domain)}, severity {variant.frame.severity}")
    else:
        caption.append(f"variant {variant.index}")
        caption += [described_insertion(insertion) for insertion in insertions[:_MOST_OBJECTS]]
        caption += [f"and {len(insertions) - _MOST_OBJECTS} more"] if len(insertions) > _MOST_OBJECTS else []
    panels = (
        Panel("before", reduced_labels(before.labels, before.image)[1]),
        Panel("after", reduced_labels(after.labels, after.image)[1]),
        labels,
    )
    return PanelRow(panels, "; ".join(caption), 4), legend


def _without_shares(legend: Mapping[LegendEntry, None]) -> list[LegendEntry]:
    """Each colour once: shares differ from frame to frame."""
    named = (LegendEntry(entry.colour, entry.text.rpartition(" ")[0]) for entry in legend)
    return list(dict.fromkeys(named))


def _schema(dataset: AugmentedDataset) -> LabelSchema | None:
    policy = dataset.label_policy if isinstance(dataset, POCAugmentedDataset | SceneShiftDataset) else None
    return None if policy is not None and policy.rewrites_base else dataset.base_schema


def _ids(dataset: AugmentedDataset) -> Mapping[str, int]:
    return dataset.ids if isinstance(dataset, POCAugmentedDataset) else {}


def _facts(dataset: AugmentedDataset) -> list[tuple[str, str]]:
    schema = "unknown" if dataset.base_schema is None else plain_line(dataset.base_schema.name)
    base: Any = dataset.base
    facts = [("base", f"{type(base).__name__}, {count_of(len(base), 'sample', thousands=True)}, schema {schema}")]
    if dataset.cache is not None:
        caches = dataset.cache.caches if isinstance(dataset.cache, UnitedCaches) else (dataset.cache,)
        names = _listed([cache.path.name for cache in caches])
        facts.append(("cache", f"{names}: {count_of(len(dataset.cache), 'variant', thousands=True)}"))
    if isinstance(dataset, POCAugmentedDataset):
        objects = list(dict.fromkeys(spec.name for recipe in dataset.recipes for spec in recipe.objects))
        facts.append(("objects", f"{len(objects)}: {_listed(objects)}"))
        facts.append(("labels", plain_line(dataset.label_policy, 300)))
    if isinstance(dataset, SceneShiftDataset):
        facts.append(("shifts", _listed([f"{domain}-{severity}" for domain, severity in dataset.shifts])))
    facts += _decisions(dataset)
    shown = f"variants={dataset.variants!r}" if dataset.variant is None else f"variant={dataset.variant}"
    facts.append(("drawn", f"p={dataset.p}, {shown}, redraw={dataset.redraw!r}, epoch {dataset.epoch}"))
    if dataset.transforms is not None:
        facts.append(("transforms", f"{type(dataset.transforms).__name__}: not applied to these pictures"))
    return facts


def _decisions(dataset: AugmentedDataset) -> list[tuple[str, str]]:
    caches = dataset.cache.caches if isinstance(dataset.cache, UnitedCaches) else (dataset.cache,)
    facts = []
    for cache in caches:
        if cache is None:
            continue
        of = f"{plain_line(cache.path.name, 60)}: " if len(caches) > 1 else ""
        facts += [(name, f"{of}{text}") for name, text in decision_facts(cache)]
    return facts


def _listed(names: list[str]) -> str:
    return ", ".join(plain_line(name, 60) for name in names[:_MOST_NAMES]) + (
        ", ..." if len(names) > _MOST_NAMES else ""
    )
