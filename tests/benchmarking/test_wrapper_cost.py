"""What the wrapper adds to reading: both arms, the tables, and the scripts."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from poc_aug.benchmarking.wrapper_cost import READING_STAGES, bench_reading, decode_item, print_result, reading_time
from poc_aug.errors import CacheDatasetMismatchError, SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.quick_start import run_script

LENGTH = 5
VARIANTS = 2


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "frames.cache"
    warm_cache(
        Frames(LENGTH), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=VARIANTS, workers=0
    )
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_result_says_all_that_a_figure_needs(cache_path: Path, tmp_path: Path, workers: int) -> None:
    result = bench_reading(Frames(LENGTH), cache_path, workers=workers, items=7, repeats=2)
    assert (result.samples, result.variants) == (LENGTH, LENGTH * VARIANTS)
    assert result.base_s.runs == result.wrapped_s.runs == result.ratio.runs == 2
    assert tuple(result.stages_s) == READING_STAGES
    assert all(spread.runs == 2 * LENGTH for spread in result.stages_s.values())
    assert result.objects >= 1
    assert result.mb_per_sample == pytest.approx(VARIANTS * result.mb_per_variant)
    result.write(tmp_path / "deep" / "result.json")
    written = json.loads((tmp_path / "deep" / "result.json").read_text())
    assert written["environment"]["cores"] >= 1
    assert {"date", "commit", "cpu", "torch", "lmdb", "pillow"} <= written["environment"].keys()
    assert written["items"] == 7
    assert written["cache"]["nbytes"] == result.cache_nbytes > 0


def test_the_tables_show_both_rates_and_every_stage(cache_path: Path) -> None:
    result = bench_reading(Frames(LENGTH), cache_path, workers=0, items=3, repeats=1)
    shown = io.StringIO()
    print_result(Console(width=120, file=shown), result)
    assert all(
        text in shown.getvalue() for text in (*READING_STAGES, "base", "wrapped", "MB per sample", "MB per variant")
    )


@pytest.mark.parametrize(("name", "value"), [("workers", -1), ("items", 0), ("repeats", 0)])
def test_numbers_out_of_range_are_named(cache_path: Path, name: str, value: int) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(SettingError, match=f"{name}={value}"):
        bench_reading(Frames(LENGTH), cache_path, **settings)


def test_a_cache_without_objects_is_an_error_not_a_figure(tmp_path: Path) -> None:
    path = tmp_path / "empty.cache"
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter(reject=1.0))
    warm_cache(Frames(LENGTH), path, pipeline, num_variants=1, workers=0)
    with pytest.raises(CacheDatasetMismatchError, match="holds no object"):
        bench_reading(Frames(LENGTH), path, workers=0, items=2, repeats=1)


class Recorded(Frames):
    """Records which items were read."""

    def __init__(self) -> None:
        super().__init__(LENGTH)
        self.read: list[int] = []

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        return super().__getitem__(index)


def test_both_arms_read_the_same_items_in_the_same_order(cache_path: Path) -> None:
    base = Recorded()
    bench_reading(base, cache_path, workers=0, items=LENGTH, repeats=1)
    runs = base.read[-4 * LENGTH :]  # warm-up and one measurement of each arm
    assert [runs[i : i + LENGTH] for i in range(0, len(runs), LENGTH)] == [runs[:LENGTH]] * 4
    assert sorted(runs[:LENGTH]) == list(range(LENGTH))


def test_lazily_opened_pictures_are_decoded(tmp_path: Path) -> None:
    Image.new("L", (17, 11)).save(tmp_path / "labels.png")
    for make in (lambda picture: (picture, 1), lambda picture: [0, picture], lambda picture: {"mask": picture}):
        with Image.open(tmp_path / "labels.png") as picture:
            assert picture.fp is not None  # not decoded yet
            item = make(picture)
            assert decode_item(item) is item
            assert picture.fp is None


def test_reading_time_can_be_asked_again(tmp_path: Path) -> None:
    base = Recorded()
    measure = reading_time(base, [2, 0, 2], workers=0)
    assert measure() > 0
    assert measure() > 0
    assert base.read == [2, 0, 2, 2, 0, 2]


@pytest.mark.parametrize("script", ["regions", "cache_read"])
def test_the_scripts_run_and_write_their_result(script: str, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = run_script(f"benchmarks/{script}.py", "--smoke", "--repeats", "1", "--out", out)
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    assert written["benchmark"] == script
    assert written["environment"]["cpu"]
    assert "synthetic" in written["results"]
