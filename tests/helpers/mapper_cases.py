"""Mappers as detectron2 and Mask2Former have them, written from their documentation; detectron2 cannot be installed.

They take a dataset dict, read the files that it names by themselves, and return tensors and `Instances`. There are no
augmentations, so what they return can be compared with the frame.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from pycocotools import mask as coco

from poc_aug.backends.paste.rle import decode_rle


class BoxMode(IntEnum):
    XYXY_ABS = 0
    XYWH_ABS = 1

    @staticmethod
    def to_xyxy(box: Any, mode: BoxMode) -> list[float]:
        x, y, w, h = (float(value) for value in box)
        return [x, y, x + w, y + h] if mode == BoxMode.XYWH_ABS else [x, y, w, h]


class Instances:
    """Fields of equal length, of one image."""

    gt_boxes: torch.Tensor
    gt_classes: torch.Tensor
    gt_masks: torch.Tensor

    def __init__(self, image_size: tuple[int, int]) -> None:
        self.image_size = image_size


def read_image(file_name: str, format: str | None = None) -> npt.NDArray[Any]:
    """``[H, W, 3]`` in RGB or BGR; as the file has it without a format."""
    with open(file_name, "rb") as opened:
        picture = ImageOps.exif_transpose(Image.open(opened))
        if format is not None:
            picture = picture.convert("RGB")
        pixels = np.asarray(picture)
    return pixels[:, :, ::-1] if format == "BGR" else pixels


def tensor(pixels: npt.NDArray[Any]) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def mask_of(segmentation: Any, height: int, width: int) -> npt.NDArray[np.bool_]:
    if isinstance(segmentation, np.ndarray):
        return segmentation.astype(np.bool_)
    if isinstance(segmentation, list):
        assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in segmentation)
        segmentation = coco.merge(coco.frPyObjects(segmentation, height, width))
    return decode_rle(segmentation).numpy()


class Mapper:
    """What they have in common."""

    def __init__(self, image_format: str = "BGR") -> None:
        self.image_format = image_format

    def image(self, dataset_dict: dict[str, Any]) -> npt.NDArray[Any]:
        image = read_image(dataset_dict["file_name"], self.image_format)
        assert image.shape[:2] == (dataset_dict["height"], dataset_dict["width"])
        return image


class DatasetMapper(Mapper):
    """Boxes and masks from ``annotations``, and ``sem_seg`` if there is a file; polygons or run lengths, not both."""

    def __init__(self, image_format: str = "BGR", mask_format: str = "polygon") -> None:
        super().__init__(image_format)
        self.mask_format = mask_format

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        dataset_dict = copy.deepcopy(dataset_dict)
        image = self.image(dataset_dict)
        dataset_dict["image"] = tensor(image)
        if "sem_seg_file_name" in dataset_dict:
            labels = read_image(dataset_dict.pop("sem_seg_file_name"))
            dataset_dict["sem_seg"] = torch.as_tensor(labels.astype("int64"))
        if "annotations" in dataset_dict:
            found = [each for each in dataset_dict.pop("annotations") if not each.get("iscrowd", 0)]
            forms = list if self.mask_format == "polygon" else dict
            assert all(isinstance(each["segmentation"], forms) for each in found)
            dataset_dict["instances"] = instances = Instances((image.shape[0], image.shape[1]))
            boxes = [BoxMode.to_xyxy(each["bbox"], each["bbox_mode"]) for each in found]
            masks = [mask_of(each["segmentation"], *image.shape[:2]) for each in found]
            instances.gt_boxes = torch.tensor(boxes).reshape(-1, 4)
            instances.gt_classes = torch.tensor([each["category_id"] for each in found], dtype=torch.int64)
            instances.gt_masks = torch.from_numpy(np.array(masks).reshape(-1, *image.shape[:2]))
        return dataset_dict


class SemanticMapper(Mapper):
    """Mask2Former's semantic one: a mask per class that the label map holds."""

    ignore_label = 255

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        dataset_dict = copy.deepcopy(dataset_dict)
        image = self.image(dataset_dict)
        labels = torch.as_tensor(read_image(dataset_dict.pop("sem_seg_file_name")).astype("int64"))
        assert "annotations" not in dataset_dict
        classes = labels.unique()
        classes = classes[classes != self.ignore_label]
        instances = Instances((image.shape[0], image.shape[1]))
        instances.gt_classes, instances.gt_masks = classes, labels[None] == classes[:, None, None]
        return {**dataset_dict, "image": tensor(image), "sem_seg": labels, "instances": instances}


class PanopticMapper(Mapper):
    """Mask2Former's panoptic one: a mask per segment."""

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        dataset_dict = copy.deepcopy(dataset_dict)
        image = self.image(dataset_dict)
        mapped: dict[str, Any] = {"image": tensor(image)}
        if "sem_seg_file_name" in dataset_dict:
            labels = read_image(dataset_dict.pop("sem_seg_file_name"))
            mapped["sem_seg"] = torch.as_tensor(labels.astype("int64"))
        colours = read_image(dataset_dict.pop("pan_seg_file_name"), "RGB").astype("int64")
        numbers = torch.as_tensor(colours @ np.array([1, 256, 65536]))
        infos = [info for info in dataset_dict["segments_info"] if not info["iscrowd"]]
        instances = Instances((image.shape[0], image.shape[1]))
        instances.gt_classes = torch.tensor([info["category_id"] for info in infos], dtype=torch.int64)
        instances.gt_masks = torch.stack([numbers == info["id"] for info in infos])
        return {**dataset_dict, **mapped, "pan_seg": numbers, "instances": instances}


class MapDataset(torch.utils.data.Dataset[Any]):
    """A list of dataset dicts and a mapper: what detectron2's loaders read."""

    def __init__(self, dicts: list[dict[str, Any]], mapper: Callable[[dict[str, Any]], Any]) -> None:
        self.dicts, self.mapper = dicts, mapper

    def __len__(self) -> int:
        return len(self.dicts)

    def __getitem__(self, index: int) -> Any:
        return self.mapper(copy.deepcopy(self.dicts[index]))
