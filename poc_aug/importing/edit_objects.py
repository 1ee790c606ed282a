"""Which pixels of an edited frame are of which object: by labels that differ, and where they do not, by pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.errors import ImportFilesError
from poc_aug.importing.edit_labels import ANY, VOID, CommonIds
from poc_aug.importing.imported_classes import ImportedClasses
from poc_aug.masks import bounds, connected_components, dilate, window, with_margin
from poc_aug.recipe import ObjectSpec
from poc_aug.types import Box

Mask = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.uint8]
"""uint8 ``[H, W]``: by how many levels pixels differ, in the channel that differs most."""

_GAP_PX = 4
"""Pieces of one object may lie twice as far apart, as behind a thin pole."""
_AWAY_PX = 16
_WIDELY = 0.01


@dataclass(frozen=True)
class EditedObject:
    """One inserted object of an edited frame.

    Attributes:
        spec: the object.
        box_yxhw: the bounding box of its visible pixels.
        parts: mask of each visible part, bool ``[h, w]``.
    """

    spec: ObjectSpec
    box_yxhw: Box
    parts: tuple[tuple[str, Mask], ...]


@dataclass(frozen=True)
class FoundObjects:
    """What the labels of an edited frame say.

    Attributes:
        objects: the objects, far to near.
        void: bool ``[H, W]``: pixels that the base has a class for and the edited labels ignore.
    """

    objects: tuple[EditedObject, ...]
    void: Mask


def find_objects(
    was: CommonIds, now: CommonIds, difference: Levels, classes: ImportedClasses, name: str, spec: ObjectSpec | None
) -> FoundObjects:
    """The objects of an edited frame.

    An object's pixels are those whose label is its class and was another one. Pixels of a class that the base has there
    too count if they changed and touch those, as of a car in front of a car; where a model repainted more than the
    object, only if they changed by more than 99% of what it changed elsewhere.

    Args:
        was: labels of the base frame.
        now: labels of the edited frame.
        difference: how much its pixels differ.
        classes: what the labels mean.
        name: the file of the edited labels, for errors.
        spec: the one object that the frame is of; ``None``: any number of any of them.

    Raises:
        ImportFilesError: labels that changed to other classes, or no object though pixels changed.
    """
    new = np.isin(now, list(classes.new.values()))
    relabelled = (was != now) & ((was != ANY) | new)
    void = relabelled & (now == VOID)
    relabelled &= ~void
    specs = classes.objects if spec is None else (spec,)
    ids = sorted({classes.ids[part] for one in specs for part in one.parts})
    _check_classes(now[relabelled], ids, classes, name, spec)
    if relabelled.any():
        mask = _with_touching(relabelled, now, difference)
    else:  # an object in front of one of its own class
        own = np.isin(now, ids)
        mask = own & (difference > _noise(difference, own))
        mask = mask if mask.any() else own & (difference > 0)
    objects = _split(mask, now, classes, spec)
    if not objects and (difference.any() or void.any()):
        raise ImportFilesError(
            f"{name}: {'pixels differ' if difference.any() else 'labels became ignored'} and no label is of an object",
            expected="labels with the inserted object in them",
            hint="check that images and labels are of the same frames, and which classes were inserted",
        )
    return FoundObjects(objects, void)


def _check_classes(
    labels: CommonIds, ids: Sequence[int], classes: ImportedClasses, name: str, spec: ObjectSpec | None
) -> None:
    """Check that labels changed to those of the objects only."""
    values, counts = np.unique(labels, return_counts=True)
    others = {int(value): int(count) for value, count in zip(values, counts, strict=True) if value not in ids}
    if not others:
        return
    names = {label_id: other for other, label_id in classes.new.items()}
    shown = [names.get(label_id) or classes.schema.class_of(label_id) or str(label_id) for label_id in others]
    changed = f"{name}: {sum(others.values())} pixels were relabelled as {', '.join(shown)}"
    if spec is None:
        raise ImportFilesError(
            f"{changed}, which {'are' if len(shown) > 1 else 'is'} no inserted object",
            expected=f"objects of: {', '.join(one.name for one in classes.objects)}",
            hint="name all inserted objects: classes_named(..., known=[...]); or check that the base labels fit",
            command=f"name all inserted objects (--objects {','.join(shown)} and more); or check that the base labels "
            "fit",
        )
    raise ImportFilesError(
        f"{changed}, but its name says {spec.name!r}",
        expected=f"labels of: {', '.join(spec.parts)}",
        hint="pass the preset that these labels were made with; or check that the base labels fit",
        command="give the preset that these labels were made with (--preset); or check that the base labels fit",
    )


def _noise(difference: Levels, objects: Mask) -> int:
    """Levels by which nearly all pixels differ away from the objects, if many do; otherwise 0."""
    away = difference
    if objects.any():
        box_yxhw = bounds(torch.from_numpy(objects))
        box_yxhw, mask = with_margin(
            box_yxhw, torch.from_numpy(objects[window(box_yxhw)]), _AWAY_PX, (objects.shape[0], objects.shape[1])
        )
        away = difference.copy()
        away[window(box_yxhw)][dilate(mask, _AWAY_PX).numpy()] = 0
    counts = np.bincount(away.ravel(), minlength=256)
    changed = counts[1:].cumsum()
    if changed[-1] < _WIDELY * away.size:
        return 0
    return int(np.searchsorted(changed, 0.99 * changed[-1])) + 1


def _with_touching(relabelled: Mask, now: CommonIds, difference: Levels) -> Mask:
    """Add changed pixels that are connected with relabelled ones of the same class."""
    if not relabelled.any():
        return relabelled
    classes = np.unique(now[relabelled])
    candidates = (difference > 0) & ~relabelled & np.isin(now, classes)
    if not candidates.any():
        return relabelled
    candidates &= difference > _noise(difference, relabelled)
    grown = relabelled.copy()
    for label_id in np.unique(now[candidates]):
        of_class = (candidates | relabelled) & (now == label_id)
        numbers, count = connected_components(torch.from_numpy(of_class))
        touching = np.zeros(count + 1, np.bool_)
        touching[numbers.numpy()[relabelled & of_class]] = True
        touching[0] = False
        grown |= touching[numbers.numpy()]
    return grown


def _split(mask: Mask, now: CommonIds, classes: ImportedClasses, spec: ObjectSpec | None) -> tuple[EditedObject, ...]:
    """The objects, far (their foot is higher in the frame) to near."""
    box_yxhw = bounds(torch.from_numpy(mask))
    if box_yxhw[2] == 0:
        return ()
    frame_hw = mask.shape[0], mask.shape[1]
    box_yxhw, inner = with_margin(box_yxhw, torch.from_numpy(mask[window(box_yxhw)]), _GAP_PX, frame_hw)
    mask, now = inner.numpy(), now[window(box_yxhw)]
    if spec is not None:
        return (_object_of(spec, mask, now, box_yxhw, classes),)
    present = set(np.unique(now[mask]).tolist())
    objects: list[EditedObject] = []
    for family in classes.families:
        ids = sorted({classes.ids[part] for one in family for part in one.parts} & present)
        if not ids:
            continue
        of_family = mask & np.isin(now, ids)
        numbers, count = connected_components(dilate(torch.from_numpy(of_family), _GAP_PX))
        for number in range(1, count + 1):
            rest = (numbers.numpy() == number) & of_family
            while rest.any():
                best = max(family, key=lambda one: int(np.isin(now[rest], _ids(one, classes)).sum()))
                objects.append(_object_of(best, rest, now, box_yxhw, classes))
                rest = rest & ~np.isin(now, _ids(best, classes))
    return tuple(sorted(objects, key=lambda one: one.box_yxhw[0] + one.box_yxhw[2]))


def _ids(spec: ObjectSpec, classes: ImportedClasses) -> list[int]:
    return [classes.ids[part] for part in spec.parts]


def _object_of(spec: ObjectSpec, mask: Mask, now: CommonIds, box_yxhw: Box, classes: ImportedClasses) -> EditedObject:
    mask = mask & np.isin(now, _ids(spec, classes))
    y, x, h, w = bounds(torch.from_numpy(mask))
    inner = window((y, x, h, w))
    parts = ((part, mask[inner] & (now[inner] == classes.ids[part])) for part in spec.parts)
    return EditedObject(
        spec, (box_yxhw[0] + y, box_yxhw[1] + x, h, w), tuple((name, part) for name, part in parts if part.any())
    )
