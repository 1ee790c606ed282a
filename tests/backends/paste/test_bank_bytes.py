"""Files of any bytes: a bank, or errors that are ours."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.errors import ObjectBankError
from tests.helpers.coco_cases import image, instances, picture, write


def encoded(saved: Image.Image, form: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a maker"
    if form != "TIFF":
        exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    file = io.BytesIO()
    saved.save(file, form, exif=exif)
    return file.getvalue()


def cutout() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 33, 4), dtype=np.uint8)
    pixels[5:30, 5:28, 3] = 255
    return Image.fromarray(pixels)


def damaged(data: bytes, draw: Any) -> bytes:
    """Some bytes changed, most of them near the beginning, where headers are; maybe cut off."""
    raw = bytearray(data)
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.one_of(st.integers(0, min(200, len(raw) - 1)), st.integers(0, len(raw) - 1)))
        raw[place] = draw(st.integers(0, 255))
    return bytes(raw[: draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))])


@pytest.mark.filterwarnings("ignore")  # Pillow's about broken EXIF
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_folder(tmp_path: Path, form: str, data: st.DataObject) -> None:
    (tmp_path / f"dog.{form.lower()}").write_bytes(damaged(encoded(cutout(), form), data.draw))
    message = "dog"
    try:
        bank = ObjectBank.from_folder(tmp_path, min_size_px=1)
        json.dumps(bank.describe())
        bank.cutout(0)
    except ObjectBankError as error:
        message = str(error)
    assert "dog" in message


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_photographs(tmp_path: Path, form: str, data: st.DataObject) -> None:
    upright = picture().transpose(Image.Transpose.ROTATE_90)
    path = write(tmp_path, instances(images=[image()]))
    (tmp_path / "images" / "one.png").write_bytes(damaged(encoded(upright, form), data.draw))
    message = "one.png"
    try:
        ObjectBank.from_coco(path).cutout(0)
    except ObjectBankError as error:
        message = str(error)
    assert "one.png" in message
