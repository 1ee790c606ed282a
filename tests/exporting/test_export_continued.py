"""An export that is interrupted, in whatever way, continues; nothing half-written is taken for whole."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from poc_aug.errors import ExportError, OutputError, SampleReadError
from poc_aug.exporting.export_report import ExportReport
from poc_aug.exporting.exporter import export
from poc_aug.exporting.frame_writing import FrameWriting
from tests.helpers.export_cases import LENGTH, SPLIT, contents, warm_halos
from tests.helpers.fakes import Frames
from tests.helpers.loader_deaths import loaders_may_die

_LABELS = "annotation/city_gt_fine/train"


def run(halos: Path, out: Path, **changes: Any) -> ExportReport:
    return export(Frames(LENGTH), halos, "pebal", out, **{"workers": 0, **SPLIT, **changes})


@pytest.fixture(scope="module")
def whole(halos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed export writes."""
    out = tmp_path_factory.mktemp("whole")
    run(halos, out)
    return contents(out)


def without_counts(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != "export.json"}


def in_a_child(function: Callable[[], object]) -> int | None:
    """Run in a forked process; its exit code."""
    process = multiprocessing.get_context("fork").Process(target=function)
    process.start()
    process.join()
    return process.exitcode


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL at the n-th file that appears, before its rename: in the middle of a pair, or between two."""
    replaced, before = 0, Path.replace

    def replace(path: Path, target: Path) -> Path:
        nonlocal replaced
        replaced += 1
        if replaced == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return before(path, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("step", [1, 2, 3, 8, 13, 25, 26, 27])
def test_killed_at_any_moment(
    step: int, halos: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_at(step, patch)
        assert in_a_child(lambda: run(halos, tmp_path)) == -signal.SIGKILL
    pictures = len(list(tmp_path.glob("images/*/*/*.png")))
    assert pictures - len(list(tmp_path.glob("annotation/*/*/*.png"))) in (0, 1)
    report = run(halos, tmp_path)
    assert report.present + report.written == report.total
    assert report.present >= max(0, (step - 2) // 2 - 3)  # at most the frames of one sample are made again
    assert contents(tmp_path) == whole
    assert run(halos, tmp_path).written == 0


def test_a_killed_loader_process_is_an_error_that_names_its_samples(
    halos: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if multiprocessing.get_start_method() != "fork":
        pytest.skip("the patch reaches forked processes only")
    here, before = os.getpid(), FrameWriting._write

    def write(task: FrameWriting, number: int, key: str, frames: Any) -> Any:
        if number == 2 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return before(task, number, key, frames)

    with monkeypatch.context() as patch:
        patch.setattr(FrameWriting, "_write", write)
        with loaders_may_die(), pytest.raises(SampleReadError, match="killed by SIGKILL"):
            run(halos, tmp_path, workers=1)
    run(halos, tmp_path)
    assert without_counts(contents(tmp_path)) == without_counts(whole)


def test_ctrl_c_leaves_what_was_written_and_no_half_file(halos: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    def interrupt(report: ExportReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(halos, tmp_path, on_progress=interrupt)
    assert not (tmp_path / ".partial").exists()
    assert json.loads((tmp_path / "export.json").read_bytes())["complete"] is False
    report = run(halos, tmp_path)
    assert (report.present, report.written) == (3, 3 * LENGTH - 3)
    assert contents(tmp_path) == whole


def test_ctrl_c_ends_the_loader_processes_before_the_folder_is_free(halos: Path, tmp_path: Path) -> None:
    def interrupt(report: ExportReport) -> None:
        raise KeyboardInterrupt

    others = {child.pid for child in multiprocessing.active_children()}  # of tests before, until they are collected
    with pytest.raises(KeyboardInterrupt):
        run(halos, tmp_path, workers=2, on_progress=interrupt)
    assert {child.pid for child in multiprocessing.active_children()} <= others
    assert not (tmp_path / ".partial").exists()


def test_a_full_disk_is_an_error_that_says_so_and_the_export_continues(
    halos: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, before = 0, Path.write_bytes

    def write(path: Path, content: bytes) -> int:
        nonlocal written
        written += 1
        if written == 11:
            before(path, content[:40])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return before(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write)
        with pytest.raises(OutputError, match=r"frame-001_v1_gtFine\.png.*No space left") as caught:
            run(halos, tmp_path)
    assert caught.value.expected == "a disk with room"
    assert "run the same export again" in caught.value.hint
    assert not (tmp_path / ".partial").exists()
    assert run(halos, tmp_path).present >= 3
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("harm", ["missing", "shorter"])
def test_a_harmed_frame_is_written_again(harm: str, halos: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    run(halos, tmp_path)
    victim = tmp_path / _LABELS / "frame-002_v1_gtFine.png"
    content = victim.read_bytes()
    victim.unlink()
    if harm == "shorter":
        victim.write_bytes(content[:-1])
    assert run(halos, tmp_path).written == 1
    assert contents(tmp_path) == whole


def test_a_torn_or_foreign_line_of_the_record_is_made_again(
    halos: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    run(halos, tmp_path)
    record = tmp_path / "export.frames.jsonl"
    for harmed, again in ((record.read_bytes()[:-9], 1), (b"[1]\n" + record.read_bytes(), 3 * LENGTH)):
        record.write_bytes(harmed)
        assert run(halos, tmp_path).written == again
        assert contents(tmp_path) == whole


def test_more_variants_are_added_and_fewer_are_refused(halos: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    run(halos, tmp_path, variants=[0, 2])
    report = run(halos, tmp_path)
    assert (report.present, report.written) == (2 * LENGTH, LENGTH)
    assert contents(tmp_path) == whole
    with pytest.raises(
        ExportError, match=f"holds {LENGTH} frames that this export does not have, such as 'frame-000_v1'"
    ):
        run(halos, tmp_path, variants=[0, 2])
    assert contents(tmp_path) == whole


def test_what_the_journal_leaves_out_is_written_again_without_it(tmp_path: Path) -> None:
    cache = warm_halos(tmp_path / "a.cache")
    before = run(cache, tmp_path / "out")
    with JournalWriter(cache) as writer:
        writer.append("drop", Selection(class_name="dog"))
    after = run(cache, tmp_path / "out")
    assert "dog" in before.objects
    assert after.objects == {name: count for name, count in before.objects.items() if name != "dog"}
    assert after.ood_px < before.ood_px
    run(cache, tmp_path / "anew")
    assert without_counts(contents(tmp_path / "out")) == without_counts(contents(tmp_path / "anew"))


def test_a_variant_that_gets_another_number_is_written_again(halos: Path, tmp_path: Path) -> None:
    grown = warm_halos(tmp_path / "grown.cache", num_variants=1, seed=7)
    united, anew = tmp_path / "united", tmp_path / "anew"
    export(Frames(LENGTH), [grown, halos], "pebal", united, workers=0, **SPLIT)
    warm_halos(grown, num_variants=2, seed=7)  # the other cache's variants get higher numbers
    report = export(Frames(LENGTH), [grown, halos], "pebal", united, workers=0, **SPLIT)
    assert (report.present, report.written) == (LENGTH, 4 * LENGTH)
    export(Frames(LENGTH), [grown, halos], "pebal", anew, workers=0, **SPLIT)
    assert without_counts(contents(united)) == without_counts(contents(anew))
