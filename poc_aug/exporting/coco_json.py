"""COCO's JSON of the inserted objects: per frame while frames are written, and of a split when all are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from poc_aug.errors import ExportError
from poc_aug.exporting.coco_outlines import coco_polygons
from poc_aug.exporting.coco_rle import coco_rle
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.frame_instances import LABEL_IDS, FrameInstance, base_instances, visible_instances
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.streamed_files import read_part, streamed_file, write_list
from poc_aug.recipe import IGNORED

SegmentationForm: TypeAlias = Literal["auto", "rle"]
"""How masks are written: as polygons if they have no hole, otherwise as run lengths; or all as run lengths."""

_FIRST_THING = 24
"""Cityscapes' labelIds from "person" on are things, which have instances."""


def check_inserted_classes(plan: ExportPlan, layout: str) -> None:
    """Check that there are classes of inserted objects.

    Raises:
        ExportError: there are none.
    """
    if not set(plan.ids) - {IGNORED}:
        raise ExportError(
            f"layout {layout!r} annotates inserted objects, and nothing is inserted in these frames",
            expected="a cache of insertions",
            hint="choose 'webdataset' or 'huggingface', which hold images and label maps",
            command="--layout webdataset or --layout huggingface, which hold images and label maps",
        )


def coco_categories(plan: ExportPlan, *, with_base: bool = False) -> list[dict[str, Any]]:
    """COCO's ``categories``: one per class of the objects, numbered from 1 by name.

    ``label_id`` is the id of the class in the label maps, which several classes may share; ``None`` if they ignore it.

    Args:
        plan: what is exported.
        with_base: the base's objects have annotations too.
    """
    known = plan.schema
    ids: dict[str, int | None] = dict(plan.ids)
    if with_base:
        for name, label_id in LABEL_IDS.ids.items():
            if label_id >= _FIRST_THING and name not in ids:
                ids[name] = None if known is None else known.known_id(name)
    return [
        {
            "id": number,
            "name": name,
            "supercategory": "known" if known is not None and known.known_id(name) is not None else "new",
            "label_id": ids[name],
        }
        for number, name in enumerate(sorted(set(ids) - {IGNORED}), 1)
    ]


def coco_part(
    frame: ExportedFrame, file_name: str, segmentation: SegmentationForm, *, with_base: bool = False
) -> dict[str, Any]:
    """What is kept of a frame until all are written: its ``images`` entry, and its annotations by class name.

    Args:
        frame: the frame.
        file_name: its image, as readers look it up.
        segmentation: how masks are written.
        with_base: the base's objects have annotations too, before those of the insertions.
    """
    height, width = frame.image.shape[-2:]
    image = {"file_name": file_name, "width": width, "height": height, "key": frame.base.key, "variant": frame.variant}
    instances = [*(base_instances(frame) if with_base else ()), *visible_instances(frame)]
    return {"image": image, "annotations": [_annotation(one, (height, width), segmentation) for one in instances]}


def _annotation(one: FrameInstance, size_hw: tuple[int, int], segmentation: SegmentationForm) -> dict[str, Any]:
    y, x, height, width = one.box_yxhw
    polygons = coco_polygons(one.mask, one.box_yxhw) if segmentation == "auto" else None
    return {
        "category": one.class_name,
        "segmentation": polygons or coco_rle(one.mask, one.box_yxhw, size_hw),
        "bbox": [x, y, width, height],
        "area": one.area,
        "iscrowd": 0,
        "object": one.object_name,
        "insertion": one.insertion,
    }


def write_instances(
    folder: Path, name: str, parts: Sequence[Path], categories: Sequence[Mapping[str, Any]], description: str
) -> None:
    """Write the JSON of a split, part by part: memory does not grow with the number of frames.

    Args:
        folder: the export's folder.
        name: path of the JSON relative to it.
        parts: the files of `coco_part`, in the order of the frames.
        categories: see `coco_categories`.
        description: what the data are, for ``info``.

    Raises:
        ExportError: a part that is gone or damaged.
        OutputError: the file cannot be written.
    """
    ids = {category["name"]: category["id"] for category in categories}
    with streamed_file(folder, name) as file:
        file.write(b'{"info":' + json.dumps({"description": description}).encode())
        for field, values in (
            ("licenses", iter(())),
            ("categories", iter(categories)),
            ("images", _images(parts)),
            ("annotations", _annotations(parts, ids)),
        ):
            file.write(f',\n"{field}":'.encode())
            write_list(file, values)
        file.write(b"}\n")


def _images(parts: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for number, path in enumerate(parts, 1):
        yield {"id": number, **read_part(path)["image"]}


def _annotations(parts: Sequence[Path], ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for image_id, path in enumerate(parts, 1):
        for annotation in read_part(path)["annotations"]:
            number += 1
            category = ids[annotation.pop("category")]
            yield {"id": number, "image_id": image_id, "category_id": category, **annotation}
