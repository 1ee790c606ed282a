"""Ids that would mean two things are an error, unless it is said that they are meant to."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import LabelPolicyError, SchemaError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.presets import preset_ids, preset_names
from poc_aug.recipe import IGNORED
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

TRAIN_IDS, LABEL_IDS = SCHEMAS["cityscapes-trainIds"], SCHEMAS["cityscapes-labelIds"]
MASKS = LabelSchema("masks", {"background": 0, "road": 255}, ground=("road",))


def test_the_default_ignore_id_does_not_claim_a_class() -> None:
    by_file = LabelSchema.from_dict({"name": "masks", "ids": {"background": 0, "road": 255}, "ground": ["road"]})
    for schema in (MASKS, by_file, pickle.loads(pickle.dumps(MASKS)), replace(MASKS, name="again")):
        assert schema.ignore == ()
        assert schema.known_id("road") == 255
        labels = torch.tensor([[0, 255]], dtype=torch.uint8)
        assert AnomalyLabels().rewrite(labels, schema).tolist() == [[0, 0]]
        with pytest.raises(LabelPolicyError, match="'road'"):
            OodLabels(255).resolve(["dog"], schema)
        with pytest.raises(LabelPolicyError, match="'road'"):
            OodLabels(255, void=True).resolve(["dog"], schema)
        with pytest.raises(LabelPolicyError, match="ignore_id"):
            OodLabels(254, ring_px=2).ring_id(schema)
    assert LabelSchema("plain", {"road": 0}).ignore == (255,)
    assert LabelSchema("plain", {"road": 0}, ignore=()).ignore == ()
    assert replace(LabelSchema("plain", {"road": 0}), ids={"road": 0, "sky": 1}).ignore == (255,)


def test_classes_that_are_ignored_on_purpose_stay() -> None:
    assert LABEL_IDS.known_id("parking") is None
    assert LabelSchema("some", {"road": 0, "hood": 255}, ignore=(255,)).known_id("hood") is None
    assert LabelSchema("plates", {"road": 0, "plate": -1}, ignore=(-1, 255)).ignore == (-1, 255)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"ids": {"road": 255}, "ignore": [255]}, "all classes are ignored"),
        ({"ids": {"sky": 0, "road": 255}, "ignore": [255], "ground": ["road"]}, "all ground classes are ignored"),
        ({"ids": {"road": 0, "cow": 1}, "ignore": [1], "ood": ["cow"]}, "both in ood and in ignore"),
        ({"ids": {"road": 1, "cow": 1}, "ood": ["cow"]}, "out of distribution"),
        ({"ids": {"Traffic Light": 6, "traffic_light": 7}}, "'traffic_light' has id 7"),
        ({"ids": {"road": True}}, "True"),
        ({"ids": {"road": 1.0}}, r"1\.0"),
        ({"ids": {"road": "1"}}, "'1'"),
        ({"ids": {"road": None}}, "None"),
        ({"ids": {7: 1}}, "class name 7"),
        ({"ids": {False: 3}}, "class name False"),  # YAML reads the name "off" so
        ({"ids": {" ": 3}}, "class name ' '"),
        ({"ids": {}}, "{}"),
        ({"ids": {"road": 0}, "ignore": [True]}, "True"),
        ({"ids": {"road": 0}, "ignore": ["255"]}, "'255'"),
        ({"ids": {"road": 0}, "ignore": [2.5]}, r"2\.5"),
        ({"ids": {"road": 0}, "ignore": 255}, "255"),
        ({"ids": {"road": 0}, "ground": "road"}, "'road'"),
    ],
)
def test_schemas_that_contradict_themselves(tmp_path: Path, fields: dict[str, Any], named: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{fields}\n".replace("True", "true").replace("False", "off").replace("None", "null"))
    for make in (
        lambda: LabelSchema("mine", **fields),
        lambda: LabelSchema.from_dict({"name": "mine", **fields}),
        lambda: LabelSchema.load(file),
    ):
        with pytest.raises(SchemaError, match=named):
            make()


def test_ids_of_numpy_become_integers() -> None:
    schema = LabelSchema("mine", {"road": np.int64(3)}, ignore=[np.uint8(9)])  # type: ignore[dict-item,arg-type]
    assert (schema.ids, schema.ignore) == ({"road": 3}, (9,))
    assert type(schema.ids["road"]) is int


COLLISIONS: list[tuple[Callable[[], LabelPolicy], LabelSchema | None, str]] = [
    (lambda: OodLabels(255), TRAIN_IDS, "void=True"),
    (lambda: OodLabels(0), LABEL_IDS, "void=True"),
    (lambda: OodLabels(9), LABEL_IDS, "void=True"),  # "parking", which labelIds ignore
    (lambda: OodLabels(13), TRAIN_IDS, "'car'"),
    (lambda: OodLabels(13, known={"person": 11}), TRAIN_IDS, "'car'"),
    (lambda: OodLabels(13, known={}), TRAIN_IDS, "'car'"),
    (lambda: OodLabels(254, known={"car": 26}), TRAIN_IDS, r"known\['car'\]=26"),
    (lambda: OodLabels(11, known={"person": 11}), None, "'person'"),
    (lambda: OodLabels(254, known={"Car": 1, "car": 2}), None, "two ids"),
    (lambda: OodLabels(254, ignore_id=254), None, "void=True"),
    (lambda: OodLabels(254, known={"car": 9}, ignore_id=9), None, "'car'"),
    (lambda: OodLabels(254, ignore_id=13), TRAIN_IDS, "'car'"),
    (lambda: OodLabels(254, void=True), TRAIN_IDS, "not an ignore id"),
    (lambda: NewClassLabels({"cat": 13}), TRAIN_IDS, "merge=True"),
    (lambda: NewClassLabels({"cat": 255}), TRAIN_IDS, "ignore id"),
    (lambda: NewClassLabels({"caravan": 29}), LABEL_IDS, "ignore id"),
    (lambda: NewClassLabels({"cat": 19, "dog": 19}), None, "'cat'"),
    (lambda: NewClassLabels({"Cat": 19, "cat": 20}), None, "two ids"),
    (lambda: NewClassLabels({"cat": 19}, ignore_id=19), None, "ignore_id=19"),
    (lambda: NewClassLabels({"cat": 19}, ignore_id=13), TRAIN_IDS, "'car'"),
    (lambda: AnomalyLabels(known=("anomaly",)), SCHEMAS["fishyscapes"], "anomaly"),
]


@pytest.mark.parametrize(("make", "schema", "named"), COLLISIONS)
def test_an_id_that_is_taken_is_an_error(
    make: Callable[[], LabelPolicy], schema: LabelSchema | None, named: str
) -> None:
    with pytest.raises(LabelPolicyError, match=named):
        make().resolve(["cat", IGNORED], schema)


@pytest.mark.parametrize(
    ("policy", "schema", "names", "expected"),
    [
        (OodLabels(255, void=True), TRAIN_IDS, ["dog", "car"], {"dog": 255, "car": 13}),
        (OodLabels(255, void=True, known={}), None, ["dog"], {"dog": 255}),
        (OodLabels(1), SCHEMAS["fishyscapes"], ["dog"], {"dog": 1}),  # the base's own anomalies
        (OodLabels(254, known={"stop sign": 7, "car": 13}), TRAIN_IDS, ["stop sign"], {"stop sign": 7}),
        (OodLabels(254, known={"caravan": 28}), LABEL_IDS, ["caravan", "car"], {"caravan": 28, "car": 254}),
        (NewClassLabels({"car": 13, "cat": 19}), TRAIN_IDS, ["cat", "car"], {"cat": 19, "car": 13}),
        (NewClassLabels({"car": 19}), TRAIN_IDS, ["car"], {"car": 19}),
        (NewClassLabels({"cat": 19, "dog": 19}, merge=True), TRAIN_IDS, ["cat", "dog"], {"cat": 19, "dog": 19}),
        (NewClassLabels({"van": 13}, merge=True), TRAIN_IDS, ["van"], {"van": 13}),
        (NewClassLabels({"van": 255}, merge=True), TRAIN_IDS, ["van"], {"van": 255}),
    ],
    ids=repr,
)
def test_what_is_said_on_purpose_is_right(
    policy: LabelPolicy, schema: LabelSchema | None, names: list[str], expected: dict[str, int]
) -> None:
    assert policy.resolve(names, schema) == expected


@pytest.mark.parametrize("name", preset_names())
def test_the_ids_of_presets_collide_with_nothing(name: str) -> None:
    for start, schema in ((19, TRAIN_IDS), (100, LABEL_IDS)):
        ids = preset_ids(name, start)
        assert NewClassLabels(ids).resolve(list(ids), schema) == ids
    with pytest.raises(LabelPolicyError, match=r"in schema 'cityscapes-labelIds'"):
        NewClassLabels(preset_ids(name)).resolve([], LABEL_IDS)


class Unknown(Frames):
    """Frames of an unknown schema, with some pixels of another id."""

    schema = None  # type: ignore[assignment]

    def __init__(self, label_id: int) -> None:
        super().__init__(2)
        self.label_id = label_id

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        image, labels = super().__getitem__(index)
        labels.putpixel((3, 5), self.label_id)
        return image, labels


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("collisions") / "frames.cache"
    recipe = make_recipe(objects=["dog", "cat"], location=[])
    warm_cache(Frames(2), path, InsertionPipeline(recipe, EllipseInserter()), num_variants=1, workers=0)
    return path


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (OodLabels(254, known={}), OodLabels(254, known={}, void=True)),
        (NewClassLabels({"dog": 254, "cat": 99}), NewClassLabels({"dog": 254, "cat": 99}, merge=True)),
    ],
    ids=repr,
)
def test_an_id_that_labels_of_an_unknown_schema_hold(
    cache: Path, p: float, policy: LabelPolicy, allowed: LabelPolicy
) -> None:
    with pytest.raises(LabelPolicyError, match=r"'frame-000'") as caught:
        POCAugmentedDataset(Unknown(254), cache, policy, p=p)[0]
    assert "254" in str(caught.value)
    assert POCAugmentedDataset(Unknown(253), cache, policy, p=p)[0]
    assert POCAugmentedDataset(Unknown(254), cache, allowed, p=p)[0]


def test_a_policy_of_ones_own_needs_no_check(cache: Path) -> None:
    class Own:
        ring_px = 0
        rewrites_base = False

        def resolve(self, names: Any, schema: Any) -> dict[str, int]:
            return dict.fromkeys(names, 254)

        def ring_id(self, schema: Any) -> int:
            return 255

        def rewrite(self, labels: torch.Tensor, schema: Any, *, checked: bool = False) -> torch.Tensor:
            return labels

    assert POCAugmentedDataset(Unknown(254), cache, Own(), p=1.0)[0]


def test_masks_of_0_and_255(tmp_path: Path) -> None:
    """A road that is 255 is neither ignored nor the id of what is inserted."""

    class Masks(Frames):
        schema = MASKS

        def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
            image, labels = super().__getitem__(index)
            return image, labels.point(lambda label_id: 0 if label_id == 1 else 255)

    path = tmp_path / "masks.cache"
    warm_cache(Masks(2), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=1, workers=0)
    with pytest.raises(LabelPolicyError, match="'road'"):
        POCAugmentedDataset(Masks(2), path, OodLabels(255))
    found = np.asarray(POCAugmentedDataset(Masks(2), path, AnomalyLabels(), p=1.0)[0][1])
    assert set(np.unique(found).tolist()) == {0, 1}
