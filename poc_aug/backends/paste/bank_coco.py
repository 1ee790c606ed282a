"""Cut-outs from a COCO instances file and its images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import torch
import torch.nn.functional as F

from poc_aug.backends.paste.bank_coco_images import (
    NO_FILE,
    Exif,
    ImageFile,
    ImageFolder,
    check_image_folder,
    count_tails,
    find_image_folder,
    images_missing,
    match_image,
)
from poc_aug.backends.paste.bank_coco_json import read_coco
from poc_aug.backends.paste.bank_coco_outline import read_outline, usable_area, usable_box
from poc_aug.backends.paste.bank_coco_rows import (
    ImageRow,
    RowsById,
    category_rows,
    comparable_id,
    image_rows,
    is_crowd,
    parse_bbox,
)
from poc_aug.backends.paste.bank_left_out import LARGER, LeftOut, Unusable, printable
from poc_aug.backends.paste.bank_licences import NO_LICENCE, ObjectLicence, coco_licences
from poc_aug.backends.paste.bank_pictures import read_photo
from poc_aug.backends.paste.rle import decode_segmentation
from poc_aug.errors import ObjectBankError, SettingError
from poc_aug.masks import bounds, window
from poc_aug.types import Json

BORDER_PX = 2
"""Objects closer to their image's border count as truncated: annotators stop a little short of the border."""


@dataclass(frozen=True, slots=True)
class CocoSource:
    """One annotation of a COCO file.

    Attributes:
        image: the file of its image.
        name: the image's name in the COCO file, and the annotation's id.
        category: class name.
        segmentation: its outline, cleaned.
        licence: of its image, if the file says so.
    """

    image: ImageFile
    name: str
    category: str
    segmentation: Any
    licence: ObjectLicence = field(default=NO_LICENCE, compare=False)

    def identity(self) -> Json:
        """Image file, its size in bytes, class and outline; and how the image is rotated, if it is."""
        path = self.image.path
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ObjectBankError(
                f"cannot read {str(path)!r}: {error}", hint="restore the file, or make the bank again"
            ) from error
        orientation: list[Json] = [self.image.header.orientation] if self.image.turn else []
        return [self.name, size, self.category, self.segmentation, *orientation]

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw image and alpha, cropped to the object and one pixel around it."""
        header = self.image.header
        image = read_photo(self.image.path, header.size_wh, header.orientation, self.image.turn)
        try:
            mask = decode_segmentation(self.segmentation, (image.shape[1], image.shape[2]))
        except ObjectBankError as error:
            raise ObjectBankError(f"cut-out {self.name!r}: {error.problem}", expected=error.expected) from error
        return crop_to_mask(image, mask)


def crop_to_mask(image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Crop an image to a mask's bounding box plus 1 px (zero beyond the frame); alpha is 255 in the mask."""
    box_yxhw = bounds(mask)
    if box_yxhw[2] == 0:
        return image[:, :1, :1], torch.zeros((1, 1), dtype=torch.uint8)
    inner = window(box_yxhw)
    return F.pad(image[:, *inner], (1, 1, 1, 1)), F.pad(mask[inner].to(torch.uint8) * 255, (1, 1, 1, 1))


@dataclass(frozen=True, slots=True)
class CocoFilter:
    """Which objects of a COCO file are wanted; see `ObjectBank.from_coco`."""

    wanted: Callable[[str], bool]
    named: Collection[str]
    min_area_px: int
    min_size_px: int
    drop_crowd: bool
    drop_truncated: bool
    exif: Exif


def coco_sources(
    instances_json: Path, images_dir: Path | None, choice: CocoFilter
) -> tuple[list[CocoSource], LeftOut, Path]:
    """Find the usable objects and the folder of the images, without decoding an image.

    Each annotation either becomes a cut-out or is counted with a reason.

    Raises:
        ObjectBankError: a file that is missing or not in COCO's format, no images, or an unknown class name.
    """
    if choice.exif not in get_args(Exif):
        raise SettingError(f"exif={choice.exif!r}", expected=f"one of {', '.join(get_args(Exif))}")
    image_list, category_list, annotations, licence_list = read_coco(instances_json)
    images, categories = image_rows(image_list), category_rows(category_list)
    known = sorted(set(categories.rows()) - {""})
    unknown = sorted(set(choice.named) - set(known))
    if unknown:
        raise ObjectBankError(f"{str(instances_json)!r} has no classes {unknown}", expected=f"names of: {known}")
    rows = images.rows()
    tails = count_tails(rows)
    if images_dir is None:
        images_dir = find_image_folder(instances_json, rows, tails)
    check_image_folder(instances_json, images_dir, rows)
    licences = coco_licences(image_list, licence_list)
    reader = _Annotations(images, categories, ImageFolder(images_dir, tails), choice, licences)
    sources = reader.sources(annotations)
    if not sources and not reader.images_found and reader.left_out.counts[NO_FILE]:
        raise images_missing(instances_json, [images_dir], rows)
    return sources, reader.left_out, images_dir


class _Annotations:
    """Turns annotations into sources, or into counted reasons."""

    def __init__(
        self,
        images: RowsById[ImageRow],
        categories: RowsById[str],
        folder: ImageFolder,
        choice: CocoFilter,
        licences: Mapping[str, ObjectLicence],
    ) -> None:
        self._licences = licences
        self._images, self._categories, self._folder, self._choice = images, categories, folder, choice
        self._files: dict[ImageRow, ImageFile | Unusable] = {}
        self._doubtful: set[ImageFile] = set()
        self.left_out = LeftOut()

    @property
    def images_found(self) -> bool:
        """Whether any image could be used."""
        return any(isinstance(file, ImageFile) for file in self._files.values())

    def sources(self, annotations: list[Any]) -> list[CocoSource]:
        """The sources, in the order of their ids."""
        ordered: list[tuple[tuple[Any, ...], CocoSource]] = []
        by_name: dict[str, CocoSource] = {}
        for number, row in enumerate(annotations):
            try:
                if not isinstance(row, Mapping):
                    raise Unusable("that are not annotations", f"row {number}")
                source = self._source(row, number)
                first = by_name.setdefault(source.name, source)
                if first is not source:
                    if first == source:
                        raise Unusable("given twice", source.name)
                    source = replace(source, name=f"{source.name}@{number}")
            except Unusable as error:
                self.left_out.add(error.reason, error.name)
                continue
            ordered.append((_order(row.get("id"), number), source))
        ordered.sort(key=lambda pair: pair[0])
        sources = [source for _, source in ordered if source.image not in self._doubtful]
        for _, source in ordered:
            if source.image in self._doubtful:
                self.left_out.add("whose image has other outlines of a larger picture", source.name)
        return sources

    def _source(self, row: Mapping[str, Any], number: int) -> CocoSource:
        choice = self._choice
        category = self._categories.find(row.get("category_id"))
        if not category:
            raise Unusable("of a category without a name", f"category_id {row.get('category_id')!r}")
        if not choice.wanted(category):
            raise Unusable("of a class that is excluded")
        if choice.drop_crowd and is_crowd(row.get("iscrowd")):
            raise Unusable("crowds")
        image_row = self._images.find(row.get("image_id"))
        image = self._file(image_row)
        name = f"{printable(image_row.file_name)}#{_id_text(row.get('id'), number)}"
        try:
            outline = read_outline(row.get("segmentation"), image.size_wh)
            left, top, right, bottom = usable_box(outline, parse_bbox(row.get("bbox")))
        except Unusable as error:
            if error.reason == LARGER:  # the image's other outlines may be too, and only happen to fit into it
                self._doubtful.add(image)
            raise Unusable(error.reason, f"{name}: {error.name}" if error.name else name) from None
        width, height = image.size_wh
        if choice.drop_truncated and min(left, top, width - right, height - bottom) <= BORDER_PX:
            raise Unusable("truncated by their image's border")
        if usable_area(outline, row.get("area")) < choice.min_area_px:
            raise Unusable(f"smaller than {choice.min_area_px} px of area")
        if max(right - left, bottom - top) < choice.min_size_px:
            raise Unusable(f"smaller than {choice.min_size_px} px")
        licence = self._licences.get(image_row.file_name, NO_LICENCE)
        return CocoSource(image, name, printable(category), outline.segmentation, licence)

    def _file(self, row: ImageRow) -> ImageFile:
        """The file of an image; its header is read once."""
        if row not in self._files:
            try:
                self._files[row] = match_image(self._folder.find(row), row, self._choice.exif)
            except Unusable as error:
                self._files[row] = error
        file = self._files[row]
        if isinstance(file, Unusable):
            raise Unusable(file.reason, file.name)
        return file


def _order(value: Any, number: int) -> tuple[Any, ...]:
    row_id = comparable_id(value)
    return (2, number) if row_id is None else (0 if row_id[0] == "number" else 1, row_id[1], number)


def _id_text(value: Any, number: int) -> str:
    row_id = comparable_id(value)
    return f"row {number}" if row_id is None else printable(str(row_id[1]))
