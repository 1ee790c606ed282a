"""`SceneShiftDataset`: any form in, the same form out, labels untouched, whatever reads it."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from poc_aug import (
    AnomalyLabels,
    Cache,
    InsertionPipeline,
    LabelSchema,
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
    DatasetError,
    DatasetKeyError,
    GenerationError,
    RecipeError,
    SettingError,
)
from poc_aug.scenes.shifter_protocol import Agreement, SceneFrame, Shifted
from poc_aug.types import Rejection
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe
from tests.helpers.item_forms import IMAGES, LABELS, pixels_of, same_form
from tests.helpers.kinds import NoiseShifter
from tests.helpers.live_cases import keep

IDS = LabelSchema("ids", {f"class {number}": number for number in range(19)}, ignore=(255,))


class InPlace(NoiseShifter):
    """Runs where frames are read."""

    holds_model = False


class Items(Dataset[Any]):
    """One item in a form of its own."""

    schema = IDS

    def __init__(self, item: Any, length: int = 1) -> None:
        self.item, self.length = item, length

    def __len__(self) -> int:
        return self.length

    def keys(self) -> list[str]:
        return [f"item-{number}" for number in range(self.length)]

    def __getitem__(self, index: int) -> Any:
        return self.item


def shifted_pixels(pixels: np.ndarray, ds: SceneShiftDataset, number: int = 0) -> torch.Tensor:
    """What the shifter makes of the pixels, [H, W, 3]."""
    from poc_aug.generation.shift_jobs import split_key
    from poc_aug.types import Sample

    assert ds._pipeline is not None
    key = ds.keys[number]
    assert split_key(key)
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()
    sample = Sample(image, torch.zeros(pixels.shape[:2], dtype=torch.uint8), key)
    frame = ds._pipeline.generate(sample).frame
    assert frame is not None
    return frame.image.permute(1, 2, 0)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("labels", ["pil L", "tensor torch.int64", "array torch.int64"])
def test_every_form_comes_out_as_it_went_in(image: str, labels: str) -> None:
    if labels not in LABELS:
        labels = next(name for name in LABELS if name.startswith("array"))
    item = (IMAGES[image](), LABELS[labels]())
    before = pixels_of(item[0]).copy()
    ds = SceneShiftDataset(Items(item), InPlace("dusk"))
    out = ds[0]
    assert same_form(out[0], item[0])
    assert out[1] is item[1]  # nothing was written to the labels
    assert (pixels_of(item[0]) == before).all()  # nor to the dataset's own image
    assert (pixels_of(out[0]) == shifted_pixels(before, ds).numpy()).all()


def test_dicts_keep_their_other_fields() -> None:
    extra = object()
    item = {"image": IMAGES["tensor"](), "mask": LABELS["pil L"](), "name": "a", "more": extra}
    out = SceneShiftDataset(Items(item), InPlace("dusk"))[0]
    assert out["more"] is extra
    assert out["mask"] is item["mask"]
    assert not (pixels_of(out["image"]) == pixels_of(item["image"])).all()


def many(**changes: Any) -> SceneShiftDataset:
    shifters = [InPlace("dusk"), InPlace("haze", reject=0.5)]
    return SceneShiftDataset(Frames(6), shifters, severity=(1, 4), num_variants=2, **{"redraw": "epoch", **changes})


@pytest.mark.parametrize("variants", ["random", "all"])
def test_workers_and_start_methods_agree(variants: str) -> None:
    ds = many(variants=variants)
    ds.set_epoch(3)
    items = [pixels_of(ds[index][0]) for index in range(len(ds))]
    for start in ("fork", "spawn", "forkserver"):
        loader = DataLoader(ds, 5, num_workers=2, multiprocessing_context=start, collate_fn=keep)
        loaded = [pixels_of(item[0]) for batch in loader for item in batch]
        assert all((a == b).all() for a, b in zip(items, loaded, strict=True)), start
    copy = pickle.loads(pickle.dumps(ds))
    assert (pixels_of(copy[2][0]) == items[2]).all()


def test_epochs_draw_anew_and_come_back() -> None:
    ds = many()
    passes = []
    for epoch in (0, 1, 2, 0):
        ds.set_epoch(epoch)
        passes.append([pixels_of(item[0]).tobytes() for item in (ds[index] for index in range(len(ds)))])
    assert passes[0] == passes[3]
    assert passes[0] != passes[1] != passes[2]
    again = many(redraw="read")
    reads = [[pixels_of(again[index][0]).tobytes() for index in range(len(again))] for _ in range(3)]
    assert reads == passes[:3]


def test_a_share_is_shifted() -> None:
    base = Frames(200)
    ds = SceneShiftDataset(base, InPlace("dusk"), p=0.3)
    shifted = sum(not (pixels_of(ds[index][0]) == pixels_of(base[index][0])).all() for index in range(200))
    assert 35 < shifted < 85
    assert ds.stats().plain == 200 - shifted


def test_reading_an_item_again_warns_once_if_something_is_drawn() -> None:
    ds = SceneShiftDataset(Frames(2), InPlace("dusk"), num_variants=3)
    ds[0]
    with pytest.warns(UserWarning, match="shows the same frames as before.*SceneShiftDataset"):
        ds[0]
    single = SceneShiftDataset(Frames(2), InPlace("dusk"))
    single[0]
    single[0]


def test_seeds_are_those_of_the_frames_too() -> None:
    one, other = (SceneShiftDataset(Frames(1), InPlace("dusk"), seed=seed) for seed in (0, 1))
    assert not (pixels_of(one[0][0]) == pixels_of(other[0][0])).all()


def test_severities_of_a_frame_share_their_noise() -> None:
    weak, strong = (SceneShiftDataset(Frames(1), InPlace("dusk"), severity=severity) for severity in (1, 5))
    base = pixels_of(Frames(1)[0][0]).astype(int)
    noises = [pixels_of(ds[0][0]).astype(int) - base // (1 + severity) for ds, severity in ((weak, 1), (strong, 5))]
    assert (noises[0] == noises[1]).all()


def test_keys_of_shifted_frames() -> None:
    ds = many(variants="all")
    assert ds.keys[:8] == [f"frame-000@{shift}" for shift in ("dusk-1", "dusk-1", "dusk-4", "dusk-4") for _ in "x"] + [
        f"frame-000@{shift}" for shift in ("haze-1", "haze-1", "haze-4", "haze-4")
    ]
    assert len(ds) == len(ds.keys) == 6 * 2 * 2 * 2
    for changing in (many(), SceneShiftDataset(Frames(2), InPlace("dusk"), p=0.5)):
        with pytest.raises(DatasetKeyError, match="in each epoch"):
            _ = changing.keys


def test_all_items_show_the_shifts_in_order() -> None:
    ds = SceneShiftDataset(Frames(2), [InPlace("dusk"), InPlace("haze")], severity=(1, 5), variants="all")
    means = [pixels_of(ds[index][0]).mean() for index in range(len(ds))]
    assert all(means[index] > means[index + 1] + 20 for index in range(0, 8, 2))


def test_the_schema_goes_on(tmp_path: Path) -> None:
    assert SceneShiftDataset(Frames(1), InPlace("dusk")).schema == SCHEMA
    assert (
        SceneShiftDataset(Frames(1), InPlace("dusk"), transforms=lambda image, labels: (image, labels)).schema is None
    )
    assert SceneShiftDataset(Frames(1), InPlace("dusk"), label_policy=AnomalyLabels()).schema is None


def test_a_label_policy_rewrites_the_labels() -> None:
    _, labels = SceneShiftDataset(Frames(1), InPlace("dusk"), label_policy=AnomalyLabels())[0]
    assert set(np.unique(np.asarray(labels)).tolist()) <= {0, 255}


# From a cache


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


# Depth


def test_depth_maps_of_the_dataset_reach_the_shifter(tmp_path: Path) -> None:
    seen: list[SceneFrame] = []

    class Seeing(InPlace):
        def shift(self, frames: Any) -> Any:
            seen.extend(frames)
            return super().shift(frames)

    def depth_of(index: int) -> np.ndarray:
        return np.full((48, 65), 10.0 * (1 + index))

    ds = SceneShiftDataset(Frames(3), Seeing("dusk"), severity=(1, 2), variants="all", depth=depth_of)
    for index in range(len(ds)):
        ds[index]
    warm_cache(ds, tmp_path / "a.cache", workers=0)
    depths = [frame.depth_m for frame in seen]
    assert [float(depth[0, 0]) for depth in depths if depth is not None] == [10.0, 10.0, 20.0, 20.0, 30.0, 30.0] * 2
    with pytest.raises(CacheMismatchError):
        warm_cache(SceneShiftDataset(Frames(3), Seeing("dusk"), severity=(1, 2), variants="all"), tmp_path / "a.cache")


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (lambda index: np.zeros((48, 65)), "pixels of 0 m"),
        (lambda index: np.full((48, 65), np.nan), "NaN"),
        (lambda index: np.full((24, 65), 9.0), r"\[24, 65\], its image \[48, 65\]"),
        (lambda index: "far", "is a str"),
        ("depth", "no field 'depth'"),
    ],
)
def test_depth_maps_that_are_none(depth: Any, message: str, tmp_path: Path) -> None:
    ds = SceneShiftDataset(Frames(1), InPlace("dusk"), depth=depth)
    with pytest.raises(DatasetError, match=message):
        ds[0]
    report = warm_cache(ds, tmp_path / "a.cache", workers=0, on_error="skip")
    assert len(report.unreadable) == 1


@pytest.mark.usefixtures("quick_live")
def test_depth_reaches_the_generation_process(tmp_path: Path) -> None:
    recipe = SceneRecipe(domains=("dusk",), severities=(2,))
    pipeline = ShiftPipeline(recipe, [DepthShifter("dusk")])
    with SceneShiftDataset(Frames(3), pipeline, depth=depth_of, p=1.0) as ds:
        assert [int(pixels_of(ds[i][0])[0, 0, 0]) for i in range(3)] == [10, 20, 30]


def depth_of(index: int) -> np.ndarray:
    return np.full((48, 65), 10.0 * (1 + index))


class DepthShifter(NoiseShifter):
    """A picture of the depth, from the generation process."""

    def shift(self, frames: Any) -> Any:
        return [Shifted(frame.depth_m.to(torch.uint8).expand(3, -1, -1).clone()) for frame in frames]


# What goes wrong


class Broken(InPlace):
    def __init__(self, result: Any) -> None:
        super().__init__("dusk")
        self.result = result

    def shift(self, frames: Any) -> Any:
        return self.result(frames) if callable(self.result) else self.result


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "returned a NoneType"),
        ([], "returned 0 results"),
        ([torch.zeros(1)], "results of type Tensor"),
        (lambda frames: [Shifted(frames[0].image[:, :9])], r"torch.uint8 \[3, 9, 65\]"),
        (lambda frames: [Shifted(frames[0].image.float())], "torch.float32"),
    ],
)
def test_a_shifter_that_breaks_its_contract(result: Any, message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        SceneShiftDataset(Frames(1), Broken(result))[0]


def test_a_shifter_that_raises_names_the_sample(tmp_path: Path) -> None:
    def fail(frames: Any) -> Any:
        raise ArithmeticError("the model overflowed")

    ds = SceneShiftDataset(Frames(2), Broken(fail))
    with pytest.raises(GenerationError, match=r"'frame-000@dusk-3', domain 'dusk', severity 3.*overflowed"):
        ds[0]
    report = warm_cache(ds, tmp_path / "a.cache", workers=0, on_error="skip")
    assert [(key, index) for key, index, _ in report.failed] == [("frame-000@dusk-3", 0), ("frame-001@dusk-3", 0)]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"severity": 6}, RecipeError, "severities"),
        ({"severity": ()}, RecipeError, "severities"),
        ({"severity": (1, 1)}, RecipeError, "must be different"),
        ({"shift": "fogg"}, SettingError, "fogg"),
        ({"shift": []}, SettingError, r"shift=\[\]"),
        ({"shift": 3}, SettingError, "shift=3"),
        ({"shift": [InPlace("a@b")]}, RecipeError, "a@b"),
        ({"camera": "leica"}, RecipeError, "leica"),
        ({"p": 2}, SettingError, "p=2"),
        ({"num_variants": 0}, SettingError, "num_variants=0"),
        ({"on_miss": "original"}, SettingError, "without a cache"),
        ({"depth": 3.5}, SettingError, r"depth=3\.5"),
        ({"variant": -1}, SettingError, "variant=-1"),
        ({"redraw": "always"}, SettingError, "redraw"),
    ],
)
def test_bad_parameters_are_named(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    settings = {"shift": InPlace("dusk"), **changes}
    with pytest.raises(error, match=message):
        SceneShiftDataset(Frames(1), **settings)


def test_settings_of_a_pipeline_are_its_own() -> None:
    pipeline = ShiftPipeline(SceneRecipe(domains=("dusk",)), [InPlace("dusk")])
    with pytest.raises(SettingError, match="severity with a pipeline"):
        SceneShiftDataset(Frames(1), pipeline, severity=3)
    with pytest.raises(SettingError, match="one shifter per domain"):
        ShiftPipeline(SceneRecipe(domains=("dusk", "fog")), [InPlace("dusk")])


def test_warming_needs_a_pipeline_from_somewhere(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no pipeline for Frames"):
        warm_cache(Frames(1), tmp_path / "a.cache")
    with pytest.raises(SettingError, match="keys with a SceneShiftDataset"):
        warm_cache(SceneShiftDataset(Frames(1), InPlace("dusk")), tmp_path / "a.cache", keys=["a"])


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
