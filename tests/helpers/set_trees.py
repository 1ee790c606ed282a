"""Made-up trees in the layouts of Cityscapes, IDD and ACDC: small frames with the right names and formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

ROAD, BUILDING, SKY, CAR = 0, 2, 10, 13
_LABEL_IDS = {ROAD: 7, BUILDING: 11, SKY: 23, CAR: 26, 255: 1}
SIZE_HW = (96, 192)


def street(number: int, size_hw: tuple[int, int] = SIZE_HW) -> tuple[Image.Image, np.ndarray]:
    """A frame, and its labels as trainIds: sky and buildings over a road with a car, the car's own hood ignored."""
    height, width = size_hw
    labels = np.full(size_hw, SKY, dtype=np.uint8)
    labels[height // 4 : height // 2, : width // 3] = BUILDING
    labels[height // 2 :] = ROAD
    labels[height // 2 - height // 16 : height // 2 + height // 16, width // 2 : width // 2 + width // 8] = CAR
    labels[-height // 12 :] = 255
    grey = np.select([labels == value for value in (SKY, BUILDING, ROAD, CAR)], [200, 120, 90, 60], 30)
    noise = np.random.default_rng(number).integers(-6, 7, (*size_hw, 3))
    return Image.fromarray((grey[..., None] + noise).clip(0, 255).astype(np.uint8)), labels


def _save(root: Path, image: str, frame: Image.Image, labels: dict[str, np.ndarray]) -> None:
    for path in (image, *labels):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    frame.save(root / image)
    for path, values in labels.items():
        Image.fromarray(values).save(root / path)


def _label_ids(labels: np.ndarray) -> np.ndarray:
    table = np.zeros(256, dtype=np.uint8)
    for train_id, label_id in _LABEL_IDS.items():
        table[train_id] = label_id
    found: np.ndarray = table[labels]
    return found


def cityscapes_tree(
    root: Path,
    splits: Iterable[str] = ("train", "val"),
    frames: int = 2,
    size_hw: tuple[int, int] = SIZE_HW,
    *,
    train_ids: bool = True,
) -> Path:
    """Cityscapes; without ``train_ids`` as it is downloaded."""
    for split in splits:
        for number in range(frames):
            frame, labels = street(number, size_hw)
            city = ("aachen", "ulm")[number % 2] if split == "train" else "frankfurt"
            name = f"{split}/{city}/{city}_{number:06d}_000019"
            files = {f"gtFine/{name}_gtFine_labelIds.png": _label_ids(labels)}
            if train_ids:
                files[f"gtFine/{name}_gtFine_labelTrainIds.png"] = labels
            _save(root, f"leftImg8bit/{name}_leftImg8bit.png", frame, files)
    return root


def idd_tree(root: Path, splits: Iterable[str] = ("val",), frames: int = 2, *, prepared: bool = True) -> Path:
    """IDD; without ``prepared`` only the polygons of the download."""
    for split in splits:
        for number in range(frames):
            frame, labels = street(number)
            name = f"{split}/{number % 2 + 201}/frame{number:04d}"
            files = {f"gtFine/{name}_gtFine_labelcsTrainIds.png": labels} if prepared else {}
            _save(root, f"leftImg8bit/{name}_leftImg8bit.png", frame, files)
            polygons = root / f"gtFine/{name}_gtFine_polygons.json"
            polygons.parent.mkdir(parents=True, exist_ok=True)
            polygons.write_text("{}")
    return root


def acdc_tree(root: Path, split: str = "val", frames: int = 2, size_hw: tuple[int, int] = SIZE_HW) -> Path:
    """ACDC: so many frames of each condition."""
    for place, condition in enumerate(("fog", "night", "rain", "snow")):
        for number in range(frames):
            frame, labels = street(4 * number + place, size_hw)
            name = f"{condition}/{split}/GOPR{place:04d}/GOPR{place:04d}_frame_{number:06d}"
            files = {
                f"gt/{name}_gt_labelTrainIds.png": labels,
                f"gt/{name}_gt_labelIds.png": _label_ids(labels),
            }
            _save(root, f"rgb_anon/{name}_rgb_anon.png", frame, files)
    return root


TREES: dict[str, Callable[[Path], Path]] = {"cityscapes": cityscapes_tree, "idd": idd_tree, "acdc": acdc_tree}
"""The tree of each dataset by its name."""
