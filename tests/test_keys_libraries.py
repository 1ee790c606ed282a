"""Keys of the datasets of Hugging Face and mmengine, of torch's wrappers and of those that people write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, StackDataset, Subset, random_split

from poc_aug import AnomalyLabels, ObjectBank, POCAugmentedDataset, SyntheticStreet, warm_cache
from poc_aug.cache import Cache
from poc_aug.errors import CacheDatasetMismatchError, DatasetKeyError
from poc_aug.keys import dataset_keys
from poc_aug.pipeline import InsertionPipeline
from tests.command_line import run
from tests.fakes import SCHEMA, EllipseInserter, Frames, make_recipe

LENGTH = 4


class Named(Frames):
    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(range(self.length)[index])  # from the end, too


class Unnamed(Named):
    """Frames that are known by their number alone."""

    keys = None  # type: ignore[assignment]


class Repeat(Dataset[Any]):
    def __init__(self, base: Any, times: int) -> None:
        self.wrapped_frames, self.times = base, times

    def __len__(self) -> int:
        return self.times * len(self.wrapped_frames)

    def __getitem__(self, index: int) -> Any:
        return self.wrapped_frames[index % len(self.wrapped_frames)]


class Chosen(Dataset[Any]):
    """Items of another dataset, by a list of their numbers."""

    def __init__(self, base: Any, numbers: Any, name: str = "indices") -> None:
        self.base = base
        self.numbers_name = name
        setattr(self, name, numbers)

    def __len__(self) -> int:
        return len(getattr(self, self.numbers_name))

    def __getitem__(self, index: int) -> Any:
        return self.base[int(getattr(self, self.numbers_name)[index])]


class HandsOn(Repeat):
    """Hands on every attribute that it does not have."""

    def __getattr__(self, name: str) -> Any:
        if name == "wrapped_frames":
            raise AttributeError(name)
        return getattr(self.wrapped_frames, name)


def pipeline() -> InsertionPipeline:
    return InsertionPipeline(make_recipe(), EllipseInserter())


def warm(base: Any, path: Path, **options: Any) -> Path:
    warm_cache(base, path, pipeline(), num_variants=2, workers=0, **{"schema": SCHEMA, **options})
    return path


def augmented(ds: POCAugmentedDataset) -> int:
    """Items that came with an insertion, counted against the base items."""
    return sum(image_of(ds[i]).tobytes() != image_of(ds.base[i]).tobytes() for i in range(len(ds)))


def image_of(item: Any) -> Image.Image:
    return item["image"] if isinstance(item, dict) else item[0]


WRAPPERS: list[Any] = [
    lambda base: Repeat(base, 3),
    lambda base: HandsOn(base, 2),
    lambda base: Subset(base, [0, 0, 3, 1, 3]),
    lambda base: Subset(base, torch.tensor([1, 1, 2])),  # type: ignore[arg-type]
    lambda base: Subset(base, np.array([-1, 0, -1])),  # type: ignore[arg-type]
    lambda base: Subset(Subset(base, [3, 2, 2]), [2, 0, -1]),
    lambda base: ConcatDataset([base, base]),
    lambda base: Subset(ConcatDataset([base, base]), [5, 1, 0]),
    lambda base: ConcatDataset([Subset(base, [0, 1])] * 3),
    lambda base: random_split(base, [3, 1], torch.Generator().manual_seed(0))[0],
    lambda base: Chosen(base, [2, 2, 1, 0, 3]),
    lambda base: Chosen(base, np.array([2, 2, 1]), "order"),
    lambda base: Chosen(base, [2, 2, 1], "my_oversampling"),
    lambda base: Repeat(Repeat(base, 2), 2),
    lambda base: Subset(Repeat(base, 2), [5, 1]),
]


@pytest.mark.parametrize("make", WRAPPERS)
@pytest.mark.parametrize("kind", [Named, Unnamed])
def test_every_item_of_a_wrapper_is_augmented(tmp_path: Path, make: Any, kind: Any) -> None:
    base = kind(LENGTH)
    path = warm(base, tmp_path / "a.cache")
    wrapper = make(base)
    ds = POCAugmentedDataset(wrapper, path, p=1.0, variant=0, schema=SCHEMA)
    assert augmented(ds) == len(wrapper)
    alone = POCAugmentedDataset(base, path, p=1.0, variant=0, schema=SCHEMA)
    shown = {alone[i][0].tobytes() for i in range(LENGTH)}
    assert {ds[i][0].tobytes() for i in range(len(ds))} <= shown


@pytest.mark.parametrize("make", WRAPPERS[:9])
def test_a_repeated_sample_is_warmed_once(tmp_path: Path, make: Any) -> None:
    wrapper = make(Frames(LENGTH))
    report = warm_cache(wrapper, tmp_path / "a.cache", pipeline(), num_variants=2, workers=0, schema=SCHEMA)
    distinct = len(set(dataset_keys(wrapper)))
    assert distinct < len(wrapper)
    assert report.made == report.total == 2 * distinct
    again = warm_cache(wrapper, tmp_path / "a.cache", pipeline(), num_variants=2, workers=0, schema=SCHEMA)
    assert again.made == 0
    assert augmented(POCAugmentedDataset(wrapper, tmp_path / "a.cache", p=1.0, schema=SCHEMA)) == len(wrapper)


class Interleaved(Repeat):
    def __getitem__(self, index: int) -> Any:
        return self.wrapped_frames[index // self.times]


def test_a_wrapper_that_is_understood_wrongly_is_an_error(tmp_path: Path) -> None:
    base = Unnamed(LENGTH)
    path = warm(base, tmp_path / "a.cache")
    ds = POCAugmentedDataset(Interleaved(base, 2), path, p=1.0, schema=SCHEMA)
    with pytest.raises(CacheDatasetMismatchError, match="keys="):
        [ds[i] for i in range(len(ds))]
    with pytest.raises(DatasetKeyError, match=r"samples \d and \d of Interleaved have the same key(?s:.*)keys="):
        warm(Interleaved(base, 2), tmp_path / "b.cache")
    keys = [f"{i // 2:08d}" for i in range(2 * LENGTH)]
    given = POCAugmentedDataset(Interleaved(base, 2), path, p=1.0, schema=SCHEMA, keys=keys)
    assert augmented(given) == 2 * LENGTH
    warm(Interleaved(base, 2), tmp_path / "b.cache", keys=keys)


class Hidden(Dataset[Any]):
    """Holds what it wraps where nobody finds it."""

    def __init__(self, base: Any, times: int) -> None:
        self.get = base.__getitem__
        self.length = times * len(base)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.get(index % LENGTH)


def test_a_share_that_nothing_explains_is_an_error(tmp_path: Path) -> None:
    path = warm(Unnamed(LENGTH), tmp_path / "a.cache")
    hidden = Hidden(Unnamed(LENGTH), 3)
    with pytest.raises(CacheDatasetMismatchError, match="4 of this dataset's 12 samples") as caught:
        POCAugmentedDataset(hidden, path, p=1.0, schema=SCHEMA)
    for part in ("keys=", "--keys", "made from 4 samples", "'00000004'", 'on_miss="original"'):
        assert part in str(caught.value)
    meant = POCAugmentedDataset(hidden, path, p=1.0, schema=SCHEMA, on_miss="original")
    assert augmented(meant) == LENGTH
    keys = [f"{i % LENGTH:08d}" for i in range(12)]
    assert augmented(POCAugmentedDataset(hidden, path, p=1.0, schema=SCHEMA, keys=keys)) == 12


def test_one_key_for_different_images_is_an_error(tmp_path: Path) -> None:
    for keys in (lambda index: "same", ["a", "b", "b", "c"]):
        with pytest.raises(DatasetKeyError, match=r"are different images(?s:.*)keys="):
            warm(Frames(LENGTH), tmp_path / "a.cache", keys=keys)
    assert not (tmp_path / "a.cache").exists()


def test_stacked_and_side_by_side(tmp_path: Path) -> None:
    class Images(Dataset[Any]):
        images = tuple(f"/d/{i}.png" for i in range(LENGTH))

        def __len__(self) -> int:
            return LENGTH

        def __getitem__(self, index: int) -> Any:
            return Frames(LENGTH)[index][0]

    class Labels(Images):
        images = ()  # type: ignore[assignment]

        def __getitem__(self, index: int) -> Any:
            return Frames(LENGTH)[index][1]

    names = [f"{i}.png" for i in range(LENGTH)]
    stack: Any = StackDataset(Images(), Labels())
    assert dataset_keys(stack) == names
    assert dataset_keys(StackDataset(labels=Labels(), image=Images())) == names
    assert dataset_keys(StackDataset(Labels(), Labels())) == [f"{i:08d}" for i in range(LENGTH)]
    path = warm(stack, tmp_path / "a.cache")
    assert augmented(POCAugmentedDataset(stack, path, p=1.0, schema=SCHEMA)) == LENGTH


# Hugging Face ---------------------------------------------------------------------------------------------------------


def rows(folder: Path | None = None) -> Any:
    """Frames as a Hugging Face dataset: pictures in memory, or in files."""
    datasets = pytest.importorskip("datasets")
    pairs = [Frames(LENGTH)[i] for i in range(LENGTH)]
    images: list[Any] = [image for image, _ in pairs]
    if folder is not None:
        for i, image in enumerate(images):
            image.save(folder / f"{i}.png")
        images = [str(folder / f"{i}.png") for i in range(LENGTH)]
    columns = {
        "image": images,
        "label": [labels for _, labels in pairs],
        "scene": ["one", "one", "two", "two"],
        "image_path": [f"street/{i}.png" for i in range(LENGTH)],
        "number": list(range(LENGTH)),
        "score": [0.5] * LENGTH,
    }
    kinds = {"image": datasets.Image(), "label": datasets.Image(), "scene": datasets.Value("string")}
    kinds |= {"image_path": datasets.Value("string"), "number": datasets.Value("int64")}
    features = datasets.Features(kinds | {"score": datasets.Value("float32")})
    return datasets.Dataset.from_dict(columns, features=features)


def test_rows_by_a_column(tmp_path: Path) -> None:
    table = rows()
    path = warm(table, tmp_path / "a.cache", keys="image_path")
    split = table.train_test_split(test_size=0.5, seed=3)
    for other in (table.shuffle(seed=1), table.select([2, 0]), table.filter(lambda row: row["number"] > 1),
                  split["train"], split["test"], table.shuffle(seed=2).select(range(1, 3)),
                  Subset(table.shuffle(seed=1), [3, 0])):  # fmt: skip
        ds = POCAugmentedDataset(other, path, p=1.0, keys="image_path", schema=SCHEMA)
        assert augmented(ds) == len(other)


def test_columns_of_every_kind(tmp_path: Path) -> None:
    table = rows(tmp_path)
    assert dataset_keys(table) == [f"{i:08d}" for i in range(LENGTH)]
    assert dataset_keys(table, "number") == ["0", "1", "2", "3"]
    assert dataset_keys(table.select([2, 1]), "image") == [str(tmp_path / "2.png"), str(tmp_path / "1.png")]
    assert dataset_keys(table.with_format("torch"), "image_path") == [f"street/{i}.png" for i in range(LENGTH)]
    table.set_transform(lambda batch: pytest.fail("a column is taken without its transform"))
    assert dataset_keys(table, "image_path")[0] == "street/0.png"
    with pytest.raises(DatasetKeyError, match=r"'file'(?s:.*)image_path"):
        dataset_keys(table, "file")
    with pytest.raises(DatasetKeyError, match=r"row 0 of Dataset holds 0\.5"):
        dataset_keys(table, "score")
    with pytest.raises(DatasetKeyError, match="row 0 of Dataset holds nothing"):
        dataset_keys(rows(), "image")  # made in memory: there is no file


def test_shuffled_rows_are_refused_with_the_way_out(tmp_path: Path) -> None:
    table = rows()
    path = warm(table, tmp_path / "a.cache")
    assert augmented(POCAugmentedDataset(table, path, p=1.0, schema=SCHEMA)) == LENGTH
    for other in (table.shuffle(seed=4), table.select([3, 2]), Subset(table.shuffle(seed=4), [0, 1, 2, 3])):
        ds = POCAugmentedDataset(other, path, p=1.0, schema=SCHEMA)
        with pytest.raises(CacheDatasetMismatchError) as caught:
            [ds[i] for i in range(len(ds))]
        for part in ('keys="image_path"', "shuffled or selected", "scene", "warm_cache"):
            assert part in str(caught.value)
    with pytest.raises(DatasetKeyError, match=r"have the same key 'one'(?s:.*)keys="):
        warm(table, tmp_path / "b.cache", keys="scene")


def test_a_dict_of_datasets_is_no_dataset(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    path = warm(rows(), tmp_path / "a.cache")
    several = rows().train_test_split(0.5, seed=0)
    for dataset in (
        several,
        {"train": Frames(LENGTH)},
        datasets.IterableDatasetDict(train=rows().to_iterable_dataset()),
    ):
        with pytest.raises(DatasetKeyError, match=r"by name: train(?s:.*)dataset\['train'\]"):
            POCAugmentedDataset(dataset, path)
        with pytest.raises(DatasetKeyError, match=r"dataset\['train'\]"):
            warm(dataset, tmp_path / "b.cache")


def test_streams_are_no_datasets() -> None:
    with pytest.raises(DatasetKeyError, match=r"IterableDataset has no length(?s:.*)streaming"):
        dataset_keys(rows().to_iterable_dataset())

    class Counted(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(())

        def __len__(self) -> int:
            return 4

    with pytest.raises(DatasetKeyError, match="Counted cannot be read by index"):
        dataset_keys(Counted())


# mmengine -------------------------------------------------------------------------------------------------------------


def engine_dataset(root: Path, *, named: bool = True, length: int = LENGTH, **options: Any) -> Any:
    """Frames as an mmengine dataset, with files below ``root``."""
    mmengine = pytest.importorskip("mmengine.dataset")

    class Segmentation(mmengine.BaseDataset):  # type: ignore[misc]
        def load_data_list(self) -> list[dict[str, Any]]:
            prefix = self.data_prefix["img_path"]
            return [
                {"number": i, "folder": f"s{i % 2}"} | ({"img_path": f"{prefix}/s{i % 2}/{i}.png"} if named else {})
                for i in range(length)
            ]

        def prepare_data(self, idx: int) -> Any:
            image, labels = Frames(length)[self.get_data_info(idx)["number"]]
            return {"img": np.array(image)[:, :, ::-1], "gt_seg_map": np.array(labels)}

        def get_cat_ids(self, idx: int) -> list[int]:
            return [self.get_data_info(idx)["number"] % 2]

    return Segmentation(data_root=str(root), data_prefix={"img_path": "images"}, **options)


def shown(ds: POCAugmentedDataset) -> int:
    return sum(not np.array_equal(ds[i]["img"], ds.base[i]["img"]) for i in range(len(ds)))


@pytest.mark.parametrize("options", [{}, {"serialize_data": False}, {"lazy_init": True}, {"indices": [3, 1]}])
def test_mmengine_tells_its_paths(tmp_path: Path, options: Any) -> None:
    names = [f"images/s{i % 2}/{i}.png" for i in range(LENGTH)]
    assert dataset_keys(engine_dataset(tmp_path, **options)) == [
        names[i] for i in options.get("indices", range(LENGTH))
    ]
    assert dataset_keys(engine_dataset(tmp_path, **options).get_subset([1])) in ([names[1]], [names[3]], [names[0]])
    assert dataset_keys(engine_dataset(tmp_path), "number") == ["0", "1", "2", "3"]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("lazy", [True, False])
def test_mmengine_wrappers(tmp_path: Path, named: bool, lazy: bool) -> None:
    engine = pytest.importorskip("mmengine.dataset")
    path = warm(engine_dataset(tmp_path, named=named), tmp_path / "a.cache")

    def base() -> Any:
        return engine_dataset(tmp_path, named=named, lazy_init=lazy)

    wrappers = [
        engine.RepeatDataset(base(), times=3, lazy_init=lazy),
        engine.ClassBalancedDataset(base(), oversample_thr=0.9, lazy_init=lazy),
        engine.ConcatDataset([base()], lazy_init=lazy),
        Subset(engine.RepeatDataset(base(), times=2, lazy_init=lazy), [5, 0]),
    ]
    for wrapper in wrappers:
        ds = POCAugmentedDataset(wrapper, path, p=1.0, schema=SCHEMA)
        assert shown(ds) == len(wrapper)


def test_mmengine_caches_of_before_are_read(tmp_path: Path) -> None:
    # Without get_data_info such datasets were keyed by index.
    base = engine_dataset(tmp_path)
    path = warm(base, tmp_path / "a.cache", keys=lambda index: f"{index:08d}")
    assert shown(POCAugmentedDataset(base, path, p=1.0, schema=SCHEMA)) == LENGTH
    assert shown(POCAugmentedDataset(Subset(base, [2, 1]), path, p=1.0, schema=SCHEMA)) == 2


# Other layouts of the same files ------------------------------------------------------------------------------------


def named(*names: str, length: int | None = None) -> Frames:
    frames = Frames(length or len(names))
    frames.keys = lambda: list(names)  # type: ignore[method-assign]
    return frames


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (["a/0.png", "a/1.png", "b/2.png"], ["0.png", "1.png", "2.png"]),
        (["0.png", "1.png", "2.png"], ["left/train/a/0.png", "left/train/a/1.png", "left/train/b/2.png"]),
        (["a/0.png", "b/0.png", "b/1.png"], ["left/a/0.png", "left/b/0.png", "left/b/1.png"]),
        (["flat/0.jpg", "flat/1.jpg", "flat/2.jpg"], ["a/0.png", "a/1.png", "b/2.png"]),
        (["0", "1", "2"], ["a/0.png", "a/1.png", "b/2.png"]),
        (["C:\\data\\0.png", "C:\\data\\1.png", "C:\\data\\2.png"], ["a/0.png", "a/1.png", "b/2.png"]),
    ],
)
def test_other_readers_of_the_same_files(tmp_path: Path, ours: list[str], theirs: list[str]) -> None:
    path = warm(named(*theirs), tmp_path / "a.cache")
    ds = POCAugmentedDataset(named(*ours), path, p=0.6, seed=3)
    assert ds.keys == theirs
    same = POCAugmentedDataset(named(*theirs), path, p=0.6, seed=3)
    for epoch in range(4):  # what is drawn is the same, too
        for each in (ds, same):
            each.set_epoch(epoch)
        assert [ds[i][0].tobytes() for i in range(3)] == [same[i][0].tobytes() for i in range(3)]
    assert augmented(POCAugmentedDataset(named(*ours), path, p=1.0)) == 3


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (["0.png", "1.png", "2.png"], ["a/0.png", "b/0.png", "b/1.png"], "'0.png' is there several times"),
        (["x/0.png", "y/0.png", "y/1.png"], ["0.png", "1.png", "2.png"], "holds none"),
        (["a/0.png", "a/1.png", "a/9.png"], ["0.png", "1.png", "2.png"], r"holds 2 of this dataset's 3(?s:.*)a/9\.png"),
        (
            ["0.png", "1.png", "9.png"],
            ["0.png", "1.png", "2.png"],
            r"2 of this dataset's 3(?s:.*)1 others, like \['2\.png'\]",
        ),
        (["00000000", "00000001", "00000002"], ["a/00000000.png", "a/00000001.png", "a/00000002.png"], "holds none"),
    ],
)
def test_keys_that_match_in_part_are_an_error(tmp_path: Path, ours: Any, theirs: Any, message: str) -> None:
    path = warm(named(*theirs), tmp_path / "a.cache")
    with pytest.raises(CacheDatasetMismatchError, match=message) as caught:
        POCAugmentedDataset(named(*ours), path, p=1.0)
    assert "keys=" in str(caught.value)


def test_the_same_names_for_other_frames_are_noticed(tmp_path: Path) -> None:
    class Other(Frames):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index + 7)

        def keys(self) -> list[str]:
            return [f"elsewhere/{key}" for key in super().keys()]

    path = warm(Frames(LENGTH), tmp_path / "a.cache")
    ds = POCAugmentedDataset(Other(LENGTH), path, p=1.0)
    with pytest.raises(CacheDatasetMismatchError, match="keys="):
        ds[0]


def test_a_cache_is_filled_further_under_its_own_names(tmp_path: Path) -> None:
    path = warm(named("a/0.png", "a/1.png", "b/2.png"), tmp_path / "a.cache")
    report = warm_cache(named("0.png", "1.png", "2.png"), path, pipeline(), num_variants=3, workers=0)
    assert (report.present, report.made) == (6, 3)
    with pytest.raises(CacheDatasetMismatchError, match=r"3 of this dataset's 4 samples(?s:.*)keys="):
        warm_cache(named("0.png", "1.png", "2.png", "3.png"), path, pipeline(), workers=0)
    more = warm_cache(named("a/0.png", "a/1.png", "b/2.png", "b/3.png"), path, pipeline(), workers=0)
    assert more.made == 3


# Caches that hold a part ----------------------------------------------------------------------------------------------


def test_a_cache_that_was_limited_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for kind in (Frames, Unnamed):
        path = warm(kind(LENGTH), tmp_path / f"{kind.__name__}.cache", limit=2)
        caplog.clear()
        assert augmented(POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA)) == 2
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "2 of this dataset's 4 samples" in caplog.text
        caplog.clear()
        POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA, on_miss="original")
        assert not caplog.records


def test_a_cache_of_a_subset_needs_a_word(tmp_path: Path) -> None:
    path = warm(Subset(Frames(LENGTH), [0, 2]), tmp_path / "a.cache")
    with pytest.raises(CacheDatasetMismatchError, match="made from 2 samples, holds 2 of this dataset's 4"):
        POCAugmentedDataset(Frames(LENGTH), path, p=1.0, schema=SCHEMA)
    ds = POCAugmentedDataset(Frames(LENGTH), path, p=1.0, schema=SCHEMA, on_miss="original")
    assert augmented(ds) == 2
    both: Any = ConcatDataset([Frames(LENGTH), Unnamed(LENGTH)])
    path = warm(Frames(LENGTH), tmp_path / "b.cache")
    with pytest.raises(CacheDatasetMismatchError, match="keys="):
        POCAugmentedDataset(both, path, p=1.0, schema=SCHEMA)
    assert augmented(POCAugmentedDataset(both, path, p=1.0, schema=SCHEMA, on_miss="original")) == LENGTH


def test_caches_without_a_count_are_read(tmp_path: Path) -> None:
    import json

    for kind, readable in ((Frames, True), (Unnamed, False)):
        path = warm(kind(LENGTH), tmp_path / f"{kind.__name__}.cache", limit=2)
        manifest = json.loads((path / "manifest.json").read_text())
        assert manifest.pop("samples") == LENGTH
        (path / "manifest.json").write_text(json.dumps(manifest))
        if readable:
            assert augmented(POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA)) == 2
        else:  # numbers do not tell whether it is the same dataset
            with pytest.raises(CacheDatasetMismatchError, match='on_miss="original"'):
                POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA)
        warm(kind(LENGTH), path)
        assert augmented(POCAugmentedDataset(kind(LENGTH), path, p=1.0, schema=SCHEMA)) == LENGTH


def test_an_empty_cache_says_so(tmp_path: Path) -> None:
    import shutil

    path = warm(Frames(LENGTH), tmp_path / "a.cache")
    shutil.rmtree(path / "shards")
    with pytest.raises(CacheDatasetMismatchError, match=r"is empty(?s:.*)shards"):
        POCAugmentedDataset(Frames(LENGTH), path, AnomalyLabels())


# Datasets that people write -------------------------------------------------------------------------------------------


class Bare(Dataset[Any]):
    def __init__(self, length: int, **attributes: Any) -> None:
        self.length = length
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("keys must not read items")


def test_attributes_of_all_kinds() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"image_path": ["/d/a.png", "/d/b.png"], "uid": [7, 8]})
    names = ["a.png", "b.png"]
    assert dataset_keys(Bare(2, df=table)) == names
    assert dataset_keys(Bare(2, images=table["image_path"])) == names
    assert dataset_keys(Bare(2, df=table), "uid") == ["7", "8"]
    assert dataset_keys(Bare(2, frame=table), keys="image_path") == ["/d/a.png", "/d/b.png"]
    assert dataset_keys(Bare(2, images=[b"/d/a.png", b"/d/b.png"])) == names
    assert dataset_keys(Bare(2, images=["C:\\d\\a.png", "C:\\d\\b.png"])) == names
    assert dataset_keys(Bare(2, images=["C:\\d\\x\\a.png", "C:/d/b.png"])) == ["x/a.png", "b.png"]
    assert dataset_keys(Bare(2, _images=[Path("/d/a.png"), Path("/d/b.png")])) == names
    assert dataset_keys(Bare(3, images=["/d/a.png", "/d/b.png", "/d/a.png"])) == [*names, "a.png"]
    assert dataset_keys(Bare(2, samples=np.array([["/d/a.png", "/l/a.png"], ["/d/b.png", "/l/b.png"]]))) == names
    assert dataset_keys(Bare(2, keys=[b"a", b"b"])) == ["a", "b"]
    assert dataset_keys(Bare(2, keys=np.array(["a", "b"]))) == ["a", "b"]
    assert dataset_keys(Bare(2, keys=None, names=["a", "b"]), "names") == ["a", "b"]
    assert dataset_keys(Bare(2, rows=[{"id": 1}, {"id": 2}]), "id") == ["1", "2"]
    assert dataset_keys(Subset(Bare(2, rows=[{"id": 1}, {"id": 2}]), [1]), "id") == ["2"]
    assert dataset_keys(Bare(2, data_root="/d", images=["/d/x/a.png", "/d/x/b.png"])) == ["x/a.png", "x/b.png"]


def test_mappings() -> None:
    image = Image.new("RGB", (2, 2))

    class ByNumber(dict[str, Any]):
        def __getitem__(self, index: Any) -> Any:
            return super().__getitem__(list(self)[index])

    assert dataset_keys(ByNumber(a=image, b=image)) == ["a", "b"]
    assert dataset_keys({0: (image, image), 1: (image, image)}) == ["00000000", "00000001"]
    with pytest.raises(DatasetKeyError, match="read by names such as 'a', not by index"):
        dataset_keys({"a": (image, image)})


def test_a_keys_method_that_wants_something_else() -> None:
    class Odd(Bare):
        def keys(self, index: int) -> str:
            return str(index)

    with pytest.raises(DatasetKeyError, match=r"Odd\.keys\(\) failed(?s:.*)keys="):
        dataset_keys(Odd(2))


def test_real_cityscapes_in_three_layouts(tmp_path: Path, real_data: Path) -> None:
    import shutil

    torchvision = pytest.importorskip("torchvision")
    from poc_aug import PairedFolder

    root = real_data / "scenes" / "cityscapes"
    official = torchvision.datasets.Cityscapes(root, "train", target_type="semantic")
    recipe = make_recipe(location=["road"])
    path = tmp_path / "a.cache"
    warm_cache(official, path, InsertionPipeline(recipe, EllipseInserter()), num_variants=1, workers=0, limit=2)
    for source in sorted(root.glob("*/train/*/*_leftImg8bit.png")) + sorted(root.glob("*/train/*/*_labelIds.png")):
        (tmp_path / "flat").mkdir(exist_ok=True)
        shutil.copy(source, tmp_path / "flat")
    schema = "cityscapes-labelIds"
    flat = PairedFolder(tmp_path / "flat", images="*_leftImg8bit.png", labels="*_gtFine_labelIds.png", schema=schema)
    images, labels = "leftImg8bit/train/*/*_leftImg8bit.png", "gtFine/train/*/*_gtFine_labelIds.png"
    folders = PairedFolder(root, images=images, labels=labels, schema=schema)
    reference = {item.tobytes() for item, _ in (POCAugmentedDataset(official, path, p=1.0)[i] for i in range(4))}
    for other in (flat, folders):
        ds = POCAugmentedDataset(other, path, p=1.0, on_miss="original")
        assert {ds[i][0].tobytes() for i in range(4)} == reference
        assert sorted(ds.keys) == sorted(dataset_keys(official))[: len(ds.keys)] or len(set(ds.keys)) == 4


# The command line and others that take keys ------------------------------------------------------------------------


class Streets(Dataset[Any]):
    """Streets in an order of choice; their names are in an attribute, where nobody looks for them unasked."""

    def __init__(self, order: Any = (0, 1, 2)) -> None:
        self.base = SyntheticStreet(size=(96, 160), length=3)
        self.order, self.scene = list(order), [f"scene-{number}" for number in order]
        self.schema = self.base.schema

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Any:
        return self.base[self.order[index]]


def splits() -> Any:
    return {"train": Streets()}


def test_keys_on_the_command_line(tmp_path: Path) -> None:
    path, here = tmp_path / "a.cache", "tests.test_keys_libraries:Streets"
    made = ("warm-cache", "--dataset", here, "--objects", "rendered", "--num-variants", 1, "--workers", 0)
    run(*made, "--keys", "scene", "--out", path)
    assert Cache.open(path).keys() == ["scene-0", "scene-1", "scene-2"]
    other = ("--dataset", here, "order=2,0")
    sheet = tmp_path / "sheet.png"
    assert "2 variants" in run("preview", path, *other, "--keys", "scene", "--out", sheet)
    run("bench", path, *other, "--keys", "scene", "--items", 2, "--repeats", 1, "--workers", 0)
    for command in ("preview", "bench"):
        told = run(command, path, *other, fails=True)
        assert "holds none" in told
        assert "--keys NAME" in told
    config = tmp_path / "job.yaml"
    config.write_text(f"dataset: {here}\nobjects: rendered\nkeys: scene\nnum_variants: 1\nout: {path}\n")
    run("warm-cache", "--config", config)
    assert len(Cache.open(path)) == 3
    told = run(
        "warm-cache", "--dataset", here.replace("Streets", "splits"), *made[3:], "--out", tmp_path / "b", fails=True
    )
    assert "dataset['train']" in told
    assert "name a function that returns it" in told


def test_a_bank_reads_a_repeated_sample_once() -> None:
    base = Streets()
    bank = ObjectBank.from_dataset(base, base.schema, ["car"], min_size_px=8, min_area_px=20, keys="scene")
    twice = Repeat(base, 2)
    again = ObjectBank.from_dataset(twice, base.schema, ["car"], min_size_px=8, min_area_px=20, keys="scene")
    assert len(again) == len(bank) > 0
    with pytest.raises(DatasetKeyError, match="different images"):
        ObjectBank.from_dataset(base, base.schema, ["car"], keys=["a", "a", "b"])


def test_a_repeated_sample_that_cannot_be_read_is_skipped_as_asked(tmp_path: Path) -> None:
    twice = Repeat(Frames(LENGTH, broken=(0, 2)), 2)
    report = warm_cache(
        twice, tmp_path / "a.cache", pipeline(), num_variants=1, workers=0, schema=SCHEMA, on_error="skip"
    )
    assert report.made == 2
    assert [key for key, _ in report.unreadable] == ["frame-000", "frame-002"]
