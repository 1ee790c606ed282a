from __future__ import annotations

import os
import re
import runpy
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.cli.console import console
from poc_aug.cli.main import app
from poc_aug.cli.object_sources import load_objects
from poc_aug.cli.progress import print_report
from poc_aug.generation.warm_report import WarmReport
from poc_aug.recipe import Recipe
from tests.helpers.cache_cases import stored_insertions
from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401
from tests.helpers.quick_start import RunningScript, run_script
from tests.helpers.waiting import wait_until


def test_the_second_run_does_nothing(cache_path: Path) -> None:  # noqa: F811
    output = run("warm-cache", *FRAMES, "--objects", "rendered", "--num-variants", 2, "--out", cache_path)
    assert "nothing to do" in output
    with Cache.open(cache_path) as cache:
        assert len(cache) == 6


@pytest.mark.parametrize("missing", ["dataset", "objects", "out"])
def test_missing_options_are_named(missing: str, tmp_path: Path) -> None:
    options: dict[str, list[Any]] = {
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


def test_info_verify_preview(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    output = run("info", cache_path)
    for part in ("Frames", "variants", "fingerprint", "rendered"):
        assert part in output
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
        names = {insertion.object_name for insertion in stored_insertions(cache)}
    assert names == {"dog"}


def test_info_prints_the_recipe(cache_path: Path) -> None:  # noqa: F811
    recipe, _ = load_objects("rendered")
    assert Recipe.from_dict(yaml.safe_load(run("info", cache_path, "--recipe"))) == recipe


def test_output_is_never_read_as_markup(
    cache_path: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("[").mkdir()
    cache = Path("[/x]:cat:")
    cache.symlink_to(cache_path)
    assert f"{tmp_path / cache}samples" in "".join(run("info", cache).split())
    assert f"1 variant: {cache}.png" in run("preview", cache, *FRAMES, "--count", 1, "--out", f"{cache}.png")
    print_report(console, WarmReport(unreadable=[("[/data/x]", "[red]:cat:")]), "[/out]")
    output = capsys.readouterr().out
    assert "unreadable: [/data/x]: [red]:cat:" in output
    assert "cache: [/out]" in output


def exit_of(*arguments: object) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["poc-aug", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            app()
    return caught.value.code or 0


def test_exit_codes(tmp_path: Path, cache_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert exit_of("verify", cache_path) == 0
    assert exit_of("--help") == 0
    capsys.readouterr()
    assert exit_of("info", "[/data/x]") == 1
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("error: ")
    assert "[/data/x]" in printed.err
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


def test_ctrl_c_is_reported_and_the_command_resumes(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(_HELD)
    (tmp_path / "hold").touch()
    (tmp_path / "command.py").write_text("from poc_aug.cli import app\nif __name__ == '__main__':\n    app()\n")
    arguments = ["warm-cache", "--dataset", "held:Held", "length=5", "--objects", "rendered"]
    arguments += ["--num-variants", "1", "--workers", "1", "--out", "a.cache"]
    job = RunningScript(tmp_path / "command.py", *arguments, cwd=tmp_path)
    assert wait_until(lambda: (tmp_path / "reached").exists() or job.returncode is not None)
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does: to the loader too
    _, output = job.communicate()
    assert job.returncode == 130, output
    assert "interrupted: what was made is kept" in output
    assert "Traceback" not in output
    (tmp_path / "hold").unlink()
    done = run_script(tmp_path / "command.py", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cache: a.cache" in done.stdout
    with Cache.open(tmp_path / "a.cache") as cache:
        assert len(cache) == 5


def test_the_package_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["poc_aug", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("poc_aug", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    assert "warm-cache" in capsys.readouterr().out
