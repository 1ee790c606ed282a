from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.cli.arguments import load_dataset, parse_arguments, parse_value
from poc_aug.cli.config import check_config, read_config
from poc_aug.cli.main import app, console
from poc_aug.cli.object_sources import load_objects
from poc_aug.cli.progress import print_report
from poc_aug.errors import DatasetError, MissingDependencyError, RecipeError, SchemaError
from poc_aug.generation.warming import WarmReport
from poc_aug.recipe import Recipe
from tests.helpers.command_line import run

FRAMES = ["--dataset", "tests.helpers.fakes:Frames", "length=3", "size_hw=60,81"]


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "frames.cache"
    run("warm-cache", *FRAMES, "--objects", "rendered", "--num-variants", 2, "--out", path, "--workers", 0)
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("96,160", (96, 160)),
        ("0.5,1", (0.5, 1)),
        ("1, -2", (1, -2)),
        ("3", 3),
        ("-1", -1),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("false", False),
        ("null", None),
        ("[a, b]", ["a", "b"]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_plain_values_are_read(text: str, value: object) -> None:
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


_TEXTS = "train;a,b;0016;1,016;-007;12:30;2024-01-05;/data/my #1 set;no;on;'7';;[1;a: b;1_000;0x10;nan;.inf;1.2.3;1,;1٣"


@pytest.mark.parametrize("text", _TEXTS.split(";"))
def test_all_else_stays_text(text: str) -> None:
    assert parse_value(text) == text


def test_bad_arguments_are_named() -> None:
    assert parse_arguments(["split=train", "size=1,2"]) == {"split": "train", "size": (1, 2)}
    with pytest.raises(RecipeError, match="'train'"):
        parse_arguments(["train"])
    with pytest.raises(RecipeError, match="twice"):
        parse_arguments(["a=1", "a=2"])
    with pytest.raises(RecipeError, match="cannot read"):
        parse_arguments(["a=[1: 2: 3]"])


@pytest.mark.parametrize("error", [KeyError, AssertionError, ZeroDivisionError, TypeError])
def test_whatever_a_dataset_raises_is_told(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def factory(**arguments: object) -> None:
        raise error("no such split")

    monkeypatch.setattr("tests.helpers.fakes.Frames", factory)
    with pytest.raises(DatasetError, match=rf"split='x'.*{error.__name__}.*no such split"):
        load_dataset("tests.helpers.fakes:Frames", {"split": "x"})


def test_a_dataset_may_raise_errors_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def factory() -> None:
        raise SchemaError("no class 'unicorn'")

    monkeypatch.setattr("tests.helpers.fakes.Frames", factory)
    with pytest.raises(SchemaError, match="unicorn"):
        load_dataset("tests.helpers.fakes:Frames", {})


def test_a_module_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DatasetError, match=r"failing_module.*ZeroDivisionError"):
        load_dataset("failing_module:Thing", {})


def test_bad_datasets_are_named() -> None:
    with pytest.raises(DatasetError, match=r"package.module:callable"):
        load_dataset("cityscapes", {})
    with pytest.raises(DatasetError, match="':x'"):
        load_dataset(":x", {})
    with pytest.raises(MissingDependencyError, match="no_such_package"):
        load_dataset("no_such_package:Thing", {})
    with pytest.raises(DatasetError, match="no callable 'Nothing'"):
        load_dataset("tests.helpers.fakes:Nothing", {})
    with pytest.raises(DatasetError, match="colour"):
        load_dataset("tests.helpers.fakes:Frames", {"colour": 1})
    with pytest.raises(DatasetError, match="gave a object"):
        load_dataset("builtins:object", {})


def test_the_second_run_does_nothing(cache_path: Path) -> None:
    output = run("warm-cache", *FRAMES, "--objects", "rendered", "--num-variants", 2, "--out", cache_path)
    assert "nothing to do" in output
    with Cache.open(cache_path) as cache:
        assert len(cache) == 6


def test_yaml_gives_the_same_cache(cache_path: Path, tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(
        "dataset: {type: 'tests.helpers.fakes:Frames', args: {length: 3, size_hw: '60,81'}}\n"
        f"objects: rendered\nnum_variants: 2\nworkers: 0\nout: {tmp_path / 'yaml.cache'}\n"
    )
    run("warm-cache", "--config", config)
    with Cache.open(tmp_path / "yaml.cache") as made, Cache.open(cache_path) as expected:
        assert list(made) == list(expected)
        assert all(made.raw(*name) == expected.raw(*name) for name in expected)
    # What the command line says wins.
    assert "3 variants" in run("warm-cache", "--config", config, "--num-variants", "1", "--out", tmp_path / "one.cache")


def test_bad_configs_are_named(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("datset: x\n")
    with pytest.raises(RecipeError, match="datset"):
        read_config(config)
    with pytest.raises(RecipeError, match="cannot read"):
        read_config(tmp_path)


_WRONG = """
dataset: ['a']
dataset: {'type': 3}
dataset: {'type': 'a:b', 'arg': 1}
objects: 3
out: true
num_variants: null
num_variants: 'three'
num_variants: true
num_variants: 0
limit: 0
limit: 1.5
seed: 'x'
schema: 7
camera: ['kitti']
location: [1]
per_variant: 1.5
workers: -1
workers: null
codec: 'tiff'
on_error: 'ignore'
"""


@pytest.mark.parametrize("line", _WRONG.split("\n")[1:-1])
def test_values_of_configs_are_checked(line: str, tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(line)
    name, _, value = line.partition(": ")
    with pytest.raises(RecipeError) as caught:
        read_config(config)
    shown = {"null": "None", "true": "True"}.get(value, value)
    assert f"{config}: {name} = {shown}" in caught.value.problem
    assert caught.value.expected.startswith(f"{name}: ")


@pytest.mark.parametrize("value", ["[1, 3]", "'1,3'", "1,3"])
def test_two_forms_of_a_range(value: str) -> None:
    assert check_config(yaml.safe_load(f"per_variant: {value}"), "here").objects_range == (1, 3)
    assert check_config({"per_variant": 2}, "here").objects_range == (2, 2)
    assert check_config({"location": ["road", "car"]}, "here").classes == ("road", "car")


def test_arguments_in_configs_are_taken_as_they_are() -> None:
    text = "{a: '0016', b: 'no', c: '7', d: 7, e: '96,160', f: [1, 2], g: null, h: 'a,b'}"
    dataset = check_config(yaml.safe_load(f"dataset: {{type: 'a:b', args: {text}}}"), "here").dataset
    assert dataset is not None
    expected = {"a": "0016", "b": "no", "c": "7", "d": 7, "e": (96, 160), "f": (1, 2), "g": None, "h": "a,b"}
    assert dataset.args == expected
    empty = check_config({"dataset": {"type": "a:b", "args": None}}, "here").dataset
    assert empty is not None
    assert empty.args == {}


def test_another_dataset_gets_no_arguments_of_the_configs(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(
        "dataset: {type: 'no_such:Thing', args: {colour: red}}\n"
        f"objects: rendered\nnum_variants: 1\nworkers: 0\nout: {tmp_path / 'a.cache'}\n"
    )
    assert "3 variants" in run("warm-cache", "--config", config, *FRAMES)


@pytest.mark.parametrize("missing", ["dataset", "objects", "out"])
def test_missing_options_are_named(missing: str, tmp_path: Path) -> None:
    options = {
        "dataset": FRAMES,
        "objects": ["--objects", "rendered"],
        "out": ["--out", tmp_path / "a.cache"],
    }
    given = [part for name, parts in options.items() if name != missing for part in parts]
    assert f"--{missing} is missing" in run("warm-cache", *given, fails=True)


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--objects", "unicorns", "unicorns"),
        ("--camera", "fisheye", "fisheye"),
        ("--location", "rooftop", "rooftop"),
        ("--per-variant", "many", "many"),
        ("--schema", "mars", "mars"),
        ("--codec", "tiff", "tiff"),
    ],
)
def test_bad_options_are_named(option: str, value: str, named: str, tmp_path: Path) -> None:
    arguments = ["warm-cache", *FRAMES, "--objects", "rendered", "--out", tmp_path / "a.cache", option, value]
    assert named in run(*arguments, fails=True)


def test_info_verify_preview(cache_path: Path, tmp_path: Path) -> None:
    told = run("info", cache_path)
    for part in ("Frames", "variants", "fingerprint", "rendered"):
        assert part in told
    assert "0 corrupt" in run("verify", cache_path)
    sheet = tmp_path / "sheet.png"
    run("preview", cache_path, *FRAMES, "--out", sheet, "--count", 2, "--width", 800)
    with Image.open(sheet) as picture:
        assert picture.width == 800
        assert len(set(picture.convert("L").resize((40, 40)).tobytes())) > 20
    assert "--dataset is missing" in run("preview", cache_path, fails=True)
    assert "holds none" in run("preview", cache_path, "--dataset", "poc_aug:SyntheticStreet", fails=True)


def flip_a_byte(path: Path) -> None:
    (shard,) = path.glob("shards/*.lmdb")
    data = bytearray(shard.read_bytes())
    with Cache.open(path) as cache:
        record = cache.raw(*next(iter(cache)))
    assert record is not None
    at = data.find(record[60:100])
    assert at > 0
    data[at + 10] ^= 1
    shard.write_bytes(data)


def test_verify_finds_a_flipped_byte(tmp_path: Path) -> None:
    path = tmp_path / "flipped.cache"
    run("warm-cache", *FRAMES, "--objects", "rendered", "--num-variants", 1, "--out", path, "--workers", 0)
    flip_a_byte(path)
    output = run("verify", path, fails=True)
    assert re.search(r"corrupt: shard .*frame-00\d", output)
    assert "1 corrupt" in output


def test_demo_draws_its_sheet(tmp_path: Path) -> None:
    output = run("demo", "--out", tmp_path, "--size", "96,160", "--length", 2)
    assert (tmp_path / "contact_sheet.png").stat().st_size > 1000
    assert "OOD id 254" in output
    assert "--size 96" in run("demo", "--size", "96", fails=True)


def test_cut_outs_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cutouts" / "dog"
    folder.mkdir(parents=True)
    picture = Image.new("RGBA", (80, 60), (0, 0, 0, 0))
    picture.paste((180, 120, 60, 255), (10, 10, 70, 50))
    picture.save(folder / "one.png")
    path = tmp_path / "dogs.cache"
    output = run("warm-cache", *FRAMES, "--objects", tmp_path / "cutouts", "--num-variants", 1, "--out", path)
    assert "3 variants" in output
    with Cache.open(path) as cache:
        names = {insertion.object_name for item in cache for insertion in cache.get(*item).insertions}
    assert names == {"dog"}


def test_info_prints_the_recipe(cache_path: Path) -> None:
    recipe, _ = load_objects("rendered")
    assert Recipe.from_dict(yaml.safe_load(run("info", cache_path, "--recipe"))) == recipe


def test_nothing_that_is_told_is_markup(
    cache_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("[").mkdir()
    cache = Path("[/x]:cat:")
    cache.symlink_to(cache_path)
    assert f"{tmp_path / cache}samples" in "".join(run("info", cache).split())
    assert f"1 variant: {cache}.png" in run("preview", cache, *FRAMES, "--count", 1, "--out", f"{cache}.png")
    print_report(console, WarmReport(unreadable=[("[/data/x]", "[red]:cat:")]), "[/out]")
    told = capsys.readouterr().out
    assert "unreadable: [/data/x]: [red]:cat:" in told
    assert "cache: [/out]" in told


def exit_of(*arguments: object) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["poc-aug", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            app()
    return caught.value.code or 0


def test_exit_codes(tmp_path: Path, cache_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("verify", cache_path) == 0
    assert exit_of("--help") == 0
    capsys.readouterr()
    assert exit_of("info", "[/data/x]") == 1
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("error: ")
    assert "[/data/x]" in told.err
    assert exit_of("info", cache_path, "--colour") == 2
    assert "--colour" in capsys.readouterr().err
    assert exit_of("frobnicate") == 2
    broken = tmp_path / "broken.cache"
    shutil.copytree(cache_path, broken)
    flip_a_byte(broken)
    assert exit_of("verify", broken) == 1


_HELD = """
import time
from pathlib import Path
from tests.helpers.fakes import Frames

class Held(Frames):
    def __getitem__(self, index):
        while index == 3 and Path("hold").exists():
            Path("reached").touch()
            time.sleep(0.02)
        return super().__getitem__(index)
"""


def test_ctrl_c_is_told_and_the_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(_HELD)
    (tmp_path / "hold").touch()
    command = [sys.executable, "-c", "from poc_aug.cli import app; app()", "warm-cache", "--dataset", "held:Held"]
    command += ["length=5", "--objects", "rendered", "--num-variants", "1", "--workers", "1", "--out", "a.cache"]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    settings: dict[str, Any] = {"cwd": tmp_path, "env": environment, "text": True}
    settings |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, start_new_session=True, **settings) as job:
        while not (tmp_path / "reached").exists():
            assert job.poll() is None, job.communicate()
            time.sleep(0.02)
        os.killpg(job.pid, signal.SIGINT)  # as a terminal does: to the loader too
        _, told = job.communicate(timeout=60)
    assert job.returncode == 130, told
    assert "interrupted: what was made is kept" in told
    assert "Traceback" not in told
    (tmp_path / "hold").unlink()
    done = subprocess.run(command, check=True, timeout=60, **settings)
    assert "cache: a.cache" in done.stdout
    with Cache.open(tmp_path / "a.cache") as cache:
        assert len(cache) == 5


def test_the_package_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "poc_aug", "--help"], capture_output=True, text=True, check=True)
    assert "warm-cache" in done.stdout
