from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import tv_tensors

from poc_aug.errors import CacheFormatError
from poc_aug.items.image_digest import DIGEST_BYTES, describe, digest_of, digest_of_sample, matches
from poc_aug.items.open_item import image_canvas, open_item


def scene(height: int = 171, width: int = 113, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def digest(image: object, *, bgr: bool = False) -> bytes:
    return digest_of(image_canvas(image, "k", bgr=bgr))


@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_all_forms_of_an_image_have_one_digest(height: int, width: int) -> None:
    rgb = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    chw = torch.from_numpy(rgb).permute(2, 0, 1)
    expected = digest(rgb)
    assert len(expected) == DIGEST_BYTES
    assert digest(Image.fromarray(rgb)) == expected
    assert digest(chw) == expected
    assert digest(tv_tensors.Image(chw)) == expected
    assert digest(np.ascontiguousarray(rgb[..., ::-1]), bgr=True) == expected
    sample = open_item((rgb, np.zeros((height, width), np.uint8)), key="k").sample()
    assert digest_of_sample(sample) == expected


def test_content_is_the_grid_of_nearest_pixels() -> None:
    rgb = scene()
    rows = [int((i + 0.5) * 171 / 16) for i in range(16)]
    cols = [int((i + 0.5) * 113 / 16) for i in range(16)]
    size = (171).to_bytes(4, "little") + (113).to_bytes(4, "little")
    assert digest(rgb) == size + rgb[rows][:, cols].tobytes()


def test_same_image_matches_and_others_do_not() -> None:
    digests = [digest(scene(seed=seed)) for seed in range(5)]
    for a, b in itertools.product(range(5), repeat=2):
        assert matches(digests[a], digests[b]) == (a == b)


def test_another_size_does_not_match() -> None:
    grey = np.full((16, 32, 3), 90, np.uint8)
    assert not matches(digest(grey), digest(grey[:, :31]))


def test_channels_in_another_order_do_not_match() -> None:
    rgb = scene()
    assert not matches(digest(rgb), digest(np.ascontiguousarray(rgb[..., ::-1])))


def test_small_differences_of_decoders_match() -> None:
    rgb = scene()
    noise = np.random.default_rng(0).integers(-3, 4, rgb.shape)
    assert matches(digest(rgb), digest(np.clip(rgb + noise, 0, 255).astype(np.uint8)))
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=95)
    assert matches(digest(rgb), digest(Image.open(buffer).convert("RGB")))


@pytest.mark.parametrize("change", ["one object", "brighter", "tinted"])
def test_other_content_does_not_match(change: str) -> None:
    rgb = (scene() // 2 + 40).astype(np.int16)
    other = rgb.copy()
    if change == "one object":  # the same street with something on it: most of the grid is equal
        other[80:100, 50:65] += 60
    elif change == "brighter":
        other += 5
    else:  # equal luma
        other += np.array([26, -15, 9])
    assert not matches(digest(rgb.astype(np.uint8)), digest(other.astype(np.uint8)))


def test_describe_names_size_colour_and_hash() -> None:
    text = describe(digest(np.full((17, 11, 3), (255, 0, 16), np.uint8)))
    assert text.startswith("17x11 pixels (h x w), mean colour #ff0010, hash ")
    assert text != describe(digest(np.full((17, 11, 3), (255, 0, 17), np.uint8)))


@pytest.mark.parametrize("bad", [b"", b"x" * 7, b"x" * (DIGEST_BYTES + 1)])
def test_what_is_no_digest_is_an_error(bad: bytes) -> None:
    good = digest(scene())
    for call in (lambda: describe(bad), lambda: matches(bad, good), lambda: matches(good, bad)):
        with pytest.raises(CacheFormatError, match=f"{len(bad)} bytes"):
            call()
    with pytest.raises(CacheFormatError):
        matches(bad, bad)


@pytest.mark.parametrize(
    "folder", ["scenes/camvid/train", "scenes/idd20k_lite/leftImg8bit/train", "anomaly/fs_static/images"]
)
def test_real_frames_of_one_dataset_are_told_apart(real_data: Path, folder: str) -> None:
    # CamVid is a video; Fishyscapes Static has one street with different objects in it.
    files = sorted(path for path in (real_data / folder).rglob("*") if path.suffix in (".png", ".jpg"))
    digests = [digest(Image.open(path).convert("RGB")) for path in files]
    assert len(digests) >= 30
    same = [
        (a.name, b.name)
        for (a, one), (b, two) in itertools.combinations(zip(files, digests, strict=True), 2)
        if one == two or (one[:8] == two[:8] and matches(one, two))
    ]
    assert same == []
