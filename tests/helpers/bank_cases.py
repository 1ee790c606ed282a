"""Folders of cut-outs, written for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.scene_quality import gaussian_blur


def disc(height: int, width: int, colour: tuple[int, int, int], margin: int = 4) -> np.ndarray:
    """An ellipse with hard alpha on a magenta background: RGBA uint8 [height, width, 4]."""
    rows, cols = np.mgrid[:height, :width]
    y, x = (rows - (height - 1) / 2) / (height / 2 - margin), (cols - (width - 1) / 2) / (width / 2 - margin)
    inside = y**2 + x**2 <= 1
    pixels = np.empty((height, width, 4), dtype=np.uint8)
    pixels[..., :3] = np.where(inside[..., None], colour, (255, 0, 255))
    pixels[..., 3] = inside * 255
    return pixels


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "bank"
    write(root / "cone" / "a.png", disc(60, 41, (250, 120, 20)))
    write(root / "cone" / "b.png", disc(50, 47, (230, 90, 10)))
    write(root / "potted_plant_000003.png", disc(70, 55, (30, 140, 40)))
    write(root / "crumb.png", disc(17, 11, (200, 200, 200), margin=2))
    write(root / "flat.png", np.zeros((40, 40, 3), dtype=np.uint8))
    return root


def table(height: int, width: int) -> np.ndarray:
    """A table, its legs at both ends, off-centre stripes so that mirroring shows: RGBA, hard alpha."""
    pixels = np.zeros((height, width, 4), dtype=np.uint8)
    pixels[...] = (255, 0, 255, 0)
    solid = np.zeros((height, width), dtype=bool)
    solid[4 : height // 3, 4:-4] = True
    solid[4:-4, 4 : width // 5] = True
    solid[4:-4, -width // 5 : -4] = True
    pixels[solid] = (150, 90, 40, 255)
    stripes = solid.copy()
    stripes[:, width // 3 :] = False
    pixels[stripes] = (60, 90, 160, 255)
    return pixels


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> ObjectBank:
    root = tmp_path_factory.mktemp("objects")
    for name, pixels in (("table/a.png", table(83, 121)), ("table/b.png", table(97, 71))):
        (root / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / name)
    rows, cols = np.mgrid[:90, :70]
    radius = np.hypot((rows - 45) / 40, (cols - 35) / 30)
    soft = np.empty((90, 70, 4), dtype=np.uint8)
    soft[...] = (200, 180, 90, 0)
    soft[..., 3] = (np.clip((1 - radius) * 4, 0, 1) * 255).round()
    (root / "dog").mkdir()
    Image.fromarray(soft).save(root / "dog" / "soft.png")
    return ObjectBank.from_folder(root)


def edges(sigma: float, low: float = 0.2, high: float = 0.7) -> torch.Tensor:
    plane = torch.full((3, 64, 97), low)
    for x in range(8, 90, 16):
        plane[:, :, x : x + 8] = high
    return gaussian_blur(plane, sigma) if sigma else plane
