from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from poc_aug.cache import Cache
from poc_aug.cli.arguments import load_dataset, parse_arguments, parse_value, read_config
from poc_aug.cli.main import cli
from poc_aug.errors import DatasetError, MissingDependencyError, PocAugError, RecipeError

FRAMES = ["--dataset", "tests.fakes:Frames", "length=3", "size_hw=60,81"]


def run(*arguments: Any, fails: bool = False) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        if fails and isinstance(result.exception, PocAugError):
            return str(result.exception)
        raise result.exception
    assert (result.exit_code != 0) == fails, result.output
    return result.output


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "frames.cache"
    run("warm-cache", *FRAMES, "--objects", "rendered", "--variants", 2, "--out", path, "--workers", 0)
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("96,160", (96, 160)),
        ("0.5,1", (0.5, 1)),
        ("3", 3),
        ("true", True),
        ("train", "train"),
        ("a,b", "a,b"),
        ("[a, b]", ["a", "b"]),
        ("'7'", "7"),
        ("null", None),
        ("/data/city scapes", "/data/city scapes"),
    ],
)
def test_values_are_read_as_yaml(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_bad_arguments_are_named() -> None:
    assert parse_arguments(["split=train", "size=1,2"]) == {"split": "train", "size": (1, 2)}
    with pytest.raises(RecipeError, match="'train'"):
        parse_arguments(["train"])
    with pytest.raises(RecipeError, match="twice"):
        parse_arguments(["a=1", "a=2"])
    with pytest.raises(RecipeError, match="cannot read"):
        parse_arguments(["a=[1"])


def test_bad_datasets_are_named() -> None:
    with pytest.raises(DatasetError, match=r"package.module:callable"):
        load_dataset("cityscapes", {})
    with pytest.raises(MissingDependencyError, match="no_such_package"):
        load_dataset("no_such_package:Thing", {})
    with pytest.raises(DatasetError, match="no callable 'Nothing'"):
        load_dataset("tests.fakes:Nothing", {})
    with pytest.raises(DatasetError, match="colour"):
        load_dataset("tests.fakes:Frames", {"colour": 1})
    with pytest.raises(DatasetError, match="gave a object"):
        load_dataset("builtins:object", {})


def test_the_second_run_does_nothing(cache_path: Path) -> None:
    output = run("warm-cache", *FRAMES, "--objects", "rendered", "--variants", 2, "--out", cache_path)
    assert "nothing to do" in output
    with Cache.open(cache_path) as cache:
        assert len(cache) == 6


def test_yaml_gives_the_same_cache(cache_path: Path, tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(
        "dataset: {type: 'tests.fakes:Frames', args: {length: 3, size_hw: '60,81'}}\n"
        f"objects: rendered\nvariants: 2\nworkers: 0\nout: {tmp_path / 'yaml.cache'}\n"
    )
    run("warm-cache", "--config", config)
    with Cache.open(tmp_path / "yaml.cache") as made, Cache.open(cache_path) as expected:
        assert list(made) == list(expected)
        assert all(made.raw(*name) == expected.raw(*name) for name in expected)
    # What the command line says wins.
    assert "3 variants" in run("warm-cache", "--config", config, "--variants", "1", "--out", tmp_path / "one.cache")


def test_bad_configs_are_named(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("datset: x\n")
    with pytest.raises(RecipeError, match="datset"):
        read_config(config)
    config.write_text("dataset: [a]\n")
    with pytest.raises(RecipeError, match=r"\['a'\]"):
        read_config(config)


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


def test_verify_finds_a_flipped_byte(tmp_path: Path) -> None:
    path = tmp_path / "flipped.cache"
    run("warm-cache", *FRAMES, "--objects", "rendered", "--variants", 1, "--out", path, "--workers", 0)
    (shard,) = path.glob("shards/*.lmdb")
    data = bytearray(shard.read_bytes())
    with Cache.open(path) as cache:
        record = cache.raw(*next(iter(cache)))
    assert record is not None
    at = data.find(record[60:100])
    assert at > 0
    data[at + 10] ^= 1
    shard.write_bytes(data)
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
    output = run("warm-cache", *FRAMES, "--objects", tmp_path / "cutouts", "--variants", 1, "--out", path)
    assert "3 variants" in output
    with Cache.open(path) as cache:
        names = {insertion.object_name for item in cache for insertion in cache.get(*item).insertions}
    assert names == {"dog"}
