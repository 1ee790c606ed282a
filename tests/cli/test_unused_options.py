"""No option is silently without effect, and errors on the command line name its own options."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.cli.main import app
from poc_aug.errors import MissingDependencyError, PocAugError, SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.recipe import PixelSize
from tests.helpers.cache_cases import stored_insertions
from tests.helpers.command_line import run
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe, provenance_of

FRAMES = ["--dataset", "tests.helpers.fakes:Frames", "length=2", "--workers", "0", "--num-variants", "1"]
PAINTED = ["--objects", "poc-alt", "--backend", "tests.helpers.fakes:EllipseInserter"]


@pytest.fixture
def cutouts(tmp_path: Path) -> Path:
    for name in ("dog", "gizmo"):
        (tmp_path / "cutouts" / name).mkdir(parents=True)
        picture = Image.new("RGBA", (80, 60), (0, 0, 0, 0))
        picture.paste((180, 120, 60, 255), (10, 10, 70, 50))
        picture.save(tmp_path / "cutouts" / name / "one.png")
    return tmp_path / "cutouts"


def warm(out: Path, *arguments: Any, fails: bool = False) -> str:
    size = [] if any(str(argument).startswith("size_hw=") for argument in arguments) else ["size_hw=60,81"]
    return run("warm-cache", *FRAMES, *size, "--out", out, *arguments, fails=fails)


@pytest.mark.parametrize(("sizes", "least", "most"), [("10:14px", 10, 14), ("0.2:0.25", 16, 21)])
@pytest.mark.parametrize("form", ["option", "yaml"])
def test_sizes_reach_the_cut_outs(form: str, sizes: str, least: int, most: int, cutouts: Path, tmp_path: Path) -> None:
    options: list[Any] = ["--sizes", sizes]
    if form == "yaml":
        (tmp_path / "job.yaml").write_text(f"sizes: {sizes}\nlocation: [road]")
        options = ["--config", tmp_path / "job.yaml"]
    output = warm(tmp_path / "a.cache", "--objects", cutouts, *options)
    assert "gizmo" in output
    with Cache.open(tmp_path / "a.cache") as cache:
        boxes = [provenance_of(insertion)["box_yxhw"] for insertion in stored_insertions(cache)]
    assert boxes
    assert all(least <= max(h, w) <= most for _, _, h, w in boxes)


def test_a_file_of_sizes_reaches_the_cut_outs(cutouts: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("gizmo: 0.7\n")
    warm(tmp_path / "a.cache", "--objects", cutouts, "--sizes-file", path, "--exclude", "dog")
    with Cache.open(tmp_path / "a.cache") as cache:
        (spec,) = cache.manifest.recipe["objects"]
    assert spec["name"] == "gizmo"
    assert spec["size"]["size_m"] == 0.7
    output = warm(tmp_path / "b.cache", "--objects", cutouts, "--exclude", "gizmo", "--sizes-file", path, fails=True)
    assert "names none of the objects" in output


_CUTOUTS = """
--set size={kind: pixels, min_px: 10, max_px: 20}|--sizes 40:120px
--paper-sizes|--sizes 200:500px
--device cpu|--backend
--dtype float16|--backend
--model x|--backend
--detector x|--backend
--backend-arg steps=3|--backend
--locator prompt|leave it out
--set aspect_min=0.5|shape of its own
--set prompt_template=A good photo of {object}|--backend diffusion
--set passes=[{steps: 3}]|--backend diffusion
--set recover_shade=true|--backend diffusion
--set overlap_on=box --set foot_fraction=0.1|--set overlap_on=foot
--set colour=red|no such field
--set attemts=3|did you mean attempts
--set locate_by=locator|--locator package.module:callable
--sizes 40:120|40:120px
--sizes 10:20px --set size={kind: frame}|one of the two
--sizes 10:20px --sizes-file SIZES|--sizes-file
--sizes metres --paper-sizes|one of the two
--seed 3 --set seed=4|--seed
--seed 0 --set seed=4|--seed
--camera kitti --set camera={horizon: 0.3}|--camera
--location road --set location=[road]|--location
--per-variant 2 --set objects_per_variant=[1, 1]|--per-variant
--sizes 10:20px --camera kitti --schema SCHEMA|camera={horizon: 0.4}
--location anywhere,road|anywhere alone
--location ,|one name or more
--include ,|one name or more
--include dgo|did you mean 'dog'
--exclude gizmos|did you mean 'gizmo'
"""


@pytest.mark.parametrize("line", _CUTOUTS.split("\n")[1:-1])
def test_options_that_would_change_nothing_of_cut_outs(line: str, cutouts: Path, tmp_path: Path) -> None:
    (tmp_path / "sizes.yaml").write_text("{gizmo: 0.5}")
    (tmp_path / "schema.yaml").write_text("ids: {road: 0, sky: 1, car: 2}")
    asked, _, expected = line.partition("|")
    asked = asked.replace("SIZES", str(tmp_path / "sizes.yaml")).replace("SCHEMA", str(tmp_path / "schema.yaml"))
    arguments = [part.strip() for part in re.split(r"(?:^| )(--[a-z-]+)(?: |$)", asked) if part.strip()]
    known = [] if "sizes" in line or "gizmo" in line else ["--exclude", "gizmo"]
    output = warm(tmp_path / "a.cache", "--objects", cutouts, *known, *arguments, fails=True)
    assert expected in output
    assert not re.search(r"\w\(|on_error=|schema=|sizes=[^.]", output), output
    assert not (tmp_path / "a.cache").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--objects", "rendered", "--sizes", "10:20px"], "--camera NAME"),
        (["--objects", "rendered", "--paper-sizes"], "leave --paper-sizes out"),
        (["--objects", "rendered", "--set", "aspect_max=2"], "shape of its own"),
        ([*PAINTED, "--model", "x"], "--backend-arg model=..."),
        ([*PAINTED, "--device", "cpu"], "--backend-arg device=..."),
        ([*PAINTED, "--detector", "x"], "--annotator transformers"),
        ([*PAINTED, "--annotator-arg", "a=1"], "--annotator transformers"),
        ([*PAINTED, "--annotator", "sam3", "--detector", "x"], "--segmenter"),
        ([*PAINTED, "--annotator", "none", "--segmenter", "x"], "--annotator transformers"),
        ([*PAINTED, "--set", "size={kind: frame}"], "--sizes 40:120px"),
        (["--objects", "poc-alt", "--backend", "text-to-image", "--sizes", "10:20px"], "size_px=512"),
        (["--objects", "poc-alt", "--backend", "text-to-image", "--location", "road"], "size_px=512"),
        (["--objects", "poc-alt", "--backend", "text-to-image", "--paper-sizes"], "size_px=512"),
    ],
)
def test_options_that_would_change_nothing_of_others(arguments: list[str], expected: str, tmp_path: Path) -> None:
    assert expected in warm(tmp_path / "a.cache", *arguments, fails=True)


def test_a_location_that_no_object_takes(tmp_path: Path, cutouts: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"inserter: {{kind: paste, folder: {cutouts}}}\n"
        "recipe: {objects: [{name: dog, location: [road]}], size: {kind: pixels, min_px: 8, max_px: 12}}"
    )
    assert "recipe's file" in warm(tmp_path / "a.cache", "--objects", path, "--location", "sky", fails=True)
    assert "recipe's file" in warm(tmp_path / "a.cache", "--objects", path, "--set", "location=[sky]", fails=True)


def test_a_user_defined_locator_finds_places_for_cut_outs(cutouts: Path, tmp_path: Path) -> None:
    arguments = ["--objects", cutouts, "--sizes", "8:12px", "--location", "the moon", "--per-variant", "1"]
    warm(tmp_path / "a.cache", *arguments, "--locator", "tests.cli.test_unused_options:LeftHalf")
    with Cache.open(tmp_path / "a.cache") as cache:
        boxes = [provenance_of(insertion)["box_yxhw"] for insertion in stored_insertions(cache)]
    assert boxes
    assert all(x + w / 2 < 50 for _, x, _, w in boxes)


class LeftHalf:
    """A locator whose every place is the left half."""

    def describe(self) -> dict[str, Any]:
        return {"locator": "left half"}

    def locate(self, sample: Any, name: str) -> Any:
        half = (sample.labels * 0).bool()
        half[:, : half.shape[1] // 2] = True
        return half


# ---------------------------------------------------------------- errors name the caller's own options


class Odd(Frames):
    """Items of a form that cannot be read without `Adapt`."""

    def __getitem__(self, index: int) -> Any:
        return {"picture": super().__getitem__(index)[0]}


def test_errors_about_item_forms_name_options_not_python(tmp_path: Path) -> None:
    arguments = ["--dataset", f"{__name__}:Odd", "length=2", "--objects", "rendered", "--workers", "0"]
    output = run("warm-cache", *arguments, "--out", tmp_path / "a.cache", fails=True)
    assert "let --dataset name" in output
    assert "--on-error skip" in output
    assert not re.search(r"Adapt\(|adapt=|on_error=", output), output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "--score", "void"], ["--void-index 19"]),
        (["evaluate", "--maps", "3"], ["--out report"]),
        # Of use without --labelled only if a --dataset has known classes.
        (["evaluate", "--classes", "cityscapes-trainIds", "--schema", "fishyscapes"], ["--labelled"]),
        (["reliability", "--confidence", "2"], ["--confidence 0.95"]),
        (["reliability", "--label", "mIoU"], ["--out report"]),
    ],
)
def test_other_commands_name_their_options(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("model,synthetic,real\na,1,2\nb,2,3\nc,3,5\n")
    more: list[Any] = [tmp_path / "a.csv"] if arguments[0] == "reliability" else []
    if arguments[0] == "evaluate":
        more = [
            "--model",
            "torch.nn:Identity",
            "--dataset",
            "tests.helpers.fakes:Frames length=2 broken=[0,1]",
        ]  # not read
    output = run(*arguments, *more, fails=True)
    for word in words:
        assert word in output


def test_an_unreadable_sample_names_the_callers_way_out(tmp_path: Path) -> None:
    pipeline = InsertionPipeline(make_recipe(size=PixelSize(min_px=6, max_px=9).model_dump()), EllipseInserter())
    with pytest.raises(PocAugError) as caught:
        warm_cache(Frames(3, broken=(1,)), tmp_path / "a.cache", pipeline, workers=0)
    assert "on_error='skip'" in str(caught.value)
    assert "--on-error" not in str(caught.value)
    assert "--on-error skip" in caught.value.on_command_line()
    assert "on_error=" not in caught.value.on_command_line()


def test_an_error_of_ours_keeps_its_advice_when_a_sample_fails(tmp_path: Path) -> None:
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    with pytest.raises(PocAugError) as caught:
        warm_cache(Frames(2), tmp_path / "a.cache", pipeline, workers=0, schema="camvid-like.yaml")
    assert "camvid-like" in str(caught.value)
    (tmp_path / "few.yaml").write_text("ids: {sky: 1, road: 7}\nground: [road]")
    with pytest.raises(PocAugError) as caught:
        warm_cache(Frames(2), tmp_path / "a.cache", pipeline, workers=0, schema=tmp_path / "few.yaml")
    assert "schema=" in str(caught.value)
    output = caught.value.on_command_line()
    assert "--schema NAME|FILE.yaml" in output
    assert "--on-error skip" in output
    assert "schema=" not in output


def test_a_backend_that_fails_names_the_callers_way_out(tmp_path: Path) -> None:
    class Failing(EllipseInserter):
        def _one(self, crop: Any) -> Any:
            raise ZeroDivisionError("no")

    with pytest.raises(PocAugError) as caught:
        warm_cache(Frames(1), tmp_path / "a.cache", InsertionPipeline(make_recipe(), Failing()), workers=0)
    assert "on_error='skip'" in str(caught.value)
    assert "--on-error skip" in caught.value.on_command_line()
    assert "on_error=" not in caught.value.on_command_line()


@pytest.mark.parametrize("kind", [SettingError, MissingDependencyError])
def test_both_ways_out_travel_between_processes(kind: type[PocAugError]) -> None:
    error = kind("a problem", expected="a value", hint="value=1", command="--value 1")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "a problem\nExpected: a value\nNext step: value=1"
    assert copy.on_command_line() == "a problem\nExpected: a value\nNext step: --value 1"
    assert kind("a problem", hint="both").on_command_line() == "a problem\nNext step: both"


@pytest.mark.parametrize("command", ["warm-cache", "try", "evaluate", "doctor"])
def test_help_shows_defaults(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "[default: " in run(command, "--help")  # unescaped, it is taken for markup, and vanishes


def test_the_command_prints_its_own_way_out(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "sys.argv", ["poc-aug", "warm-cache", *FRAMES, "--objects", "poc-alt", "--out", str(tmp_path / "a")]
    )
    with pytest.raises(SystemExit):
        app()
    output = capsys.readouterr().err
    assert "--backend diffusion --model ID" in output
    assert "DiffusionInserter" not in output


def test_a_camera_of_known_pose_needs_no_ground(cutouts: Path, tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text("ids: {road: 0, sky: 1, car: 2}")
    (tmp_path / "sizes.yaml").write_text("{dog: 0.5, gizmo: 0.5}")
    bare = ("--objects", cutouts, "--schema", tmp_path / "schema.yaml", "--location", "anywhere")
    pixels = (*bare, "--sizes", "10:20px")
    warm(tmp_path / "a.cache", *pixels, "--camera", "cityscapes", "size_hw=60,120")
    assert "preset" in run("info", tmp_path / "a.cache")
    output = warm(tmp_path / "b.cache", *pixels, "--camera", "cityscapes", fails=True)
    assert "no effect: --camera" in output
    output = warm(tmp_path / "b.cache", *pixels, "--camera", "file", fails=True)  # used, but there are no files
    assert "--set 'camera={horizon: 0.42" in output
    metres = (*bare, "--sizes-file", tmp_path / "sizes.yaml", "--camera", "cityscapes")
    warm(tmp_path / "c.cache", *metres, "size_hw=60,120")
    output = warm(tmp_path / "d.cache", *metres, fails=True)
    assert "60x81 pixels" in output
    assert "2.00 times as wide as high" in output
    assert "--sizes 40:120px" in output
    output = warm(tmp_path / "d.cache", *metres, "--on-error", "skip", fails=True)  # nothing is left
    assert output.count("60x81 pixels") == 2
