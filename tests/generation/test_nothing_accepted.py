"""Runs in which attempts are rejected: what is reported if all are, and the pictures that are kept of them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from poc_aug.cache import Cache, CacheWriter
from poc_aug.cli.main import cli
from poc_aug.errors import CacheError, CacheFormatError, CacheMismatchError, SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.rejected_pictures import AttemptStages, RejectedAttempt, RejectedPictures
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from poc_aug.inspection.contact_sheet import tiles_of
from poc_aug.inspection.rejected_sheet import rejected_of, rejected_sheet
from poc_aug.types import Annotation, Crop, Filled, Rejection
from tests.helpers.cache_cases import make_manifest, stored_variant
from tests.helpers.command_line import FRAMES, run
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe, make_sample
from tests.helpers.warming_cases import content, pipeline

HOPELESS = ["--set", "min_area_of_crop=0.9", "--set", "attempts=2", "--objects", "rendered", "--workers", 0]


def rejecting(share: float = 1.0, **changes: Any) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(attempts=2, **changes), EllipseInserter(reject=share))


def invoke(*arguments: Any) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def rejected_cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    path = tmp_path_factory.mktemp("rejected") / "frames.cache"
    command = ["warm-cache", *FRAMES, *HOPELESS, "--num-variants", 2, "--keep-rejected", 2, "--out", path]
    return path, *invoke(*command)


def test_nothing_accepted_is_exit_code_3_with_reasons_by_object(rejected_cache: tuple[Path, int, str]) -> None:
    path, code, output = rejected_cache
    assert code == 3
    assert "0% of the attempts accepted" in output
    (total,) = (line for line in output.splitlines() if line.split()[:1] == ["all"])
    assert total.split()[2] == "0"
    assert "too small" in total
    assert "nothing was accepted" in output
    with Cache.open(path) as cache:
        stored = [rejection for name in cache for rejection in stored_variant(cache, *name).rejections]
        assert len(stored) == int(total.split()[1]) > 0
        assert all(rejection.object_name and rejection.reason for rejection in stored)
        assert cache.verify().ok
    for name in {rejection.object_name for rejection in stored}:
        assert name in output


def test_a_second_run_says_the_same(rejected_cache: tuple[Path, int, str]) -> None:
    path, _, first = rejected_cache
    code, output = invoke("warm-cache", *FRAMES, *HOPELESS, "--num-variants", 2, "--out", path)
    assert code == 3
    assert "nothing to do" in output
    table = [line for line in first.splitlines() if line.rstrip().endswith(("too small", "no room"))]
    assert table
    assert set(table) <= set(output.splitlines())


def test_preview_of_such_a_cache_says_why(rejected_cache: tuple[Path, int, str], tmp_path: Path) -> None:
    path = rejected_cache[0]
    output = run("preview", path, *FRAMES, "--out", tmp_path / "a.png", fails=True)
    assert "none of the 6 variants" in output
    assert "attempts were rejected" in output
    assert "too small" in output
    assert f"preview {path} --rejected" in output
    assert "warm the cache first" not in output
    bare = tmp_path / "bare.cache"
    shutil.copytree(path, bare)
    shutil.rmtree(bare / "rejected")
    output = run("preview", bare, *FRAMES, "--out", tmp_path / "a.png", fails=True)
    assert f"preview {bare} --rejected" not in output  # it would show nothing
    assert "--keep-rejected 5" in output


def test_preview_draws_the_pictures_that_were_kept(rejected_cache: tuple[Path, int, str], tmp_path: Path) -> None:
    path = rejected_cache[0]
    kinds = {folder.name: len(list(folder.iterdir())) for folder in (path / "rejected").iterdir()}
    assert kinds["too-small"] == 2
    assert all(count <= 2 for count in kinds.values())
    output = run("preview", path, "--rejected", "--out", tmp_path / "a.png", "--count", 1)
    assert "1 rejected attempt:" in output
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.width == 1800
    # A cache with pictures is read, verified and described as any other.
    assert " 0 corrupt" in run("verify", path)
    assert "too small" in run("info", path)


def test_each_picture_says_what_it_shows(rejected_cache: tuple[Path, int, str]) -> None:
    with Cache.open(rejected_cache[0]) as cache:
        shown = rejected_of(cache, 99)
        for picture in shown:
            variant = cache.get(picture.about["key"], picture.about["variant"])
            assert variant is not None
            said = (picture.about["reason"], picture.about["object"], picture.about["attempt"])
            assert said in {(one.reason, one.object_name, one.attempt) for one in variant.rejections}
            assert picture.about["reason"] in picture.title
        assert rejected_sheet(shown, width_px=500).width == 500
    assert [picture.path.parent.name for picture in shown][:1] == [min(p.path.parent.name for p in shown)]


def test_python_reports_that_nothing_was_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    for _ in range(2):  # made, and found
        report = warm_cache(Frames(2), path, rejecting(), num_variants=2, workers=0)
        assert report.nothing_accepted
        reasons = report.rejections_by_object()
        assert set(reasons) <= {"dog", "cat", "car"}
        assert sum(count for counts in reasons.values() for count in counts.values()) == report.rejected.total() > 0
        assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["nothing_accepted"] is True
    with Cache.open(path) as cache, pytest.raises(CacheError, match=r"(?s)all \d+ attempts were rejected.*black"):
        tiles_of(Frames(2), cache, 8)
    with Cache.open(path) as cache, pytest.raises(SettingError, match="no pictures of rejected attempts"):
        rejected_of(cache, 8)


def test_another_recipe_for_a_cache_without_objects_advises_to_delete_it(tmp_path: Path) -> None:
    path = tmp_path / "a b.cache"
    warm_cache(Frames(2), path, rejecting(), num_variants=2, workers=0)
    with pytest.raises(CacheMismatchError) as caught:
        warm_cache(Frames(2), path, pipeline(seed=5), num_variants=2, workers=0)
    error = caught.value
    assert error.hint == f"this cache holds no object: delete it (rm -r '{path}') or give another path"
    assert error.command == error.hint.replace("another path", "another --out")
    assert "recipe.seed" in error.problem
    other = tmp_path / "b.cache"
    assert warm_cache(Frames(2), other, pipeline(), num_variants=2, workers=0).objects
    with pytest.raises(CacheMismatchError) as caught:
        warm_cache(Frames(2), other, pipeline(seed=5), num_variants=2, workers=0)
    assert "holds no object" not in caught.value.hint


def test_a_resumed_run_counts_what_was_accepted_before(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    half = rejecting(0.6, objects_per_variant=[1, 1])
    reports = [
        warm_cache(Frames(9), path, half, num_variants=1, limit=limit, workers=0) for limit in (*range(1, 10), 9)
    ]
    accepted = [report.objects > 0 for report in reports]
    assert False in accepted[:-1]  # runs that placed nothing themselves
    assert True in accepted
    for number, report in enumerate(reports):
        assert report.nothing_accepted == (True not in accepted[: number + 1])
        if not report.nothing_accepted:
            assert report.rejected.total() == sum(report.rejections.values())


def test_no_attempt_is_no_rejection() -> None:
    assert not WarmReport(total=2, made=2).nothing_accepted
    assert not WarmReport(total=2, unreadable=[("a", "truncated")]).nothing_accepted  # skipped, as asked for
    assert WarmReport(total=2, made=1, rejected=Counter({("dog", "no room"): 1})).nothing_accepted


def test_pictures_change_no_record_and_are_counted_when_resumed(tmp_path: Path) -> None:
    plain, kept = tmp_path / "plain.cache", tmp_path / "kept.cache"
    warm_cache(Frames(4), plain, pipeline(), num_variants=2, workers=0)
    warm_cache(Frames(4), kept, pipeline(), num_variants=2, limit=2, workers=0, keep_rejected=1)
    first = sorted(kept.glob("rejected/*/*"))
    assert [path.parent.name for path in first] == ["black"]
    left = first[0].with_name(".x.png.tmp")
    left.write_bytes(b"half")  # of a run that was killed
    warm_cache(Frames(4), kept, pipeline(), num_variants=2, workers=0, keep_rejected=2)
    assert not left.exists()
    assert len(list(kept.glob("rejected/black/*"))) == 2
    assert first[0].exists()
    assert content(kept) == content(plain)
    assert (kept / "manifest.json").read_bytes() == (plain / "manifest.json").read_bytes()
    with pytest.raises(SettingError, match="keep_rejected=-1"):
        warm_cache(Frames(4), kept, pipeline(), keep_rejected=-1)
    with pytest.raises(SettingError, match="num_variants=18446744073709551616"):
        warm_cache(Frames(4), kept, pipeline(), num_variants=2**64)


class Blind:
    """An annotator that finds nothing."""

    def describe(self) -> dict[str, Any]:
        return {"annotator": "blind"}

    def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
        return [Rejection("not detected") for _ in crops]


def test_what_an_annotator_rejects_is_shown_as_it_was_filled() -> None:
    rejected: list[RejectedAttempt] = []
    blind = InsertionPipeline(make_recipe(attempts=1, location=[]), EllipseInserter(exact=False), Blind())
    (variant,) = blind.run([(make_sample(), 0)], on_rejected=rejected.append)
    assert [one.rejection for one in rejected] == list(variant.rejections)
    for one in rejected:
        assert one.rejection.reason == "not detected"
        assert one.stages.filled is not None
        assert one.stages.annotation is None


def test_the_same_attempt_is_kept_once_under_any_reason(tmp_path: Path) -> None:
    rejection = Rejection("../a b/Ü", "dog", 3, "x")  # type: ignore[arg-type]
    attempt = RejectedAttempt(make_sample(), 1, 0, rejection, AttemptStages(), None)
    for _ in range(2):
        RejectedPictures(tmp_path, 5).add(attempt)
    (path,) = tmp_path.rglob("*.png")
    assert path.parent == tmp_path / "rejected" / "a-b"
    with Image.open(path) as picture:
        assert json.loads(picture.info["poc_aug"])["reason"] == "../a b/Ü"


def test_pictures_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()):
        pass
    folder = path / "rejected" / "black"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    with Cache.open(path) as cache, pytest.raises(CacheFormatError, match="does not say what it shows"):
        rejected_of(cache, 8)
    (folder / "a.png").write_bytes(b"no picture")
    with Cache.open(path) as cache, pytest.raises(CacheFormatError, match=r"cannot read .*a\.png"):
        rejected_of(cache, 8)
