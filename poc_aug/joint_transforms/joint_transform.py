"""``transforms=`` of image and labels together, called as its library expects, and checked.

==========================================  =========================================================================
transforms                                  is called with
==========================================  =========================================================================
``torchvision.transforms.v2``               ``tv_tensors.Image`` ``[3, H, W]``, ``tv_tensors.Mask`` ``[H, W]``, in the
                                            item's own tuple or dict
albumentations, AlbumentationsX             ``image=`` ``[H, W, 3]``, ``mask=`` ``[H, W]``, as arrays
``kornia`` ``AugmentationSequential``       a batch of one: float ``[1, 3, H, W]`` in [0, 1], ids ``[1, 1, H, W]``
any other callable                          ``(image, labels, ...)``, or the dict, in the dataset's own form
==========================================  =========================================================================

The first three would treat a PIL or array pair as two images: labels would be scaled, jittered and interpolated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from poc_aug.items.canvas import AnyArray
from poc_aug.items.open_item import Adapt, OpenItem, open_item
from poc_aug.joint_transforms.base_transforms import check_base_transforms
from poc_aug.joint_transforms.fill_ids import fill_ids
from poc_aug.joint_transforms.id_check import (
    CheckSchedule,
    check_fills,
    check_ids,
    count_pixels,
    dark_labels_error,
    ignore_ids,
    is_dark,
    label_ids,
    labels_in,
    object_ids,
)
from poc_aug.joint_transforms.transform_calls import call_albumentations, call_kornia, call_v2
from poc_aug.joint_transforms.transform_kinds import TransformKind, name_of, transform_kind

__all__ = ["JointTransforms", "check_base_transforms", "ignore_ids", "object_ids", "transform_pair"]

_logger = logging.getLogger("poc_aug")


class JointTransforms:
    """``transforms=`` of a dataset: recognised once, called for each item, with its label ids checked for some items.

    Args:
        transforms: a joint transform of one of the libraries, or any other callable.
        ignored: ids that are allowed after the transforms although they were not there before, besides those that the
            transforms fill with.
        check: whether to compare the label ids before and after, for the first eight items in each process, then for
            one in a thousand. It is also an error if the labels of these eight all become only 0 and 1 and held more
            ids before. Items are not checked if their labels are not found in the output at their place before (field 1
            of a tuple, the same field of a dict, what ``adapt`` gets) or where mmseg packs them, or are no map of ids.
        adapt: how to take items of another form apart.
        inserted: label ids of inserted objects, by name, which a known library's transforms must not fill with.

    Raises:
        TransformError: ``transforms`` cannot be called, transforms images alone, or fills labels with an object's id.

    Example:
        >>> from torchvision.transforms import v2
        >>> JointTransforms(v2.Compose([v2.RandomHorizontalFlip(), v2.CenterCrop(64)]))
        JointTransforms(torchvision.transforms.v2.Compose(RandomHorizontalFlip, CenterCrop))
    """

    def __init__(
        self,
        transforms: Callable[..., Any],
        ignored: Iterable[int] = (),
        *,
        check: bool = True,
        adapt: Adapt | None = None,
        inserted: Mapping[str, int] | None = None,
    ) -> None:
        self.transforms = transforms
        self.kind = transform_kind(transforms)
        self.ignored = frozenset(ignored)
        self.fill_ids = fill_ids(transforms)
        if self.kind is not TransformKind.OTHER:  # how a function uses the transforms that it refers to is not known
            check_fills(self.fill_ids, inserted or {}, self.ignored, name_of(transforms))
        self.check = check
        self._adapt = adapt
        self._schedule = CheckSchedule()

    def __call__(self, item: OpenItem) -> Any:
        """An item after ``transforms``.

        Raises:
            TransformError: a label id that was not there before and is neither an ignore nor a fill id; or ids that
                were divided by 255 and made integers.
        """
        if item.has_bands_to_change:  # transforms get the whole item, as it is without them
            item = open_item(item.close(), self._adapt, key=item.key)
        before = label_ids(item.labels.value) if self.check and self._schedule.is_due() else None
        out, labels = self._call(item)
        if before is not None:
            self._check(before, self._labels_in(out, item) if labels is None else labels, item)
        return out

    def _check(self, before: AnyArray, labels: Any, item: OpenItem) -> None:
        after = label_ids(labels)
        if after is None:
            return
        name = name_of(self.transforms)
        check_ids(before, after, self.ignored, self.fill_ids, self.kind, name, item.key)
        height, width = item.size_hw
        if self._schedule.all_dark(is_dark(before, after, count_pixels(labels) / (height * width))):
            raise dark_labels_error(before, after, name, item.key)

    def _call(self, item: OpenItem) -> tuple[Any, Any]:
        """The transformed item; from a known library also its labels, if they are known."""
        match self.kind:
            case TransformKind.V2 | TransformKind.V2_SEQUENCE:
                return call_v2(self.transforms, item, self.fill_ids, one=self.kind is TransformKind.V2_SEQUENCE)
            case TransformKind.ALBUMENTATIONS:
                return call_albumentations(self.transforms, item, self.fill_ids)
            case TransformKind.KORNIA:
                return call_kornia(self.transforms, item, self.fill_ids)
            case TransformKind.OTHER:
                whole = item.close()
                fields = isinstance(whole, tuple | list)
                return self.transforms(*whole) if fields else self.transforms(whole), None

    def _labels_in(self, out: Any, item: OpenItem) -> Any:
        if self._adapt is None or self._adapt.get is None:
            return labels_in(out, item.fields)
        try:
            return self._adapt.get(out)[1]
        except Exception as error:  # it was written for items, and the output may have any form
            _logger.debug("the labels of %s after transforms are not checked: %r", item.key, error)
            return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({name_of(self.transforms)})"


def transform_pair(transforms: Callable[..., Any], image: Any, labels: Any, *, key: str) -> Any:
    """``transforms(image, labels)``, called as its library expects, without the check of ids.

    Args:
        transforms: a joint transform of one of the libraries, or any other callable.
        image: PIL image, tensor or array.
        labels: label ids in any of the forms of `poc_aug.items.open_item`.
        key: the pair's name in messages.

    Raises:
        TransformError: ``transforms`` cannot be called, or transforms images alone.
        ItemFormatError: labels that are not ids, if ``transforms`` is from one of the libraries.
    """
    if transform_kind(transforms) is TransformKind.OTHER:
        return transforms(image, labels)
    return JointTransforms(transforms, check=False)(open_item((image, labels), key=key))
