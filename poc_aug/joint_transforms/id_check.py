"""The check of label ids: what comes out of ``transforms`` must have gone in, or mean "ignored" or "filled"."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import LabelPolicyError, TransformError
from poc_aug.items.canvas import AnyArray
from poc_aug.items.container import LABEL_FIELDS
from poc_aug.joint_transforms.transform_kinds import Kind
from poc_aug.labels.label_policy import LabelPolicy
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import IGNORED

_FIRST = 8
_THEN_EVERY = 1000
_MANY_IDS = 4
_USUAL_IGNORE_IDS = (255, -100)  # of most datasets, and torch's ``ignore_index``
_HINTS = {
    Kind.OTHER: "pass the library's own transform as transforms=, not a function around it: v2 gets tv_tensors.Mask "
    "then; in a function of your own, wrap the labels in tv_tensors.Mask, or resample them with nearest neighbour and "
    "fill them with an ignore id",
    Kind.ALBUMENTATIONS: "leave mask_interpolation at cv2.INTER_NEAREST",
    Kind.KORNIA: "leave extra_args of AugmentationSequential out, or say resample nearest for DataKey.MASK there",
}
_HINT_V2 = "let each step leave tv_tensors.Mask as ids: no scaling, no interpolation but nearest"


class Turns:
    """Says which items are checked: the first eight of each process, then one in a thousand."""

    def __init__(self) -> None:
        self._process = 0
        self._count = 0
        self._dark = 0

    def take(self) -> bool:
        """Whether it is the next item's turn. A worker counts from its own first item, forked or spawned."""
        process = os.getpid()
        if process != self._process:
            self._process, self._count, self._dark = process, 0, 0
        self._count += 1
        return self._count <= _FIRST or self._count % _THEN_EVERY == 0

    def all_dark(self, dark: bool) -> bool:
        """Whether this was the last of the first eight items, and all of them came out dark, see `is_dark`."""
        self._dark += dark
        return self._count == _FIRST == self._dark


def is_dark(before: AnyArray, after: AnyArray, kept: float) -> bool:
    """Whether labels of many ids came out as 0 and 1 alone, as ids that were divided by 255 and made integers do.

    Args:
        before: the distinct ids that went in.
        after: the distinct ids that came out.
        kept: pixels that came out, as a share of those that went in: a small crop may well show one class.
    """
    return before.size >= _MANY_IDS and kept >= 0.5 and set(after.tolist()) <= {0, 1}


def ignore_ids(policy: LabelPolicy, schema: LabelSchema | None, inserted: Iterable[int] = ()) -> frozenset[int]:
    """The ids that mean "ignored": the schema's, the policy's, and the usual 255 and -100, where no class has them.

    Where the policy rewrites the base's labels, the schema's ids mean nothing any more.

    Args:
        policy: what writes into the labels.
        schema: schema of the base's labels, where it is known.
        inserted: see `object_ids`.
    """
    found = set(_USUAL_IGNORE_IDS).difference(inserted)
    if schema is not None and not policy.rewrites_base:
        found = found.difference(schema.ids.values()).union(schema.ignore)
    with contextlib.suppress(LabelPolicyError):  # a policy need not have an ignore id
        found.add(policy.ring_id(schema))
    return frozenset(found)


def object_ids(policy: LabelPolicy, ids: Mapping[str, int]) -> dict[str, int]:
    """Those of a policy's ids, by name, that mean an inserted object: not the ignore id, nor void on purpose."""
    void = policy.ood_id if isinstance(policy, OodLabels) and policy.void else None
    return {name: label_id for name, label_id in ids.items() if name != IGNORED and label_id != void}


def check_fills(fills: Iterable[int], inserted: Mapping[str, int], ignored: Iterable[int], name: str) -> None:
    """Check that transforms do not fill labels with the id of an inserted object: padding would be objects.

    0 is left out: all three libraries fill with it where nothing is said, also where nothing is ever filled.

    Args:
        fills: what the transforms fill labels with.
        inserted: see `object_ids`.
        ignored: ids that mean "ignored".
        name: name of the transforms, for messages.

    Raises:
        TransformError: they do; the message names the object.
    """
    for fill in sorted({*fills} - {0, *ignored}):
        for object_name, label_id in inserted.items():
            if label_id == fill:
                raise TransformError(
                    f"transforms={name} fills labels with {fill}, which is the id of inserted {object_name!r}",
                    expected=f"an ignore id to fill with, such as {_listed(ignored)}",
                    hint="fill labels with an ignore id, or choose another id in the label policy",
                )


def label_ids(labels: Any) -> AnyArray | None:
    """The distinct values of a label map, sorted; ``None`` for what is not one.

    A map is a PIL image of one band, or a tensor or array of numbers with at most two sides longer than 1. One-hot
    maps, boolean masks, colours and batches are not; but floats beyond [0, 1] are taken for one that was normalised as
    an image, which gives it three channels.
    """
    if isinstance(labels, Image.Image):
        values: AnyArray = np.asarray(labels)
    elif isinstance(labels, torch.Tensor):
        if labels.dtype is torch.bfloat16:
            labels = labels.float()
        values = labels.detach().as_subclass(torch.Tensor).cpu().numpy()
    elif isinstance(labels, np.ndarray):
        values = labels
    else:
        return None
    if values.dtype.kind not in "iuf" or values.ndim < 2:
        return None
    several = sum(side > 1 for side in values.shape) > 2
    values = values.reshape(-1)
    if several and (values.dtype.kind != "f" or (values.min() >= 0 and values.max() <= 1)):
        return None
    if values.dtype.kind != "f" and values.size:
        low, high = int(values.min()), int(values.max())
        if high - low < 1 << 16:  # counting needs no sorting
            return np.bincount(values.astype(np.int64) - low).nonzero()[0] + low
    return np.unique(values)


def count_pixels(labels: Any) -> int:
    """Number of values of a label map."""
    return labels.width * labels.height if isinstance(labels, Image.Image) else math.prod(labels.shape)


def labels_in(out: Any, fields: tuple[Any, Any] | None) -> Any:
    """The labels in what ``transforms`` returned, where they were before or mmseg packs them; else ``None``."""
    if isinstance(out, tuple | list):
        return out[1] if len(out) > 1 else None
    if isinstance(out, Mapping):
        names = (fields[1],) if fields is not None and fields[1] in out else LABEL_FIELDS
        maps = [out[name] for name in names if name in out]
        if not maps:
            return _packed_labels(out)
        return maps[0] if len(maps) == 1 else None
    return None


def _packed_labels(out: Mapping[Any, Any]) -> Any:
    """The labels where mmseg's ``PackSegInputs`` puts them: ``out["data_samples"].gt_sem_seg.data``."""
    return getattr(getattr(out.get("data_samples"), "gt_sem_seg", None), "data", None)


def check_ids(
    before: AnyArray, after: AnyArray, allowed: Iterable[int], fills: Iterable[int], kind: Kind, name: str, key: str
) -> None:
    """Check that no ids came out but those that went in, the allowed ones and the fill ids.

    Args:
        before: the distinct ids that went in.
        after: the distinct ids that came out.
        allowed: ignore ids.
        fills: what the transforms fill labels with.
        kind: how ``transforms`` was called.
        name: its name, for messages.
        key: the item's key, for messages.

    Raises:
        TransformError: an id that was not there; the message names the transform and the ids.
    """
    known = np.concatenate([before.astype(np.float64), [*allowed, *fills]])
    strange = after[~np.isin(after, known)]
    if strange.size == 0:
        return
    shown = ", ".join(f"{value:.6g}" if after.dtype.kind == "f" else str(value) for value in strange[:10].tolist())
    raise TransformError(
        f"item {key!r}: transforms={name} made {strange.size} label ids that did not go in: {shown}"
        f"{', ...' if strange.size > 10 else ''}; the labels that went in hold {_listed(before.tolist())}",
        expected=f"ids that went in, or that mean ignored {_listed(allowed)} or filled {_listed(fills)}",
        hint=f"{_HINTS.get(kind, _HINT_V2)}. Where ids are changed on purpose, as from labelIds to trainIds: "
        "check_transforms=False",
    )


def dark_labels_error(before: AnyArray, after: AnyArray, name: str, key: str) -> TransformError:
    """The error for labels of which the first eight items all came out dark."""
    return TransformError(
        f"item {key!r}: transforms={name} left only ids {_listed(after.tolist())} in the labels, as in all of the "
        f"first {_FIRST} items; those that went in hold {_listed(before.tolist())}",
        expected="label ids as they are",
        hint="make tensors of label images with pil_to_tensor or numpy.array: to_tensor divides by 255. Where ids are "
        "changed on purpose: check_transforms=False",
    )


def _listed(ids: Iterable[int]) -> str:
    ordered = sorted(ids)
    return str(ordered) if len(ordered) <= 40 else f"[{', '.join(map(str, ordered[:40]))}, ...]"
