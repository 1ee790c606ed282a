"""Modes of pictures in a bank: cut-outs and photographs of every mode, and floats that are left out."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.errors import ObjectBankError
from tests.helpers.coco_cases import image, instances, picture, write


def png(rows: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel with alpha, which Pillow reads and does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, _ = rows.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_modes_of_cutouts(tmp_path: Path) -> None:
    shape = Image.new("L", (60, 50), 0)
    shape.paste(255, (10, 10, 50, 40))
    grey = Image.new("L", (60, 50), 180)
    (tmp_path / "dog").mkdir()

    def save(name: str, saved: Image.Image, **more: Any) -> None:
        saved.save(tmp_path / "dog" / name, **more)

    save("la.png", Image.merge("LA", (grey, shape)))
    save("rgba.png", Image.merge("RGBA", (grey, grey, grey, shape)))
    save(
        "rgb.png",
        Image.composite(Image.new("RGB", (60, 50), (180,) * 3), Image.new("RGB", (60, 50), (1, 2, 3)), shape),
        transparency=(1, 2, 3),
    )
    save("l.png", Image.composite(grey, Image.new("L", (60, 50), 7), shape), transparency=7)
    palette = Image.composite(grey, Image.new("L", (60, 50), 7), shape).convert("P")
    save("p.png", palette, transparency=7)
    deep = np.where(np.asarray(shape) > 0, 180 * 257, 7).astype(np.uint16)
    save("i16.png", Image.fromarray(deep), transparency=7)
    rows = np.full((50, 60, 4), 180 * 257, dtype=">u2")
    rows[..., 3] = np.where(np.asarray(shape) > 0, 65535, 0)
    (tmp_path / "dog" / "rgba16.png").write_bytes(png(rows))
    bank = ObjectBank.from_folder(tmp_path, erode_px=0)
    assert len(bank) == 7, bank.summary()
    for i in range(7):
        cutout = bank.cutout(i)
        assert cutout.alpha.shape == (30, 40), bank.name(i)
        assert int((cutout.image.int() - 180).abs().max()) <= 1, bank.name(i)


@pytest.mark.parametrize("mode", ["CMYK", "L", "I;16", "P", "LA", "1"])
def test_modes_of_photographs(tmp_path: Path, mode: str) -> None:
    grey = picture().convert("L")
    suffix = ".jpg" if mode == "CMYK" else ".png"
    if mode == "I;16":
        saved = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        saved = grey.convert(mode, dither=Image.Dither.NONE) if mode != "CMYK" else picture().convert("CMYK")
    path = write(tmp_path, instances(images=[image(file_name=f"one{suffix}")]), saved=saved, name=f"one{suffix}")
    cutout = ObjectBank.from_coco(path).cutout(0)
    expected = np.asarray(saved.convert("L") if mode != "I;16" else grey)[47, 45]
    inside = cutout.image[:, cutout.alpha > 0].float()
    level = inside.mean(dim=1)
    if mode == "CMYK":
        assert (level - torch.tensor([250.0, 20, 20])).abs().max() < 12
    else:
        assert (level - float(expected)).abs().max() <= 2


def test_floats_are_left_out_and_named(tmp_path: Path) -> None:
    saved = Image.fromarray(np.asarray(picture().convert("L"), dtype=np.float32) / 255)
    path = write(tmp_path, instances(images=[image(file_name="one.tif")]), saved=saved, name="one.tif")
    with pytest.raises(ObjectBankError, match=r"whose white level is not known \(one\.tif: mode 'F'\)"):
        ObjectBank.from_coco(path)
