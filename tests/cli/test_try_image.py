"""The pictures that ``poc-aug try`` is given."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.backends.finders.finder_protocols import Masks
from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
from poc_aug.cli.try_image import read_sample
from poc_aug.cli.try_options import TryOptions
from poc_aug.errors import DatasetError
from tests.helpers.command_line import run
from tests.helpers.fake_finders import FakeFinder
from tests.helpers.picture_files import png, tiff, with_orientation

H, W = 17, 11
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (H, W), dtype=np.uint16)


def options(image: Path, labels: Path | None = None) -> TryOptions:
    return TryOptions(image=image, object="a sheep", labels=labels)


def test_the_picture_is_turned_as_its_viewer_shows_it(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=with_orientation(3))
    sample = read_sample(options(tmp_path / "a.png"))
    assert sample.key == "a"
    assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), RGB[::-1, ::-1])
    assert not sample.labels.any()


def test_labels_lie_on_the_picture_or_it_is_an_error(tmp_path: Path) -> None:
    image, labels = tmp_path / "a.png", tmp_path / "gt.png"
    Image.fromarray(RGB).save(image, exif=with_orientation(6))
    Image.fromarray(np.rot90(RGB[..., 0], -1)).save(labels)
    sample = read_sample(options(image, labels))
    assert sample.size_hw == (W, H)
    assert np.array_equal(sample.image[0].numpy(), sample.labels.numpy())
    Image.fromarray(RGB).save(image, exif=with_orientation(3))
    Image.fromarray(RGB[..., 0]).save(labels)
    with pytest.raises(DatasetError, match=r"a\.png is 11x17 pixels with EXIF orientation 3") as caught:
        read_sample(options(image, labels))
    assert "auto-orient" in caught.value.hint  # a command, not an argument of Python
    Image.fromarray(RGB[1:, :, 0]).save(labels)
    with pytest.raises(DatasetError, match=r"a\.png is 11x17 .*gt\.png is 11x16"):
        read_sample(options(image, labels))


def test_pixel_formats(tmp_path: Path) -> None:
    sample = read_sample(options(png(tmp_path / "deep.png", DEEP, 16, 0)))
    assert np.array_equal(sample.image[2].numpy(), DEEP >> 8)
    with pytest.raises(DatasetError, match=r"depth\.tif is a picture of mode 'F'"):
        read_sample(options(tiff(tmp_path / "depth.tif", DEEP.astype("f4"))))
    Image.fromarray(RGB[..., 0]).save(tmp_path / "gt.png", "JPEG")
    arguments = ("--labels", tmp_path / "gt.png", "--schema", "cityscapes-trainIds", "--object", "a sheep")
    assert "JPEG is lossy" in run("try", tmp_path / "deep.png", *arguments, fails=True)


def test_a_fifo_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert "it is a FIFO" in run("try", tmp_path / "a.png", "--object", "a sheep", "--out", tmp_path / "b", fails=True)


def test_what_finds_the_place_is_named_by_its_option(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    backend = ["--backend", "tests.helpers.fakes:EllipseInserter", "--annotator", "none"]
    line = ["try", tmp_path / "a.png", "--object", "a sheep", "--out", tmp_path / "b", *backend]
    for on in ((), ("--on", "sidewalk")):
        message = run(*line, *on, fails=True)
        assert f"--on {on[1] if on else 'the road'!r}: nothing finds it" in message
        assert "--on anywhere" in message
        assert "locate_by" not in message


def test_pictures_above_pillows_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGB).save(tmp_path / "wide.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 90)
    output = run("try", tmp_path / "wide.png", "--object", "a sheep", fails=True)
    assert "wide.png: Image size (187 pixels)" in output
    assert "MAX_IMAGE_PIXELS = 90" in output


class Odd(FakeFinder):
    """Finds masks whose boxes no rectangle can be drawn of as they are."""

    boxes = torch.tensor(
        [[3.2, 2.0, 3.4, 9.0], [5, 5, 5, 5], [9, 9, 2, 2], [-7, -7, -5, -5], [1e9, 0, 2e9, 4], [float("nan")] * 4]
    )

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        return [[self._found(image) for _ in own] for image, own in zip(images, texts, strict=True)]

    def _found(self, image: torch.Tensor) -> Masks:
        mask = torch.zeros(image.shape[1:], dtype=torch.bool)
        mask[1:-1, 1:-1] = True
        return Masks(mask.expand(len(self.boxes), -1, -1), torch.full((len(self.boxes),), 0.5), self.boxes)


def odd_annotator() -> PromptAnnotator:
    return PromptAnnotator(Odd({}))


@pytest.mark.parametrize("sizes", ["0.0001:0.0002", "0.05:0.2"])
def test_boxes_of_less_than_a_pixel_are_drawn_as_one(sizes: str, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "green").save(tmp_path / "a.png")
    backend = ["--backend", "tests.helpers.fakes:EllipseInserter", "--backend-arg", "exact=false"]
    line = ["try", tmp_path / "a.png", "--object", "a sheep", "--on", "anywhere", *backend, "--sizes", sizes]
    run(*line, "--annotator", f"{__name__}:odd_annotator", "--out", tmp_path / "tried")
    assert list((tmp_path / "tried").glob("*_detections.png"))
    boxes = json.loads((tmp_path / "tried" / "report.json").read_text())["attempts"][0]["detections"][0]["boxes_xyxy"]
    assert boxes[1:2] + boxes[-1:] == [[5.0] * 4, [None] * 4]


def test_a_place_where_nothing_fits_is_one_line_per_attempt(tmp_path: Path) -> None:
    Image.new("L", (1, 1)).save(tmp_path / "a.png")
    line = ["try", tmp_path / "a.png", "--object", "a sheep", "--on", "anywhere", "--out", tmp_path / "tried"]
    output = run(*line, "--backend", "tests.helpers.fakes:EllipseInserter", fails=True)
    assert output.count("rejected, no room") == output.count("attempt ") > 0
