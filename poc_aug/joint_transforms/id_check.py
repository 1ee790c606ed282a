"""The check of label ids: ids after ``transforms`` must have been there before, or mean "ignored" or "filled"."""

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
from poc_aug.joint_transforms.transform_kinds import TransformKind
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import IGNORED

_FIRST = 8
_THEN_EVERY = 1000
_MANY_IDS = 4
_USUAL_IGNORE_IDS = (255, -100)  # of most datasets, and torch's ``ignore_index``
_HINTS = {
    TransformKind.OTHER: "pass the library's own transform as transforms=, not a function around it: v2 then gets "
    "tv_tensors.Mask; in a function of your own, wrap the labels in tv_tensors.Mask, or resample them with nearest "
    "neighbour and fill them with an ignore id",
    TransformKind.ALBUMENTATIONS: "leave mask_interpolation at cv2.INTER_NEAREST",
    TransformKind.KORNIA: "leave extra_args of AugmentationSequential out, or set resample nearest for "
    "DataKey.MASK there",
}
_HINT_V2 = "let each step keep tv_tensors.Mask as ids: no scaling, no interpolation except nearest"


class CheckSchedule:
    """Which items are checked: the first eight of each process, then one in a thousand."""

    def __init__(self) -> None:
        self._process = 0
        self._count = 0
        self._dark = 0

    def is_due(self) -> bool:
        """Count an item; whether it is to be checked. A worker counts from its own first item, forked or spawned."""
        process = os.getpid()
        if process != self._process:
            self._process, self._count, self._dark = process, 0, 0
        self._count += 1
        return self._count <= _FIRST or self._count % _THEN_EVERY == 0

    def all_dark(self, dark: bool) -> bool:
        """Whether this was the last of the first eight items, and the labels of all became dark, see `is_dark`."""
        self._dark += dark
        return self._count == _FIRST == self._dark


def is_dark(before: AnyArray, after: AnyArray, kept: float) -> bool:
    """Whether labels of many ids became only 0 and 1, as ids do that are divided by 255 and made integers.

    Args:
        before: the distinct ids before the transforms.
        after: the distinct ids after them.
        kept: share of the pixels that were kept, since a small crop may well show only one class.
    """
    return before.size >= _MANY_IDS and kept >= 0.5 and set(after.tolist()) <= {0, 1}


def ignore_ids(policy: LabelPolicy | None, schema: LabelSchema | None, inserted: Iterable[int] = ()) -> frozenset[int]:
    """The ids that mean "ignored": the schema's, the policy's, and the usual 255 and -100 if no class has them.

    If the policy rewrites the base's labels, the schema's ids no longer apply.

    Args:
        policy: the label policy, if there is one.
        schema: schema of the base's labels, if it is known.
        inserted: see `object_ids`.
    """
    ids = set(_USUAL_IGNORE_IDS).difference(inserted)
    if schema is not None and (policy is None or not policy.rewrites_base):
        ids = ids.difference(schema.ids.values()).union(schema.ignore)
    if policy is None:
        return frozenset(ids)
    with contextlib.suppress(LabelPolicyError):  # a policy need not have an ignore id
        ids.add(policy.ring_id(schema))
    return frozenset(ids)


def object_ids(policy: LabelPolicy, ids: Mapping[str, int]) -> dict[str, int]:
    """The ids of a policy, by name, that mean an inserted object: neither the ignore id nor an intended void id."""
    void = policy.ood_id if isinstance(policy, OodLabels) and policy.void else None
    return {name: label_id for name, label_id in ids.items() if name != IGNORED and label_id != void}


def check_fills(fills: Iterable[int], inserted: Mapping[str, int], ignored: Iterable[int], name: str) -> None:
    """Check that transforms do not fill labels with the id of an inserted object, which padding would then show.

    0 is not checked: it is the default of all three libraries, also of transforms that never fill anything.

    Args:
        fills: ids with which the transforms fill labels.
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
    """The distinct values of a label map, sorted; ``None`` for anything else.

    A label map is a PIL image of one band, or a tensor or array of numbers with at most two sides longer than 1.
    One-hot maps, boolean masks, colours and batches are not; but floats outside [0, 1] count as a label map that was
    normalised as an image, which gives it three channels.
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
    """The labels in the output of ``transforms``, at their old place or where mmseg packs them; otherwise ``None``."""
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
    """The labels in the output of mmseg's ``PackSegInputs``: ``out["data_samples"].gt_sem_seg.data``."""
    return getattr(getattr(out.get("data_samples"), "gt_sem_seg", None), "data", None)


def check_ids(
    before: AnyArray,
    after: AnyArray,
    allowed: Iterable[int],
    fills: Iterable[int],
    kind: TransformKind,
    name: str,
    key: str,
) -> None:
    """Check that the ids after the transforms are among those before, the allowed ones and the fill ids.

    Args:
        before: the distinct ids before the transforms.
        after: the distinct ids after them.
        allowed: ignore ids.
        fills: ids with which the transforms fill labels.
        kind: how ``transforms`` was called.
        name: its name, for messages.
        key: the item's key, for messages.

    Raises:
        TransformError: an id that was not there before; the message names the transform and the ids.
    """
    known = np.concatenate([before.astype(np.float64), [*allowed, *fills]])
    invented = after[~np.isin(after, known)]
    if invented.size == 0:
        return
    shown = ", ".join(f"{value:.6g}" if after.dtype.kind == "f" else str(value) for value in invented[:10].tolist())
    raise TransformError(
        f"item {key!r}: transforms={name} made {invented.size} label ids that did not go in: {shown}"
        f"{', ...' if invented.size > 10 else ''}; the labels that went in hold {_listed(before.tolist())}",
        expected=f"ids that went in, or that mean ignored {_listed(allowed)} or filled {_listed(fills)}",
        hint=f"{_HINTS.get(kind, _HINT_V2)}. If ids are changed on purpose, as from labelIds to trainIds: "
        "check_transforms=False",
    )


def dark_labels_error(before: AnyArray, after: AnyArray, name: str, key: str) -> TransformError:
    """The error if the labels of the first eight items all became dark."""
    return TransformError(
        f"item {key!r}: transforms={name} left only ids {_listed(after.tolist())} in the labels, as in all of the "
        f"first {_FIRST} items; those that went in hold {_listed(before.tolist())}",
        expected="label ids as they are",
        hint="make tensors of label images with pil_to_tensor or numpy.array: to_tensor divides by 255. If ids are "
        "changed on purpose: check_transforms=False",
    )


def _listed(ids: Iterable[int]) -> str:
    ordered = sorted(ids)
    return str(ordered) if len(ordered) <= 40 else f"[{', '.join(map(str, ordered[:40]))}, ...]"
