"""Inserters keep `InserterContract`; those that inpaint are in ``test_diffusion_inserter.py``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.backends.diffusion.text_to_image import TextToImageInserter
from poc_aug.backends.rendered.rendered_inserter import RenderedInserter
from poc_aug.camera_model import Camera
from poc_aug.protocols import Inserter
from poc_aug.types import Crop
from tests.helpers.fakes import EllipseInserter
from tests.helpers.inserter_contract import InserterContract
from tests.helpers.tiny_diffusion import sd_text_to_image_path  # noqa: F401

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_backend.py"


def crops_of(names: tuple[str, ...], sizes: tuple[tuple[int, int], ...]) -> list[Crop]:
    crops = []
    for number, ((h, w), name) in enumerate(zip(sizes, names, strict=True)):
        rng = torch.Generator().manual_seed(number)
        image = torch.randint(60, 180, (3, h, w), dtype=torch.uint8, generator=rng)
        box = (h // 5, w // 5, h // 2, w // 2)
        view = Camera(horizon_row=-float(h), camera_height_m=1.4, focal_px=2.0 * w, centre_col=w / 2)
        crops.append(Crop(image, box, name, f"A good photo of a {name}", (name,), 1000 + number, view, (name,)))
    return crops


class TestEllipse(InserterContract):
    @pytest.fixture
    def inserter(self) -> Inserter:
        return EllipseInserter()

    @pytest.fixture
    def crops(self) -> list[Crop]:
        return crops_of(("dog", "cat", "dog"), ((48, 48), (61, 61), (37, 53)))


class TestRendered(InserterContract):
    @pytest.fixture
    def inserter(self) -> Inserter:
        return RenderedInserter()

    @pytest.fixture
    def crops(self) -> list[Crop]:
        return crops_of(("rock", "tyre", "bucket"), ((96, 96), (131, 131), (97, 120)))


@pytest.mark.parametrize("paste", ["full", "crop"], scope="class")
class TestTextToImage(InserterContract):
    tolerance = 2

    @pytest.fixture(scope="class")
    @classmethod
    def inserter(cls, sd_text_to_image_path: Path, paste: Any) -> Inserter:  # noqa: F811
        return TextToImageInserter(sd_text_to_image_path, paste=paste, steps=2, device="cpu")

    @pytest.fixture
    def crops(self) -> list[Crop]:
        return crops_of(("dog", "cat", "dog"), ((48, 48), (61, 61), (37, 53)))


class TestWorkedExample(InserterContract):
    @pytest.fixture
    def inserter(self) -> Inserter:
        spec = importlib.util.spec_from_file_location("own_backend", EXAMPLE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        inserter: Inserter = module.TriangleInserter()
        return inserter

    @pytest.fixture
    def crops(self) -> list[Crop]:
        return crops_of(("warning triangle",) * 3, ((48, 48), (61, 61), (37, 53)))
