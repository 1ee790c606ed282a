from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import random
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from poc_aug.cache import Cache, CacheWriter
from poc_aug.cli.progress import print_report
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import (
    CacheDiskError,
    CacheMismatchError,
    DatasetError,
    GenerationError,
    PocAugError,
    RecipeError,
    SampleReadError,
    SchemaError,
)
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import WarmReport, warm_cache
from poc_aug.items.open_item import open_item
from poc_aug.labels.schema import LabelSchema
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe

# torch starts threads, and Python 3.12 warns of forking beside them; the forked jobs use one thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def pipeline(**changes: object) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(**changes), EllipseInserter(reject=0.3))


def content(path: Path) -> dict[tuple[str, int], bytes]:
    with Cache.open(path) as cache:
        assert cache.verify().ok
        records = {}
        for key, index in cache:
            raw = cache.raw(key, index)
            assert raw is not None
            records[key, index] = raw
        return records


def test_running_twice_does_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    first = warm_cache(Frames(5), path, pipeline(), num_variants=2, workers=0)
    assert (first.total, first.present, first.made) == (10, 0, 10)
    assert first.objects > 0
    assert first.rejections["black"] > 0
    before = content(path)
    files = {file: file.stat().st_mtime_ns for file in path.rglob("*.lmdb")}
    second = warm_cache(Frames(5), path, pipeline(), num_variants=2, workers=0)
    assert (second.total, second.present, second.made) == (10, 10, 0)
    assert content(path) == before
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*.lmdb")} == files


def test_steps_add_up_to_one_run(tmp_path: Path) -> None:
    whole, steps = tmp_path / "whole.cache", tmp_path / "steps.cache"
    warm_cache(Frames(6), whole, pipeline(), num_variants=3, workers=2)
    warm_cache(Frames(6), steps, pipeline(), num_variants=1, limit=4, workers=0)
    warm_cache(Frames(6), steps, pipeline(), num_variants=3, limit=2, workers=1)
    report = warm_cache(Frames(6), steps, pipeline(), num_variants=3, workers=2)
    assert report.present == 8
    assert content(steps) == content(whole)


def test_rejected_variants_are_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "black.cache"
    never = InsertionPipeline(make_recipe(), EllipseInserter(reject=1.0))
    assert warm_cache(Frames(3), path, never, num_variants=1, workers=0).objects == 0
    assert warm_cache(Frames(3), path, never, num_variants=1, workers=0).made == 0


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[int] = []

    def on_progress(report: WarmReport) -> None:
        seen.append(report.made)
        assert 0 < report.acceptance <= 1

    warm_cache(Frames(3), tmp_path / "a.cache", pipeline(), num_variants=2, workers=0, on_progress=on_progress)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    warm_cache(Frames(2), tmp_path / "a.cache", pipeline(), num_variants=1, workers=1)
    assert torch.equal(state, torch.get_rng_state())


def test_an_unreadable_image_is_named_skipped_or_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    broken = Frames(6, broken=(2, 4))
    with pytest.raises(SampleReadError, match=r"'frame-002'.*truncated"):
        warm_cache(broken, path, pipeline(), num_variants=1, workers=0)
    report = warm_cache(broken, path, pipeline(), num_variants=1, workers=2, on_error="skip")
    assert [key for key, _ in report.unreadable] == ["frame-002", "frame-004"]
    assert {key for key, _ in content(path)} == {f"frame-00{i}" for i in (0, 1, 3, 5)}
    # What was repaired is made later.
    assert warm_cache(Frames(6), path, pipeline(), num_variants=1, workers=0).made == 2


def test_a_run_killed_before_its_manifest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    (path / "shards").mkdir(parents=True)
    assert warm_cache(Frames(2), path, pipeline(), num_variants=1, workers=0).made == 2


class Once(EllipseInserter):
    """Never rejects; ``interrupt`` is the number of the batch in which Ctrl-C comes."""

    def __init__(self, interrupt: int | None = None) -> None:
        super().__init__()
        self.interrupt = interrupt

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        if len(self.batches) == self.interrupt:
            os.kill(os.getpid(), signal.SIGINT)
        return super().insert(crops)


def one_crop_a_variant(inserter: EllipseInserter) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(objects_per_variant=[1, 1], location=[]), inserter, batch_size=4)


@pytest.mark.parametrize("broken", [0, 1, 4, 6, 13, 29])
def test_what_was_made_before_an_error_is_kept(tmp_path: Path, broken: int) -> None:
    path, whole = tmp_path / "a.cache", tmp_path / "whole.cache"
    inserter = Once()
    with pytest.raises(SampleReadError):
        warm_cache(Frames(30, broken=(broken,)), path, one_crop_a_variant(inserter), num_variants=1, workers=0)
    kept = content(path)
    assert len(kept) == sum(inserter.batches)
    assert len(kept) >= broken // 4 * 4 - 8  # all but a batch that waited, and what was not enough for a batch
    warm_cache(Frames(30), whole, one_crop_a_variant(Once()), num_variants=1, workers=0)
    assert kept.items() <= content(whole).items()
    report = warm_cache(Frames(30), path, one_crop_a_variant(Once()), num_variants=1, workers=0)
    assert (report.present, report.made) == (len(kept), 30 - len(kept))
    assert content(path) == content(whole)


@pytest.mark.parametrize("batch", [0, 3])
def test_what_was_made_before_ctrl_c_is_kept(tmp_path: Path, batch: int) -> None:
    path = tmp_path / "a.cache"
    inserter = Once(interrupt=batch)
    with pytest.raises(KeyboardInterrupt):
        warm_cache(Frames(40), path, one_crop_a_variant(inserter), num_variants=1, workers=0)
    # Where Ctrl-C finds the caller's thread at cutting one out, that one is lost.
    assert sum(inserter.batches) - 1 <= len(content(path)) <= sum(inserter.batches)
    assert sum(inserter.batches) < 40
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("poc-aug-accelerator")]
    assert warm_cache(Frames(40), path, one_crop_a_variant(Once()), num_variants=1, workers=0).total == 40
    assert len(content(path)) == 40


def test_what_was_made_before_an_error_of_the_callers_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    inserter = Once()

    def on_progress(report: WarmReport) -> None:
        if report.made == 6:
            raise ZeroDivisionError("of the caller's")

    with pytest.raises(ZeroDivisionError):
        warm_cache(Frames(40), path, one_crop_a_variant(inserter), num_variants=1, workers=0, on_progress=on_progress)
    assert len(content(path)) == sum(inserter.batches) < 40


class Hard(EllipseInserter):
    """Rejects whatever is nearly black."""

    def _one(self, crop: Crop) -> Filled | Rejection:
        return Rejection("black") if int(crop.image.max()) < 32 else super()._one(crop)


class DarkFirst(Frames):
    """The first frame is nearly black."""

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        image, labels = super().__getitem__(index)
        return (image.point(lambda level: level // 8) if index == 0 else image), labels


def test_a_slow_variant_keeps_no_others_from_being_stored_and_order_does_not_matter(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.cache", tmp_path / "whole.cache"
    dataset = DarkFirst(40)
    recipe = make_recipe(objects_per_variant=[1, 1], attempts=40)

    def on_progress(report: WarmReport) -> None:
        if report.made == 20:
            raise ZeroDivisionError("enough")

    hard = InsertionPipeline(recipe, Hard(), batch_size=3)
    with pytest.raises(ZeroDivisionError):
        warm_cache(dataset, path, hard, num_variants=1, workers=0, on_progress=on_progress)
    stored = content(path)
    assert ("frame-000", 0) not in stored
    assert 20 <= len(stored) < 40
    report = warm_cache(dataset, path, hard, num_variants=1, workers=0)
    assert (report.present, report.made) == (len(stored), 40 - len(stored))

    alone = InsertionPipeline(recipe, Hard(), schema=SCHEMA, batch_size=1)
    with Cache.open(path) as cache:
        manifest = cache.manifest
    with CacheWriter(whole, manifest) as writer:
        for number, key in enumerate(dataset.keys()):
            writer.put(alone.generate(open_item(dataset[number], None, key=key).sample(key)))
    assert content(path) == content(whole)


class Failing(EllipseInserter):
    """Raises on dark crops, as a library might; ``repaired`` no more."""

    repaired = False

    def _one(self, crop: Crop) -> Filled | Rejection:
        if not self.repaired and int(crop.image.max()) < 32:
            raise ZeroDivisionError("nearly black")
        return super()._one(crop)


def test_a_variant_that_a_backend_raises_on_is_raised_or_skipped_and_tried_again(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.cache", tmp_path / "whole.cache"
    inserter = Failing()
    pipeline_of = one_crop_a_variant(inserter)
    with pytest.raises(GenerationError, match=r"'frame-000'.*ZeroDivisionError: nearly black") as raised:
        warm_cache(DarkFirst(9), path, pipeline_of, num_variants=2, workers=0)
    assert "on_error='skip'" in raised.value.hint
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    told: list[int] = []
    report = warm_cache(
        DarkFirst(9),
        path,
        pipeline_of,
        num_variants=2,
        workers=0,
        on_error="skip",
        on_progress=lambda report: told.append(len(report.failed)),
    )
    assert [(key, index) for key, index, _ in report.failed] == [("frame-000", 0), ("frame-000", 1)]
    assert all("ZeroDivisionError: nearly black" in text for _, _, text in report.failed)
    assert (report.total, report.present + report.made) == (18, 16)
    assert set(content(path)) == {(f"frame-00{number}", index) for number in range(1, 9) for index in range(2)}
    # The next run tries them again, and only them.
    again = warm_cache(DarkFirst(9), path, pipeline_of, num_variants=2, workers=0, on_error="skip")
    assert (again.present, again.made, len(again.failed)) == (16, 0, 2)
    inserter.repaired = True
    last = warm_cache(DarkFirst(9), path, pipeline_of, num_variants=2, workers=0, on_error="skip")
    assert (last.made, last.failed) == (2, [])
    warm_cache(DarkFirst(9), whole, pipeline_of, num_variants=2, workers=0)
    assert content(path) == content(whole)


def test_a_broken_contract_is_raised_whatever_is_skipped(tmp_path: Path) -> None:
    class Short(EllipseInserter):
        def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
            return super().insert(crops)[1:]

    with pytest.raises(GenerationError, match="Short returned 3 results for 4 crops"):
        warm_cache(
            Frames(6), tmp_path / "a.cache", one_crop_a_variant(Short()), num_variants=1, workers=0, on_error="skip"
        )


class SmallSecond(Frames):
    """The second frame is smaller than the others."""

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        image, labels = super().__getitem__(index)
        return (image.resize((31, 23)), labels.resize((31, 23), 0)) if index == 1 else (image, labels)


def test_a_frame_smaller_than_a_crop_is_raised_or_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    crops = InsertionPipeline(make_recipe(objects=[{"name": "person", "crop_px": 40}], location=[]), EllipseInserter())
    with pytest.raises(DatasetError, match=r"'frame-001' is 23x31 pixels .*crop_px=40") as caught:
        warm_cache(SmallSecond(4), path, crops, num_variants=1, workers=1)
    assert not isinstance(caught.value, SampleReadError)
    report = warm_cache(SmallSecond(4), path, crops, num_variants=1, workers=1, on_error="skip")
    assert [key for key, _ in report.unreadable] == ["frame-001"]
    assert "23x31" in report.unreadable[0][1]
    assert report.present + report.made == 3


def test_the_report_tells_what_was_tried(tmp_path: Path) -> None:
    report = warm_cache(Frames(8), tmp_path / "a.cache", pipeline(), num_variants=2, workers=0)
    statistics = report.statistics
    assert statistics.accepted.total() == report.objects
    assert statistics.attempts.total() == report.objects + sum(report.rejections.values())
    reasons: Counter[str] = Counter()
    for (_, reason), count in statistics.rejections.items():
        reasons[reason] += count
    assert reasons == report.rejections
    assert statistics.seconds["scene"] > 0
    assert "statistics" not in repr(report)


def test_the_report_is_printed(tmp_path: Path) -> None:
    def printed(report: WarmReport) -> str:
        out = io.StringIO()
        console = Console(file=out, width=200, soft_wrap=True, markup=False, emoji=False, color_system=None)
        print_report(console, report, "[/out]")
        return " ".join(out.getvalue().split())

    report = warm_cache(Frames(8), tmp_path / "a.cache", pipeline(), num_variants=2, workers=0)
    told = printed(report)
    for name, count in report.statistics.attempts.items():
        assert f"{name} {count} {report.statistics.accepted[name]} " in told
    rejected = sum(report.rejections.values())
    assert f"all {report.objects + rejected} {report.objects} {report.rejections['black']} black" in told
    report.statistics.seconds["insert"] = 12.34
    report.statistics.count("[red]:cat:", "[too] small")
    report.failed = [("[/data/x]", 3, "[red]:cat:")]
    told = printed(report)
    assert "insert 12.3" in told
    assert "[red]:cat: 1 0 1 [too] small" in told
    assert "failed: [/data/x], variant 3: [red]:cat:" in told
    assert "cache: [/out]" in told
    assert "failed" in printed(WarmReport(total=1, failed=[("a", 0, "b")]))
    assert "nothing to do" in printed(WarmReport(total=1, present=1))
    out = io.StringIO()
    print_report(Console(file=out, width=200, force_terminal=True, color_system="standard"), report, "a.cache")
    assert "\x1b[33m  failed" in out.getvalue()


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(2), path, pipeline(), num_variants=1, workers=0)
    before = content(path)
    with pytest.raises(CacheMismatchError, match="margin_px"):
        warm_cache(Frames(2), path, pipeline(margin_px=3), num_variants=2, workers=0)
    with pytest.raises(CacheMismatchError, match="reject"):
        warm_cache(Frames(2), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=2, workers=0)
    assert content(path) == before


def test_an_unknown_schema_is_an_error_before_any_work(tmp_path: Path) -> None:
    class Bare(Frames):
        schema = None  # type: ignore[assignment]

    with pytest.raises(SchemaError, match="schema is not known"):
        warm_cache(Bare(2), tmp_path / "a.cache", pipeline(), workers=0)
    assert not (tmp_path / "a.cache").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_variants": 0}, "num_variants=0"),
        ({"limit": 0}, "limit=0"),
        ({"workers": -1}, "-1"),
        ({"on_error": "x"}, "'x'"),
    ],
)
def test_bad_parameters_are_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        warm_cache(Frames(2), tmp_path / "a.cache", pipeline(), **changes)
    with pytest.raises(PocAugError, match="tiff"):
        warm_cache(Frames(2), tmp_path / "a.cache", pipeline(), codec="tiff")  # type: ignore[arg-type]


class Slow(EllipseInserter):
    """How slowly an inserter works is no part of its description."""

    def _one(self, crop: Crop) -> Filled | Rejection:
        time.sleep(0.005)
        return super()._one(crop)


def job(path: str, workers: int, ready: Any, file_limit: int | None = None) -> None:
    """What the processes run that these tests kill."""
    torch.set_num_threads(1)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    os.setpgrp()
    ready.set()
    try:
        warm_cache(
            Frames(40), path, InsertionPipeline(make_recipe(), Slow(reject=0.3)), num_variants=3, workers=workers
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except CacheDiskError as error:
        sys.exit(28 if path in str(error) else 1)


def start(path: Path, workers: int = 0, file_limit: int | None = None) -> Any:
    context = multiprocessing.get_context("fork")  # starts in milliseconds: torch is imported already
    ready = context.Event()
    process = context.Process(target=job, args=(str(path), workers, ready, file_limit))
    process.start()
    assert ready.wait(60)
    return process


def kill(process: Any) -> None:
    """Kill the process itself; its loader workers live on for a moment."""
    process.kill()
    process.join()


def end_workers(process: Any) -> None:
    """End the loader workers of a killed process: `job` leads a process group."""
    with contextlib.suppress(ProcessLookupError):  # they may have ended by themselves
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_shard(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not list(path.glob("shards/*.lmdb")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_twenty_moments_and_resumed_equals_one_run(tmp_path: Path) -> None:
    whole = tmp_path / "whole.cache"
    warm_cache(Frames(40), whole, pipeline(), num_variants=3, workers=0)
    expected = content(whole)

    # Moments are shares of the time that a whole run takes here and now, whatever else the machine does.
    began = time.monotonic()
    start(tmp_path / "timed.cache").join()
    whole_s = time.monotonic() - began
    path = tmp_path / "killed.cache"
    moments = random.Random(7)
    sizes: set[int] = set()
    for number in range(20):
        process = start(path, workers=number % 3)
        time.sleep(moments.uniform(0.0, 0.6) * whole_s)
        kill(process)
        end_workers(process)
        if (path / "manifest.json").exists():
            stored = content(path)
            assert stored.items() <= expected.items()
            sizes.add(len(stored))
    assert any(0 < size < len(expected) for size in sizes)  # some of them fell into the middle
    last = start(path)
    last.join()
    assert last.exitcode == 0
    assert content(path) == expected


def test_interrupt_keeps_what_was_made(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(path, workers=1)
    wait_for_shard(path)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130
    assert 0 < len(content(path)) < 120


def test_a_full_disk_is_told_and_nothing_committed_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(path, file_limit=150_000)
    process.join()
    assert process.exitcode == 28
    kept = content(path)
    warm_cache(Frames(40), path, pipeline(), num_variants=3, workers=0)
    assert kept.items() <= content(path).items()
    assert len(content(path)) == 120


def test_no_lock_is_left_by_a_killed_job(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(path, workers=2)
    wait_for_shard(path)
    kill(process)
    try:
        assert warm_cache(Frames(40), path, pipeline(), num_variants=3, workers=0).total == 120
    finally:
        end_workers(process)


class Bare(Frames):
    """Whose schema nobody knows."""

    schema = None  # type: ignore[assignment]


def test_the_pipelines_own_schema_counts_where_the_datasets_is_not_known(tmp_path: Path) -> None:
    path, known = tmp_path / "a.cache", tmp_path / "known.cache"
    own = InsertionPipeline(make_recipe(), EllipseInserter(), schema=SCHEMA)
    assert warm_cache(Bare(3), path, own, num_variants=1, workers=0).objects
    with Cache.open(path) as opened:
        assert opened.manifest.dataset["schema"] == SCHEMA.name
    warm_cache(Frames(3), known, own, num_variants=1, workers=0)
    assert content(path) == content(known)
    # A dataset that generates while it is read takes the same one, for its label policy too.
    with POCAugmentedDataset(Bare(3), pipeline=own, p=1.0) as ds:
        assert ds.base_schema == SCHEMA
        assert ds[0]


def test_a_given_or_certain_schema_counts_before_the_pipelines(tmp_path: Path) -> None:
    other = InsertionPipeline(
        make_recipe(), EllipseInserter(), schema=LabelSchema("other", {"road": 2}, ground=("road",))
    )  # fmt: skip
    for name, dataset, schema in (("certain", Frames(2), None), ("given", Bare(2), SCHEMA)):
        warm_cache(dataset, tmp_path / f"{name}.cache", other, schema=schema, num_variants=1, workers=0)
        with Cache.open(tmp_path / f"{name}.cache") as opened:
            assert opened.manifest.dataset["schema"] == SCHEMA.name
