"""A bank of cut-out objects: knows where they are, and reads one when it is drawn."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poc_aug.backends.paste.bank_cutouts import Cutout, CutoutSource, is_resource_error
from poc_aug.backends.paste.bank_left_out import counts_text, next_step
from poc_aug.backends.paste.bank_licences import ObjectLicence
from poc_aug.backends.paste.matte import clean_cutout
from poc_aug.errors import ObjectBankError, RecipeError
from poc_aug.recipe import fingerprint

if TYPE_CHECKING:
    from poc_aug.backends.paste.bank_coco_images import Exif
    from poc_aug.labels.schema import LabelSchema

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
"""COCO classes that Cityscapes has too; exclude them from a bank of out-of-distribution objects for Cityscapes."""

_KEPT_CUTOUTS = 16


class ObjectBank:
    """Cut-out objects by class. Picklable; holds only names and paths, and the last few cut-outs that were drawn.

    Args:
        sources: the cut-outs, in a fixed order.
        kind: what it was built from, for `describe` and error messages.
        dropped: how many candidates were left out, by reason.
        dropped_names: the names of the first few of them, by reason.
        erode_px: by how much hard masks are eroded, so that no rim of the old background remains.
        place: where it is, for messages.

    Attributes:
        unreadable: why a cut-out could not be read when it was drawn, by name.

    Raises:
        ObjectBankError: no cut-out is left; the message counts the reasons and names examples.

    Example:
        >>> import torch
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> image = torch.full((3, 64, 96), 90, dtype=torch.uint8)
        >>> labels = torch.zeros(64, 96, dtype=torch.uint8)  # all road
        >>> labels[12:52, 24:72] = 13  # a car
        >>> bank = ObjectBank.from_dataset([(image, labels)], SCHEMAS["cityscapes-trainIds"], ["car"])
        >>> bank
        ObjectBank(dataset, 1 object: car: 1)
        >>> bank.cutout(bank.by_class("car")[0]).image.shape  # eroded by 2 px on each side
        torch.Size([3, 36, 44])
    """

    def __init__(
        self,
        sources: Sequence[CutoutSource],
        *,
        kind: str = "sources",
        dropped: Mapping[str, int] | None = None,
        dropped_names: Mapping[str, Sequence[str]] | None = None,
        erode_px: int = 1,
        place: str = "",
    ) -> None:
        self.kind = kind
        self.dropped = dict(dropped or {})
        self.dropped_names = {reason: tuple(names) for reason, names in (dropped_names or {}).items()}
        self.erode_px = erode_px
        self.place = place
        self.unreadable: dict[str, str] = {}
        self._sources = tuple(sources)
        if not self._sources:
            reasons = counts_text(self.dropped, self.dropped_names)
            raise ObjectBankError(
                f"the object bank is empty ({kind}{place and f' {place}'}): "
                + (f"left out were {reasons}" if reasons else "nothing found"),
                expected="at least one cut-out object" + (" (PNG or WebP with alpha)" if kind == "folder" else ""),
                hint=next_step(self.dropped),
            )
        self._by_class: dict[str, list[int]] = {}
        for i, source in enumerate(self._sources):
            self._by_class.setdefault(source.category, []).append(i)
        self._fingerprint: str | None = None
        self._kept: OrderedDict[int, Cutout] = OrderedDict()
        self._lock = threading.Lock()  # region search and the inserter read in two threads

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
        """Pictures with an alpha channel (PNG, WebP) in a folder and its subfolders, rotated as their EXIF says.

        Hidden files and leftovers of operating systems (``._a.png``, ``__MACOSX``) are ignored. Pictures that cannot
        be read are left out and counted.

        Args:
            path: the folder. An ``objects.json`` in it, a list of ``{"file": ..., "category": ...}``, lists the
                pictures to use and their classes. Otherwise the class is the subfolder's name, or for pictures in
                the folder itself the leading letters of the file's name (``potted_plant_003.png``).
            min_size_px: smallest longer side of the picture.
            include: only these classes.
            exclude: class names to leave out.
            category: returns the class name for a picture's path (relative to the folder), instead of all of the above.
            erode_px: see `ObjectBank`.

        Raises:
            ObjectBankError: no such folder, an unreadable index, or no cut-out left.
        """
        from poc_aug.backends.paste.bank_folder import folder_sources

        sources, out = folder_sources(Path(path), min_size_px, _wanted(include, exclude), category)
        place = f"in {str(path)!r}"
        return cls(sources, kind="folder", dropped=out.counts, dropped_names=out.names, erode_px=erode_px, place=place)

    @classmethod
    def from_coco(
        cls,
        instances_json: str | Path,
        images_dir: str | Path | None = None,
        *,
        exclude: Collection[str] = ("person",),
        include: Collection[str] | None = None,
        min_area_px: int = 1024,
        min_size_px: int = 32,
        drop_crowd: bool = True,
        drop_truncated: bool = True,
        exif: Exif = "auto",
        erode_px: int = 1,
    ) -> ObjectBank:
        """Objects of a COCO instances file (Lin et al. 2014): polygons, run lengths, compressed run lengths.

        Each image's header is compared with the width and height in the file. Annotations that cannot be used, or
        whose image has another size, are left out and counted by reason (``bank.dropped``).

        Args:
            instances_json: the annotations.
            images_dir: folder of the images; ``None``: ``images/`` next to the file, or the other places where COCO and
                common tools put them (``bank.place`` says which).
            exclude: class names to leave out; `CITYSCAPES_COCO_CLASSES` for Cityscapes frames.
            include: only these classes.
            min_area_px: smallest area of an object.
            min_size_px: smallest longer side of an object.
            drop_crowd: leave out ``iscrowd`` annotations.
            drop_truncated: leave out objects within 2 px of their image's border: part of them is not visible.
            exif: "auto" rotates images with an EXIF orientation if only that makes the sizes agree, and leaves out
                those that sizes do not decide (upside down, square, or no size given). "apply" rotates all (annotations
                drawn on upright pictures, as browsers and viewers show them), "ignore" none.
            erode_px: see `ObjectBank`.

        Raises:
            ObjectBankError: a file that is missing or not in COCO's format, images that are not found, an unknown
                class in ``include``, or no cut-out left.
            SettingError: another value of ``exif``.
        """
        from poc_aug.backends.paste.bank_coco import CocoFilter, coco_sources

        choice = CocoFilter(
            _wanted(include, exclude),
            tuple(include or ()),
            min_area_px=min_area_px,
            min_size_px=min_size_px,
            drop_crowd=drop_crowd,
            drop_truncated=drop_truncated,
            exif=exif,
        )
        folder = None if images_dir is None else Path(images_dir)
        sources, out, folder = coco_sources(Path(instances_json), folder, choice)
        place = f"{str(instances_json)!r}, images in {str(folder)!r}"
        return cls(sources, kind="coco", dropped=out.counts, dropped_names=out.names, erode_px=erode_px, place=place)

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
        keys: Any = None,
        erode_px: int = 2,
    ) -> ObjectBank:
        """Connected components of a segmentation dataset's own classes. Every item is read once to find them.

        Args:
            dataset: items as `poc_aug.items.open_item.open_item` understands them.
            schema: names of the label ids.
            classes: which classes to cut out.
            min_size_px: smallest longer side of a component.
            min_area_px: smallest area of a component.
            drop_truncated: leave out components within 2 px of the frame's border.
            adapt: converts items of an unusual form.
            keys: keys of the samples, as in `POCAugmentedDataset`; a repeated sample is read once.
            erode_px: see `ObjectBank`; 2, because label maps are rougher than instance masks.

        Raises:
            ObjectBankError: no cut-out left.
            SchemaError: an unknown class.
        """
        from poc_aug.backends.paste.bank_dataset import dataset_sources

        sources, out = dataset_sources(
            dataset,
            schema,
            list(classes),
            min_size_px=min_size_px,
            min_area_px=min_area_px,
            drop_truncated=drop_truncated,
            adapt=adapt,
            keys=keys,
        )
        return cls(sources, kind="dataset", dropped=out.counts, dropped_names=out.names, erode_px=erode_px)

    def __len__(self) -> int:
        return len(self._sources)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {len(self._by_class[name])}" for name in self.classes())
        left_out = f"; left out: {counts_text(self.dropped)}" if self.dropped else ""
        return f"ObjectBank({self.kind}, {_count(len(self), 'object')}: {counts}{left_out})"

    def summary(self) -> str:
        """One line to print: the number of cut-outs and classes, their origin, and what was left out."""
        left_out = counts_text(self.dropped, self.dropped_names)
        origin = f"{self.kind} {self.place}" if self.place else self.kind
        contents = f"{_count(len(self), 'cut-out')} of {_count(len(self._by_class), 'class')} ({origin})"
        return contents + (f"; left out: {left_out}" if left_out else "")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_kept", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _kept=OrderedDict(), _lock=threading.Lock())

    def classes(self) -> tuple[str, ...]:
        """Class names, sorted."""
        return tuple(sorted(self._by_class))

    def keep(self, classes: Collection[str]) -> ObjectBank:
        """The bank with only the cut-outs of these classes; the others are counted in ``dropped``.

        Raises:
            ObjectBankError: no cut-out is left.
        """
        kept = [source for source in self._sources if source.category in classes]
        reason = "of a class that is excluded"
        excluded = self.dropped.get(reason, 0) + len(self._sources) - len(kept)
        dropped = {**self.dropped, reason: excluded} if excluded else self.dropped
        return ObjectBank(
            kept,
            kind=self.kind,
            dropped=dropped,
            dropped_names=self.dropped_names,
            erode_px=self.erode_px,
            place=self.place,
        )

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
                command="name the recipe's objects after these classes, or leave recipe: out of the file, and all are "
                "pasted",
            ) from None

    def name(self, i: int) -> str:
        """Where a cut-out comes from, relative to the bank."""
        return self._sources[i].name

    def cutout(self, i: int) -> Cutout:
        """Read a cut-out and clean it.

        A cut-out that cannot be read is not tried again in this process, so that equal seeds keep drawing the same.

        Raises:
            ObjectBankError: it cannot be read, or shows no object; the message names the file.
        """
        source = self._sources[i]
        with self._lock:
            if i in self._kept:
                self._kept.move_to_end(i)
                return self._kept[i]
            if source.name in self.unreadable:
                raise ObjectBankError(self.unreadable[source.name], hint="restore or delete the file")
        try:
            result = self._read(source)
        except ObjectBankError as error:
            if not is_resource_error(error):
                with self._lock:
                    self.unreadable[source.name] = error.problem
            raise
        with self._lock:
            self._kept[i] = result
            if len(self._kept) > _KEPT_CUTOUTS:
                self._kept.popitem(last=False)
        return result

    def _read(self, source: CutoutSource) -> Cutout:
        image, alpha = source.read()
        cleaned = clean_cutout(image, alpha, erode_px=self.erode_px)
        if cleaned is None:
            raise ObjectBankError(
                f"cut-out {source.name!r} is empty: no pixel is at least half opaque",
                expected="an alpha channel that shows the object",
                hint="delete the file, or leave its class out (exclude=...)",
            )
        licence = getattr(source, "licence", ObjectLicence())
        if not isinstance(licence, ObjectLicence):  # a source that somebody else wrote
            licence = ObjectLicence(str(licence))
        return Cutout(*cleaned, source.category, source.name, licence)

    def describe(self) -> dict[str, Any]:
        """JSON values: what the bank holds, with a fingerprint of its content (not of its path)."""
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


def _count(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"
