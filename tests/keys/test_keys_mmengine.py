"""Keys of mmengine's datasets and their wrappers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import Subset

from poc_aug import POCAugmentedDataset
from poc_aug.keys import dataset_keys
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.key_cases import LENGTH, warm


def engine_dataset(root: Path, *, named: bool = True, length: int = LENGTH, **options: Any) -> Any:
    """Frames as an mmengine dataset, with files below ``root``."""
    mmengine = pytest.importorskip("mmengine.dataset")

    class Segmentation(mmengine.BaseDataset):  # type: ignore[misc, name-defined]
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
