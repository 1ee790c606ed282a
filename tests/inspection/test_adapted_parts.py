"""Items of a form of their own, in parts whose samples have equal names: pictures tell them apart wherever they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import ConcatDataset

from poc_aug.cache.several_caches import open_caches
from poc_aug.cache.united_caches import UnitedCaches
from poc_aug.exporting.exporter import export
from poc_aug.inspection.contact_sheet import tiles_of
from poc_aug.items.container import Adapt
from poc_aug.reporting import write_report
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.key_cases import Named, warm

LENGTH = 2
ADAPT = Adapt(
    get=lambda item: (item["picture"], item["classes"]),
    put=lambda item, image, labels: {**item, "picture": image, "classes": labels},
)


class First(Named):
    """A form that nothing but `ADAPT` understands."""

    shift = 0

    def __getitem__(self, index: int) -> Any:
        image, labels = Frames(999)[self.shift + range(self.length)[index]]
        return {"picture": image, "classes": labels}


class Second(First):
    """Other pictures, under the same keys."""

    shift = 100


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """Datasets, each with a cache that was made for another one which shares its samples."""
    folder = tmp_path_factory.mktemp("parts")
    first, second = First(LENGTH), Second(LENGTH)
    whole: Any = ConcatDataset([first, second])
    return {
        "a part's cache, read by the whole": (whole, warm(second, folder / "part.cache", adapt=ADAPT)),
        "the whole's cache, read by a part": (second, warm(whole, folder / "whole.cache", adapt=ADAPT)),
    }


@pytest.mark.parametrize("case", ["a part's cache, read by the whole", "the whole's cache, read by a part"])
@pytest.mark.parametrize("times", [1, 2])
def test_the_samples_are_found(caches: dict[str, tuple[Any, Path]], case: str, times: int, tmp_path: Path) -> None:
    dataset, path = caches[case]
    paths = [path, Path(shutil.copytree(path, tmp_path / "copied.cache"))][:times]
    with open_caches(paths) as opened:
        tiles = tiles_of(dataset, opened, 9, adapt=ADAPT)
        assert len({tile.sample.key for tile in tiles}) == LENGTH
        report = export(
            dataset, opened, "pebal", tmp_path / "out", split="train", adapt=ADAPT, schema=SCHEMA, workers=0,
            base_frames=False, keep_ids=True,
        )  # fmt: skip
        assert report.written == 2 * LENGTH * times
        sources = opened.caches if isinstance(opened, UnitedCaches) else [opened]
        made = write_report(sources, tmp_path / "report.html", dataset=dataset, adapt=ADAPT)
    shown = [text for recipe in made for _, pictures in recipe.galleries for _, text in pictures]
    assert any("not in the dataset" not in text for text in shown)
