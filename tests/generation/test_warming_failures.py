"""Warming that meets an error: what was made before is kept; frames and variants that fail are raised or skipped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from poc_aug.cache import Cache, CacheWriter
from poc_aug.errors import DatasetError, GenerationError, SampleReadError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from poc_aug.items.open_item import open_item
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe
from tests.helpers.warming_cases import content, pipeline

# torch starts threads, and Python 3.12 warns of forking beside them; the forked jobs use one thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


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
    failed_so_far: list[int] = []
    report = warm_cache(
        DarkFirst(9),
        path,
        pipeline_of,
        num_variants=2,
        workers=0,
        on_error="skip",
        on_progress=lambda report: failed_so_far.append(len(report.failed)),
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
