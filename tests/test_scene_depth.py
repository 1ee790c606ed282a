"""Depth maps that a dataset has itself, on their way to a shifter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug import (
    SceneRecipe,
    SceneShiftDataset,
    ShiftPipeline,
    warm_cache,
)
from poc_aug.errors import (
    CacheMismatchError,
    DatasetError,
)
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from tests.helpers.fakes import Frames
from tests.helpers.item_forms import pixels_of
from tests.helpers.kinds import InPlace, NoiseShifter


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
