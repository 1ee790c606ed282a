"""Reading a COCO instances file, and recognising other formats that are JSON too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poc_aug.backends.paste.bank_left_out import printable
from poc_aug.errors import ObjectBankError

_EXPECTED = "a COCO instances file: an object with the lists images, categories and annotations"


def read_coco(path: Path) -> tuple[list[Any], list[Any], list[Any], Any]:
    """The rows of images, categories and annotations, as they are in the file, and its licences, if it lists any.

    UTF-8 with and without a BOM, UTF-16 and UTF-32 are read; bytes that are not UTF-8 (file names in another
    encoding) become Python's surrogate escapes, which name the same file.

    Raises:
        ObjectBankError: no such file, not JSON, or another format, which the message names.
    """
    data = _parse(path)
    if not isinstance(data, Mapping) or not all(isinstance(data.get(name), list) for name in _LISTS):
        raise _not_coco(path, _looks_like(data))
    rows = [row for row in data["annotations"] if isinstance(row, Mapping)]
    other_format = _other_annotations(rows)
    if other_format is not None:
        raise _not_coco(path, other_format)
    return data["images"], data["categories"], data["annotations"], data.get("licenses")


_LISTS = ("images", "categories", "annotations")


def _parse(path: Path) -> Any:
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        raise ObjectBankError(f"cannot read {str(path)!r}: {error}", hint="check the path") from error
    try:
        try:
            return json.loads(raw)
        except UnicodeDecodeError:
            return json.loads(raw.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError, MemoryError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error or type(error).__name__
        raise ObjectBankError(
            f"{str(path)!r} is not JSON: {reason}", expected=_EXPECTED, hint="export or copy the file again"
        ) from error


def _not_coco(path: Path, problem: str) -> ObjectBankError:
    return ObjectBankError(
        f"{str(path)!r} is not a COCO instances file: {problem}",
        expected=_EXPECTED,
        hint="give the instances file, or export the annotations as COCO instances with polygons or masks",
    )


def _looks_like(data: Any) -> str:
    """What a file without the three lists probably is."""
    if isinstance(data, list):
        rows = [row for row in data if isinstance(row, Mapping)]
        if any("score" in row for row in rows) or any("image_id" in row for row in rows):
            return "a bare list of results, without images and categories"
        return "a bare list"
    if not isinstance(data, Mapping):
        return f"a single {type(data).__name__}"
    if "shapes" in data and ("imagePath" in data or "imageData" in data):
        return "labels of one image as LabelMe writes them"
    if any(str(name).startswith("_via_") for name in data) or any(
        isinstance(row, Mapping) and "regions" in row and "filename" in row for row in data.values()
    ):
        return "a project of the VGG Image Annotator"
    if data and all(isinstance(data.get(name), list) for name in ("images", "annotations")):
        other_format = _other_annotations([row for row in data["annotations"] if isinstance(row, Mapping)])
        return other_format or "it has no list of categories, so no object has a class name"
    if all(isinstance(data.get(name), list) for name in ("images", "categories")):
        return "it lists images without annotations (as COCO's image_info files do)"
    missing = [name for name in _LISTS if not isinstance(data.get(name), list)]
    present = ", ".join(printable(str(name)[:40]) for name in list(data)[:8]) or "nothing"
    return f"it has no list {' and no list '.join(missing)}; it holds: {present}"


def _other_annotations(rows: list[Mapping[str, Any]]) -> str | None:
    """The other COCO format of these annotations, or ``None``."""
    if any("segments_info" in row for row in rows):
        return "its annotations are panoptic (segments_info)"
    if any(row.get("segmentation") for row in rows):
        return None
    if any("caption" in row for row in rows):
        return "its annotations are captions"
    if any("keypoints" in row for row in rows):
        return "its annotations are keypoints without outlines"
    return None
