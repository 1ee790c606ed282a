"""Scene shifts with what their users bring along: settings, depth maps and frames that nobody thought of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset

from poc_aug import InsertionPipeline, LiveSettings, POCAugmentedDataset, SceneShiftDataset, warm_cache
from poc_aug.cache.key_matching import stored_keys
from poc_aug.camera_model import Calibration
from poc_aug.errors import (
    CacheDatasetMismatchError,
    CacheMismatchError,
    DatasetKeyError,
    PocAugError,
    SettingError,
)
from poc_aug.scenes.shifter_protocol import Shifted
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe
from tests.helpers.kinds import InPlace
from tests.helpers.scene_cases import Items


def test_the_background_needs_a_cache() -> None:
    # Nothing is generated ahead without one: every item would silently stay as it is.
    with pytest.raises(SettingError, match="background"):
        SceneShiftDataset(Frames(2), InPlace("dusk"), on_miss="background")


@pytest.mark.parametrize(
    "settings",
    [
        {"num_variants": 3},
        {"live": LiveSettings(num_variants=1, refresh=1.0)},
        {"live": LiveSettings(num_variants=1, refresh=0.5), "variant": 0},
        {"p": 0.5},
        {"severity": (1, 2)},
    ],
    ids=str,
)
def test_frames_that_are_drawn_anew_have_no_keys(settings: dict[str, Any], tmp_path: Path) -> None:
    drawn = SceneShiftDataset(Frames(2), InPlace("dusk"), **settings)
    with pytest.raises(DatasetKeyError):
        drawn.keys  # noqa: B018
    with pytest.raises(DatasetKeyError):  # insertions would be made for one picture, and shown in another
        warm_cache(drawn, tmp_path / "a.cache", InsertionPipeline(make_recipe(), EllipseInserter()), workers=0)


def test_variants_of_a_frame_in_a_row_are_no_base_of_insertions(tmp_path: Path) -> None:
    both = SceneShiftDataset(Frames(2), InPlace("dusk"), num_variants=2, variants="all")
    with pytest.raises(PocAugError, match="frame-000@dusk-3"):  # one key, two pictures
        warm_cache(both, tmp_path / "a.cache", InsertionPipeline(make_recipe(), EllipseInserter()), workers=0)


def test_one_variant_of_several_has_a_key() -> None:
    assert SceneShiftDataset(Frames(1), InPlace("dusk"), num_variants=3, variant=1).keys == ["frame-000@dusk-3"]


@pytest.mark.parametrize("severity", [3.0, True, "6", "1,x", [2, 2.5], {"a": 1}, Ellipsis], ids=str)
def test_severities_that_are_none(severity: Any) -> None:
    with pytest.raises(SettingError, match="severity"):
        SceneShiftDataset(Frames(1), InPlace("dusk"), severity=severity)


@pytest.mark.parametrize("severity", ["1-3", range(1, 4), np.array([1, 2, 3]), torch.tensor([1, 2, 3]), (1, 2, 3)])
def test_severities_in_other_forms(severity: Any) -> None:
    assert SceneShiftDataset(Frames(1), InPlace("dusk"), severity=severity).shifts == (
        ("dusk", 1),
        ("dusk", 2),
        ("dusk", 3),
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (9, 1), (4, 6)])
@pytest.mark.parametrize(
    "form",
    [
        lambda depth: depth,
        lambda depth: depth[None],
        lambda depth: depth[..., None],
        lambda depth: torch.from_numpy(depth)[None].requires_grad_(),
        Image.fromarray,
    ],
    ids=["array", "[1,H,W]", "[H,W,1]", "tensor", "PIL"],
)
def test_depth_maps_of_all_forms_and_sizes(size_hw: tuple[int, int], form: Any) -> None:
    image, labels = np.zeros((*size_hw, 3), np.uint8), np.zeros(size_hw, np.uint8)
    depth = form(np.full(size_hw, 7.0, np.float32))
    seen: list[Any] = []

    class Seeing(InPlace):
        def shift(self, frames: Any) -> Any:
            seen.extend(frame.depth_m for frame in frames)
            return super().shift(frames)

    SceneShiftDataset(Items((image, labels)), Seeing("dusk"), depth=lambda index: depth)[0]
    assert seen[0].shape == size_hw
    assert float(seen[0].max()) == 7.0
    assert not seen[0].requires_grad


class Files(Dataset[Any]):
    """Frames with the names of files."""

    schema = SCHEMA

    def __len__(self) -> int:
        return 2

    def keys(self) -> list[str]:
        return ["ulm/0.png", "ulm/1.png"]

    def __getitem__(self, index: int) -> Any:
        return Frames(2)[index]


class Faint(InPlace):
    """A shift that the digest of a picture cannot tell from none."""

    def shift(self, frames: Any) -> Any:
        return [Shifted((frame.image // 4 * 4).contiguous()) for frame in frames]


def test_insertions_for_a_shifted_frame_are_of_no_other(tmp_path: Path) -> None:
    def shifted(severity: int) -> SceneShiftDataset:
        return SceneShiftDataset(Files(), Faint("faint"), severity=severity)

    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(shifted(1), tmp_path / "a.cache", pipeline, workers=0)
    POCAugmentedDataset(shifted(1), tmp_path / "a.cache")
    for other in (shifted(2), Files(), SceneShiftDataset(Files(), Faint("pale"), severity=1)):
        with pytest.raises(CacheDatasetMismatchError, match="holds none"):
            POCAugmentedDataset(other, tmp_path / "a.cache")
    warm_cache(Files(), tmp_path / "b.cache", pipeline, workers=0)
    with pytest.raises(CacheDatasetMismatchError, match="holds none"):
        POCAugmentedDataset(shifted(1), tmp_path / "b.cache")


def test_other_extensions_of_shifted_files_are_still_the_same_frames() -> None:
    assert stored_keys(["a/0.jpg@fog-3", "a/1.jpg@fog-3"], ["0.png@fog-3", "1.png@fog-3"]) == [
        "0.png@fog-3",
        "1.png@fog-3",
    ]
    assert stored_keys(["00000000.png@fog-3"], ["00000000@fog-3"]) == ["00000000.png@fog-3"]
    assert stored_keys(["a.png@night-3@fog-3"], ["a.png@rain-3@fog-3"]) == ["a.png@night-3@fog-3"]


def test_a_cache_that_is_read_as_it_is_has_no_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(SceneShiftDataset(Frames(2), InPlace("dusk"), camera="kitti", num_variants=2), path, workers=0)
    read = SceneShiftDataset(Frames(2), InPlace("dusk"), path, camera="kitti", num_variants=2, variants="all")
    assert len(read) == 4
    for setting in ({"camera": "cityscapes"}, {"num_variants": 3}, {"num_variants": 1}, {"depth": "depth"}):
        with pytest.raises(CacheMismatchError, match=next(iter(setting))):
            SceneShiftDataset(Frames(2), InPlace("dusk"), path, **setting)


def test_a_cache_that_is_not_finished_is_read_on_request_only(tmp_path: Path) -> None:
    # As a run leaves it that filled it while it read: without a word, the next one would show frames unshifted.
    path = tmp_path / "a.cache"
    warm_cache(SceneShiftDataset(Frames(3), InPlace("dusk"), severity=(1, 2)), path, limit=1, workers=0)
    for severity in (1, (1, 2)):
        with pytest.raises(CacheDatasetMismatchError, match="generate"):
            SceneShiftDataset(Frames(3), InPlace("dusk"), path, severity=severity)
    left = SceneShiftDataset(Frames(3), InPlace("dusk"), path, severity=1, on_miss="original")
    for number in range(3):
        left[number]
    assert left.stats().missed == 2
    assert len(SceneShiftDataset(Subset(Frames(3), [0]), InPlace("dusk"), path, severity=1)) == 1


class Calibrated(Files):
    """Each frame with a camera of its own."""

    def calibration(self, index: int) -> Calibration:
        return Calibration((100.0, 100.0), (32.0, 20.0 + index), height_m=1.5)


def test_each_frame_has_its_own_camera_wherever_it_is_made(tmp_path: Path) -> None:
    class Seeing(InPlace):
        def shift(self, frames: Any) -> Any:
            for frame in frames:
                seen.append((frame.key, frame.severity, frame.camera.horizon_row))
            return super().shift(frames)

    seen: list[Any] = []
    ds = SceneShiftDataset(Calibrated(), Seeing("dusk"), severity=(1, 2), variants="all", camera="file")
    for number in range(len(ds)):
        ds[number]
    in_place = seen.copy()
    seen.clear()
    warm_cache(ds, tmp_path / "a.cache", workers=0)
    assert sorted(seen) == in_place
    assert [row for _, _, row in in_place] == [20.0, 20.0, 21.0, 21.0]


def test_frames_of_what_is_drawn_anew_are_not_stored(tmp_path: Path) -> None:
    # The frame would show the objects of one epoch, the labels those of another.
    warm_cache(Frames(2), tmp_path / "a.cache", InsertionPipeline(make_recipe(), EllipseInserter()), workers=0)
    drawn = POCAugmentedDataset(Frames(2), tmp_path / "a.cache", p=0.5)
    fixed = POCAugmentedDataset(Frames(2), tmp_path / "a.cache", p=1.0, variant=0)
    path = tmp_path / "b.cache"
    warm_cache(SceneShiftDataset(fixed, InPlace("dusk")), path, workers=0)
    SceneShiftDataset(fixed, InPlace("dusk"), path)
    SceneShiftDataset(drawn, InPlace("dusk"))[0]  # made when reading: image and labels are of one epoch
    for base in (drawn, Subset(drawn, [0, 1]), SceneShiftDataset(drawn, InPlace("haze"))):
        with pytest.raises(SettingError, match="drawn anew"):
            SceneShiftDataset(base, InPlace("dusk"), path, schema=SCHEMA)
        with pytest.raises(SettingError, match="drawn anew"):
            warm_cache(SceneShiftDataset(base, InPlace("dusk"), schema=SCHEMA), tmp_path / "c.cache", workers=0)
