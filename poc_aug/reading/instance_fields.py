"""`InstanceFields`: instance ids, boxes, masks and panoptic segments of composed items, and where items have them."""

from __future__ import annotations

import copy
from collections import UserDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.items.container import describe_value
from poc_aug.items.id_maps import as_mask_like, is_tv_tensor
from poc_aug.items.open_item import OpenItem
from poc_aug.items.per_pixel_maps import is_frame_map
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.composed_instances import ComposedInstances, InstanceMap, compose_instances
from poc_aug.reading.composed_panoptic import ComposedPanoptic, check_categories, compose_panoptic
from poc_aug.types import Insertion

MAP_FIELDS = ("instance_map", "instance_ids", "instances", "instance", "instance_mask", "inst_map")
"""Fields in which a map of instance ids is found without being named; a new map is put into the first."""
PANOPTIC_FIELDS = ("panoptic_map", "panoptic_seg", "panoptic", "pan_seg", "panoptic_mask")
"""Fields in which a panoptic map is found, of items with ``segments_info``."""
SEGMENTS_FIELD = "segments_info"
OBJECT_FIELDS = ("boxes", "masks", "area", "scores", "object_ids", "object_labels", "object_classes", "object_inserted")
"""Fields that are written: one entry per object."""


class InstanceFields:
    """Makes the instance and panoptic maps of composed items.

    Args:
        instances: ``True``: items get instance ids, in the field where they have them already; the name of that field;
            an `InstanceMap`; ``False``: only whoever calls `instances` or `panoptic` gets them.
        ids: label id of each class name that is inserted; read when items are composed.
        schema: schema of the composed labels, if it is known.
        policy: the label policy; ``None``: one without rings that keeps the base's ids.

    Raises:
        SettingError: ``instances`` is none of these.

    Example:
        >>> InstanceFields("inst", {"dog": 254}, None).wanted
        True
    """

    def __init__(
        self,
        instances: bool | str | InstanceMap,
        ids: Mapping[str, int],
        schema: LabelSchema | None,
        policy: LabelPolicy | None = None,
    ) -> None:
        if not isinstance(instances, bool | InstanceMap) and not (isinstance(instances, str) and instances):
            raise SettingError(
                f"instances={instances!r}",
                expected="True, False, the name of a field of the items, or InstanceMap(...)",
            )
        self.wanted = instances is not False
        if isinstance(instances, InstanceMap):
            self._rule = instances
        else:
            self._rule = InstanceMap(instances if isinstance(instances, str) else None)
        self._ids, self._schema, self._policy = ids, schema, policy

    def instances(self, opened: OpenItem, insertions: Sequence[Insertion], base: Any = None) -> ComposedInstances:
        """The objects of a composed item.

        Args:
            opened: the item, composed.
            insertions: what was composed.
            base: the base's map of instance ids, if it has one.

        Raises:
            ItemFormatError: a map of another form or size, or one that cannot hold the new ids.
        """
        labels = opened.labels.read((0, 0, *opened.size_hw))
        return compose_instances(
            insertions, base, labels, self._ids, like=opened.labels.value, schema=self._schema, rule=self._rule,
            key=opened.key,
        )  # fmt: skip

    def panoptic(self, opened: OpenItem, insertions: Sequence[Insertion], base: Any) -> ComposedPanoptic:
        """The panoptic map and segments of a composed item.

        Args:
            opened: the item, composed.
            insertions: what was composed.
            base: the base's panoptic map and ``segments_info``.

        Raises:
            ItemFormatError: no such pair; otherwise see `compose_panoptic`.
            LabelPolicyError: the policy gives labels a new meaning, and a class has no category of its own.
        """
        if not isinstance(base, tuple | list) or len(base) != 2 or not isinstance(base[1], Sequence):
            raise ItemFormatError(
                f"item {opened.key!r}: panoptic= is {describe_value(base)}",
                expected="a pair: the panoptic map, and segments_info, a list of one dict per segment",
                hint="panoptic=(pan_seg, segments_info)",
            )
        if self._policy is not None:
            check_categories(self._policy, self._ids, self._rule.categories, "panoptic segments")
        return compose_panoptic(
            insertions, base[0], base[1], self._ids, opened.size_hw, categories=self._rule.categories,
            ignored=() if self._schema is None else self._schema.ignore,
            ring_px=0 if self._policy is None else self._policy.ring_px, key=opened.key,
        )  # fmt: skip

    def put(self, item: Any, opened: OpenItem, insertions: Sequence[Insertion]) -> Any:
        """A composed dict item with instance ids, and with panoptic segments if it has any; no item is modified.

        Args:
            item: the item, composed and closed.
            opened: the same, open.
            insertions: what was composed; none: the fields hold the base's objects, or nothing.

        Raises:
            ItemFormatError: no dict; a field that is missing or not clear, or that would be overwritten.
        """
        if not isinstance(item, dict | UserDict):
            raise ItemFormatError(
                f"item {opened.key!r} is {describe_value(item)}, which has no field for instance ids",
                expected="a dict with instances=",
                hint="composed = composer.compose(image, labels, key=..., instances=instance_ids), of which "
                "composed.instances has ids, boxes and masks",
            )
        if taken := [name for name in OBJECT_FIELDS if name in item]:
            raise ItemFormatError(
                f"item {opened.key!r} has the field {taken[0]!r} already, into which instances= writes",
                expected=f"items without {', '.join(OBJECT_FIELDS)}",
                hint="rename it in the dataset, or use composer.compose(image, labels, key=..., instances=...)",
            )
        field = self._map_field(item, opened)
        found = self.instances(opened, insertions, None if field is None else item[field])
        new = copy.copy(item)
        new[MAP_FIELDS[0] if field is None else field] = found.map
        new.update(_object_fields(found, item, opened))
        if SEGMENTS_FIELD in item:
            name = self._panoptic_field(item, opened)
            panoptic = self.panoptic(opened, insertions, (item[name], item[SEGMENTS_FIELD]))
            new[name], new[SEGMENTS_FIELD] = panoptic.map, panoptic.segments_info
        return new

    def fields(self, opened: OpenItem) -> Collection[str]:
        """Fields of an item that are followed, so that they do not stay as they are."""
        if not self.wanted:
            return ()
        panoptic = PANOPTIC_FIELDS if isinstance(opened.item, Mapping) and SEGMENTS_FIELD in opened.item else ()
        return (*MAP_FIELDS, *panoptic) if self._rule.field is None else (self._rule.field, *panoptic)

    def _map_field(self, item: Mapping[str, Any], opened: OpenItem) -> str | None:
        if (named := self._rule.field) is not None:
            if named in item:
                return named
            raise ItemFormatError(
                f"item {opened.key!r} has no field {named!r} with its instance ids; its fields are "
                f"{', '.join(map(repr, item))}",
                expected="a map of ids, one per pixel",
                hint="instances= names the field; instances=True for items without instance ids",
            )
        return _only_map(item, MAP_FIELDS, opened, "instances='{}'")

    @staticmethod
    def _panoptic_field(item: Mapping[str, Any], opened: OpenItem) -> str:
        found = _only_map(item, PANOPTIC_FIELDS, opened, "composer.compose(image, labels, panoptic=(item['{}'], ...))")
        if found is not None:
            return found
        raise ItemFormatError(
            f"item {opened.key!r} has segments_info, and no panoptic map that it describes",
            expected=f"the map in one of {', '.join(PANOPTIC_FIELDS)}",
            hint="rename its field, or use composer.compose(image, labels, key=..., panoptic=(pan_seg, segments_info))",
        )


def _only_map(item: Mapping[str, Any], names: Sequence[str], opened: OpenItem, hint: str) -> str | None:
    """The only field of these names that holds a map; ``None`` if there is none."""
    found = [name for name in names if is_frame_map(item.get(name), opened.size_hw)]
    if len(found) > 1:
        raise ItemFormatError(
            f"item {opened.key!r} has several maps: {', '.join(map(repr, found))}",
            expected="one of them, named",
            hint=hint.format(found[0]),
        )
    return found[0] if found else None


def _object_fields(found: ComposedInstances, item: Mapping[str, Any], opened: OpenItem) -> dict[str, Any]:
    """The values of `OBJECT_FIELDS`: tensors, or arrays if the labels are one; tv_tensors in items that have them."""
    image, labels = opened.image.value, opened.labels.value
    tensors: tuple[Any, ...] = (
        found.boxes, found.masks, found.areas, found.scores, found.ids, found.label_ids, found.is_inserted,
    )  # fmt: skip
    if isinstance(labels, np.ndarray):
        tensors = tuple(each.numpy() for each in tensors)
    boxes, masks, area, scores, ids, label_ids, inserted = tensors
    wrapped = next((each for each in (image, labels) if is_tv_tensor(each)), None)
    if wrapped is not None:
        from torchvision.tv_tensors import BoundingBoxes

        boxes = BoundingBoxes(boxes, format="XYXY", canvas_size=opened.size_hw)
        masks = as_mask_like(wrapped, masks)
    classes = [each.class_name for each in found]
    values = (boxes, masks, area, scores, ids, label_ids, classes, inserted)
    return dict(zip(OBJECT_FIELDS, values, strict=True))
