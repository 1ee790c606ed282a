"""What examples on the pages name without making it: the reader's own dataset, cache, model and files, all small."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from torchvision.datasets import Cityscapes
from torchvision.transforms import v2

from poc_aug import InsertionPipeline, ObjectBank, PairedFolder, PasteInserter, SyntheticStreet, warm_cache
from poc_aug.backends.paste.bank_recipe import paste_recipe
from poc_aug.importing import classes_of_preset
from poc_aug.labels.schema import SCHEMAS
from poc_aug.paper_sets import load_set
from poc_aug.types import Sample
from tests.helpers.edit_cases import blob, edit_of, save_edit
from tests.helpers.fakes import EllipseInserter
from tests.helpers.set_trees import BUILDING, CAR, ROAD, acdc_tree, cityscapes_tree, street

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "docs" / "_ext"))
page_code: Any = importlib.import_module("page_code")

SIZE_HW = (64, 128)
CUTOUTS = ("cow", "dog")
# What would take a cluster's processes or absolute paths here; each is on some page.
REPLACED = {
    "num_workers=8": "num_workers=0",
    "workers=8": "workers=1",
    "v2.Compose([...])": "v2.Compose([v2.ToImage()])",
    '"/data/': '"data/',
}
Names = dict[str, object]


def pipeline() -> InsertionPipeline:
    """Pastes the cut-outs of the folder ``cutouts``."""
    bank = ObjectBank.from_folder("cutouts")
    return InsertionPipeline(paste_recipe(bank), PasteInserter(bank))


def make_stock(folder: Path) -> None:
    """Cut-outs, and a cache of street scenes: what most pages need."""
    rows, columns = np.mgrid[-1:1:24j, -1:1:36j]
    for name in CUTOUTS:
        cutout = np.random.default_rng(len(name)).integers(40, 220, (24, 36, 4), dtype=np.uint8)
        cutout[..., 3] = (rows**2 + columns**2 < 0.9) * np.uint8(255)
        (folder / "cutouts" / name).mkdir(parents=True)
        Image.fromarray(cutout).save(folder / "cutouts" / name / "1.png")
    warm_cache(base(), "street.cache", pipeline(), num_variants=2, workers=0)


def base() -> SyntheticStreet:
    """The reader's dataset."""
    return SyntheticStreet(size=SIZE_HW, length=4)


def names(page: str, stock: Path, folder: Path) -> Names:
    """Lays out the stock in a page's folder, and gives what every page may name."""
    shutil.copytree(stock / "cutouts", folder / "cutouts")
    if page in CACHES:
        shutil.copytree(stock / "street.cache", folder / CACHES[page])
    return {"base": base(), "epochs": 1, "pipeline": pipeline(), "schema": SCHEMAS["cityscapes-trainIds"]}


def _training(folder: Path) -> Names:
    frames = [base()[index] for index in range(4)]
    for number, (image, labels) in enumerate(frames):
        for kind, picture, suffix in (("images", image, "jpg"), ("labels", labels, "png")):
            path = folder / "data" / kind / "ulm" / f"{number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    paired = PairedFolder("data", images="images/*/*.jpg", labels="labels/*/*.png", schema="cityscapes-trainIds")
    for cache in ("cutouts.cache", "diffusion.cache"):
        warm_cache(paired, cache, pipeline(), num_variants=1, workers=0)
    datasets = importlib.import_module("datasets")
    rows = {"image": [image for image, _ in frames], "label": [labels for _, labels in frames]}
    datasets.Dataset.from_dict({**rows, "file_name": [f"{number}.png" for number in range(4)]}).save_to_disk("street")
    images = torch.stack([v2.functional.pil_to_tensor(image) for image, _ in frames])
    labels = torch.stack([v2.functional.pil_to_tensor(labels)[0] for _, labels in frames])
    return {"keys": base().keys(), "images": images, "labels": labels}


def _evaluation(folder: Path) -> Names:
    torch.manual_seed(0)
    camvid, anomalies = folder / "data/CamVid", folder / "data/RoadAnomaly/frames"
    for number in range(2):
        frame, labels = street(number, (48, 96))
        classes = np.select([labels == ROAD, labels == BUILDING], [3, 1], 0).astype(np.uint8)  # of CamVid
        _save(frame, camvid / f"val/{number}.png")
        _save(Image.fromarray(classes), camvid / f"valannot/{number}.png")
        _save(frame, anomalies / f"{number}.jpg")
        _save(Image.fromarray((labels == CAR) * np.uint8(2)), anomalies / f"{number}.labels/labels_semantic.png")
    acdc_tree(folder / "data/acdc", size_hw=(48, 96))
    batches = []
    for _ in range(4):
        labels_of_batch = torch.randint(0, 3, (2, 16, 16))
        labels_of_batch = labels_of_batch.where(labels_of_batch != 2, 255)
        batches.append((torch.rand(2, 3, 16, 16), labels_of_batch))
    return {"model": torch.nn.Conv2d(3, 3, 3, padding=1), "loader": batches}


def _exporting(folder: Path) -> Names:
    root = cityscapes_tree(folder / "data/cityscapes")
    dataset = Cityscapes(str(root), split="train", mode="fine", target_type="semantic")
    warm_cache(dataset, "cityscapes.cache", pipeline(), num_variants=1, workers=0)
    return {}


def _importing(folder: Path) -> Names:
    root = cityscapes_tree(folder / "cityscapes")
    name = "aachen/aachen_000000_000019"
    image = v2.functional.pil_to_tensor(Image.open(root / f"leftImg8bit/train/{name}_leftImg8bit.png"))
    labels = v2.functional.pil_to_tensor(Image.open(root / f"gtFine/train/{name}_gtFine_labelTrainIds.png"))[0]
    sample = Sample(image, labels, f"leftImg8bit/train/{name}_leftImg8bit.png")
    edit = edit_of(sample, blob(0, ["dog"], (60, 80, 20, 24)), classes=classes_of_preset("poc-alt"))
    save_edit(folder / "poc_alt_train", edit, "aachen_000000_000019_leftImg8bit_A-good-photo-of-a-dog_7")
    return {}


def _paper_sets(folder: Path) -> Names:
    cityscapes_tree(folder / "data/cityscapes", size_hw=(512, 1024))
    for name, cache in (("cs-poc", "cs-poc.cache"), ("poc-alt", "poc-alt.cache")):
        paper_set = load_set(name)
        recipe = paper_set.recipe().with_changes(locate_by="labels", attempts=1)
        made = InsertionPipeline(recipe, EllipseInserter())
        warm_cache(paper_set.dataset("data/cityscapes"), cache, made, num_variants=1, workers=0)
    return {}


def _other_domains(folder: Path) -> Names:
    importlib.import_module("examples.table_scene").write(folder / "mug")
    paired = PairedFolder("mug", images="images/*.png", labels="labels/*.png", schema="mug/table.yaml")
    bank = ObjectBank.from_coco("mug/instances.json")
    made = InsertionPipeline(paste_recipe(bank, sizes="20:40px", location=("table",)), PasteInserter(bank))
    warm_cache(paired, "mug.cache", made, num_variants=1, workers=0)
    return {}


def _adding_a_backend(folder: Path) -> Names:
    text = (ROOT / "docs" / "adding_a_backend.md").read_text(encoding="utf-8")
    (folder / "triangles.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    return {}


def _litdata(folder: Path) -> Names:
    schema = {"ids": dict(base().schema.ids), "ignore": list(base().schema.ignore)}
    (folder / "street.yaml").write_text(yaml.safe_dump(schema), encoding="utf-8")
    frames = [base()[index] for index in range(4)]
    pairs = zip(frames, base().keys(), strict=True)
    return {"base": [{"image": image, "labels": labels, "name": key} for (image, labels), key in pairs]}


def _my_dataset(name: str) -> SyntheticStreet:
    return SyntheticStreet(size=SIZE_HW, length=6, seed=len(name))


def _pytorch(folder: Path) -> Names:
    for name in ("city", "country"):
        warm_cache(_my_dataset(name), f"{name}.cache", pipeline(), num_variants=1, workers=0)
    return {"MyDataset": _my_dataset}


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


# By page: under which name it reads a cache of `base` that it does not make, and what else it needs.
CACHES = {
    "README.md": "cityscapes.cache",
    "docs/integrations/litdata.md": "street.cache",
    "docs/packing.md": "street.cache",
    "docs/report.md": "street.cache",
    "docs/training.md": "cityscapes.cache",
    "docs/upkeep.md": "street.cache",
}
PREPARED: dict[str, Callable[[Path], Names]] = {
    "docs/adding_a_backend.md": _adding_a_backend,
    "docs/camera.md": lambda folder: {"MyDataset": SyntheticStreet},
    "docs/evaluation.md": _evaluation,
    "docs/exporting.md": _exporting,
    "docs/importing.md": _importing,
    "docs/integrations/litdata.md": _litdata,
    "docs/integrations/pytorch.md": _pytorch,
    "docs/other_domains.md": _other_domains,
    "docs/paper_sets.md": _paper_sets,
    "docs/training.md": _training,
}
