"""Instance ids of composed frames: the base's objects and the inserted ones, with ids, boxes and masks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.errors import SettingError
from poc_aug.items.id_maps import IdMap, blank_id_map
from poc_aug.items.label_ids import distinct_ids
from poc_aug.labels.schema import SCHEMAS, LabelSchema, class_key
from poc_aug.masks import window
from poc_aug.reading.visible_parts import visible_parts, written_pixels
from poc_aug.types import Insertion

_CITYSCAPES = SCHEMAS["cityscapes-labelIds"]
_PER_CLASS = 1000
_FIRST_FREE = (max(_CITYSCAPES.ids.values()) + 1) * _PER_CLASS


@dataclass(frozen=True, slots=True)
class InstanceMap:
    """Where the instance ids of items are, and what they mean.

    Attributes:
        field: the item's field that holds the map; ``None``: the only one of a known name, if there is one
            (`poc_aug.reading.instance_fields.MAP_FIELDS`).
        divisor: objects' ids are class * divisor + number, all smaller ids are no objects: 1000 in Cityscapes; 0: each
            id is one object. ``None``: 1000 if ids and labels agree with Cityscapes' convention, otherwise 0.
        background: ids of no object. They are kept like all others; new ids need not come after them.
        categories: ``category_id`` of inserted classes in ``segments_info`` if it is no label id; ``None``: void.

    Raises:
        SettingError: a field without name, or numbers that are none.

    Example:
        >>> InstanceMap("SegmentationObject", background=(0, 255)).divisor is None
        True
    """

    field: str | None = None
    divisor: int | None = None
    background: tuple[int, ...] = (0,)
    categories: Mapping[str, int | None] | None = None

    def __post_init__(self) -> None:
        if self.field is not None and (not isinstance(self.field, str) or not self.field):
            raise SettingError(f"InstanceMap(field={self.field!r})", expected="the name of a field of the items")
        if self.divisor is not None and (type(self.divisor) is not int or self.divisor < 0):
            raise SettingError(f"InstanceMap(divisor={self.divisor!r})", expected="a whole number, 0 or more")
        if not isinstance(self.background, tuple) or not all(type(each) is int for each in self.background):
            raise SettingError(f"InstanceMap(background={self.background!r})", expected="a tuple of ids, such as (0,)")
        if self.categories is not None and not isinstance(self.categories, Mapping):
            raise SettingError(f"InstanceMap(categories={self.categories!r})", expected="{class name: category_id}")


@dataclass(frozen=True, slots=True)
class ComposedInstance:
    """One object of a composed frame of which something is visible.

    Attributes:
        id: its id in the map.
        label_id: its id in the labels, as the label policy writes them; of a base object, that of most of its pixels.
        class_name: its class; ``None`` if the labels' schema is not known, or has no class of this id.
        object_name: name of the inserted object; ``None`` for an object of the base.
        insertion: number of the insertion, far to near; parts of one object (rider and bicycle) have the same.
            ``None`` for an object of the base.
        score: confidence of the annotator; 1 for an object of the base.
        area: number of visible pixels.
        box_xyxy: left, top, right, bottom of the visible pixels; right and bottom are the first column and row beyond.
    """

    id: int
    label_id: int
    class_name: str | None
    object_name: str | None
    insertion: int | None
    score: float
    area: int
    box_xyxy: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ComposedInstances(Sequence[ComposedInstance]):
    """The objects of a composed frame: those of the base by id, then the inserted ones, far to near.

    What an insertion hides is not part of an object, and objects that it hides wholly are left out. All tensors have
    one entry per object, also if there is none (``[0]``, ``[0, 4]``, ``[0, H, W]``).

    Attributes:
        map: the ids, in the form of the base's map: outside of what was inserted they are unchanged.
        id_map: the same, an integer tensor ``[H, W]``.
        objects: the objects.
    """

    map: Any
    id_map: torch.Tensor
    objects: tuple[ComposedInstance, ...]

    def __len__(self) -> int:
        return len(self.objects)

    def __iter__(self) -> Iterator[ComposedInstance]:
        return iter(self.objects)

    def __getitem__(self, place: Any) -> Any:
        return self.objects[place]

    @property
    def inserted(self) -> ComposedInstances:
        """The inserted objects alone."""
        return ComposedInstances(
            self.map, self.id_map, tuple(each for each in self.objects if each.insertion is not None)
        )

    @property
    def ids(self) -> torch.Tensor:
        """Ids, int64 ``[N]``."""
        return torch.tensor([each.id for each in self.objects], dtype=torch.int64)

    @property
    def label_ids(self) -> torch.Tensor:
        """Label ids, int64 ``[N]``."""
        return torch.tensor([each.label_id for each in self.objects], dtype=torch.int64)

    @property
    def boxes(self) -> torch.Tensor:
        """Boxes, float32 ``[N, 4]``: x0, y0, x1, y1.

        x1 and y1 are the first column and row beyond, as in detectron2 (``BitMasks.get_bounding_boxes``) and COCO;
        torchvision's ``masks_to_boxes`` names the last ones within, one less.
        """
        return torch.tensor([each.box_xyxy for each in self.objects], dtype=torch.float32).reshape(-1, 4)

    @property
    def masks(self) -> torch.Tensor:
        """Visible pixels, bool ``[N, H, W]``; made anew with each call."""
        masks = torch.zeros((len(self.objects), *self.id_map.shape), dtype=torch.bool)
        for mask, each in zip(masks, self.objects, strict=True):
            mask[self._window(each)] = self.id_map[self._window(each)] == each.id
        return masks

    @property
    def scores(self) -> torch.Tensor:
        """Confidences, float32 ``[N]``."""
        return torch.tensor([each.score for each in self.objects], dtype=torch.float32)

    @property
    def areas(self) -> torch.Tensor:
        """Numbers of visible pixels, int64 ``[N]``."""
        return torch.tensor([each.area for each in self.objects], dtype=torch.int64)

    @property
    def is_inserted(self) -> torch.Tensor:
        """Whether each was inserted, bool ``[N]``."""
        return torch.tensor([each.insertion is not None for each in self.objects], dtype=torch.bool)

    @staticmethod
    def _window(one: ComposedInstance) -> tuple[slice, slice]:
        x0, y0, x1, y1 = one.box_xyxy
        return slice(y0, y1), slice(x0, x1)


def compose_instances(
    insertions: Sequence[Insertion],
    base: Any,
    labels: torch.Tensor,
    ids: Mapping[str, int],
    *,
    like: Any = None,
    schema: LabelSchema | None = None,
    rule: InstanceMap | None = None,
    key: str = "",
) -> ComposedInstances:
    """The instance ids of a composed frame: the base's, and new ones, after the highest, for what was inserted.

    Each part of an inserted object is one instance, as datasets have it: rider and bicycle are two. Ignored parts, and
    the base's objects under them, become 0. In Cityscapes' convention (label id * 1000 + number) new ids begin after
    all of its classes, at 34,001, so that none reads as an object of another class.

    Args:
        insertions: what was composed, far to near.
        base: the base's instance ids, one per pixel: a PIL image, a tensor or an array; never modified. ``None``: the
            base has none, and only inserted objects are listed.
        labels: the composed labels, integer ``[H, W]``.
        ids: label id of each class name that the insertions' parts have.
        like: label map whose form the map has if there is no ``base``.
        schema: schema of ``labels``, if it is known.
        rule: what ids mean.
        key: the item's key, for messages.

    Raises:
        ItemFormatError: a map of another form or size, or one that cannot hold the new ids.

    Example:
        >>> from poc_aug.types import Part
        >>> dog = Part("dog", torch.tensor([[True, True]]))
        >>> insertion = Insertion((0, 1, 1, 2), torch.zeros(3, 1, 2).byte(), (dog,), None, None, "dog", 3.0)
        >>> base = np.array([[7, 7, 0, 0]], np.int32)
        >>> found = compose_instances([insertion], base, torch.tensor([[2, 254, 254, 0]]), {"dog": 254})
        >>> found.map, found.ids, found.boxes[1]
        (array([[7, 8, 8, 0]], dtype=int32), tensor([7, 8]), tensor([1., 0., 3., 1.]))
    """
    size_hw = (labels.shape[-2], labels.shape[-1])
    rule = rule or InstanceMap()
    source = IdMap(blank_id_map(like, size_hw) if base is None else base, size_hw, key, "the instance ids")
    present = distinct_ids(source.ids.numpy())
    is_object, first = _convention(rule, present, source.ids, labels, schema)
    new, found = _inserted(insertions, source, ids, first)
    kept = [] if base is None else _base_objects(new, labels, [each for each in present if is_object(each)], schema)
    return ComposedInstances(source.with_ids(new) if new is not source.ids else source.value, new, (*kept, *found))


def _inserted(
    insertions: Sequence[Insertion], source: IdMap, ids: Mapping[str, int], first: int
) -> tuple[torch.Tensor, list[ComposedInstance]]:
    """The new map, and the inserted objects that it holds."""
    if not insertions:
        return source.ids, []
    size_hw = (source.ids.shape[0], source.ids.shape[1])
    parts = visible_parts(insertions, size_hw)
    source.check_fits(first + len(parts) - 1)
    new = source.ids.masked_fill(written_pixels(insertions, size_hw), 0)
    found = []
    for number, part in enumerate(parts, first):
        new[window(part.box_yxhw)][part.mask] = number
        y, x, height, width = part.box_yxhw
        found.append(
            ComposedInstance(
                number, ids[part.class_name], part.class_name, part.object_name, part.insertion, part.score,
                int(part.mask.sum()), (x, y, x + width, y + height),
            )
        )  # fmt: skip
    return new, found


def _convention(
    rule: InstanceMap,
    present: Collection[int],
    base_ids: torch.Tensor,
    labels: torch.Tensor,
    schema: LabelSchema | None,
) -> tuple[Callable[[int], bool], int]:
    """Which ids are objects, and the first new id."""
    background = set(rule.background)
    highest = max((each for each in present if each not in background), default=0)
    divisor, first = rule.divisor, max(highest, 0) + 1
    if divisor is None:
        divisor = _PER_CLASS if _follows_cityscapes(present, base_ids, labels, schema) else 0
        first = max(first, _FIRST_FREE + 1) if divisor else first
    least = max(divisor, 1)
    return lambda number: number >= least and number not in background, first


def _follows_cityscapes(
    present: Collection[int], base_ids: torch.Tensor, labels: torch.Tensor, schema: LabelSchema | None
) -> bool:
    """Whether ids are Cityscapes': the class that they name is the one that the labels show there."""
    known = {
        number: _CITYSCAPES.class_of(number // _PER_CLASS if number >= _PER_CLASS else number) for number in present
    }
    if any(name is None for name in known.values()):
        return False
    if any(number >= 24 * _PER_CLASS for number in present):
        return True  # a frame without this convention has no 24,000 objects
    if schema is None:
        return False
    agree = []
    ids, shown = base_ids.numpy()[_grid(base_ids)], labels.numpy()[_grid(base_ids)]  # thousands of pixels will do
    for number, name in known.items():
        values = shown[ids == number]
        seen = schema.class_of(_most(values)) if values.size else None
        if name is not None and seen is not None:
            agree.append(class_key(seen) == class_key(name))
    return sum(agree) > len(agree) / 2


def _grid(id_map: torch.Tensor) -> tuple[slice, slice]:
    rows, cols = (max(1, side // 128) for side in id_map.shape)
    return slice(None, None, rows), slice(None, None, cols)


def _most(values: npt.NDArray[Any]) -> int:
    """The value that is most frequent."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])


def _base_objects(
    id_map: torch.Tensor, labels: torch.Tensor, numbers: Collection[int], schema: LabelSchema | None
) -> list[ComposedInstance]:
    """The objects of the base of which something is visible, by id."""
    known = np.array(sorted(numbers), np.int64)
    if not known.size:
        return []
    ids = id_map.numpy()
    rows, cols = np.nonzero((ids >= known[0]) & (ids <= known[-1]))
    numbers_there = ids[rows, cols]
    place = np.searchsorted(known, numbers_there)
    order = np.argsort(place, kind="stable")
    order = order[known[place[order]] == numbers_there[order]]
    rows, cols, place = rows[order], cols[order], place[order]
    shown = labels.numpy()[rows, cols]
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    found = []
    for start, stop in zip(starts, [*starts[1:], place.size], strict=True):
        y, x = rows[start:stop], cols[start:stop]
        label_id = _most(shown[start:stop])
        name = None if schema is None else schema.class_of(label_id)
        box_xyxy = (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1)
        found.append(
            ComposedInstance(
                int(known[place[start]]), label_id, name, None, None, 1.0, int(stop - start), box_xyxy
            )
        )  # fmt: skip
    return found
