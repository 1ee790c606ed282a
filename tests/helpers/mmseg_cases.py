"""Frames on disk, a dataset and a loader as mmsegmentation 1.x has them, written from its documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import mmcv
import numpy as np
import numpy.typing as npt
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset  # type: ignore[import-untyped]
from mmengine.registry import DATASETS, TRANSFORMS  # type: ignore[import-untyped]
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.masks import dilate, feather_radius_px
from poc_aug.types import Annotation, Crop, Filled, Part
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

LENGTH, VARIANTS = 4, 3
RED_BGR = [0, 0, 255]
LOADING = [{"type": "LoadImageFromFile"}, {"type": "LoadLabelsAsMmseg"}]

Ids = npt.NDArray[np.uint8]


class RedInserter(EllipseInserter):
    """Fills the box with a red ellipse."""

    def _one(self, crop: Crop) -> Filled:
        mask = self.mask(crop)
        image = crop.image.clone()
        image[:, mask] = torch.tensor([[255], [0], [0]], dtype=torch.uint8)
        return Filled(image, Annotation(tuple(Part(name, mask, 0.5) for name in crop.parts)))


def red_cache(path: Path) -> Path:
    """A cache of red dogs, cats and cars in `Frames`."""
    warm_cache(Frames(LENGTH), path, InsertionPipeline(make_recipe(), RedInserter()), num_variants=VARIANTS, workers=0)
    return path


def write_frames(root: Path, saved: Callable[[Ids], Ids] = lambda ids: ids) -> Path:
    """`Frames` as files: ``img/KEY.png`` and ``ann/KEY.png``, the latter with the ids that ``saved`` makes of them."""
    for name in ("img", "ann"):
        (root / name).mkdir(parents=True)
    frames = Frames(LENGTH)
    for number, key in enumerate(frames.keys()):
        image, labels = frames[number]
        image.save(root / "img" / f"{key}.png")
        Image.fromarray(saved(np.array(labels))).save(root / "ann" / f"{key}.png")
    return root


@TRANSFORMS.register_module(force=True)
class LoadLabelsAsMmseg(BaseTransform):  # type: ignore[misc]
    """Labels in 8 bits; first ``reduce_zero_label``, then ``label_map`` of the results are applied."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        ids = mmcv.imread(results["seg_map_path"], flag="unchanged", backend="pillow").squeeze().astype(np.uint8)
        if results["reduce_zero_label"]:
            ids = np.where((ids == 0) | (ids == 255), 255, ids - 1).astype(np.uint8)
        if results.get("label_map") is not None:
            before = ids.copy()
            for old, new in results["label_map"].items():
                ids[before == old] = new
        results["gt_seg_map"] = ids
        results["seg_fields"].append("gt_seg_map")
        return results


@DATASETS.register_module(force=True)
class FolderAsMmseg(BaseDataset):  # type: ignore[misc]
    """Images and label maps of two folders; ``metainfo`` and items name ``label_map`` and ``reduce_zero_label``."""

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": ("road", "sky", "car"),
        "palette": [[128, 64, 128], [70, 130, 180], [0, 0, 142]],
    }

    def __init__(
        self, *, label_map: dict[int, int] | None = None, reduce_zero_label: bool = False, **rest: Any
    ) -> None:
        self.said = {"label_map": label_map, "reduce_zero_label": reduce_zero_label}
        super().__init__(metainfo=self.said, **rest)

    def load_data_list(self) -> list[dict[str, Any]]:
        images = sorted(Path(self.data_root, "img").glob("*.png"))
        annotations = Path(self.data_root, "ann")
        return [
            {"img_path": str(path), "seg_map_path": str(annotations / path.name), "seg_fields": [], **self.said}
            for path in images
        ]

    def get_cat_ids(self, idx: int) -> list[int]:
        """A rare class in the first frame."""
        return [0, 1] if idx == 0 else [0]


def places(cache: Cache, key: str, size_hw: tuple[int, int], sigma_px: float = 1.0) -> list[tuple[Ids, Ids, set[str]]]:
    """Of each variant of a frame: the pixels of its objects, those that composing may change, and its classes."""
    found = []
    for number in cache.variants(key):
        variant = cache.get(key, number)
        assert variant is not None
        mask, support = torch.zeros(size_hw, dtype=torch.bool), torch.zeros(size_hw, dtype=torch.bool)
        for insertion in variant.insertions:
            y, x, h, w = insertion.box_yxhw
            inside = slice(y, y + h), slice(x, x + w)
            mask[inside] |= insertion.mask
            support[inside] |= (
                dilate(insertion.mask, feather_radius_px(sigma_px)) if insertion.alpha is None else insertion.alpha > 0
            )
            if insertion.shade is not None:
                support[inside] |= insertion.shade > 0
        names = {part.name for insertion in variant.insertions for part in insertion.parts}
        found.append((mask.numpy(), support.numpy() | mask.numpy(), names))
    return found


def shown_variant(
    cache: Cache, key: str, before: dict[str, Any], after: dict[str, Any], *, sigma_px: float = 1.0
) -> int:
    """The number of the variant that an item shows; what is not in its places is checked to be as before.

    -1: nothing was inserted.
    """
    changed = (before["img"] != after["img"]).any(axis=-1)
    relabelled = before["gt_seg_map"] != after["gt_seg_map"]
    assert after["img"].dtype == before["img"].dtype == np.uint8
    assert after["gt_seg_map"].dtype == before["gt_seg_map"].dtype
    assert after["img"].shape == before["img"].shape
    assert after["gt_seg_map"].shape == before["gt_seg_map"].shape
    if not changed.any() and not relabelled.any():
        return -1
    fitting = [
        number
        for number, (mask, support, _) in enumerate(places(cache, key, changed.shape, sigma_px))
        if not (changed & ~support).any() and not (relabelled & ~mask).any() and changed[mask].mean() > 0.9
    ]
    assert len(fitting) == 1, fitting
    return fitting[0]
