"""Layouts that collect frames into larger files: SIGKILL at any file that appears, then the same export again."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from poc_aug.exporting.exporter import export
from poc_aug.exporting.layout_protocol import ExportLayout
from poc_aug.exporting.layouts.coco import CocoLayout
from poc_aug.exporting.layouts.fiftyone import FiftyOneLayout
from poc_aug.exporting.layouts.huggingface import HuggingFaceLayout
from poc_aug.exporting.layouts.webdataset import WebDatasetLayout
from tests.helpers.export_cases import LENGTH, contents
from tests.helpers.fakes import Frames

LAYOUTS = (WebDatasetLayout(shard_frames=3), CocoLayout(), HuggingFaceLayout(), FiftyOneLayout())


def run(halos: Path, out: Path, layout: ExportLayout) -> Any:
    return export(Frames(LENGTH), halos, layout, out, split="train", workers=0)


def appearing(halos: Path, out: Path, layout: ExportLayout, *, kill_at: int = 0) -> int:
    """Export in a forked process, killed when its n-th file is about to appear; how many appeared, if it was not."""

    def work(connection: Any) -> None:
        before, count = Path.replace, 0

        def replace(path: Path, target: Any) -> Path:
            nonlocal count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return before(path, target)

        Path.replace = replace  # type: ignore[method-assign, assignment]
        run(halos, out, layout)
        connection.send(count)

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(sender,))
    process.start()
    sender.close()
    try:
        count: int = receiver.recv()
    except EOFError:
        count = -1
    process.join()
    assert process.exitcode == (-signal.SIGKILL if kill_at else 0)
    return count


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_killed_at_any_moment(layout: ExportLayout, halos: Path, tmp_path: Path) -> None:
    count = appearing(halos, tmp_path / "whole", layout)
    whole = contents(tmp_path / "whole")
    assert count > 20
    # While frames are written, and at each of the last files, when they are collected.
    for step in (1, 5, count // 2, *range(count - 4, count + 1)):
        out = tmp_path / f"killed-{step}"
        appearing(halos, out, layout, kill_at=step)
        report = run(halos, out, layout)
        assert report.present + report.written == report.total
        assert contents(out) == whole
        assert run(halos, out, layout).written == 0
