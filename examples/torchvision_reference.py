"""Three lines in torchvision's reference script for segmentation (``references/segmentation/train.py``).

    python examples/torchvision_reference.py --epochs 3

Its lines that matter are here, shortened: `get_dataset`, the preset, `train_one_epoch` and the loop. The three that
poc_aug changes follow a ``# poc_aug``; all others are as they were. A small tree of VOC is made of rendered
streets, with a cache of obstacles, which its loss leaves out as it does all of label 255; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms import functional as F

from poc_aug import InsertionPipeline, OodLabels, RenderedInserter, SyntheticStreet, warm_cache
from poc_aug.presets import load_preset

# poc_aug
from poc_aug import POCAugmentedDataset  # isort: skip

VOID = OodLabels(255, void=True)


class SegmentationPresetTrain:
    """Resizes, flips, crops and normalises image and labels together, as ``presets.py`` does."""

    def __init__(self, base_size: int, crop_size: int) -> None:
        self.base_size, self.crop_size = base_size, crop_size

    def __call__(self, image: Any, target: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Image and labels as tensors."""
        size = random.randint(int(0.5 * self.base_size), int(2.0 * self.base_size))
        image = F.resize(image, [size], antialias=True)
        target = F.resize(target, [size], interpolation=F.InterpolationMode.NEAREST)
        if random.random() < 0.5:
            image, target = F.hflip(image), F.hflip(target)
        pad = [0, 0, max(0, self.crop_size - image.width), max(0, self.crop_size - image.height)]
        image, target = F.pad(image, pad, fill=0), F.pad(target, pad, fill=255)
        crop = (random.randint(0, image.height - self.crop_size), random.randint(0, image.width - self.crop_size))
        image, target = (F.crop(each, *crop, self.crop_size, self.crop_size) for each in (image, target))
        pixels = F.normalize(F.to_tensor(image), mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
        return pixels, torch.as_tensor(np.array(target), dtype=torch.int64)


def get_transform(is_train: bool, args: argparse.Namespace) -> Any:
    """The preset."""
    return SegmentationPresetTrain(args.base_size, args.crop_size)


def get_dataset(args: argparse.Namespace, is_train: bool) -> tuple[Any, int]:
    """The dataset, and its number of classes."""
    ds_fn, p, num_classes = torchvision.datasets.VOCSegmentation, args.data_path, 21
    image_set = "train" if is_train else "val"
    # poc_aug
    ds = ds_fn(p, image_set=image_set, transforms=None if is_train else get_transform(is_train, args))
    return ds, num_classes


def criterion(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """As in the script, for one output."""
    return nn.functional.cross_entropy(outputs, target, ignore_index=255)


def train_one_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, data_loader: Any, epoch: int) -> float:
    """One pass over the data."""
    model.train()
    losses = []
    for image, target in data_loader:
        loss = criterion(model(image), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}")
    return sum(losses) / len(losses)


def run(args: argparse.Namespace) -> list[float]:
    """The script's ``main``."""
    dataset, num_classes = get_dataset(args, is_train=True)
    # poc_aug
    dataset = POCAugmentedDataset(dataset, args.cache, VOID, redraw="read", transforms=get_transform(True, args))
    sampler = torch.utils.data.RandomSampler(dataset)
    data_loader = torch.utils.data.DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=args.workers)
    model = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, num_classes, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    return [train_one_epoch(model, optimizer, data_loader, epoch) for epoch in range(args.epochs)]


def make_voc(folder: Path, length: int) -> None:
    """A tree as VOC has it, of rendered streets: cars and people, everything else is background."""
    streets = SyntheticStreet(size=(120, 240), length=length)
    voc = {streets.schema.ids[name]: voc_id for name, voc_id in {"car": 7, "person": 15}.items()}
    tree = folder / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tree / name).mkdir(parents=True)
    names = [f"2012_{number:06d}" for number in range(length)]
    for name, (image, labels) in zip(names, (streets[number] for number in range(length)), strict=True):
        ids = np.zeros(labels.size[::-1], np.uint8)
        for street_id, voc_id in voc.items():
            ids[np.asarray(labels) == street_id] = voc_id
        image.save(tree / "JPEGImages" / f"{name}.jpg", quality=95)
        Image.fromarray(ids).save(tree / "SegmentationClass" / f"{name}.png")
    for split in ("train", "val"):
        (tree / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")


def make_cache(data_path: Path, cache: Path) -> None:
    """Obstacles on the background, below a horizon that VOC's classes do not show."""
    recipe = load_preset("obstacles").with_changes(location=["background"], camera={"horizon": 0.45})
    base = torchvision.datasets.VOCSegmentation(data_path, image_set="train")
    warm_cache(base, cache, InsertionPipeline(recipe, RenderedInserter()), workers=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--base-size", type=int, default=120)
    parser.add_argument("--crop-size", type=int, default=96)
    parser.add_argument("--smoke", action="store_true", help="a few frames and two epochs")
    args = parser.parse_args()
    random.seed(0)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        args.data_path, args.cache = Path(scratch), Path(scratch) / "voc.cache"
        make_voc(args.data_path, 4 if args.smoke else 32)
        make_cache(args.data_path, args.cache)
        args.epochs, args.workers = (2, 0) if args.smoke else (args.epochs, args.workers)
        run(args)


if __name__ == "__main__":
    main()
