"""Keys of datasets that people write, and ``keys=`` of the command line, banks and evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset, Subset

from poc_aug import ObjectBank, POCAugmentedDataset, SyntheticStreet, warm_cache
from poc_aug.cache import Cache
from poc_aug.errors import DatasetKeyError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.keys import dataset_keys
from tests.helpers.command_line import run
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe
from tests.helpers.key_cases import LENGTH, Repeat, pipeline


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
    path, here = tmp_path / "a.cache", "tests.keys.test_keys_custom:Streets"
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
