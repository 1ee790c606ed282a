"""The whole path of the papers' sets: warm, read with the set's policy; with objects that need no model, and with tiny
models of the real classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poc_aug.cache import Cache, Manifest
from poc_aug.cli.object_sources import ObjectChoice, load_objects
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.exporting.exporter import export
from poc_aug.exporting.layouts.cityscapes import CityscapesLayout
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.keys import dataset_keys
from poc_aug.labels.detect import schema_of
from poc_aug.paper_sets import PaperSet, load_set, set_names
from poc_aug.presets import load_preset
from poc_aug.recipe import IGNORED
from tests.helpers.command_line import run
from tests.helpers.set_trees import acdc_tree, cityscapes_tree, idd_tree
from tests.helpers.tiny_diffusion import sd_inpaint_path, sd_text_to_image_path  # noqa: F401
from tests.helpers.tiny_transformers import grounding_dino, sam

ANIMALS = ("cow", "dog")  # those of the given cut-outs


@pytest.fixture(scope="module")
def streets(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the given Cityscapes frames, one as a training and one as a validation frame."""
    root, source = tmp_path_factory.mktemp("streets"), real_data / "scenes" / "cityscapes"
    images = sorted((source / "leftImg8bit" / "train").glob("*/*_leftImg8bit.png"))
    assert len(images) == 4
    for number, image in enumerate(images[::2]):
        folder = f"{('train', 'val')[number % 2]}/{image.parent.name}"
        name = image.name.removesuffix("_leftImg8bit.png")
        labels = source / "gtFine" / "train" / image.parent.name / f"{name}_gtFine_labelTrainIds.png"
        for path, target in (
            (root / "leftImg8bit" / folder / image.name, image),
            (root / "gtFine" / folder / labels.name, labels),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
    return root


def stand_in(paper_set: PaperSet, dataset: Any, source: str, **choice: Any) -> InsertionPipeline:
    recipe, inserter = load_objects(source, ObjectChoice(seed=paper_set.seed, **choice), schema=schema_of(dataset))
    return InsertionPipeline(recipe, inserter)


def read(paper_set: PaperSet, dataset: Any, cache: Path, form: Any = None) -> list[np.ndarray]:
    policy = paper_set.label_policy(form)
    augmented = POCAugmentedDataset(dataset, cache, policy, p=1.0, variants="all", sigma_px=paper_set.sigma_px)
    return [np.asarray(augmented[number][1]) for number in range(len(augmented))]


@pytest.mark.parametrize(
    ("name", "objects"),
    [("cs-poc", "rendered"), ("poc-alt", "paste"), ("poc-coco", "paste"), ("genval", "rendered")],
)
def test_sets_on_the_given_frames(name: str, objects: str, streets: Path, real_data: Path, tmp_path: Path) -> None:
    paper_set, cache = load_set(name), tmp_path / "set.cache"
    dataset = paper_set.dataset(streets)
    source = "rendered" if objects == "rendered" else str(real_data / "objects" / "coco_mini" / "instances.json")
    report = paper_set.warm(
        streets, cache, stand_in(paper_set, dataset, source, per_variant=(1, 1), camera="cityscapes"), workers=0
    )
    assert (report.total, report.made) == (paper_set.variants, paper_set.variants)
    assert report.objects >= report.made / 2
    anomaly, ood = (read(paper_set, dataset, cache, form) for form in ("anomaly", "ood"))
    known = paper_set.label_schema.known_ids
    assert {int(value) for labels in ood for value in np.unique(labels)} <= {*known, 254, 255}
    assert {int(value) for labels in anomaly for value in np.unique(labels)} == {0, 1, 255}
    assert [int((labels == 1).sum()) for labels in anomaly] == [int((labels == 254).sum()) for labels in ood]
    own = read(paper_set, dataset, cache)
    expected = {"anomaly": anomaly, "ood": ood}[paper_set.labels]
    assert all(np.array_equal(one, other) for one, other in zip(own, expected, strict=True))
    with Cache.open(cache) as opened:
        assert opened.keys() == dataset_keys(dataset)
        assert paper_set.differences(opened.manifest)
    exported = export_labels(paper_set, dataset, cache, tmp_path / "out", variants=[0])
    assert exported == [int((labels == 254).sum()) for labels in ood[:: paper_set.variants]]
    assert sum(exported) > 0


@pytest.mark.parametrize("name", ["poc-a", "poc-cs-a"])
def test_new_classes_on_the_given_frames(name: str, streets: Path, real_data: Path, tmp_path: Path) -> None:
    paper_set, cache = load_set(name), tmp_path / "set.cache"
    coco = real_data / "objects" / "coco_mini" / "instances.json"
    run(
        *("warm-cache", "--set", name, "--data", streets, "--objects", coco, "--include", ",".join(ANIMALS)),
        *("--out", cache, "--workers", 0, "--num-variants", 2, "--camera", "cityscapes"),
    )
    dataset = paper_set.dataset(streets)
    with Cache.open(cache) as opened:
        # One cache for both splits: each key says of which it is.
        assert {key.split("/")[1] for key in opened.keys()} == {"train", "val"}
        placed = {insertion.object_name for key in opened for insertion in stored(opened, *key).insertions}
    assert placed
    assert placed <= set(ANIMALS)
    seen = {int(value) for labels in read(paper_set, dataset, cache) for value in np.unique(labels)}
    assert seen - {*paper_set.label_schema.known_ids, 255} == {paper_set.new_classes[name] for name in placed}
    if name == "poc-a":
        check_cityscapes_export(paper_set, dataset, cache, tmp_path / "out")
    # A training that reads one split alone finds its variants in the same cache.
    train = load_set("poc-alt").dataset(streets)
    assert [key for key in dataset_keys(train) if key not in dataset_keys(dataset)] == []
    assert len(read(paper_set, train, cache)) == 2


def export_labels(paper_set: PaperSet, dataset: Any, cache: Path, out: Path, **options: Any) -> list[int]:
    """Pixels that POC's forks would take for OOD in an export of a set, by frame: every id above 18 but 255."""
    policy = paper_set.label_policy(paper_set.export.labels)
    report = export(dataset, cache, paper_set.export.layout, out, labels=policy, workers=0, **options)
    files = sorted((out / "gtFine").rglob("*.png"))
    assert len(files) == report.written > 0
    assert all((out / "leftImg8bit" / path.relative_to(out / "gtFine")).is_file() for path in files)
    return [int(((values > 18) & (values != 255)).sum()) for values in map(read_png, files)]


def check_cityscapes_export(paper_set: PaperSet, dataset: Any, cache: Path, out: Path) -> None:
    """Both splits are in one tree, with the labels that are read."""
    policy = paper_set.label_policy(paper_set.export.labels)
    layout = CityscapesLayout("none")
    assert layout.name == paper_set.export.layout
    export(dataset, cache, layout, out, labels=policy, workers=0, variants=[0])
    exported = sorted((out / "gtFine").rglob("*_gtFine_labelTrainIds.png"))
    assert {path.parts[-3] for path in exported} == {"train", "val"}
    first = read(paper_set, dataset, cache)[::2]
    assert sorted(one.tobytes() for one in map(read_png, exported)) == sorted(one.tobytes() for one in first)


def read_png(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def stored(cache: Cache, key: str, index: int) -> Any:
    variant = cache.get(key, index)
    assert variant is not None
    return variant


@pytest.mark.parametrize("name", ["idd-poc", "acdc-poc"])
def test_other_datasets_on_made_up_trees(name: str, tmp_path: Path) -> None:
    paper_set, cache = load_set(name), tmp_path / "set.cache"
    root = idd_tree(tmp_path / "idd") if name == "idd-poc" else acdc_tree(tmp_path / "acdc", frames=1)
    common = ["warm-cache", "--set", name, "--data", root, "--objects", "rendered", "--camera", "cityscapes"]
    run(*common, "--out", cache, "--workers", 0)
    assert "made: 0" not in run(*common, "--out", cache, "--workers", 0)
    dataset = paper_set.dataset(root)
    with Cache.open(cache) as opened:
        assert len(opened) == 3 * len(dataset_keys(dataset))
        assert opened.manifest.dataset["schema"] == paper_set.label_schema.name
    labels = read(paper_set, dataset, cache)
    assert {int(value) for one in labels for value in np.unique(one)} == {0, 1, 255}
    exported = export_labels(paper_set, dataset, cache, tmp_path / "out")
    assert exported == [int((one == 1).sum()) for one in labels]
    # What the dataset ignores stays ignored, except where an object stands on it.
    assert all((one[-6:] != 0).all() for one in labels)


@pytest.fixture(scope="module")
def finders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("finders")
    grounding_dino(folder / "detector")
    sam(folder / "segmenter")
    return folder / "detector", folder / "segmenter"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cityscapes_tree(tmp_path_factory.mktemp("large"), frames=1, size_hw=(1024, 2048))


@pytest.mark.parametrize("name", ["cs-poc", "poc-a-t2i-full", "poc-cs-a-t2i-crop", "genval"])
def test_the_diffusion_path_with_tiny_models(
    name: str,
    large: Path,
    finders: tuple[Path, Path],
    sd_inpaint_path: Path,  # noqa: F811
    sd_text_to_image_path: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    paper_set, cache = load_set(name), tmp_path / "set.cache"
    model = sd_inpaint_path if paper_set.models.backend == "diffusion" else sd_text_to_image_path
    settings = ["--backend-arg", "steps=2", "--annotator-arg", "box_threshold=0", "--annotator-arg", "text_threshold=0"]
    if paper_set.models.backend == "text-to-image":
        settings += ["--backend-arg", "size_px=64"]
    shown = run(
        *("warm-cache", "--set", name, "--data", large, "--out", cache, "--workers", 0),
        *("--limit", 1, "--num-variants", 1, "--device", "cpu"),
        *("--model", model, "--detector", finders[0], "--segmenter", finders[1], *settings),
        *("--set", "min_inside_box=0", "--set", "min_area_of_crop=0"),
    )
    assert f"note: this cache will not be {name}" in shown
    with Cache.open(cache) as opened:
        manifest = opened.manifest
        ((key, index),) = opened
        variant = stored(opened, key, index)
    assert len(variant.insertions) == 1
    assert {part.name for part in variant.insertions[0].parts} <= {
        *paper_set.new_classes,
        *paper_set.label_schema.ids,
        IGNORED,
    }
    assert manifest.backends["locator"] is not None
    # Under the names of the set's models and with its recipe and settings, it would be the set.
    assert paper_set.differences(as_the_paper_has_it(paper_set, manifest)) == ()
    labels = read(paper_set, paper_set.dataset(large), cache)
    new = {1} if paper_set.labels == "anomaly" else {*paper_set.new_classes.values()}
    inserted = variant.insertions[0].object_name
    assert bool({int(value) for value in np.unique(labels[index])} & new) == (inserted in paper_set.new_classes)


def as_the_paper_has_it(paper_set: PaperSet, manifest: Manifest) -> Manifest:
    values = manifest.to_dict()
    values["recipe"], values["samples"] = paper_set.recipe().to_dict(), paper_set.data.used
    inserter, finder = values["backends"]["inserter"], values["backends"]["annotator"]["finder"]
    assert set(paper_set.models.backend_args) <= set(inserter)
    inserter.update(model=paper_set.models.model, **paper_set.models.backend_args)
    finder["segmenter"]["model"] = paper_set.models.segmenter
    finder["detector"]["model"] = paper_set.models.detector
    for name, value in paper_set.models.annotator_args.items():
        holder = finder["detector"] if name in finder["detector"] else finder
        assert name in holder
        holder[name] = value
    return Manifest.from_dict(values)


def test_each_other_model_or_setting_is_a_difference(
    finders: tuple[Path, Path],
    sd_inpaint_path: Path,  # noqa: F811
) -> None:
    paper_set = load_set("cs-poc")
    pipeline = paper_set.pipeline(
        model=sd_inpaint_path, detector=finders[0], segmenter=finders[1], device="cpu", backend_args={"steps": 2}
    )
    assert pipeline.recipe == paper_set.recipe()
    found = paper_set.differences(Manifest.create(pipeline.recipe_json, pipeline.describe(), {"schema": "camvid"}))
    assert [line.partition(" = ")[0] for line in found] == [
        "diffusion: model",
        "diffusion: steps",
        "annotator: detector",
        "annotator: segmenter",
        "labels: camvid, not cityscapes-trainIds",
    ]


@pytest.mark.parametrize("name", set_names())
def test_recipes_are_the_presets_with_the_sets_changes(name: str) -> None:
    paper_set = load_set(name)
    preset = load_preset(paper_set.preset, paper_sizes=paper_set.paper_sizes)
    changed = paper_set.changed_fields(preset.to_dict())
    if paper_set.models.backend == "diffusion":
        assert changed == ("locate_by",)
    else:
        assert "location" in changed
        assert "prompt_template" not in changed
