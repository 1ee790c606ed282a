"""``warm-cache`` runs that fail: at their first sample, or late; what is said, and what ``--report`` holds of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.errors import OutputError
from poc_aug.generation.frame_loading import FrameDataset
from poc_aug.generation.rejected_pictures import RejectedAttempt, RejectedPictures
from poc_aug.generation.warm_report import rejections_by_object
from tests.helpers.cache_cases import stored_variant
from tests.helpers.command_line import run
from tests.helpers.fakes import Frames


class OneBad(Frames):
    """One of the frames cannot be read."""

    def __init__(self, length: int = 2, bad: int = 0, kind: str = "empty") -> None:
        super().__init__(length, (60, 120))
        self.bad, self.kind = bad, kind

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        if index != self.bad:
            return image, labels
        if self.kind == "exit":
            sys.exit(3)
        return Image.new("RGB", (160, 0)), Image.new("L", (160, 0))


ONE_BAD: list[Any] = ["--dataset", f"{__name__}:OneBad", "--num-variants", 1, "--workers", 0]


@pytest.mark.parametrize("objects", ["rendered", "cutouts"])
@pytest.mark.parametrize(("kind", "named"), [("empty", "0x160 pixels"), ("exit", "sys.exit(3)")])
def test_a_bad_first_sample_is_reported_and_skipped_as_any_other(
    objects: str, kind: str, named: str, tmp_path: Path
) -> None:
    command = ["warm-cache", *ONE_BAD, f"kind={kind}", "--camera", "cityscapes", "--out", tmp_path / "a.cache"]
    if objects == "cutouts":  # their horizon is only known from the camera, whose frames have one shape
        (tmp_path / "dog").mkdir()
        picture = Image.new("RGBA", (80, 60), (0, 0, 0, 0))
        picture.paste((180, 120, 60, 255), (10, 10, 70, 50))
        picture.save(tmp_path / "dog" / "one.png")
        (tmp_path / "schema.yaml").write_text("ids: {road: 0, sky: 1, car: 2}")
        command += ["--schema", tmp_path / "schema.yaml", "--location", "anywhere", "--sizes", "10:20px"]
    command += ["--objects", tmp_path if objects == "cutouts" else objects]
    errors = [run(*command, f"bad={bad}", fails=True) for bad in (0, 1)]
    assert all("sample 'frame-00" in text and named in text and "--on-error skip" in text for text in errors)
    assert errors[0] == errors[1].replace("frame-001", "frame-000")
    output = run(*command, "bad=0", "--on-error", "skip")
    assert "unreadable: frame-000" in output
    with Cache.open(tmp_path / "a.cache") as cache:
        assert set(cache) == {("frame-001", 0)}


FILLED = ["--objects", "rendered", "--batch-size", 1]


@pytest.mark.parametrize("bad", [0, 7])
def test_the_report_of_a_failed_run_says_what_it_did(bad: int, tmp_path: Path) -> None:
    command = ["warm-cache", *ONE_BAD, "length=9", *FILLED, "--out", tmp_path / "a.cache"]
    error = run(*command, f"bad={bad}", "--report", tmp_path / "failed.json", fails=True)
    failed = json.loads((tmp_path / "failed.json").read_text())
    assert failed["exit_code"] == 1
    assert failed["error"].splitlines()[0] == error.splitlines()[0]
    assert f"frame-00{bad}" in failed["error"]
    stored: list[Any] = []
    if bad:
        with Cache.open(tmp_path / "a.cache") as cache:
            stored = [stored_variant(cache, *name) for name in cache]
        assert stored
    assert failed["made"] == failed["stored"] == len(stored)
    assert failed["objects"] == sum(len(variant.insertions) for variant in stored)
    rejections = Counter((one.object_name, one.reason) for variant in stored for one in variant.rejections)
    assert failed["rejections_by_object"] == rejections_by_object(rejections)
    assert (failed["total"], failed["present"], failed["nothing_accepted"]) == (9, 0, None)
    run(*command, f"bad={bad}", "--on-error", "skip", "--report", tmp_path / "good.json")
    good = json.loads((tmp_path / "good.json").read_text())
    assert failed.keys() == good.keys() | {"error"}
    assert (good["present"], good["made"], good["stored"]) == (len(stored), 8 - len(stored), 8)


def test_the_report_of_a_run_that_cannot_keep_pictures_says_what_it_did(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(self: RejectedPictures, rejected: RejectedAttempt) -> None:
        if rejected.sample.key == "frame-008":
            raise OutputError("no room for a picture")

    monkeypatch.setattr(RejectedPictures, "add", full)
    command = ["warm-cache", "--dataset", "tests.helpers.fakes:Frames", "length=9", "--num-variants", 1, "--workers", 0]
    command += [*FILLED, "--set", "attempts=2", "--set", "min_area_of_crop=0.9", "--keep-rejected", 1]
    run(*command, "--out", tmp_path / "a.cache", "--report", tmp_path / "a.json", fails=True)
    report = json.loads((tmp_path / "a.json").read_text())
    with Cache.open(tmp_path / "a.cache") as cache:
        assert report["made"] == report["stored"] == len(list(cache)) > 0
        rejected = sum(len(stored_variant(cache, *name).rejections) for name in cache)
    assert sum(report["rejections"].values()) == rejected > 0
    assert "no room for a picture" in report["error"]


@pytest.mark.parametrize("in_the_way", ["file", "file of a reason", "link", "broken link"])
def test_what_keeps_pictures_from_being_kept_is_noticed_before_the_first_frame(
    in_the_way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache, other = tmp_path / "a.cache", tmp_path / "other"
    command = ["warm-cache", "--dataset", "tests.helpers.fakes:Frames", "length=3", "--num-variants", 1]
    command += [*FILLED, "--workers", 0, "--out", cache]
    run(*command, "--limit", 1)
    rejected = cache / "rejected"
    if in_the_way == "file":
        rejected.touch()
    elif in_the_way == "file of a reason":
        rejected.mkdir()
        (rejected / "too-small").touch()
    else:
        rejected.symlink_to(other)
    if in_the_way == "link":
        (other / "mine").mkdir(parents=True)
        (other / "mine" / ".a.tmp").touch()
    monkeypatch.setattr(FrameDataset, "__getitem__", lambda *_: pytest.fail("a frame was read"))
    error = run(*command, "--keep-rejected", 1, fails=True)
    if in_the_way == "file of a reason":
        assert "cannot write" in error
        assert str(rejected) in error
    else:
        assert f"{str(cache)!r} holds 'rejected', a " in error
    assert in_the_way != "link" or (other / "mine" / ".a.tmp").exists()
