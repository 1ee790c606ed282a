"""Segmentation models of transformers, small and random, loaded from disk as a user would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from poc_aug.backends.scene_models.semantic_model import TransformersSemantic
from poc_aug.cli.label_check import label_check
from poc_aug.errors import ModelError, SchemaError
from poc_aug.evaluation.frame_segmenter import FrameSegmenter
from poc_aug.evaluation.label_agreement import LabelConsistency
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import SceneFrame
from tests.helpers.annotator_contract import picture
from tests.helpers.tiny_segmenters import NAMES, save_segmenter

SCHEMA = LabelSchema("view", {"car": 3, "Road": 5, "sky": 0, "person": 1})


@pytest.mark.parametrize("kind", ["segformer", "mask2former", "upernet"])
def test_classes_are_the_configurations_and_maps_are_of_the_frames_size(kind: str, tmp_path: Path) -> None:
    model = TransformersSemantic(save_segmenter(kind, tmp_path / "model"), device="cpu")
    assert isinstance(model, FrameSegmenter)
    assert model.classes == NAMES
    for size in ((64, 96), (51, 77)):
        image = picture(*size, 0)
        found = model.segment(image)
        assert found.shape == size
        assert found.dtype == torch.int64
        assert int(found.max()) < len(NAMES)
        assert len(found.unique()) > 1 or kind == "mask2former"  # its random queries are all of one class
        assert torch.equal(found, model.segment(image))
    described = model.describe()
    assert json.loads(json.dumps(described)) == described
    assert str(described["model"]).startswith("model#")


def test_labels_are_matched_by_name_and_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = save_segmenter("segformer", tmp_path / "model")
    check = label_check(str(folder), SCHEMA, threshold=0.7, device="cpu")
    assert isinstance(check, LabelConsistency)
    assert check.threshold == 0.7
    image = picture(51, 77, 1)
    places = check.segmenter.segment(image)
    labels = torch.tensor([5, 0, 3, 1])[places].to(torch.uint8)  # as it finds them; "tree" is no class of the schema
    frame = SceneFrame(image, labels, "a", 1, 0, schema=SCHEMA)
    (same,) = check.check([frame], [image])
    assert same.holds
    found = {("Road", "sky", "car", None)[int(place)] for place in places.unique()}
    assert set(same.by_class) == found - {None}
    assert all(ratio == 1 for ratio in same.by_class.values())
    with pytest.raises(SchemaError, match=r"\(road, sky, Car, tree\) and those of schema 'cats' \(cat\) have no name"):
        label_check(str(folder), LabelSchema("cats", {"cat": 0}), device="cpu")
    unnamed = save_segmenter("segformer", tmp_path / "unnamed", names=None)
    with pytest.raises(ModelError, match="names no classes"):
        TransformersSemantic(unnamed, device="cpu")
    with pytest.raises(ModelError, match="no segmenter at"):
        label_check(str(tmp_path / "missing"), SCHEMA)
