"""Reading a cache with a schema or with labels that are not those of warming: always an error, with the next step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from poc_aug.cache import Cache, CacheWriter
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import CacheDatasetMismatchError, SchemaError
from poc_aug.evaluation.anomalies import evaluate
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, OodLabels
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.reading.live_settings import LiveSettings
from tests.helpers.fakes import EllipseInserter, make_recipe

TRAIN_IDS, LABEL_IDS = SCHEMAS["cityscapes-trainIds"], SCHEMAS["cityscapes-labelIds"]
RNG = np.random.default_rng(0)


class Maps(Dataset[Any]):
    """Images and label maps from memory, under keys that do not depend on the labels."""

    def __init__(self, maps: list[np.ndarray], schema: LabelSchema | None = None, images: Any = None) -> None:
        self.maps, self.schema = maps, schema
        # Images of the size that the maps have, told apart by their colours.
        self.images = images or [
            np.full((*ids.shape, 3), (40 * number % 255, 90, 160), np.uint8) for number, ids in enumerate(maps)
        ]

    def __len__(self) -> int:
        return len(self.maps)

    def keys(self) -> list[str]:
        return [f"frame {number}" for number in range(len(self))]

    def __getitem__(self, index: int) -> Any:
        return self.images[index], self.maps[index]


def recoded(ids: np.ndarray, table: dict[int, int], rest: int | None = None) -> np.ndarray:
    out = ids.copy() if rest is None else np.full_like(ids, rest)
    for before, after in table.items():
        out[ids == before] = after
    return out


def street(seed: int = 0) -> np.ndarray:
    """A street of trainIds, 96x144: sky, building, vegetation, sidewalk, road, a car, a person, a void border."""
    ids = np.full((96, 144), 10, np.uint8)
    ids[20:50, :60], ids[15:50, 60:], ids[50:, :], ids[60:, 20:120] = 2, 8, 1, 0
    ids[55:75, 60:90], ids[40:66, 30:40], ids[-3:] = 13, 11, 255
    return np.roll(ids, 2 * seed, axis=1)


FRAMES = [street(seed) for seed in range(3)]
LABEL_ID_OF = {TRAIN_IDS.ids[name]: LABEL_IDS.ids[name] for name in TRAIN_IDS.ids}
AS_LABEL_IDS = [recoded(ids, LABEL_ID_OF, rest=3) for ids in FRAMES]


def warm(path: Path, base: Dataset[Any]) -> Path:
    pipeline = InsertionPipeline(make_recipe(objects=["dog", "car"], location=[]), EllipseInserter())
    report = warm_cache(base, path, pipeline, num_variants=1, workers=0)
    assert report.objects >= report.total
    return path


def read(base: Dataset[Any], path: Path, **changes: Any) -> list[Any]:
    ds = POCAugmentedDataset(base, path, **{"p": 1.0, **changes})
    return [ds[number] for number in range(len(ds))]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm(tmp_path_factory.mktemp("wrong") / "street.cache", Maps(FRAMES, TRAIN_IDS))


@pytest.fixture(scope="module")
def old(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cache as it was before there were label digests."""
    path = tmp_path_factory.mktemp("wrong") / "old.cache"
    with Cache.open(cache) as made, CacheWriter(path, made.manifest) as writer:
        variants = [made.get(*name) for name in made]
        writer.put_many([replace(variant, label_digest=b"") for variant in variants if variant is not None])
    return path


def swapped(schema: LabelSchema, a: str, b: str) -> LabelSchema:
    ids = {**schema.ids, a: schema.id_of(b), b: schema.id_of(a)}
    return replace(schema, name="mine", ids=ids)


@pytest.mark.parametrize("labels", [OodLabels(254), AnomalyLabels()], ids=repr)
@pytest.mark.parametrize(
    "schema",
    [
        "cityscapes-labelIds",
        "camvid",
        "voc",
        "idd-lite",
        swapped(TRAIN_IDS, "road", "sidewalk"),
        swapped(TRAIN_IDS, "car", "truck"),
        swapped(TRAIN_IDS, "person", "rider"),
        LabelSchema("shifted", {name: label_id + 1 for name, label_id in TRAIN_IDS.ids.items()}, ignore=(0, 255)),
    ],
    ids=lambda schema: (
        schema if isinstance(schema, str) else f"{schema.name}-{schema.id_of('road')}-{schema.id_of('car')}"
    ),
)
def test_another_schema_is_found_out(cache: Path, schema: Any, labels: Any) -> None:
    with pytest.raises(SchemaError, match="frame 0") as caught:
        read(Maps(FRAMES), cache, schema=schema, label_policy=labels)
    assert "schema=" in caught.value.hint


def test_the_message_names_both_schemas_and_points(cache: Path) -> None:
    valid = [recoded(ids, {255: 11, 13: 8, 11: 9, 10: 7}) for ids in FRAMES]  # every id is one of CamVid's
    camvid = Maps(valid, images=Maps(FRAMES).images)
    with pytest.raises(SchemaError) as caught:
        read(camvid, cache, schema="camvid")
    for part in (
        "'frame 0'",
        "'camvid'",
        "'cityscapes-trainIds'",
        "stored 'road', read as 'sky' (id 0)",
        "row ",
        "points",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("labels", [OodLabels(254), AnomalyLabels()], ids=repr)
def test_ids_that_the_schema_does_not_know_are_an_error_in_old_caches_too(old: Path, labels: Any) -> None:
    for schema in ("cityscapes-labelIds", "camvid"):
        for p in (0.0, 1.0):  # items that show nothing as well
            with pytest.raises(SchemaError, match=r"'frame 0' hold ids .*255"):
                read(Maps(FRAMES), old, schema=schema, label_policy=labels, p=p)
    assert len(read(Maps(FRAMES, TRAIN_IDS), old, label_policy=labels)) == 3


def test_the_policies_own_examples(tmp_path: Path) -> None:
    """255 on all free road, and a pasted car as 26: with 255 left out, only names can tell."""
    plain = [recoded(ids, {255: 0}) for ids in FRAMES]
    path = warm(tmp_path / "plain.cache", Maps(plain, TRAIN_IDS))
    for labels in (AnomalyLabels(), OodLabels(254)):
        with pytest.raises(SchemaError, match="stored 'road', read as ignored"):
            read(Maps(plain), path, schema="cityscapes-labelIds", label_policy=labels)
    with pytest.raises(SchemaError, match=r"hold ids \[255\]"):
        AnomalyLabels().rewrite(torch.from_numpy(FRAMES[0]), LABEL_IDS)


@pytest.mark.parametrize(
    "change",
    [
        lambda ids: ids[:, ::-1].copy(),
        lambda ids: ids[::-1].copy(),
        lambda ids: np.where((ids == 0) | (ids == 255), 255, ids - 1).astype(np.uint8),  # reduce_zero_label
        lambda ids: recoded(ids, {0: 1, 1: 0}),
        lambda ids: np.full_like(ids, 255),
    ],
    ids=["mirrored", "upside down", "reduce_zero_label", "two ids swapped", "all void"],
)
def test_other_labels_of_the_same_images_are_found_out(cache: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    base = Maps([change(ids) for ids in FRAMES], TRAIN_IDS)
    with pytest.raises(SchemaError, match="frame 0"):
        read(base, cache)
    assert len(read(base, cache, check_labels=False)) == 3


def test_other_ids_of_the_same_labels_are_right_in_both_directions(cache: Path, tmp_path: Path) -> None:
    as_train, as_label = Maps(FRAMES, TRAIN_IDS), Maps(AS_LABEL_IDS, LABEL_IDS)
    other = warm(tmp_path / "labelIds.cache", as_label)
    with Cache.open(cache) as one, Cache.open(other) as two:
        assert all(one.raw(*name) == two.raw(*name) for name in one)
    for path in (cache, other):
        for base, car in ((as_train, 13), (as_label, 26)):
            found = set().union(*(np.unique(labels).tolist() for _, labels in read(base, path)))
            assert {254, car} <= found


@pytest.mark.parametrize(
    "form",
    [
        lambda ids: Image.fromarray(ids),
        lambda ids: Image.fromarray(ids).convert("P"),
        lambda ids: Image.fromarray(ids.astype(np.int32)),
        lambda ids: torch.from_numpy(ids.astype(np.int64)),
        lambda ids: torch.from_numpy(ids.copy())[None],
        lambda ids: ids.astype(np.uint16),
        lambda ids: ids.astype(">i2")[..., None],
    ],
    ids=["L", "P", "I", "int64", "[1, H, W]", "uint16", ">i2"],
)
def test_the_same_labels_in_another_container_are_right(cache: Path, form: Callable[[np.ndarray], Any]) -> None:
    def palette_free(ids: np.ndarray) -> Any:
        made = form(ids)
        if isinstance(made, Image.Image) and made.mode == "P":
            made = Image.frombytes("P", made.size, ids.tobytes())
        return made

    good = Maps([palette_free(ids) for ids in FRAMES], TRAIN_IDS, Maps(FRAMES).images)
    assert len(read(good, cache)) == 3
    bad = Maps([palette_free(np.ascontiguousarray(ids[::-1])) for ids in FRAMES], TRAIN_IDS, good.images)
    with pytest.raises(SchemaError, match="frame 0"):
        read(bad, cache)


def test_a_coarser_schema_and_ignored_classes_are_right(cache: Path) -> None:
    """Classes that the other schema has no name for cannot be compared; what one ignores says nothing."""
    coarse = LabelSchema("coarse", {"flat": 0, "sky": 1, "thing": 2, "car": 3})
    ids = [recoded(each, {0: 0, 1: 0, 10: 1, 2: 2, 8: 2, 11: 2, 13: 3, 255: 255}, rest=2) for each in FRAMES]
    assert len(read(Maps(ids, coarse), cache)) == 3
    # Another schema's names that take in more than Cityscapes' classes of the same names.
    wide = LabelSchema("wide", {"road": 0, "sky": 1, "building": 2, "car": 3})
    ids = [recoded(each, {0: 0, 1: 0, 10: 1, 2: 2, 8: 2, 11: 255, 13: 3}) for each in FRAMES]
    assert len(read(Maps(ids, wide), cache)) == 3
    held_out = [recoded(each, {11: 255}) for each in FRAMES]
    assert len(read(Maps(held_out, TRAIN_IDS), cache)) == 3


def test_names_that_no_schema_shares_are_told_once(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = Maps([recoded(ids, {255: 255}, rest=0) for ids in FRAMES], SCHEMAS["fishyscapes"])
    with caplog.at_level(logging.WARNING, "poc_aug"):
        assert len(read(base, cache, label_policy=AnomalyLabels())) == 3
    assert len(caplog.records) == 1
    assert "cannot be compared" in caplog.text
    assert "'cityscapes-trainIds'" in caplog.text


@pytest.mark.parametrize("start", ["fork", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_tell_it_too(cache: Path, start: str) -> None:
    ds = POCAugmentedDataset(Maps(FRAMES), cache, p=1.0, schema=swapped(TRAIN_IDS, "road", "sky"))
    loader = DataLoader(ds, batch_size=None, num_workers=1, multiprocessing_context=start)
    with pytest.raises(SchemaError, match="stored 'road', read as 'sky'"):
        list(loader)


def test_subsets_and_concatenations_are_compared_as_well(cache: Path) -> None:
    wrong = Maps([ids[::-1].copy() for ids in FRAMES], TRAIN_IDS)
    keys = wrong.keys()
    for base, names in ((Subset(wrong, [2, 0]), [keys[2], keys[0]]), (ConcatDataset([wrong]), keys)):
        with pytest.raises(SchemaError, match="frame"):
            read(base, cache, keys=names)
    right = Maps(FRAMES, TRAIN_IDS)
    assert len(read(Subset(right, [2, 0]), cache, keys=[keys[2], keys[0]])) == 2


def test_warming_on_notices_other_labels_before_any_work(cache: Path, tmp_path: Path) -> None:
    path = warm(tmp_path / "a.cache", Subset(Maps(FRAMES, TRAIN_IDS), [0]))
    pipeline = InsertionPipeline(make_recipe(objects=["dog", "car"], location=[]), EllipseInserter())
    wrong = Subset(Maps([ids[::-1].copy() for ids in FRAMES], TRAIN_IDS), [0, 1])
    with pytest.raises(SchemaError, match="frame 0"):
        warm_cache(wrong, path, pipeline, num_variants=1, workers=0)
    other = Subset(Maps(FRAMES, TRAIN_IDS, [image + 50 for image in Maps(FRAMES).images]), [0])
    with pytest.raises(CacheDatasetMismatchError):  # another image is said first
        read(other, path)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_live_generation_stores_the_same_bytes_and_compares(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "live.cache"
    pipeline = InsertionPipeline(make_recipe(objects=["dog", "car"], location=[]), EllipseInserter())
    with POCAugmentedDataset(
        Maps(FRAMES, TRAIN_IDS), path, p=1.0, pipeline=pipeline, live=LiveSettings(num_variants=1)
    ) as live:
        assert len([live[number] for number in range(3)]) == 3
    with Cache.open(cache) as one, Cache.open(path) as two:
        assert all(one.raw(*name) == two.raw(*name) for name in one)
        assert all(variant.label_digest for variant in (two.get(*name) for name in two) if variant is not None)
    wrong = replace(swapped(TRAIN_IDS, "road", "sky"), name=TRAIN_IDS.name)  # as a file that was edited
    with (
        POCAugmentedDataset(
            Maps(FRAMES), path, p=1.0, pipeline=pipeline, live=LiveSettings(num_variants=1), schema=wrong
        ) as live,
        pytest.raises(SchemaError, match="stored 'road', read as 'sky'"),
    ):
        live[0]


def test_known_without_a_schema_is_compared_too(cache: Path) -> None:
    """A pasted car written as 26 where the base's cars are 13."""
    right = OodLabels(254, known={"car": 13, "person": 11, "stop sign": 7})
    assert len(read(Maps(FRAMES), cache, label_policy=right)) == 3
    assert len(read(Maps(FRAMES), cache, label_policy=OodLabels(254, known={}))) == 3
    with pytest.raises(SchemaError, match=r"stored 'car', read as 'another class' \(id 13\)"):
        read(Maps(FRAMES), cache, label_policy=OodLabels(254, known={"car": 26, "person": 11}))
    with pytest.raises(SchemaError, match="stored 'car', read as 'person'"):
        read(Maps(FRAMES), cache, label_policy=OodLabels(254, known={"car": 11, "person": 13}))


def test_evaluation_does_not_take_unknown_ids_for_in_distribution() -> None:
    base = Maps([recoded(ids, {0: 1}) for ids in FRAMES])
    with pytest.raises(SchemaError, match=r"'frame 0' hold ids"):
        evaluate(torch.nn.Conv2d(3, 4, 1), base, schema="fishyscapes")
