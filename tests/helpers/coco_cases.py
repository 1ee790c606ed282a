"""Small COCO files and their images, written as tools write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank

SIZE_WH = (130, 90)


def picture(size_wh: tuple[int, int] = SIZE_WH, *, box: tuple[int, int, int, int] = (20, 30, 70, 65)) -> Image.Image:
    """A grey picture with a red object in a box (left, top, right, bottom)."""
    pixels = np.full((size_wh[1], size_wh[0], 3), 60, dtype=np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = (250, 20, 20)
    return Image.fromarray(pixels)


def rectangle(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def annotation(**changes: Any) -> dict[str, Any]:
    """The annotation of the object in `picture`; a change to ``...`` takes a field away."""
    row = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [20, 30, 50, 35],
        "area": 1750,
        "iscrowd": 0,
        "segmentation": [rectangle(20, 30, 70, 65)],
        **changes,
    }
    return {name: value for name, value in row.items() if value is not ...}


def image(**changes: Any) -> dict[str, Any]:
    row = {"id": 1, "file_name": "one.png", "width": SIZE_WH[0], "height": SIZE_WH[1], **changes}
    return {name: value for name, value in row.items() if value is not ...}


def instances(
    annotations: list[Any] | None = None, images: list[Any] | None = None, categories: list[Any] | None = None
) -> dict[str, Any]:
    return {
        "images": [image()] if images is None else images,
        "categories": [{"id": 1, "name": "dog"}] if categories is None else categories,
        "annotations": [annotation()] if annotations is None else annotations,
    }


def write(folder: Path, data: Any, *, saved: Image.Image | None = None, name: str = "one.png", **save: Any) -> Path:
    """``instances.json`` in a folder, and one image in ``images/`` beside it."""
    (folder / "images").mkdir(exist_ok=True)
    (saved or picture()).save(folder / "images" / name, **save)
    path = folder / "instances.json"
    path.write_text(json.dumps(data))
    return path


def is_red(colours: Any, alpha: Any) -> bool:
    """Whether a cut-out shows the object, and nothing else."""
    seen = colours[:, alpha > 0].float()
    return bool((seen[0] > 230).all() and (seen[1:] < 50).all())


def encode_counts(counts: list[int]) -> str:
    """COCO's compressed counts, written from the format's description."""
    text = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 0x1F, value >> 5
            done = value == (-1 if bits & 0x10 else 0)
            text.append(chr(48 + (bits if done else bits | 0x20)))
            if done:
                break
    return "".join(text)


def runs_of(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flat.astype(int)))))
    lengths: list[int] = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    return lengths


def shows_the_object(bank: ObjectBank) -> bool:
    cutout = bank.cutout(0)
    return len(bank) == 1 and is_red(cutout.image, cutout.alpha) and abs(cutout.alpha.shape[1] - 48) <= 2
