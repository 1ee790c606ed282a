"""Each method's reader sees the anomalies that the dataset shows with the same policy, pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset, Subset

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_recipe import paste_recipe
from poc_aug.backends.paste.paste_inserter import PasteInserter
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.exporting.exporter import export
from poc_aug.exporting.layouts.cityscapes import CityscapesLayout
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.schema import SCHEMAS
from tests.helpers.export_cases import LENGTH, CityFrames, as_arrays, halo_pipeline
from tests.helpers.method_readers import READERS


class Exported(NamedTuple):
    """Folder of each layout, and what the dataset shows: pictures and labels by frame name, and by number."""

    folders: dict[str, Path]
    shown: dict[str, tuple[Any, Any]]
    numbered: dict[str, tuple[Any, Any]]
    ood_px: dict[str, int]


def exported(base: Any, cache: Path, reference: Any, names: list[str], instance_ids: Any, folder: Path) -> Exported:
    """Export in each layout that methods read; ``reference``: the same frames with labels in trainIds."""
    dataset = POCAugmentedDataset(reference, cache, OodLabels(254), variants="all")
    each = len(dataset) // len(names)
    items = [as_arrays(dataset[index]) for index in range(len(dataset))]
    shown = {f"{names[index // each]}_v{index % each}": item for index, item in enumerate(items)}
    ranks = [sorted(dataset.keys).index(key) for key in dataset.keys]
    numbered = {f"{ranks[n // each] * 10_000 + n % each:012d}": item for n, item in enumerate(items)}
    folders = {name: folder / name for name in ("cs-synth", "cityscapes", "pebal", "ood-seg")}
    ood_px = {}
    for name, out in folders.items():
        layout: Any = CityscapesLayout(instance_ids) if name == "cityscapes" else name
        ood_px[name] = export(base, cache, layout, out, workers=0).ood_px
    return Exported(folders, shown, numbered, ood_px)


class EvaluatedClasses(Dataset[Any]):
    """Cityscapes' labelIds in trainIds, by the table of its paper (Cordts et al. 2016).

    Its own files of trainIds are drawn from polygons anew, and differ from its labelIds along some edges.
    """

    schema = SCHEMAS["cityscapes-trainIds"]

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._table = np.full(256, 255, np.uint8)
        for train_id, label_id in enumerate((7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)):
            self._table[label_id] = train_id

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        image, labels = self.dataset[index]
        return image, Image.fromarray(self._table[np.asarray(labels)])


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Frames of another schema, with halos of pixels that are ignored."""
    from tests.exporting.test_label_forms import InTrainIds

    class Reference(InTrainIds):
        keys = CityFrames.keys

    folder = tmp_path_factory.mktemp("made-up")
    cache = folder / "city.cache"
    warm_cache(CityFrames(LENGTH), cache, halo_pipeline(), num_variants=3, workers=0)
    names = [Path(key).name.removesuffix("_leftImg8bit.png") for key in CityFrames(LENGTH).keys()]
    return exported(CityFrames(LENGTH), cache, Reference(LENGTH), names, "objects", folder)


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Frames of Cityscapes with labelIds, and cut-outs of COCO."""
    torchvision_datasets = pytest.importorskip("torchvision.datasets")
    folder, root = tmp_path_factory.mktemp("real"), real_data / "scenes" / "cityscapes"
    names = ["aachen_000001_000019"]
    own = torchvision_datasets.Cityscapes(root, split="train", mode="fine", target_type="semantic")
    numbers = [
        next(n for n, path in enumerate(own.images) if name in path) for name in names
    ]  # it lists them in any order
    base = Subset(own, numbers)
    bank = ObjectBank.from_coco(real_data / "objects" / "coco_mini" / "instances.json")
    pipeline = InsertionPipeline(
        paste_recipe(bank, objects_per_variant=(2, 3), camera="cityscapes"), PasteInserter(bank)
    )
    warm_cache(base, folder / "real.cache", pipeline, num_variants=1, workers=0)
    reference = EvaluatedClasses(base)
    return exported(base, folder / "real.cache", reference, names, "all", folder)


@pytest.mark.parametrize("method", READERS)
@pytest.mark.parametrize("frames", ["made_up", "real"])
def test_a_method_sees_the_anomalies_of_the_dataset(method: str, frames: str, request: pytest.FixtureRequest) -> None:
    case: Exported = request.getfixturevalue(frames)
    layout, read = READERS[method]
    seen = read(case.folders[layout], "train")
    shown = case.numbered if layout == "ood-seg" else case.shown
    assert set(seen) == set(shown)
    count = 0
    for name, (image, labels) in seen.items():
        expected_image, expected = shown[name]
        if layout == "ood-seg":  # JPEG changes pixels a little
            assert np.abs(image.astype(int) - expected_image).mean() < 4
            expected = np.where(expected == 254, 254, 0)
        else:
            assert np.array_equal(image, expected_image)
        if method == "forks of POC, evaluation":  # everything that is not evaluated in training counts as 1
            expected = np.where(expected > 18, 254, 0)
        assert np.array_equal(labels, expected)
        count += int((labels == 254).sum())
    wanted = sum(int((labels == 254).sum()) for _, labels in case.shown.values())
    assert case.ood_px[layout] == wanted > 0
    if method != "forks of POC, evaluation":
        assert count == wanted
