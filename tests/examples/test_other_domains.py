"""Outside of streets: VOC as torchvision reads it, a table, and `docs/other_domains.md` as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from torchvision.datasets import VOCSegmentation

from poc_aug.cache import Cache
from poc_aug.cli.arguments import load_dataset
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.labels.policies import NewClassLabels, OodLabels
from poc_aug.labels.schema import LabelSchema
from tests.helpers.cache_cases import stored_insertions
from tests.helpers.command_line import run
from tests.helpers.fakes import provenance_of
from tests.helpers.quick_start import run_here

ROOT = Path(__file__).resolve().parents[2]
NAMED = f"{__name__}:Named"
PAGE = ROOT / "docs" / "other_domains.md"
TABLE = 11  # VOC's dining table


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures in VOC's own layout: palette PNGs, a white border around the table, odd sizes."""
    root = tmp_path_factory.mktemp("voc")
    year = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (year / name).mkdir(parents=True)
    rng = np.random.default_rng(3)
    names = [f"2007_00000{i}" for i in range(3)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (97, 131, 3), dtype=np.uint8)).save(year / "JPEGImages" / f"{name}.jpg")
        ids = np.zeros((97, 131), np.uint8)
        ids[40:], ids[39] = TABLE, 255
        labels = Image.fromarray(ids)
        labels.putpalette(rng.integers(0, 255, 768, dtype=np.uint8).tobytes())
        labels.save(year / "SegmentationClass" / f"{name}.png")
    (year / "ImageSets" / "Segmentation" / "train.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cutouts")
    for name in ("car", "gizmo"):
        (root / name).mkdir()
        picture = Image.new("RGBA", (60, 44), (0, 0, 0, 0))
        picture.paste((180, 120, 60, 255), (4, 4, 56, 40))
        picture.save(root / name / "one.png")
    return root


def warm_voc(voc: Path, out: Path, *arguments: Any, fails: bool = False) -> str:
    dataset = ["--dataset", "torchvision.datasets:VOCSegmentation", f"root={voc}", "year=2012", "image_set=train"]
    return run("warm-cache", *dataset, "--num-variants", 2, "--workers", 0, "--out", out, *arguments, fails=fails)


def boxes_of(path: Path) -> list[list[int]]:
    with Cache.open(path) as cache:
        return [provenance_of(insertion)["box_yxhw"] for insertion in stored_insertions(cache)]


def test_voc_is_augmented_from_the_command_line(voc: Path, cutouts: Path, tmp_path: Path) -> None:
    arguments = ["--objects", cutouts, "--sizes", "10:20px", "--location", "dining table"]
    told = warm_voc(voc, tmp_path / "voc.cache", *arguments)
    assert "6 variants" in told
    assert "car" in told
    assert "left out" not in told
    feet = [(y + h, h) for y, _, h, _ in boxes_of(tmp_path / "voc.cache")]
    assert feet
    assert all(foot - h // 4 >= 40 - 1 and h <= 20 for foot, h in feet)
    base = VOCSegmentation(str(voc), image_set="train")
    train = POCAugmentedDataset(base, tmp_path / "voc.cache", OodLabels(254), p=1.0, variant=0)
    seen = set()
    for index in range(len(train)):
        _, labels = train[index]
        assert isinstance(labels, Image.Image)
        before = np.asarray(base[index][1])
        changed = np.asarray(labels) != before
        seen |= set(np.asarray(labels)[changed].tolist())
    assert seen <= {254, 7}  # a car is a class of VOC's: it gets its own id
    assert 254 in seen


def test_voc_anywhere_needs_neither_horizon_nor_class(voc: Path, cutouts: Path, tmp_path: Path) -> None:
    warm_voc(voc, tmp_path / "a.cache", "--objects", cutouts, "--sizes", "0.1:0.2", "--location", "Anywhere")
    assert len({y + h < 40 for y, _, h, _ in boxes_of(tmp_path / "a.cache")}) == 2
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.manifest.recipe["location"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["'gizmo' is not known", "--sizes 40:120px", "--sizes-file"]),
        (["--exclude", "gizmo"], ["needs a horizon", "--sizes 40:120px", "camera={horizon: 0.45}"]),
        (["--sizes", "10:20px"], ["'road'", "--location anywhere", "dining table"]),
        (["--sizes", "10:20px", "--location", "diningtable"], ['--location "dining table"', "--location anywhere"]),
    ],
)
def test_what_voc_lacks_is_told_with_the_options(
    arguments: list[str], words: list[str], voc: Path, cutouts: Path, tmp_path: Path
) -> None:
    told = warm_voc(voc, tmp_path / "a.cache", "--objects", cutouts, *arguments, fails=True)
    for word in words:
        assert word in told
    assert not re.search(r"(schema|location|sizes)=[^.]|Size\(", told), told


def test_rendered_objects_say_that_they_need_a_camera(voc: Path, tmp_path: Path) -> None:
    told = warm_voc(voc, tmp_path / "a.cache", "--objects", "rendered", "--location", "anywhere", fails=True)
    assert "needs a camera" in told
    assert "camera={horizon: 0.45}" in told
    for wrong in ("pixels", "--sizes", "frame"):
        assert wrong not in told
    warm_voc(
        voc, tmp_path / "a.cache", "--objects", "rendered", "--location", "anywhere", "--set", "camera={horizon: 0.2}"
    )
    assert boxes_of(tmp_path / "a.cache")


def test_no_schema_is_needed_anywhere(cutouts: Path, tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        Image.new("RGB" if name == "images" else "L", (61, 47), 90 if name == "labels" else (90, 90, 90)).save(
            tmp_path / name / "a.png"
        )
    dataset = ["--dataset", "poc_aug:PairedFolder", f"root={tmp_path}", "images=images/*.png", "labels=labels/*.png"]
    arguments = ["--objects", cutouts, "--sizes", "8:16px", "--workers", 0, "--num-variants", 1, "--out"]
    assert "--location anywhere" in run("warm-cache", *dataset, *arguments, tmp_path / "a.cache", fails=True)
    run("warm-cache", *dataset, *arguments, tmp_path / "a.cache", "--location", "anywhere")
    base = load_dataset("poc_aug:PairedFolder", {"root": tmp_path, "images": "images/*.png", "labels": "labels/*.png"})
    for policy in (OodLabels(254, known={}), NewClassLabels({"car": 254, "gizmo": 254}, merge=True)):
        _, labels = POCAugmentedDataset(base, tmp_path / "a.cache", policy, p=1.0, variant=0)[0]
        assert set(np.unique(np.asarray(labels))) == {90, 254}


def test_numbers_that_are_names_reach_a_dataset_as_text() -> None:
    made = load_dataset(NAMED, {"year": 2012, "split": "train", "length": 3, "flag": True})
    assert (made.year, made.split, made.length, made.flag) == ("2012", "train", 3, True)
    assert load_dataset(NAMED, {"year": 7, "split": 8, "length": 3, "flag": 9}).split == "8"


class Named:
    def __init__(self, year: str, split: str | None, length: int, flag: Any) -> None:
        self.year, self.split, self.length, self.flag = year, split, length, flag

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        raise IndexError(index)


# ---------------------------------------------------------------- the page in the docs


def commands(mark: str) -> str:
    """The commands on the page after ``<!-- mark -->``, but for what installs a package."""
    found = re.search(rf"<!-- {mark} -->\n```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return "\n".join(line for line in found[1].splitlines() if not line.startswith("pip install"))


@pytest.fixture(scope="module")
def mug(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's commands ran as they stand there."""
    pytest.importorskip("skimage", reason="the page's picture is scikit-image's")
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in f"{commands('picture')}\n{commands('mug')}".replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(line)
            if program == "python":
                done = run_here(*arguments)
                assert done.returncode == 0, done.stderr
            else:
                assert program in ("warm_cache", "poc-aug")
                run(*(["warm-cache"] if program == "warm_cache" else []), *arguments)
    return folder


def test_the_pages_commands_put_a_mug_on_the_table(mug: Path) -> None:
    boxes = boxes_of(mug / "mug.cache")
    table = np.asarray(Image.open(mug / "mug" / "labels" / "coffee.png")) == 1
    assert len(boxes) == 3
    for y, x, h, w in boxes:
        assert 110 <= max(h, w) <= 150
        foot = table[y + h - round(0.25 * h) : y + h, x : x + w]
        assert foot.mean() >= 0.89
    with Image.open(mug / "mug.jpg") as sheet, Image.open(ROOT / "docs" / "mug.jpg") as shown:
        assert sheet.size == shown.size
        assert np.abs(np.asarray(sheet, dtype=float) - np.asarray(shown, dtype=float)).mean() < 4


def test_the_pages_dataset_trains(mug: Path) -> None:
    schema = LabelSchema.load(mug / "mug" / "table.yaml")
    base = load_dataset(
        "poc_aug:PairedFolder",
        {"root": mug / "mug", "images": "images/*.png", "labels": "labels/*.png", "schema": schema},
    )
    train = POCAugmentedDataset(base, mug / "mug.cache", NewClassLabels({"mug": 2}), p=1.0, variant=1)
    image, labels = train[0]
    ids = np.asarray(labels)
    assert set(np.unique(ids)) == {0, 1, 2}
    before = np.asarray(base[0][1])
    assert (before[ids != 2] == ids[ids != 2]).all()
    assert (np.asarray(image) != np.asarray(base[0][0])).any(axis=2)[ids == 2].mean() > 0.95


def test_the_pages_files_are_read(tmp_path: Path, cutouts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every YAML block on the page that names an inserter pastes, with cut-outs of the classes that it names."""
    monkeypatch.chdir(tmp_path)
    for name in ("mug", "chair"):
        (tmp_path / "cutouts" / name).mkdir(parents=True)
        (tmp_path / "cutouts" / name / "one.png").write_bytes((cutouts / "car" / "one.png").read_bytes())
    for name in ("a", "b"):
        Image.new("RGB", (203, 151), (120, 110, 90)).save(tmp_path / f"{name}.jpg")
        Image.new("L", (203, 151), 1).save(tmp_path / f"{name}.png")
    (tmp_path / "schema.yaml").write_text("ids: {table: 1, floor: 1}")
    dataset = ["--dataset", "poc_aug:PairedFolder", "root=.", "images=*.jpg", "labels=*.png", "schema=schema.yaml"]
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    for number, text in enumerate(blocks):
        (tmp_path / "page.yaml").write_text(text)
        sizes = [] if "recipe" in yaml.safe_load(text) else ["--sizes", "20:40px", "--location", "table"]
        out = tmp_path / f"{number}.cache"
        run("warm-cache", *dataset, "--objects", "page.yaml", *sizes, "--workers", 0, "--out", out)
        assert boxes_of(out)
