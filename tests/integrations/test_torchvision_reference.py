"""torchvision's reference script, by the lines of it that `examples/torchvision_reference.py` repeats."""

from __future__ import annotations

import argparse
import random
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from poc_aug import POCAugmentedDataset
from tests.helpers.client_cases import shown

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "torchvision_reference.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


@pytest.fixture(scope="module")
def args(script: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> argparse.Namespace:
    folder = tmp_path_factory.mktemp("voc")
    script["make_voc"](folder, 3)
    script["make_cache"](folder, folder / "voc.cache")
    return argparse.Namespace(
        data_path=folder, cache=folder / "voc.cache", base_size=120, crop_size=96, epochs=2, workers=0
    )


def test_three_lines_are_changed() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert sum(line.strip() == "# poc_aug" for line in lines) == 3


def test_the_script_trains(script: dict[str, Any], args: argparse.Namespace) -> None:
    random.seed(0)
    torch.manual_seed(0)
    losses = script["run"](args)
    assert len(losses) == 2
    assert all(np.isfinite(losses))


def test_items_are_composed_before_the_preset(script: dict[str, Any], args: argparse.Namespace) -> None:
    base, classes = script["get_dataset"](args, is_train=True)
    assert (base.transforms, classes) == (None, 21)
    assert isinstance(base, torchvision.datasets.VOCSegmentation)
    validation, _ = script["get_dataset"](args, is_train=False)
    assert validation.transforms is not None
    options = {"p": 1.0, "redraw": "read", "label_policy": script["VOID"]}
    ds = POCAugmentedDataset(base, args.cache, **options)
    for number in range(len(base)):
        key = f"VOCdevkit/VOC2012/JPEGImages/2012_{number:06d}.jpg"
        assert (
            shown(args.cache, key, base[number], ds[number], policy=script["VOID"], schema=ds.base_schema) is not None
        )
    preset = script["get_transform"](True, args)
    transformed = POCAugmentedDataset(base, args.cache, transforms=preset, **options)
    image, labels = transformed[0]
    assert (image.shape, labels.shape, labels.dtype) == ((3, 96, 96), (96, 96), torch.int64)
    assert set(labels.unique().tolist()) <= {0, 7, 15, 255}
