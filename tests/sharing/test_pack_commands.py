"""``poc-aug pack`` and ``unpack`` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401
from tests.helpers.pack_cases import records_of, telling_cache


def test_pack_and_unpack(tmp_path: Path) -> None:
    cache = telling_cache(tmp_path / "street.cache")
    with pytest.warns(UserWarning, match=r"the licence cc-by-4.0 .* contradicts .*CC-BY-NC-2\.0, which bans"):
        text = run(
            "pack", cache, "--out", tmp_path / "a.tar", "--leave-out", "prompts, provenance", "--licence", "cc-by-4.0"
        )
    assert "12 records of 2 recipes" in text
    assert "non-commercial: 4 of 9 insertions" in text
    assert "licence unknown: 3 of 9 insertions" in text
    sha256 = text.partition("sha256 ")[2].split()[0]
    report = tmp_path / "run.json"
    text = run("unpack", tmp_path / "a.tar", "--out", tmp_path / "b.cache", "--checksum", sha256, "--report", report)
    assert "12 records of 2 recipes verified" in text
    assert json.loads(report.read_text())["records"] == 12
    assert len(records_of(tmp_path / "b.cache")) == 9
    assert "0 corrupt" in run("verify", tmp_path / "b.cache")


def test_frames_are_named_twice_over(tmp_path: Path, cache_path: Path) -> None:  # noqa: F811
    text = run("pack", cache_path, *FRAMES, "--out", tmp_path / "a", fails=True)
    assert "--with-frames" in text
    text = run("pack", cache_path, "--with-frames", "--out", tmp_path / "a", fails=True)
    assert "--dataset" in text
    run("pack", cache_path, *FRAMES, "--with-frames", "--out", tmp_path / "a")
    assert (tmp_path / "a" / "pictures" / "frames-0.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--leave-out", "pixels"], "--leave-out prompts,provenance"),
        (["--leave-out", ""], "--leave-out prompts,provenance"),
        (["--leave-out", "prompts", "--with-rejected"], "--with-rejected"),
        (["--licence", "CC BY"], "CC BY"),
    ],
)
def test_wrong_options(tmp_path: Path, cache_path: Path, arguments: list[str], named: str) -> None:  # noqa: F811
    assert named in run("pack", cache_path, "--out", tmp_path / "a.tar", *arguments, fails=True)
    assert list(tmp_path.iterdir()) == []


def test_a_compressed_archive(tmp_path: Path, cache_path: Path) -> None:  # noqa: F811
    assert "--out NAME.tar" in run("pack", cache_path, "--out", tmp_path / "a.tar.gz", fails=True)
