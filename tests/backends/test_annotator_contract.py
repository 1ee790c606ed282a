"""Annotators keep `AnnotatorContract`: the original checkpoints' one, those of transformers, SAM 3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poc_aug.backends.finders.grounded_sam import GroundedSamAnnotator
from poc_aug.backends.finders.sam3 import Sam3Annotator
from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator
from poc_aug.cli.arguments import load_callable
from poc_aug.protocols import Annotator
from tests.helpers.annotator_contract import AnnotatorContract
from tests.helpers.tiny_grounded_sam import grounding_dino_files, segment_anything_path  # noqa: F401
from tests.helpers.tiny_transformers import tiny_models  # noqa: F401

Models = Callable[[str], Path]
OPTIONS: dict[str, Any] = {"device": "cpu", "min_inside_box": 0, "min_area_of_crop": 0}
LOOSE: dict[str, Any] = {"box_threshold": 0, "text_threshold": 0, **OPTIONS}


@pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.autocast.*:FutureWarning")
class TestGroundedSam(AnnotatorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def annotator(
        cls,
        grounding_dino_files: tuple[Path, Path, Path],  # noqa: F811
        segment_anything_path: Path,  # noqa: F811
    ) -> Annotator:
        config, checkpoint, text_encoder = grounding_dino_files
        files: dict[str, Any] = {"detector_config": config, "text_encoder": text_encoder}
        # With the 800 px of the paper these tests would take minutes.
        return GroundedSamAnnotator(checkpoint, segment_anything_path, size_px=96, **files, **LOOSE)


class TestGroundingDinoAndSam(AnnotatorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def annotator(cls, tiny_models: Models) -> Annotator:  # noqa: F811
        return TransformersAnnotator(tiny_models("grounding_dino"), tiny_models("sam"), **LOOSE)


class TestMMGroundingDinoAndSamHQ(AnnotatorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def annotator(cls, tiny_models: Models) -> Annotator:  # noqa: F811
        return TransformersAnnotator(
            tiny_models("mm_grounding_dino"), tiny_models("sam_hq"), keep="best", clean=False, batch_size=2, **LOOSE
        )


class TestOwlv2AndSam2(AnnotatorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def annotator(cls, tiny_models: Models) -> Annotator:  # noqa: F811
        return TransformersAnnotator(tiny_models("owlv2"), tiny_models("sam2"), keep="best", **LOOSE)


class TestSam3(AnnotatorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def annotator(cls, tiny_models: Models) -> Annotator:  # noqa: F811
        return Sam3Annotator(tiny_models("sam3"), score_threshold=0, keep="best", clean=False, **OPTIONS)


class TestWorkedExample(AnnotatorContract):
    most_parts = 1

    @pytest.fixture
    def annotator(self) -> Annotator:
        annotator: Annotator = load_callable("examples.own_backend:RedAnnotator")()
        return annotator
