"""``poc-aug import``, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache
from tests.helpers.command_line import run
from tests.helpers.edit_cases import base_sample, blob, edit_of, save_edit, with_noise
from tests.helpers.hostile_edits import save_edits

STREETS = ["--dataset", "tests.helpers.hostile_edits:Streets", "length=2"]
PAIRS = ["--layout", "pairs", "--images", "*_v?.png", "--labels", "*_v?_labels.png"]


@pytest.fixture(scope="module")
def edits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("import") / "edits"
    save_edits(folder)
    return folder


def test_pairs_are_imported_and_reported(edits: Path, tmp_path: Path) -> None:
    line = ["import", edits, *STREETS, *PAIRS, "--classes", "dog=22", "--workers", 0, "--out", tmp_path / "a.cache"]
    text = run(*line, "--report", tmp_path / "run.json")
    assert "2 edited frames with 2 objects" in text
    report = json.loads((tmp_path / "run.json").read_text())
    assert (report["command"], report["stored"], report["by_object"], report["exit_code"]) == (
        "import",
        2,
        {"dog": 2},
        0,
    )
    assert "nothing to do: all 2 edited frames" in run(*line)
    assert "dog" in run("info", tmp_path / "a.cache")
    assert "0 corrupt" in run("verify", tmp_path / "a.cache")


def test_the_release_of_poc_is_imported(tmp_path: Path) -> None:
    edit = with_noise(edit_of(base_sample(1), blob(1, ["dog"], (10, 20, 15, 15)), classes=alt()), 2)
    save_edit(tmp_path / "poc", edit, "street_1_leftImg8bit_A-good-photo-of-a-dog_5")
    save_edit(tmp_path / "poc", edit, "street_1_leftImg8bit_A-good-photo-of-a-gnu_5")
    line = ["import", tmp_path / "poc", *STREETS, "--preset", "poc-alt", "--workers", 0]
    failed = run(*line, "--out", tmp_path / "a.cache", fails=True)
    assert "1 of 2 files cannot be imported" in failed
    assert "--on-error skip" in failed
    text = run(*line, "--out", tmp_path / "a.cache", "--on-error", "skip")
    assert "beyond the objects and their edges (all kept)" in text
    assert "levels in the mean" in text
    assert "skipped: leftImg8bit/train/aachen/street_1_leftImg8bit_A-good-photo-of-a-gnu_5.npz" in text.replace(
        "\n", ""
    )
    dropped = run(*line, "--out", tmp_path / "b.cache", "--on-error", "skip", "--beyond", "drop")
    assert "pixels will differ" in dropped.replace("\n", " ")


def alt() -> Any:
    from poc_aug.importing import classes_of_preset

    return classes_of_preset("poc-alt")


def test_nothing_that_can_be_imported_is_exit_code_3(tmp_path: Path) -> None:
    edit = edit_of(base_sample(1), blob(1, ["dog"], (10, 20, 15, 15)))
    save_edit(tmp_path / "poc", edit, "street_9_leftImg8bit_A-good-photo-of-a-dog_5")
    line = ["import", tmp_path / "poc", *STREETS, "--preset", "poc-alt", "--workers", 0, "--out", tmp_path / "a.cache"]
    assert "nothing was imported" in run(*line, "--on-error", "skip", fails=True)


def test_classes_of_a_file_and_known_objects(edits: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("dog: 22\ngnu: 20\n")
    line = ["import", edits, *STREETS, *PAIRS, "--workers", 0, "--classes", tmp_path / "classes.yaml"]
    run(*line, "--objects", "dog,car", "--out", tmp_path / "a.cache")
    with Cache.open(tmp_path / "a.cache") as cache:
        assert [spec["name"] for spec in cache.manifest.recipe["objects"]] == ["dog", "car"]
    assert "relabelled as dog" in run(*line, "--objects", "car", "--out", tmp_path / "b.cache", fails=True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "--preset poc-alt, or --classes"),
        (["--preset", "poc"], "poc-alt"),
        (["--preset", "poc-alt", "--classes", "dog=22"], "one of the two"),
        (["--classes", "dog"], "gives 'dog' the id ''"),
        (["--classes", "dog=x"], "the id 'x'"),
        (["--classes", "dog=22,dog=20"], "twice"),
        (["--classes", "dog=0"], "id 0 of 'dog' is that of 'road'"),
        (["--classes", "dog=22", "--objects", "gnu"], "'gnu'"),
        (["--classes", "dog=22", "--beyond", "all"], "keep, shade, drop"),
        (["--classes", "dog=22", "--layout", "zip"], "poc, pairs"),
        (["--classes", "dog=22", "--layout", "poc"], "--images"),
        (["--classes", "dog=22", "--images", ""], "--images is missing"),
        (["--classes", "dog=22", "--labels-schema", "nothing"], "nothing"),
    ],
)
def test_wrong_options(options: list[str], text: str, edits: Path, tmp_path: Path) -> None:
    line = ["import", edits, *STREETS, *PAIRS, "--out", tmp_path / "a.cache", "--workers", 0]
    assert text in run(*line, *options, fails=True)
    assert not (tmp_path / "a.cache").exists()


def test_what_is_missing_is_named(edits: Path) -> None:
    assert "--out is missing" in run("import", edits, *STREETS, *PAIRS, "--classes", "dog=22", fails=True)
    assert "--dataset is missing" in run("import", edits, *PAIRS, "--classes", "dog=22", "--out", "a", fails=True)
