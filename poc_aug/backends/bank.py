"""A bank of cut-out objects: knows where they are, reads one when it is drawn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from poc_aug.backends.matte import clean_cutout
from poc_aug.errors import ObjectBankError, RecipeError
from poc_aug.recipe import fingerprint
from poc_aug.types import Json

if TYPE_CHECKING:
    from poc_aug.schema import LabelSchema

CITYSCAPES_COCO_CLASSES = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "bus",
    "train",
    "truck",
    "traffic light",
    "stop sign",
)
"""COCO classes that Cityscapes has too: what to exclude from a bank of objects that are unknown there."""

_KEPT_CUTOUTS = 16


@dataclass(frozen=True, slots=True)
class Cutout:
    """One object, trimmed to its visible part.

    Attributes:
        image: uint8 ``[3, h, w]``: its colours, which go on beyond its edge (see `poc_aug.backends.matte`).
        alpha: uint8 ``[h, w]``, 255 opaque; only 0 and 255 where it is not ``soft``.
        soft: whether ``alpha`` is a soft matte.
        category: class name.
        source: where it comes from, relative to the bank.
    """

    image: torch.Tensor
    alpha: torch.Tensor
    soft: bool
    category: str
    source: str


class CutoutSource(Protocol):
    """Where one cut-out can be read: a few values, and no pixels."""

    @property
    def category(self) -> str:
        """Class name."""
        ...

    @property
    def name(self) -> str:
        """Where it comes from, relative to the bank."""
        ...

    def identity(self) -> Json:
        """JSON values that change when the cut-out does; independent of where the bank lies."""
        ...

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw image uint8 ``[3, h, w]`` and alpha uint8 ``[h, w]``; raises `ObjectBankError` naming the file."""
        ...


class ObjectBank:
    """Cut-out objects by class. Picklable; holds names and places only, and the last few cut-outs that were drawn.

    Args:
        sources: the cut-outs, in a fixed order.
        kind: what it was built from, for `describe` and error messages.
        dropped: how many candidates were left out, by reason.
        erode_px: how far hard masks are pulled in, so that no rim of the old background stays.

    Raises:
        ObjectBankError: nothing is left; the message counts the reasons.
    """

    def __init__(
        self,
        sources: Sequence[CutoutSource],
        *,
        kind: str = "sources",
        dropped: Mapping[str, int] | None = None,
        erode_px: int = 1,
    ) -> None:
        self.kind = kind
        self.dropped = dict(dropped or {})
        self.erode_px = erode_px
        self._sources = tuple(sources)
        if not self._sources:
            reasons = "; ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
            raise ObjectBankError(
                f"the object bank is empty ({kind}): " + (f"left out were {reasons}" if reasons else "nothing found"),
                expected="at least one cut-out object",
                hint="check the path, or loosen the filters named above",
            )
        self._by_class: dict[str, list[int]] = {}
        for i, source in enumerate(self._sources):
            self._by_class.setdefault(source.category, []).append(i)
        self._fingerprint: str | None = None
        self._kept: OrderedDict[int, Cutout] = OrderedDict()

    @classmethod
    def from_folder(
        cls,
        path: str | Path,
        *,
        min_size_px: int = 32,
        include: Collection[str] | None = None,
        exclude: Collection[str] = (),
        category: Callable[[Path], str] | None = None,
        erode_px: int = 1,
    ) -> ObjectBank:
        """Pictures with an alpha channel (PNG, WebP) in a folder and its subfolders.

        Args:
            path: the folder. An ``objects.json`` in it, a list of ``{"file": ..., "category": ...}``, says which
                pictures count and their classes. Else the class is the subfolder's name, and for pictures in
                the folder itself the leading letters of the file's name (``potted_plant_003.png``).
            min_size_px: smallest longer side of the picture.
            include: only these classes.
            exclude: all but these classes.
            category: class name of a picture's path (relative to the folder), instead of all of the above.
            erode_px: see `ObjectBank`.

        Raises:
            ObjectBankError: no such folder, an unreadable index or picture, or nothing left.
        """
        from poc_aug.backends.bank_folder import folder_sources

        sources, dropped = folder_sources(Path(path), min_size_px, _wanted(include, exclude), category)
        return cls(sources, kind="folder", dropped=dropped, erode_px=erode_px)

    @classmethod
    def from_coco(
        cls,
        instances_json: str | Path,
        images_dir: str | Path,
        *,
        exclude: Collection[str] = ("person",),
        include: Collection[str] | None = None,
        min_area_px: int = 1024,
        min_size_px: int = 32,
        drop_crowd: bool = True,
        drop_truncated: bool = True,
        erode_px: int = 1,
    ) -> ObjectBank:
        """Objects of a COCO instances file (Lin et al. 2014): polygons, run lengths, compressed run lengths.

        Args:
            instances_json: the annotations.
            images_dir: folder of the images that they name.
            exclude: class names to leave out; `CITYSCAPES_COCO_CLASSES` where Cityscapes frames are the base.
            include: only these classes.
            min_area_px: smallest area of an object.
            min_size_px: smallest longer side of an object.
            drop_crowd: leave out ``iscrowd`` annotations.
            drop_truncated: leave out objects within 2 px of their image's border: part of them is not seen.
            erode_px: see `ObjectBank`.

        Raises:
            ObjectBankError: a file that is missing or not COCO's, an unknown class in ``include``, or nothing left.
        """
        from poc_aug.backends.bank_coco import coco_sources

        sources, dropped = coco_sources(
            Path(instances_json),
            Path(images_dir),
            _wanted(include, exclude),
            named=tuple(include or ()),
            min_area_px=min_area_px,
            min_size_px=min_size_px,
            drop_crowd=drop_crowd,
            drop_truncated=drop_truncated,
        )
        return cls(sources, kind="coco", dropped=dropped, erode_px=erode_px)

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        schema: LabelSchema,
        classes: Iterable[str],
        *,
        min_size_px: int = 32,
        min_area_px: int = 512,
        drop_truncated: bool = True,
        adapt: Any = None,
        erode_px: int = 2,
    ) -> ObjectBank:
        """Connected components of a segmentation dataset's own classes. Reads every item once to find them.

        Args:
            dataset: items as `poc_aug.adapters.open_item` understands them.
            schema: names of the label ids.
            classes: which classes to cut out.
            min_size_px: smallest longer side of a component.
            min_area_px: smallest area of a component.
            drop_truncated: leave out components within 2 px of the frame's border.
            adapt: how to read items of an unusual form.
            erode_px: see `ObjectBank`; label maps are rougher than instance masks, hence 2.

        Raises:
            ObjectBankError: nothing left. SchemaError: an unknown class.
        """
        from poc_aug.backends.bank_dataset import dataset_sources

        sources, dropped = dataset_sources(
            dataset,
            schema,
            list(classes),
            min_size_px=min_size_px,
            min_area_px=min_area_px,
            drop_truncated=drop_truncated,
            adapt=adapt,
        )
        return cls(sources, kind="dataset", dropped=dropped, erode_px=erode_px)

    def __len__(self) -> int:
        return len(self._sources)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {len(self._by_class[name])}" for name in self.classes())
        left_out = f", {sum(self.dropped.values())} left out" if self.dropped else ""
        return f"ObjectBank({self.kind}, {len(self)} objects{left_out}: {counts})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def classes(self) -> tuple[str, ...]:
        """Class names, sorted."""
        return tuple(sorted(self._by_class))

    def keep(self, classes: Collection[str]) -> ObjectBank:
        """The bank with the cut-outs of these classes alone; the others are counted in ``dropped``.

        Raises:
            ObjectBankError: nothing is left.
        """
        kept = [source for source in self._sources if source.category in classes]
        reason = "of a class that is excluded"
        excluded = self.dropped.get(reason, 0) + len(self._sources) - len(kept)
        dropped = {**self.dropped, reason: excluded} if excluded else self.dropped
        return ObjectBank(kept, kind=self.kind, dropped=dropped, erode_px=self.erode_px)

    def by_class(self, name: str) -> tuple[int, ...]:
        """Indices of a class's cut-outs.

        Raises:
            RecipeError: unknown class; the message lists the known ones.
        """
        try:
            return tuple(self._by_class[name])
        except KeyError:
            raise RecipeError(
                f"the object bank ({self.kind}) has no {name!r}",
                expected=f"one of: {', '.join(self.classes())}",
                hint="name the recipe's objects after the bank's classes, or build the recipe with paste_recipe(bank)",
                command="name the recipe's objects after these classes, or leave recipe: out of the file, and each is "
                "pasted",
            ) from None

    def cutout(self, i: int) -> Cutout:
        """Read a cut-out and clean it.

        Raises:
            ObjectBankError: it cannot be read, or holds no object; the message names the file.
        """
        if i in self._kept:
            self._kept.move_to_end(i)
            return self._kept[i]
        source = self._sources[i]
        image, alpha = source.read()
        cleaned = clean_cutout(image, alpha, erode_px=self.erode_px)
        if cleaned is None:
            raise ObjectBankError(
                f"cut-out {source.name!r} is empty: no pixel is at least half opaque",
                expected="an alpha channel that shows the object",
                hint="delete the file, or leave its class out (exclude=...)",
            )
        result = Cutout(*cleaned, category=source.category, source=source.name)
        self._kept[i] = result
        if len(self._kept) > _KEPT_CUTOUTS:
            self._kept.popitem(last=False)
        return result

    def describe(self) -> dict[str, Any]:
        """JSON values: what the bank holds, with a fingerprint of its content (not of where it lies)."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint([source.identity() for source in self._sources])
        return {
            "kind": self.kind,
            "objects": {name: len(self._by_class[name]) for name in self.classes()},
            "erode_px": self.erode_px,
            "fingerprint": self._fingerprint,
        }


def _wanted(include: Collection[str] | None, exclude: Collection[str]) -> Callable[[str], bool]:
    return lambda name: (include is None or name in include) and name not in exclude
