"""The frames of the papers' sets, on made-up trees of each dataset's layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from poc_aug.datasets import acdc, cityscapes
from poc_aug.errors import DatasetError
from poc_aug.keys import dataset_keys
from poc_aug.labels.detect import schema_of
from poc_aug.paper_sets import load_set, set_dataset, set_names
from tests.helpers.set_trees import TREES, acdc_tree, cityscapes_tree, idd_tree


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("roots")
    return {name: make(folder / name) for name, make in TREES.items()}


@pytest.mark.parametrize("name", set_names())
def test_a_set_opens_its_dataset(name: str, roots: dict[str, Path]) -> None:
    paper_set = load_set(name)
    dataset = set_dataset(name, roots[paper_set.data.type])
    keys = dataset_keys(dataset)
    assert len(keys) == len(set(keys)) == {"acdc": 8, "idd": 2}.get(paper_set.data.type, 2 * len(paper_set.data.splits))
    assert {key.split("/")[2 if paper_set.data.type == "acdc" else 1] for key in keys} == set(paper_set.data.splits)
    assert schema_of(dataset) == paper_set.label_schema
    _, labels = dataset[0]
    assert labels.getpixel((0, 60)) == paper_set.label_schema.id_of("road")


def test_splits_of_one_set_have_the_keys_that_they_have_alone(roots: dict[str, Path]) -> None:
    root = roots["cityscapes"]
    both = dataset_keys(load_set("poc-a").dataset(root))
    assert sorted(both) == sorted(dataset_keys(cityscapes(root, "train")) + dataset_keys(cityscapes(root, "val")))
    assert dataset_keys(load_set("cs-poc").dataset(root)) == dataset_keys(cityscapes(root, "val"))


def test_acdcs_draw_is_of_its_keys_and_seed_alone(tmp_path: Path) -> None:
    paper_set = load_set("acdc-poc")
    whole = acdc_tree(tmp_path / "whole", frames=60, size_hw=(12, 16))
    drawn = dataset_keys(paper_set.dataset(whole))
    assert len(drawn) == len(set(drawn)) == 200
    every = dataset_keys(acdc(whole, **paper_set.data.args))
    assert drawn == [key for key in every if key in set(drawn)]  # in the dataset's order
    assert len({key.split("/")[1] for key in drawn}) == 4
    # Another seed draws others; a frame that is missing changes its own place only.
    other = paper_set.model_copy(update={"data": paper_set.data.model_copy(update={"drawn_seed": 1})})
    assert dataset_keys(other.dataset(whole)) != drawn
    for path in (drawn[7], drawn[7].replace("rgb_anon", "gt", 1).replace("_rgb_anon", "_gt_labelIds")):
        (whole / path).unlink()
    again = dataset_keys(paper_set.dataset(whole))
    assert set(drawn) - set(again) == {drawn[7]}
    assert len(set(again) - set(drawn)) == 1


@pytest.mark.parametrize("name", ["cs-poc", "idd-poc", "acdc-poc"])
@pytest.mark.parametrize("other", ["cityscapes", "idd", "acdc"])
def test_the_folder_of_another_dataset_is_named(name: str, other: str, roots: dict[str, Path]) -> None:
    paper_set = load_set(name)
    if paper_set.data.type == other:
        return
    with pytest.raises(DatasetError) as caught:
        paper_set.dataset(roots[other])
    assert caught.value.problem.startswith(f"{paper_set.base.title} is not in")
    title = {"cityscapes": "Cityscapes", "idd": "IDD", "acdc": "ACDC"}[other]
    assert f"this folder holds {title}" in caught.value.hint
    assert paper_set.base.page in caught.value.hint


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path, ("train",))
    for name in ("cs-poc", "poc-a"):
        with pytest.raises(DatasetError, match=r"leftImg8bit/val/\*/\*_leftImg8bit.png") as caught:
            load_set(name).dataset(root)
        assert "missing split" in caught.value.hint
    assert len(dataset_keys(load_set("poc-alt").dataset(root))) == 2


def test_labels_that_are_to_be_made_first_say_how(tmp_path: Path) -> None:
    downloaded = cityscapes_tree(tmp_path / "city", train_ids=False)
    with pytest.raises(DatasetError) as caught:
        load_set("cs-poc").dataset(downloaded)
    assert f"CITYSCAPES_DATASET={downloaded} csCreateTrainIdLabelImgs" in caught.value.hint
    with pytest.raises(DatasetError) as caught:
        load_set("idd-poc").dataset(idd_tree(tmp_path / "idd", prepared=False))
    assert "createLabels.py" in caught.value.hint
    assert "--id-type csTrainIds" in caught.value.hint


def test_a_folder_around_or_without_the_dataset(tmp_path: Path) -> None:
    cityscapes_tree(tmp_path / "data" / "cityscapes", ("val",), frames=1)
    with pytest.raises(DatasetError) as caught:
        load_set("cs-poc").dataset(tmp_path / "data")
    assert caught.value.command == f"--data {tmp_path / 'data' / 'cityscapes'}"
    for root in (tmp_path / "none", Path("")):
        with pytest.raises(DatasetError, match="Cityscapes is not in") as caught:
            load_set("cs-poc").dataset(root)
        assert "https://www.cityscapes-dataset.com" in caught.value.hint


def test_idd_lite_is_not_idd(tmp_path: Path) -> None:
    for name in ("leftImg8bit/val/0/1_image.jpg", "gtFine/val/0/1_label.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DatasetError) as caught:
        load_set("idd-poc").dataset(tmp_path)
    assert "IDD-Lite" in caught.value.hint


def test_a_frame_without_labels_is_no_missing_dataset(tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path, ("val",))
    shutil.copy(
        root / "leftImg8bit/val/frankfurt/frankfurt_000000_000019_leftImg8bit.png",
        root / "leftImg8bit/val/frankfurt/frankfurt_000009_000019_leftImg8bit.png",
    )
    with pytest.raises(DatasetError, match="have no counterpart"):
        load_set("cs-poc").dataset(root)
