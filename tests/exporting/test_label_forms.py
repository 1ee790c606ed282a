"""Which ids are written: those that a method expects, converted by class name, or a clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import ExportError, PocAugError, SettingError
from poc_aug.exporting.export_planning import manifests_of, object_names
from poc_aug.exporting.exporter import export
from poc_aug.exporting.id_conversion import IdConversion
from poc_aug.exporting.label_forms import parse_label_form
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.presets import load_preset, preset_ids
from tests.helpers.export_cases import LENGTH, SPLIT, as_arrays, read_picture
from tests.helpers.fakes import SCHEMA, Frames

TRAIN, LABEL = SCHEMAS["cityscapes-trainIds"], SCHEMAS["cityscapes-labelIds"]


class InTrainIds(Frames):
    """`Frames` with the same classes in trainIds: road 0, sky 10, car 13."""

    schema = TRAIN

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        return image, Image.fromarray(IdConversion(SCHEMA, TRAIN).convert(torch.from_numpy(np.array(labels))).numpy())


class InLabelIds(InTrainIds):
    """The same in labelIds, int64, with a class of -1."""

    schema = LABEL

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        ids = IdConversion(TRAIN, LABEL).convert(torch.from_numpy(np.array(labels))).long()
        ids[-1, :5] = -1
        return torch.from_numpy(np.array(image)).permute(2, 0, 1), ids


@pytest.mark.parametrize(
    "policy", [OodLabels(254, ring_px=1), NewClassLabels({"dog": 19, "cat": 24}), AnomalyLabels()], ids=repr
)
@pytest.mark.parametrize("base", [Frames, InLabelIds])
def test_base_labels_of_other_ids_are_converted_by_class_name(
    policy: Any, base: type[Frames], halos: Path, tmp_path: Path
) -> None:
    export(base(LENGTH), halos, "cs-synth", tmp_path, labels=policy, workers=0, **SPLIT)
    dataset = POCAugmentedDataset(InTrainIds(LENGTH), halos, policy, variants="all")
    for index in range(len(dataset)):
        image, labels = as_arrays(dataset[index])
        name = f"train/frames/frame-{index // 3:03d}_v{index % 3}.png"
        written = read_picture(tmp_path / "gtFine" / name)
        assert written.dtype == np.uint8
        expected = labels.copy()
        if base is InLabelIds and not (labels[-1, :5] == 254).any():
            expected[-1, :5] = np.where(np.isin(labels[-1, :5], (0, 255)), 255, labels[-1, :5])
        assert np.array_equal(written, expected)
        assert np.array_equal(read_picture(tmp_path / "leftImg8bit" / name), image)


def test_conversion_is_that_of_cityscapes_own_table() -> None:
    to_train = IdConversion(LABEL, TRAIN)
    ids = torch.arange(-1, 34)
    # Cordts et al. 2016: 7, 8, 11, 12, 13, 17, 19 to 28, 31, 32, 33 are evaluated, all others are 255.
    evaluated = [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]
    assert to_train.convert(ids).tolist() == [evaluated.index(i) if i in evaluated else 255 for i in ids.tolist()]
    assert IdConversion(TRAIN, TRAIN).changes_nothing
    assert not to_train.changes_nothing
    assert to_train.convert(torch.tensor([[26, 0]], dtype=torch.uint8)).tolist() == [[13, 255]]
    camvid = IdConversion(SCHEMAS["camvid"], TRAIN)  # by the names of Cityscapes that its schema has, too
    assert camvid.convert(torch.arange(12)).tolist() == [10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 12, 255]


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        (SCHEMAS["idd-lite"], r"has no classes \['living', 'vehicle', 'roadside', 'far'\]"),
        (SCHEMAS["fishyscapes"], r"has no classes \['in-distribution', 'anomaly'\]"),
        (LabelSchema("mixed", {"car": 0, "bus": 0, "road": 1}), r"\['car', 'bus'\] have id 0 .* ids \[13, 15\]"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_classes_that_the_target_lacks_are_an_error(schema: LabelSchema, named: str) -> None:
    with pytest.raises(ExportError, match=named) as caught:
        IdConversion(schema, TRAIN)
    assert "--keep-ids" in caught.value.command


class Undeclared(Frames):
    schema = None  # type: ignore[assignment]


def test_labels_of_an_unknown_schema_are_an_error_where_ids_matter(halos: Path, tmp_path: Path) -> None:
    policy = OodLabels(254, known={"car": 2}, ignore_id=255)
    with pytest.raises(ExportError, match="the dataset's label schema is not known") as caught:
        export(Undeclared(LENGTH), halos, "pebal", tmp_path / "a", labels=policy, workers=0, **SPLIT)
    assert "--schema" in caught.value.command
    export(Undeclared(LENGTH), halos, "pebal", tmp_path / "b", labels=policy, keep_ids=True, workers=0, **SPLIT)
    labels = read_picture(tmp_path / "b/annotation/city_gt_fine/train/frame-000_v0_gtFine.png")
    assert set(np.unique(labels)) <= {0, 1, 2, 254, 255}


class Deep(Frames):
    """A class whose id no byte holds."""

    schema = LabelSchema("deep", {"road": 0, "sky": 1, "car": 2, "pole": 700}, ignore=(255,))

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        ids = torch.from_numpy(np.array(labels)).int()
        ids[0, :9] = 700
        return image, ids


class DeepUndeclared(Deep):
    schema = None  # type: ignore[assignment]


def test_ids_that_do_not_fit_into_8_bits(halos: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="class 'pole' of schema 'deep' has label id 700"):
        export(Deep(LENGTH), halos, "pebal", tmp_path / "a", keep_ids=True, check_labels=False, workers=0, **SPLIT)
    assert not (tmp_path / "a").exists()
    policy = OodLabels(254, known={"car": 2}, ignore_id=255)
    with pytest.raises(ExportError, match="hold ids from 0 to 700"):
        export(
            DeepUndeclared(LENGTH), halos, "pebal", tmp_path / "b", labels=policy, keep_ids=True, check_labels=False,
            workers=0, **SPLIT,
        )  # fmt: skip
    assert not list((tmp_path / "b").rglob("*.png"))


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("ood", OodLabels(254)),
        ("ood:100", OodLabels(100)),
        ("anomaly", AnomalyLabels()),
    ],
)
def test_label_forms(text: str, policy: object) -> None:
    assert parse_label_form(text) == policy
    assert parse_label_form(text, ring_px=3).ring_px == 3


@pytest.mark.parametrize(
    "text",
    ["", "ood:", "ood:x", "ood:-1", "ood:²", "ood:1.5", "ids:4", "anomaly:1", "OOD:254", "ood:254:1", "trainIds"],
)
def test_forms_that_do_not_exist(text: str) -> None:
    with pytest.raises(SettingError, match="--labels"):
        parse_label_form(text)


def test_ids_are_given_or_numbered_as_presets_are(halos: Path, tmp_path: Path) -> None:
    file = tmp_path / "ids.yaml"
    file.write_text("dog: 19\n'traffic cone': 30\n")
    given = {"dog": 19, "traffic cone": 30}
    for text in (str(file), "dog=19,traffic cone=30"):
        assert parse_label_form("ids", ids=text) == NewClassLabels(given)
    for name in ("poc-alt", "poc-coco", "poc-animals", "poc-cs-animals"):
        classes = [spec.parts[-1] for spec in load_preset(name).objects]
        assert parse_label_form("ids", classes=classes, schema=TRAIN) == NewClassLabels(preset_ids(name))
    with Cache.open(halos) as cache:
        names = object_names(manifests_of(cache))
    assert parse_label_form("ids", classes=names, schema=SCHEMA) == NewClassLabels({"dog": 3, "cat": 4})
    for text in ("dog", "dog=x", "dog=19,", "dog=19,dog=²", "dog=-1"):
        with pytest.raises(PocAugError):
            parse_label_form("ids", ids=text)
    with pytest.raises(SettingError, match="--ids dog=19 with --labels ood:254"):
        parse_label_form("ood:254", ids="dog=19")
