"""`SceneShiftDataset`: any form in, the same form out, labels untouched, whatever reads it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from poc_aug import (
    AnomalyLabels,
    LabelSchema,
    SceneRecipe,
    SceneShiftDataset,
    ShiftPipeline,
    warm_cache,
)
from poc_aug.errors import (
    DatasetKeyError,
    GenerationError,
    RecipeError,
    SchemaError,
    SettingError,
)
from poc_aug.scenes.shifter_protocol import Shifted
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.item_forms import IMAGES, LABELS, pixels_of, same_form
from tests.helpers.kinds import InPlace
from tests.helpers.live_cases import keep
from tests.helpers.scene_cases import Items, many


def shifted_pixels(pixels: np.ndarray, ds: SceneShiftDataset, number: int = 0) -> torch.Tensor:
    """What the shifter makes of the pixels, [H, W, 3]."""
    from poc_aug.scenes.scene_recipe import split_key
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


@pytest.mark.parametrize("variants", ["random", "all"])
def test_workers_and_start_methods_agree(variants: str) -> None:
    ds = many(variants=variants)
    ds.set_epoch(3)
    items = [pixels_of(ds[index][0]) for index in range(len(ds))]
    # All but "fork" send the dataset; a process that imports everything takes seconds.
    for start in ("fork", "forkserver", *(["spawn"] if variants == "random" else [])):
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


def test_label_ids_outside_of_the_schema_are_errors(tmp_path: Path) -> None:
    schema = LabelSchema("two", {"road": 0, "car": 2}, ignore=(255,), ground=("road",))  # the frames hold sky, 1, too
    for shift in (InPlace("dusk"), "fog"):
        ds = SceneShiftDataset(Frames(2), shift, schema=schema)
        with pytest.raises(SchemaError, match=r"'frame-000' hold ids \[1\] that schema 'two' does not know"):
            ds[0]
        report = warm_cache(ds, tmp_path / f"{len(str(shift))}.cache", workers=0, on_error="skip")
        assert [key for key, _ in report.unreadable] == ["frame-000@" + ds.keys[0].split("@")[1], ds.keys[1]]


def test_weather_without_a_schema_says_what_it_needs() -> None:
    class Unnamed(Frames):
        schema = None  # type: ignore[assignment]

    with pytest.raises(SchemaError, match="schema"):
        SceneShiftDataset(Unnamed(1), "fog")
    with pytest.raises(SettingError, match=r"(?s)unknown domain 'mist'.*fog, night, rain, snow, low-sun"):
        SceneShiftDataset(Frames(1), "mist")
