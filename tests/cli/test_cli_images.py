"""``--images``: a COCO file whose images are not next to it, on the command line, in YAML and in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from poc_aug.backends.paste.paste_inserter import PasteInserter
from poc_aug.cli.object_sources import ObjectChoice, load_objects, load_recipe
from poc_aug.errors import SettingError
from tests.helpers.coco_cases import annotation, image, instances, picture
from tests.helpers.command_line import run

FRAMES = ["--dataset", "tests.helpers.fakes:Frames", "length=2", "size_hw=120,161", "--camera", "generic"]


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, Path]:
    """A COCO file, and its images far away; a file of equal name, but another size, next to it."""
    path, images = tmp_path / "labels" / "dogs.json", tmp_path / "photos"
    path.parent.mkdir()
    images.mkdir()
    picture().save(images / "one.png")
    rows = [annotation(), annotation(id=2, segmentation=[]), annotation(id=3, image_id=2)]
    path.write_text(json.dumps(instances(rows, [image(), image(id=2, file_name="gone.png")])))
    return path, images


def test_a_folder_of_images_on_the_command_line(coco: tuple[Path, Path], tmp_path: Path) -> None:
    path, images = coco
    warm = ["warm-cache", *FRAMES, "--objects", path, "--out", tmp_path / "a.cache", "--workers", 0]
    error = run(*warm, fails=True)
    for part in (str(path), str(path.parent / "images"), "--images"):
        assert part in error
    output = run(*warm, "--images", images).replace("\n", "")
    assert "objects: 1 cut-out of 1 class" in output
    assert str(images).replace("\n", "") in output
    assert "1 without an outline (one.png#2)" in output
    assert "1 whose image file is missing (gone.png)" in output
    error = run(*warm, "--images", tmp_path / "nowhere", fails=True)
    assert "no folder" in error
    assert str(path) in error


def test_a_folder_of_images_in_yaml(coco: tuple[Path, Path], tmp_path: Path) -> None:
    path, images = coco
    options: dict[str, Any] = {
        "dataset": {"type": "tests.helpers.fakes:Frames", "args": {"length": 2, "size_hw": [120, 161]}},
        "objects": str(path),
        "images": str(images),
        "camera": "generic",
        "out": str(tmp_path / "a.cache"),
        "workers": 0,
    }
    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump(options))
    assert "1 cut-out of 1 class" in run("warm-cache", "--config", config).replace("\n", "")


def test_a_folder_of_images_in_python_and_in_a_recipe_file(coco: tuple[Path, Path], tmp_path: Path) -> None:
    path, images = coco
    _, inserter = load_objects(str(path), ObjectChoice(images=images))
    assert isinstance(inserter, PasteInserter)
    assert len(inserter.bank) == 1
    file = tmp_path / "dogs.yaml"
    file.write_text(
        yaml.safe_dump({"inserter": {"kind": "paste", "coco": str(path), "images": str(images), "exif": "apply"}})
    )
    assert len(load_objects(str(file))[1].bank) == 1  # type: ignore[attr-defined]
    file.write_text(yaml.safe_dump({"inserter": {"kind": "paste", "coco": str(path)}}))
    assert len(load_objects(str(file), ObjectChoice(images=images))[1].bank) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("source", ["rendered", "folder", "rendered.yaml"])
def test_images_for_what_has_none_are_refused(tmp_path: Path, source: str) -> None:
    changes = ObjectChoice(images=tmp_path)
    if source == "folder":
        source = str(tmp_path / "cutouts")
        Path(source).mkdir()
        Image.new("RGBA", (40, 40)).save(tmp_path / "cutouts" / "dog.png")
    elif source.endswith(".yaml"):
        source = str(tmp_path / source)
        Path(source).write_text(yaml.safe_dump({"recipe": {"objects": ["ball"]}, "inserter": {"kind": "rendered"}}))
    with pytest.raises(SettingError, match=r"\(--images\) with objects .*"):
        load_objects(source, changes)
    with pytest.raises(SettingError, match=r"\(--images\) with objects 'poc-alt'"):
        load_recipe("poc-alt", changes)


def test_a_cutout_that_cannot_be_read_is_named_by_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "cutouts"
    folder.mkdir()
    Image.new("RGBA", (60, 50), (200, 30, 30, 255)).save(folder / "dog_1.png")
    Image.effect_noise((60, 50), 90).convert("RGBA").save(folder / "dog_2.png")
    (folder / "dog_2.png").write_bytes((folder / "dog_2.png").read_bytes()[:900])
    (folder / "dog_3.png").write_bytes(b"")
    warm = ["warm-cache", *FRAMES, "--objects", folder, "--out", tmp_path / "a.cache", "--workers", 0]
    assert "dog_2.png" in run(*warm, fails=True)
    output = run(*warm, "--on-error", "skip").replace("\n", "")
    assert "1 unreadable (dog_3.png: it is empty)" in output
    assert "cut-out skipped" in output
    assert "unreadable cut-out" in output
    assert "nothing to do" in run(*warm, "--on-error", "skip")
