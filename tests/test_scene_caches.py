"""`SceneShiftDataset` and caches: of frames, and of insertions for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poc_aug import (
    Cache,
    InsertionPipeline,
    OodLabels,
    POCAugmentedDataset,
    SceneRecipe,
    SceneShiftDataset,
    ShiftPipeline,
    warm_cache,
)
from poc_aug.errors import (
    CacheDatasetMismatchError,
    CacheMismatchError,
)
from poc_aug.scenes.shifter_protocol import Agreement, SceneFrame
from poc_aug.types import Rejection
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe
from tests.helpers.item_forms import IMAGES, LABELS, pixels_of
from tests.helpers.kinds import InPlace
from tests.helpers.scene_cases import Items, many


def warmed(path: Path, **changes: Any) -> SceneShiftDataset:
    ds = many(variants="all", **changes)
    warm_cache(ds, path, workers=0, codec="zstd")
    return ds


def test_cached_equals_generated(tmp_path: Path) -> None:
    ds = warmed(tmp_path / "a.cache")
    cached = many(cache=tmp_path / "a.cache", variants="all")
    assert len(cached) == len(ds)
    for index in range(len(ds)):
        assert (pixels_of(cached[index][0]) == pixels_of(ds[index][0])).all()
    counts = cached.stats()
    assert counts.generated == 0
    assert counts.hits + counts.empty == len(ds)
    assert cached.cache is not None
    rejected = Counter(reason for key, i in cached.cache for reason in _reasons(cached.cache, key, i))
    assert rejected["black"] > 0  # each was tried again with another seed


def _reasons(cache: Cache, key: str, index: int) -> list[str]:
    variant = cache.get(key, index)
    assert variant is not None
    return [rejection.reason for rejection in variant.rejections]


def test_some_of_the_shifts_of_a_cache_can_be_read(tmp_path: Path) -> None:
    warmed(tmp_path / "a.cache")
    part = SceneShiftDataset(Frames(6), InPlace("dusk"), tmp_path / "a.cache", severity=4)
    alone = SceneShiftDataset(Frames(6), InPlace("dusk"), severity=4, num_variants=2)
    assert {pixels_of(part[i][0]).tobytes() for i in range(6)} <= {
        pixels_of(item[0]).tobytes() for epoch in range(9) for item in _epoch(alone, epoch)
    }
    with pytest.raises(CacheMismatchError, match="holds no frames of dusk-3"):
        SceneShiftDataset(Frames(6), InPlace("dusk"), tmp_path / "a.cache", severity=3)
    with pytest.raises(CacheMismatchError, match="holds no frames of fog-4"):
        SceneShiftDataset(Frames(6), InPlace("fog"), tmp_path / "a.cache", severity=4)


def _epoch(ds: SceneShiftDataset, epoch: int) -> list[Any]:
    ds.set_epoch(epoch)
    return [ds[index] for index in range(len(ds))]


def test_another_dataset_than_the_caches(tmp_path: Path) -> None:
    warmed(tmp_path / "a.cache")

    class Others(Frames):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index + 100)

    ds = SceneShiftDataset(Others(6), InPlace("dusk"), tmp_path / "a.cache", severity=4)
    with pytest.raises(CacheDatasetMismatchError):
        ds[0]
    with pytest.raises(CacheDatasetMismatchError, match="holds none"):
        SceneShiftDataset(
            Items((IMAGES["pil"](), LABELS["pil L"]()), 3), InPlace("dusk"), tmp_path / "a.cache", severity=4
        )


def test_a_cache_that_lacks_samples_is_read_only_on_request(tmp_path: Path) -> None:
    ds = SceneShiftDataset(Frames(6), InPlace("dusk"))
    warm_cache(ds, tmp_path / "a.cache", limit=2, workers=0)
    half = SceneShiftDataset(Frames(6), InPlace("dusk"), tmp_path / "a.cache", on_miss="original")
    assert [bool((pixels_of(half[i][0]) == pixels_of(Frames(6)[i][0])).all()) for i in range(6)] == [False] * 2 + [
        True
    ] * 4
    assert half.stats().missed == 4


def test_limit_counts_samples_in_all_domains(tmp_path: Path) -> None:
    report = warm_cache(many(), tmp_path / "a.cache", limit=2, workers=0)
    assert report.total == 2 * 2 * 2 * 2
    assert warm_cache(many(), tmp_path / "a.cache", workers=0).present == report.made


def test_the_job_takes_a_pipeline_and_a_plain_dataset_too(tmp_path: Path) -> None:
    recipe = SceneRecipe(domains=("dusk",), severities=(2,))
    pipeline = ShiftPipeline(recipe, [InPlace("dusk")])
    warm_cache(Frames(3), tmp_path / "a.cache", pipeline, workers=0)
    warm_cache(SceneShiftDataset(Frames(3), InPlace("dusk"), severity=2), tmp_path / "b.cache", workers=0)
    one, other = Cache.open(tmp_path / "a.cache"), Cache.open(tmp_path / "b.cache")
    assert list(one) == list(other)
    assert [one.raw(*name) for name in one] == [other.raw(*name) for name in other]


def test_caches_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    warmed(tmp_path / "frames.cache")
    with pytest.raises(CacheMismatchError, match="holds shifted frames"):
        POCAugmentedDataset(Frames(6), tmp_path / "frames.cache")
    insertions = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(Frames(6), tmp_path / "insertions.cache", insertions, workers=0)
    with pytest.raises(CacheMismatchError, match="holds insertions"):
        SceneShiftDataset(Frames(6), InPlace("dusk"), tmp_path / "insertions.cache")
    with pytest.raises(CacheMismatchError):
        warm_cache(Frames(6), tmp_path / "frames.cache", insertions, workers=0)


# Both together


def test_insertions_for_shifted_frames(tmp_path: Path) -> None:
    dusk = SceneShiftDataset(Frames(4), InPlace("dusk"), severity=4)
    warm_cache(dusk, tmp_path / "a.cache", InsertionPipeline(make_recipe(), EllipseInserter()), workers=0)
    assert Cache.open(tmp_path / "a.cache").keys()[0] == "frame-000@dusk-4"
    ds = POCAugmentedDataset(dusk, tmp_path / "a.cache", OodLabels(254), p=1.0)
    assert any(254 in np.asarray(ds[index][1]) for index in range(4))
    with pytest.raises(CacheDatasetMismatchError):
        POCAugmentedDataset(SceneShiftDataset(Frames(4), InPlace("dusk"), severity=1), tmp_path / "a.cache")


def test_shifted_composed_frames(tmp_path: Path) -> None:
    warm_cache(Frames(4), tmp_path / "a.cache", InsertionPipeline(make_recipe(), EllipseInserter()), workers=0)
    composed = POCAugmentedDataset(Frames(4), tmp_path / "a.cache", OodLabels(254), p=1.0, variant=0)
    seen: list[SceneFrame] = []

    class Seeing(InPlace):
        def shift(self, frames: Any) -> Any:
            seen.extend(frames)
            return super().shift(frames)

    ds = SceneShiftDataset(composed, Seeing("dusk"))
    for index in range(4):
        (_, before), (_, after) = composed[index], ds[index]
        assert (np.asarray(before) == np.asarray(after)).all()  # OOD ids survive
    schema = seen[0].schema
    assert schema is not None
    assert schema.ood == ("cat", "dog")  # "car" is a class of the base
    assert any(bool((frame.labels == 254).any()) for frame in seen)


# Labels that do not hold


class Check:
    """Labels hold if a frame's seed is even."""

    def describe(self) -> dict[str, Any]:
        return {"agreement": "even seeds"}

    def check(self, frames: Any, shifted: Any) -> list[Agreement]:
        return [
            Agreement({"road": 0.5}, 0.9 if frame.seed % 2 == 0 else 0.1, frame.seed % 2 == 0, "worst: road")
            for frame in frames
        ]


def test_frames_whose_labels_do_not_hold_are_made_again_and_left_out(tmp_path: Path) -> None:
    recipe = SceneRecipe(domains=("dusk",), attempts=2)
    pipeline = ShiftPipeline(recipe, [InPlace("dusk")], agreement=Check())
    report = warm_cache(Frames(40), tmp_path / "a.cache", pipeline, workers=0, keep_rejected=2)
    assert report.rejections["labels do not hold"] > 10
    assert 0 < report.without_object < 20
    cache = Cache.open(tmp_path / "a.cache")
    kept = [variant for name in cache if (variant := cache.get(*name)) is not None and variant.frame is not None]
    assert len(kept) == 40 - report.without_object
    for variant in kept:
        assert variant.frame is not None
        assert variant.frame.provenance["agreement"] == 0.9
        assert variant.frame.provenance["agreement_by_class"] == {"road": 0.5}
        assert variant.frame.provenance["seed"] % 2 == 0  # type: ignore[operator]
    pictures = list((tmp_path / "a.cache" / "rejected" / "labels-do-not-hold").glob("*.png"))
    assert len(pictures) == 2
    ds = SceneShiftDataset(Frames(40), InPlace("dusk"), tmp_path / "a.cache")
    for index in range(40):
        ds[index]
    assert ds.stats().empty == report.without_object
    rejection = next(r for name in cache for r in _variant(cache, *name).rejections)
    assert rejection == Rejection("labels do not hold", "dusk", 0, "worst: road")


def _variant(cache: Cache, key: str, index: int) -> Any:
    variant = cache.get(key, index)
    assert variant is not None
    return variant


def test_batches_change_nothing(tmp_path: Path) -> None:
    recipe = SceneRecipe(domains=("dusk", "haze"), severities=(1, 2))
    caches = []
    for size in (1, 3, 16):
        pipeline = ShiftPipeline(recipe, [InPlace("dusk"), InPlace("haze", reject=0.4)], batch_size=size)
        warm_cache(Frames(5), tmp_path / f"{size}.cache", replace_nothing(pipeline), workers=size % 2, num_variants=2)
        caches.append(Cache.open(tmp_path / f"{size}.cache"))
    for cache in caches[1:]:
        assert list(cache) == list(caches[0])
        assert [cache.raw(*name) for name in cache] == [caches[0].raw(*name) for name in cache]


def replace_nothing(pipeline: ShiftPipeline) -> ShiftPipeline:
    return pipeline.with_schema(pipeline.schema)


def test_captions_are_asked_for_once_per_frame() -> None:
    asked: list[int] = []

    class Captions:
        def describe(self) -> dict[str, Any]:
            return {"captioner": "numbers"}

        def caption(self, images: Any) -> list[str]:
            asked.append(len(images))
            return [f"mean {float(image.float().mean())}" for image in images]

    recipe = SceneRecipe(domains=("dusk", "haze"), severities=(1, 2, 3))
    pipeline = ShiftPipeline(recipe, [InPlace("dusk"), InPlace("haze")], captioner=Captions(), schema=SCHEMA)
    from tests.helpers.fakes import make_sample

    samples = [
        (replace(make_sample(number), key=f"frame-{number}@{domain}-{severity}"), 0)
        for number in range(3)
        for domain, severity in recipe.shifts
    ]
    captions = [variant.frame.provenance["caption"] for variant in pipeline.run(samples) if variant.frame is not None]
    assert sum(asked) == 3
    assert len(captions) == 18
    assert len(set(captions)) == 3


class Counted(Frames):
    """Counts how often each frame is read."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.reads: Counter[int] = Counter()

    def __getitem__(self, index: int) -> Any:
        self.reads[index] += 1
        return super().__getitem__(index)


def test_a_frame_is_read_once_for_all_its_shifts(tmp_path: Path) -> None:
    base = Counted(3)
    recipe = SceneRecipe(domains=("dusk", "haze"), severities=(1, 3, 5))
    warm_cache(base, tmp_path / "a.cache", ShiftPipeline(recipe, [InPlace("dusk"), InPlace("haze")]), workers=0)
    assert base.reads == {0: 1, 1: 1, 2: 1}
