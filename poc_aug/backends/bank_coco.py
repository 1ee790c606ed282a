"""Cut-outs from a COCO instances file and its images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from poc_aug.backends.bank_folder import read_pixels, unreadable
from poc_aug.backends.rle import decode_segmentation
from poc_aug.errors import ObjectBankError
from poc_aug.types import Json

BORDER_PX = 2
"""Annotators stop a little short of the image's border."""


@dataclass(frozen=True, slots=True)
class CocoSource:
    """One annotation of a COCO file."""

    images_dir: Path
    file_name: str
    category: str
    annotation_id: int
    segmentation: Any

    @property
    def name(self) -> str:
        """Image file and annotation id."""
        return f"{self.file_name}#{self.annotation_id}"

    def identity(self) -> Json:
        """Image file, its size in bytes, class and outline."""
        path = self.images_dir / self.file_name
        try:
            size = path.stat().st_size
        except OSError as error:
            raise unreadable(path, error) from error
        return [self.name, size, self.category, self.segmentation]

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw image and alpha, cropped to the object and one pixel around it."""
        image = read_pixels(self.images_dir / self.file_name, "RGB")
        try:
            mask = decode_segmentation(self.segmentation, (image.shape[1], image.shape[2]))
        except ObjectBankError as error:
            raise ObjectBankError(f"cut-out {self.name!r}: {error.problem}", expected=error.expected) from error
        return crop_to_mask(image, mask)


def crop_to_mask(image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Crop an image to a mask's bounding box plus 1 px (zero beyond the frame); alpha is 255 in the mask."""
    rows, cols = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(rows):
        return image[:, :1, :1], torch.zeros((1, 1), dtype=torch.uint8)
    window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1))
    return F.pad(image[:, *window], (1, 1, 1, 1)), F.pad(mask[window].to(torch.uint8) * 255, (1, 1, 1, 1))


def coco_sources(
    instances_json: Path,
    images_dir: Path,
    wanted: Callable[[str], bool],
    *,
    named: Collection[str],
    min_area_px: int,
    min_size_px: int,
    drop_crowd: bool,
    drop_truncated: bool,
) -> tuple[list[CocoSource], Counter[str]]:
    """Find the usable objects; see `ObjectBank.from_coco`. Decodes no image."""
    images, names, annotations = _read_instances(instances_json)
    unknown = sorted(set(named) - set(names.values()))
    if unknown:
        raise ObjectBankError(
            f"{str(instances_json)!r} has no classes {unknown}", expected=f"names of: {', '.join(names.values())}"
        )
    if not images_dir.is_dir():
        raise ObjectBankError(f"no folder {str(images_dir)!r}", hint="pass the folder of the images")
    present = {path.name for path in images_dir.iterdir()}
    dropped: Counter[str] = Counter()
    sources = []
    for row in sorted(annotations, key=lambda row: int(row["id"])):
        image, category = images[row["image_id"]], names[row["category_id"]]
        x, y, w, h = row["bbox"]
        border = min(x, y, image["width"] - x - w, image["height"] - y - h)
        if not wanted(category):
            dropped["of a class that is excluded"] += 1
        elif drop_crowd and row.get("iscrowd"):
            dropped["crowds"] += 1
        elif drop_truncated and border <= BORDER_PX:
            dropped["cut by their image's border"] += 1
        elif row["area"] < min_area_px:
            dropped[f"smaller than {min_area_px} px of area"] += 1
        elif max(w, h) < min_size_px:
            dropped[f"smaller than {min_size_px} px"] += 1
        elif image["file_name"] not in present and not (images_dir / image["file_name"]).is_file():
            dropped[f"whose image is not in {str(images_dir)!r}"] += 1
        else:
            outline = row["segmentation"]
            sources.append(CocoSource(images_dir, image["file_name"], category, int(row["id"]), outline))
    return sources, dropped


def _read_instances(path: Path) -> tuple[dict[int, Any], dict[int, str], list[Any]]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ObjectBankError(f"cannot read {str(path)!r}: {error}", hint="check the path") from error
    except ValueError as error:
        raise ObjectBankError(f"{str(path)!r} is not JSON: {error}", expected="a COCO instances file") from error
    try:
        images = {row["id"]: row for row in data["images"]}
        names = {row["id"]: str(row["name"]) for row in data["categories"]}
        annotations = list(data["annotations"])
        missing = [row["id"] for row in annotations if row["image_id"] not in images]
        missing += [row["id"] for row in annotations if row["category_id"] not in names]
        fields = {"bbox", "area", "segmentation"}
        missing += [row["id"] for row in annotations if not fields <= row.keys()]
    except (KeyError, TypeError) as error:
        raise ObjectBankError(
            f"{str(path)!r} is not a COCO instances file: {type(error).__name__} {error}",
            expected="images, categories and annotations with id, image_id, category_id, bbox, area, segmentation",
        ) from error
    if missing:
        raise ObjectBankError(
            f"annotations {missing[:5]} of {str(path)!r} lack a field, or name an image or category that is not there",
            expected="a complete COCO instances file",
        )
    return images, names, annotations
