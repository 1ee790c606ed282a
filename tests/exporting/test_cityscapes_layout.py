"""Cityscapes' own tree: labelIds, instance ids and polygons of composed frames."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from poc_aug.cache import Cache
from poc_aug.errors import ExportError
from poc_aug.exporting.exporter import export
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.layouts.cityscapes import CityscapesLayout
from poc_aug.exporting.mask_polygons import pixel_outlines
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import SCHEMAS
from poc_aug.recipe import IGNORED
from tests.helpers.export_cases import LENGTH, SPLIT, CityFrames, halo_pipeline, read_picture
from tests.helpers.fakes import Frames

LABEL = SCHEMAS["cityscapes-labelIds"]


def base_instances(index: int) -> np.ndarray[Any, Any]:
    """Road and sky as they are, two cars in the sky, and void."""
    labels = np.asarray(Frames()[index][1])
    ids: np.ndarray[Any, Any] = np.choose(np.minimum(labels, 3), [7, 23, 26, 0]).astype(np.uint16)
    ids[2:6, 5:12], ids[2:6, 20:30] = 26000, 26001
    return ids


class WithCars(Frames):
    """`Frames` in labelIds, with the cars of `base_instances`."""

    schema = LABEL

    def __getitem__(self, index: int) -> Any:
        ids = base_instances(index)
        return super().__getitem__(index)[0], Image.fromarray(np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cars") / "cars.cache"
    warm_cache(WithCars(LENGTH), path, halo_pipeline(), num_variants=3, workers=0)
    return path


def files(out: Path, name: str) -> tuple[Any, Any, Any, dict[str, Any]]:
    stem = out / "gtFine/train/frames" / f"{name}_gtFine"
    maps = [read_picture(Path(f"{stem}_{kind}.png")) for kind in ("labelTrainIds", "labelIds", "instanceIds")]
    return maps[0], maps[1], maps[2].astype(np.int64), json.loads(Path(f"{stem}_polygons.json").read_bytes())


def drawn(polygons: dict[str, Any], ids: dict[str, int]) -> np.ndarray[Any, Any]:
    """The label map that Cityscapes' own scripts draw of polygons: one over the other, in order."""
    picture = Image.new("L", (polygons["imgWidth"], polygons["imgHeight"]), 0)
    draw = ImageDraw.Draw(picture)
    for item in polygons["objects"]:
        corners = [tuple(corner) for corner in item["polygon"]]
        if len(corners) == 1:
            draw.point(corners, ids[item["label"]])
        else:
            draw.polygon(corners, fill=ids[item["label"]])
    return np.asarray(picture)


def replaced(ids: np.ndarray[Any, Any], table: dict[int, int]) -> np.ndarray[Any, Any]:
    return np.asarray(np.vectorize(lambda value: table.get(value, value))(ids))


POLICIES: list[tuple[LabelPolicy, dict[str, int], dict[str, int]]] = [
    (OodLabels(254), {"dog": 254, "cat": 254, "car": 26}, {"dog": 34, "cat": 34, "car": 26}),
    (OodLabels(254, ring_px=2), {"dog": 254, "cat": 254, "car": 26}, {"dog": 34, "cat": 34, "car": 26}),
    (NewClassLabels({"dog": 20, "cat": 19}), {"dog": 101, "cat": 100, "car": 26}, {"dog": 35, "cat": 34, "car": 26}),
    (NewClassLabels({"dog": 200, "cat": 19}), {"dog": 200, "cat": 100, "car": 26}, {"dog": 35, "cat": 34, "car": 26}),
]


@pytest.mark.parametrize(("policy", "label_ids", "codes"), POLICIES, ids=str)
def test_all_files_of_a_frame_agree(
    policy: LabelPolicy, label_ids: dict[str, int], codes: dict[str, int], cache: Path, tmp_path: Path
) -> None:
    export(WithCars(LENGTH), cache, "cityscapes", tmp_path, labels=policy, instances=base_instances, workers=0, **SPLIT)
    counted = 0
    with Cache.open(cache) as opened:
        for key, index in opened:
            variant = opened.get(key, index)
            assert variant is not None
            train, labels, instances, polygons = files(tmp_path, f"{key}_v{index}")
            base = base_instances(int(key[-3:])).astype(np.int64)
            expected, last = base.copy(), {26: 1, 34: -1, 35: -1}
            expected[(train == 255) & (base != 0)] = 0  # rings
            for insertion in variant.insertions:
                y, x, h, w = insertion.box_yxhw
                for part in insertion.parts:
                    value = 0
                    if part.name != IGNORED:
                        code = codes[part.name]
                        last[code] += 1
                        value = code * 1000 + last[code]
                        counted += 1
                    expected[y : y + h, x : x + w][part.mask.numpy()] = value
            assert np.array_equal(instances, expected)
            # Label ids are those of the instances, but for new classes, whose own ids do not fit into instance ids.
            kinds = np.where(instances >= 1000, instances // 1000, instances)
            new = {code: label_ids[name] for name, code in codes.items()}
            assert np.array_equal(labels, replaced(kinds, new))
            known = {LABEL.id_of(name): train_id for name, train_id in SCHEMAS["cityscapes-trainIds"].ids.items()}
            resolved = policy.resolve(["dog", "cat", "car"], SCHEMAS["cityscapes-trainIds"])
            back = {label_ids[name]: resolved[name] for name in label_ids} | known
            assert np.array_equal(train, replaced(labels, dict.fromkeys(range(256), 255) | back))
            names = {**LABEL.ids, **label_ids}
            assert np.array_equal(drawn(polygons, names), labels)
    assert counted > 5
    table = json.loads((tmp_path / "new_classes.json").read_bytes())
    assert {name: entry["labelId"] for name, entry in table.items()} == {
        name: label_ids[name] for name in ("cat", "dog")
    }
    assert {name: entry["instanceIds"] for name, entry in table.items()} == {
        name: codes[name] * 1000 for name in ("cat", "dog")
    }


def test_without_the_bases_instances_only_objects_are_numbered_or_none(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="needs instance ids") as caught:
        export(WithCars(LENGTH), cache, "cityscapes", tmp_path / "a", workers=0, **SPLIT)
    assert "CityscapesLayout('objects')" in caught.value.hint
    assert "--instance-ids objects" in caught.value.command
    export(WithCars(LENGTH), cache, CityscapesLayout("objects"), tmp_path / "b", workers=0, **SPLIT)
    with Cache.open(cache) as opened:
        for key, index in opened:
            variant = opened.get(key, index)
            _, labels, instances, polygons = files(tmp_path / "b", f"{key}_v{index}")
            assert variant is not None
            assert len({value for value in np.unique(instances) if value >= 1000}) <= len(variant.insertions)
            assert np.array_equal(instances[instances < 1000], labels[instances < 1000])
            assert {item["label"] for item in polygons["objects"]} <= {"dog", "cat", "car", "unlabeled"}
    export(WithCars(LENGTH), cache, CityscapesLayout("none"), tmp_path / "c", workers=0, **SPLIT)
    kinds = {path.name.rpartition("_")[2] for path in (tmp_path / "c" / "gtFine").rglob("*.*")}
    assert kinds == {"labelIds.png", "labelTrainIds.png"}


def test_the_bases_own_files_are_found_and_its_polygons_kept(tmp_path: Path) -> None:
    class Official(WithCars):
        """With files where Cityscapes' archives have them."""

        root = tmp_path / "base"

        def keys(self) -> list[str]:
            return CityFrames(self.length).keys()

        @property
        def images(self) -> list[str]:
            return [str(self.root / key) for key in self.keys()]

    polygon = {"label": "sky", "polygon": [[0, 0], [64, 0], [64, 15], [0, 15]]}
    for number, image in enumerate(Official(LENGTH).images):
        labels = Path(image.replace("leftImg8bit/train", "gtFine/train").replace("leftImg8bit.png", "gtFine_"))
        labels.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(base_instances(number)).save(f"{labels}instanceIds.png")
        Path(f"{labels}polygons.json").write_text(json.dumps({"imgHeight": 48, "imgWidth": 65, "objects": [polygon]}))
    base, path = Official(LENGTH), tmp_path / "official.cache"
    warm_cache(base, path, halo_pipeline(reject=0.0), num_variants=1, workers=0)
    export(base, path, "cityscapes", tmp_path / "out", workers=0)
    stem = tmp_path / "out/gtFine/train/bonn/bonn_000001_000019_v0_gtFine"
    instances = read_picture(Path(f"{stem}_instanceIds.png"))
    listed = json.loads(Path(f"{stem}_polygons.json").read_bytes())["objects"]
    assert {26000, 26001} & set(np.unique(instances).tolist())
    assert listed[0] == polygon
    assert len(listed) > 1
    Path(f"{labels}polygons.json").write_text("[]")
    with pytest.raises(ExportError, match=r"polygons\.json' cannot be read"):
        export(base, path, "cityscapes", tmp_path / "again", workers=0)
    Path(f"{labels}instanceIds.png").unlink()
    with pytest.raises(ExportError, match="needs instance ids"):
        export(base, path, "cityscapes", tmp_path / "again", workers=0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"labels": AnomalyLabels()}, "layout 'cityscapes' with AnomalyLabels"),
        ({"keep_ids": True}, "layout 'cityscapes' with labels of schema 'cityscapes-labelIds'"),
        ({"labels": NewClassLabels({"dog": 19, "cat": 100})}, r"ids \[19, 100\] get the same labelId 100"),
        ({"instances": lambda _: np.zeros((3, 3))}, r"are \[3, 3\], its image \[48, 65\]"),
        ({"instances": lambda _: "no map"}, "are a str"),
        ({"instances": "instances"}, "has no field 'instances'"),
        ({"instances": 5}, "instances=5"),
    ],
)
def test_what_the_layout_cannot_hold(settings: dict[str, Any], named: str, cache: Path, tmp_path: Path) -> None:
    settings = {"instances": base_instances, "workers": 0, **SPLIT, **settings}
    with pytest.raises(ExportError, match=named):
        export(WithCars(LENGTH), cache, "cityscapes", tmp_path / "out", **settings)
    assert not list((tmp_path / "out").rglob("*.png"))


def test_too_many_new_classes_for_instance_ids() -> None:
    many = {f"thing {number}": 19 + number for number in range(33)}
    policy = NewClassLabels(many)
    plan = ExportPlan(SCHEMAS["cityscapes-trainIds"], policy, many, 1, ("train",), True, {})
    with pytest.raises(ExportError, match="33 new classes with labelIds up to 132"):
        CityscapesLayout().check(plan)
    CityscapesLayout().check(replace(plan, ids=dict(list(many.items())[:32])))
    CityscapesLayout("none").check(plan)
    with pytest.raises(ExportError, match="instance_ids='some'"):
        CityscapesLayout("some").check(plan)  # type: ignore[arg-type]


masks = st.integers(0, 2**64 - 1).map(lambda seed: np.random.default_rng(seed)).map(
    lambda rng: rng.random((rng.integers(1, 12), rng.integers(1, 12))) < rng.choice([0.2, 0.5, 0.8])
)  # fmt: skip


@settings(max_examples=150)
@given(masks)
def test_polygons_are_the_mask_with_its_holes_filled(mask: np.ndarray[Any, Any]) -> None:
    from scipy.ndimage import binary_fill_holes, label

    picture = Image.new("L", mask.shape[::-1])
    outlines = pixel_outlines(torch.from_numpy(mask))
    for outline in outlines:
        if len(outline) == 1:
            picture.putpixel(outline[0], 1)
        else:
            ImageDraw.Draw(picture).polygon(outline, fill=1)
    assert np.array_equal(np.asarray(picture).astype(bool), binary_fill_holes(mask))
    assert len(outlines) == label(mask, np.ones((3, 3)))[1]
