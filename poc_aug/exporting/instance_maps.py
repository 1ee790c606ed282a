"""`InstanceMaps`: the instance ids and polygons that a dataset has of its frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Subset

from poc_aug.errors import ExportError, in_one_line
from poc_aug.files.label_pictures import open_labels
from poc_aug.keys.dataset_wrappers import wrapped, wrapped_indices
from poc_aug.keys.path_keys import data_info_paths, listed_paths


class InstanceMaps:
    """Instance ids (Cityscapes' convention: label id * 1000 + number) and polygon files of a dataset's frames.

    They are found as Cityscapes has them: ``leftImg8bit/SPLIT/CITY/X_leftImg8bit.png`` has
    ``gtFine/SPLIT/CITY/X_gtFine_instanceIds.png`` and ``..._polygons.json``.

    Args:
        dataset: the dataset.
        source: a function of the index that returns the instance ids of that sample, or the name of a field of its
            items, which are dicts; ``None``: the files.

    Raises:
        ExportError: ``source`` is neither.

    Example:
        >>> maps = InstanceMaps([], source="instances")
        >>> maps.of(0, {"instances": np.full((4, 8), 26001)}, (4, 8), "frame").dtype
        torch.int32
    """

    def __init__(self, dataset: Any, source: str | Callable[[int], Any] | None = None) -> None:
        if source is not None and not isinstance(source, str) and not callable(source):
            raise ExportError(
                f"instances={source!r}",
                expected="the name of a field of the dataset's items, or a function of the index",
            )
        self._source = source
        self._images = _images(dataset)

    def missing(self, numbers: Iterable[int]) -> int | None:
        """The first of these samples that has no instance ids; ``None`` if all have, as far as files show."""
        if self._source is not None:
            return None
        return next((number for number in numbers if self._file(number, "instanceIds.png") is None), None)

    def missing_polygons(self, numbers: Iterable[int]) -> int | None:
        """The first of these samples that has no polygons."""
        return next((number for number in numbers if self.polygons(number) is None), None)

    def polygons(self, number: int) -> Path | None:
        """The polygon file of a sample."""
        return self._file(number, "polygons.json")

    def of(self, number: int, item: Any, size_hw: tuple[int, int], key: str) -> torch.Tensor:
        """The instance ids of a sample, int32 ``[H, W]``.

        Raises:
            ExportError: there are none, or they are of another size.
            SampleReadError: a file that cannot be read.
        """
        if isinstance(self._source, str):
            if not isinstance(item, Mapping) or self._source not in item:
                raise ExportError(
                    f"item {key!r} has no field {self._source!r} with its instance ids",
                    expected="a dict with a map of label id * 1000 + number",
                )
            value = item[self._source]
        elif self._source is not None:
            value = self._source(number)
        else:
            file = self._file(number, "instanceIds.png")
            if file is None:
                raise ExportError(f"sample {key!r} has no instance ids", expected="X_gtFine_instanceIds.png in gtFine")
            value = open_labels(file, key=key)
        try:
            ids = torch.as_tensor(np.array(value).astype(np.int32))
        except (TypeError, ValueError, RuntimeError) as error:
            raise ExportError(
                f"the instance ids of {key!r} are a {type(value).__name__}: {in_one_line(error)}",
                expected=f"integers [{size_hw[0]}, {size_hw[1]}]",
            ) from error
        if ids.shape != size_hw:
            raise ExportError(
                f"the instance ids of {key!r} are {list(ids.shape)}, its image {list(size_hw)} (h x w)",
                expected="one id per pixel",
            )
        return ids

    def _file(self, number: int, ending: str) -> Path | None:
        image = None if self._images is None else self._images[number]
        if image is None or "_leftImg8bit" not in image.name:
            return None
        parts = image.parts
        at = next((place for place in range(len(parts) - 2, -1, -1) if parts[place].startswith("leftImg8bit")), None)
        if at is None:
            return None
        stem = image.name.partition("_leftImg8bit")[0]
        file = Path(*parts[:at], "gtFine", *parts[at + 1 : -1], f"{stem}_gtFine_{ending}")
        return file if file.is_file() else None


def _images(dataset: Any) -> list[Path] | None:
    """The image file of each sample, if the dataset lists them."""
    if isinstance(dataset, Subset):
        inner = _images(dataset.dataset)
        return None if inner is None else [inner[int(index)] for index in dataset.indices]
    if isinstance(dataset, ConcatDataset):
        parts = [_images(part) for part in dataset.datasets]
        return None if None in parts else [path for part in parts if part is not None for path in part]
    length = len(dataset)
    paths = data_info_paths(dataset, length) or listed_paths(dataset, length)
    if paths is not None:
        root = next((value for name in ("root", "data_root") if (value := getattr(dataset, name, None))), "")
        return [Path(path) if os.path.exists(path) else Path(os.fspath(root), path) for path in paths]
    held = wrapped(dataset)
    images = None if held is None else _images(held)
    indices = None if images is None else wrapped_indices(dataset, len(images), length)
    return None if images is None or indices is None else [images[index] for index in indices]
