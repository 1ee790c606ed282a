"""``--report FILE.json`` of the long commands: checked first, valid JSON, written whatever the exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from poc_aug.cli.main import cli
from poc_aug.cli.run_report import json_values, run_report
from poc_aug.errors import OutputError, SettingError
from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401

HOPELESS = ["--set", "min_area_of_crop=0.9", "--set", "attempts=1", "--objects", "rendered", "--workers", 0]


def strict(path: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def reported(path: Path, *command: Any, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, [*map(str, command), "--report", str(path)])
    assert result.exit_code == code, result.output
    report = strict(path)
    assert (report["command"], report["exit_code"]) == (command[0], code)
    assert report["environment"]["torch_threads"] > 0
    assert report["seconds"] >= 0
    return report


def test_what_each_command_did(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "deep" / "report.json"
    assert reported(path, "verify", cache_path)["ok"] is True
    results = tmp_path / "results.csv"
    results.write_text("model,synthetic,real\na,1,2\nb,2,4\nc,3,5\nd,5,3\n")
    assert reported(path, "reliability", results, "--resamples", 20)["n"] == 4
    streets = ["--model", "tests.helpers.evaluation_cases:Brightness", "--dataset"]
    report = reported(path, "evaluate", *streets, "tests.helpers.evaluation_cases:Streets")
    assert report["results"][0]["dataset"] == "Streets"
    report = reported(path, "bench", cache_path, *FRAMES, "--items", 2, "--repeats", 1, "--workers", 0)
    assert report["benchmark"] == "reading"
    report = reported(path, "demo", "--out", tmp_path / "demo", "--size", "96,160", "--length", 2)
    assert report["made"] == 4


def test_nothing_accepted_is_reported_too(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = ["warm-cache", *FRAMES, *HOPELESS, "--num-variants", 1, "--out", tmp_path / "a.cache"]
    for made in (3, 0):
        report = reported(path, *command, code=3)
        assert report["made"] == made
        assert report["nothing_accepted"] is True
        assert report["rejections_by_object"]


def test_a_damaged_cache_is_reported_too(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    damaged = tmp_path / "a.cache"
    shutil.copytree(cache_path, damaged)
    [shard] = (damaged / "shards").glob("*.lmdb")
    data = bytearray(shard.read_bytes())
    at = data.rindex(b"PAUG") + 30
    data[at] ^= 255
    shard.write_bytes(data)
    report = reported(tmp_path / "report.json", "verify", damaged, code=1)
    assert report["ok"] is False
    assert report["problems"]


def test_an_error_is_reported_too(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    run("warm-cache", *FRAMES, "broken=0", "--objects", "rendered", "--workers", 0, "--out", tmp_path / "a.cache",
        "--report", path, fails=True)  # fmt: skip
    report = strict(path)
    assert report["exit_code"] == 1
    assert "frame-000" in report["error"]


@pytest.mark.parametrize("command", ["warm-cache", "try", "evaluate", "reliability", "verify", "bench", "demo"])
def test_a_file_that_cannot_be_written_is_noticed_first(
    command: str,
    cache_path: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    nothing = "tests.helpers.no_such_module:Nothing"  # would be the first error otherwise
    arguments: dict[str, list[Any]] = {
        "warm-cache": ["--dataset", nothing, "--objects", "rendered", "--out", tmp_path / "a.cache"],
        "try": [tmp_path / "none.png", "--object", "a cat"],
        "evaluate": ["--model", nothing, "--dataset", nothing],
        "reliability": [tmp_path / "none.csv"],
        "verify": [tmp_path / "none.cache"],
        "bench": [cache_path, "--dataset", nothing],
        "demo": ["--out", tmp_path / "demo"],
    }
    for path in (tmp_path / "file" / "report.json", tmp_path):
        assert "cannot write" in run(command, *arguments[command], "--report", path, fails=True)
    assert not (tmp_path / "demo").exists()


def test_nothing_is_left_of_the_check(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with run_report(path, "a"):
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == [path]
    for error, code in ((typer.Exit(3), 3), (KeyboardInterrupt(), 130), (SettingError("wrong"), 1)):
        with pytest.raises(type(error)):
            ending(path, error)
        assert (strict(path)["exit_code"], strict(path)["nan"]) == (code, None)
    assert "wrong" in strict(path)["error"]


def test_a_report_that_cannot_be_written_hides_no_error(tmp_path: Path) -> None:
    for name, error in (("a", SettingError("the problem")), ("b", None)):
        path = tmp_path / name / "report.json"
        with pytest.raises(SettingError if error else OutputError) as caught:
            ending(path, error, in_the_way=True)
        assert "cannot write" in "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def ending(path: Path, error: BaseException | None, *, in_the_way: bool = False) -> None:
    """A run that ends with an error, or after which its report cannot be written."""
    with run_report(path, "a") as values:
        values["nan"] = float("nan")
        if in_the_way:
            path.parent.rmdir()
            path.parent.touch()
        if error is not None:
            raise error


def test_values_that_json_lacks() -> None:
    values = {"a": [float("inf"), -0.5, True, None], 5: {Path("b"): (1,)}, "c": float("nan"), "d": b"x"}
    assert json_values(values) == {"a": [None, -0.5, True, None], "5": {"b": [1]}, "c": None, "d": "b'x'"}
