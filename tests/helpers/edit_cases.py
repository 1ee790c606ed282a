"""Edited frames for the tests of import: composed of made-up insertions, and written in the layouts of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from poc_aug.importing import ImportedClasses, classes_named
from poc_aug.labels.schema import SCHEMAS
from poc_aug.reading.compose import compose
from poc_aug.seeding import generator
from poc_aug.types import Box, Insertion, Part, Sample

TRAIN_IDS = SCHEMAS["cityscapes-trainIds"]
CLASSES = classes_named(TRAIN_IDS, {"dog": 19, "gnu": 20}, known=["car", "person"])
CITY_KEY = "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"


def base_sample(seed: int = 0, size_hw: tuple[int, int] = (47, 61), key: str = CITY_KEY) -> Sample:
    """Noise with a road, a car and ignored pixels."""
    rng = generator("edit-case", seed)
    image = torch.randint(0, 256, (3, *size_hw), generator=rng, dtype=torch.uint8)
    labels = torch.zeros(size_hw, dtype=torch.uint8)
    labels[: size_hw[0] // 3] = 10
    labels[size_hw[0] // 2 :, : size_hw[1] // 4] = 13
    labels[-2:] = 255
    return Sample(image, labels, key=key)


def blob(
    seed: int,
    names: Sequence[str],
    box_yxhw: Box,
    *,
    alpha: bool = False,
    shade: bool = False,
    value: int | None = None,
) -> Insertion:
    """An ellipse of noise, or of one value, cut into one stripe per part; its shade reaches over the whole box."""
    _, _, height, width = box_yxhw
    rng = generator("edit-blob", seed)
    rows = (torch.arange(height) - (height - 1) / 2)[:, None] / max(height / 2, 1)
    cols = (torch.arange(width) - (width - 1) / 2)[None] / max(width / 2, 1)
    distance = rows**2 + cols**2
    disc = distance <= 0.6
    patch = torch.randint(1, 256, (3, height, width), generator=rng, dtype=torch.uint8)
    if value is not None:
        patch[:] = value
    soft = ((1 - (distance - 0.6) / 0.4).clamp(0, 1) * 255).round().to(torch.uint8)
    stripe = (torch.arange(width) * len(names) // width)[None].expand(height, width)
    return Insertion(
        box_yxhw,
        patch,
        tuple(Part(name, disc & (stripe == number)) for number, name in enumerate(names)),
        soft if alpha else None,
        torch.randint(0, 218, (height, width), generator=rng, dtype=torch.uint8) if shade else None,
        object_name=names[-1],
        max_sigma_px=3.0,
    )


@dataclass
class Edit:
    """A base frame and what it was edited to."""

    base: Sample
    edited: Sample
    insertions: tuple[Insertion, ...]


def edit_of(
    base: Sample, *insertions: Insertion, classes: ImportedClasses = CLASSES, sigma_px: float = 1.0, ring_px: int = 0
) -> Edit:
    """The frame that composing shows."""
    ids = {part.name: classes.id_of(part.name) for one in insertions for part in one.parts}
    known = {name: label_id for name, label_id in ids.items() if label_id is not None}
    return Edit(base, compose(base, insertions, known, sigma_px=sigma_px, ring_px=ring_px), insertions)


def shown(base: Sample, insertions: Sequence[Insertion], classes: ImportedClasses = CLASSES) -> Sample:
    """The base frame with insertions in it."""
    return compose(base, insertions, {**classes.ids, "(ignored)": 255})


def save_edit(root: Path, edit: Edit, name: str, *, difference: bool = True, acdc: bool = False) -> Path:
    """Write an edited frame as POC's release has it; returns the path of the image's file."""
    images, labels = ("rgb_anon_trainvaltest/rgb_anon", "gt_trainval/gt") if acdc else ("leftImg8bit", "gtFine")
    place = "fog/train/GOPR0475" if acdc else "train/aachen"
    path = root / images / place / f"{name}.{'npz' if difference else 'png'}"
    label_path = root / labels / place / f"{name}.png"
    for folder in (path.parent, label_path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(edit.edited.labels.numpy().astype(np.uint8)).save(label_path)
    if difference:
        change = (edit.edited.image - edit.base.image).permute(1, 2, 0).contiguous().numpy()
        np.savez_compressed(path, img=change)
    else:
        Image.fromarray(edit.edited.image.permute(1, 2, 0).contiguous().numpy()).save(path)
    return path


def with_noise(edit: Edit, levels: int, seed: int = 0) -> Edit:
    """The same edit by a model that repainted the whole frame a little."""
    rng = generator("edit-noise", seed)
    noise = torch.randint(-levels, levels + 1, edit.edited.image.shape, generator=rng, dtype=torch.int16)
    image = (edit.edited.image.to(torch.int16) + noise).clamp(0, 255).to(torch.uint8)
    return Edit(edit.base, replace(edit.edited, image=image), edit.insertions)
