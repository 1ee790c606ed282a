"""Train on torchvision's Cityscapes with inserted objects and kornia's `AugmentationSequential`, passed as it is.

    python examples/train_kornia.py --cityscapes PATH/TO/cityscapes

The folder holds leftImg8bit/ and gtFine/. Objects are rendered by the package; runs on the CPU.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch
from kornia import augmentation
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import Cityscapes

from poc_aug import InsertionPipeline, OodLabels, POCAugmentedDataset, warm_cache
from poc_aug.cli.object_sources import ObjectChoice, load_objects
from poc_aug.losses import outlier_exposure

OOD_ID, IGNORE_ID = 254, 255

# Called with data_keys=["input", "mask"]: images come out as floats, labels in the ids and dtype that went in.
TRANSFORMS = augmentation.AugmentationSequential(
    augmentation.RandomResizedCrop((192, 256), scale=(0.1, 0.5)),
    augmentation.RandomHorizontalFlip(),
    augmentation.ColorJiggle(0.3, 0.3, 0.3, p=0.5),
    augmentation.Normalize(torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])),
)

# From the files' labelIds to the 19 classes of the benchmark; objects keep their id.
TRAIN_IDS = torch.full((256,), IGNORE_ID)
for known in Cityscapes.classes:
    if 0 <= known.train_id < 19:
        TRAIN_IDS[known.id] = known.train_id
TRAIN_IDS[OOD_ID] = OOD_ID


def small_model() -> nn.Module:
    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    upsample = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=False)
    return nn.Sequential(*block(3, 16, 2), *block(16, 32, 2), *block(32, 64, 2), nn.Conv2d(64, 19, 1), upsample)


def main() -> None:
    data = Path(os.environ.get("POC_AUG_DATA", "data"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cityscapes", type=Path, default=data / "scenes" / "cityscapes")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="a few steps")
    options = parser.parse_args()
    steps = 12 if options.smoke else options.steps

    base = Cityscapes(str(options.cityscapes), split="train", mode="fine", target_type="semantic")
    recipe, inserter = load_objects("rendered", ObjectChoice(camera="cityscapes"))
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "cityscapes.cache"
        warm_cache(base, cache, InsertionPipeline(recipe, inserter), num_variants=1)
        dataset = POCAugmentedDataset(base, cache, OodLabels(OOD_ID), p=0.5, transforms=TRANSFORMS)
        torch.manual_seed(0)
        loader = DataLoader(
            dataset, batch_size=4, shuffle=True, num_workers=options.workers, persistent_workers=options.workers > 0
        )
        train(dataset, loader, steps)


def train(dataset: POCAugmentedDataset, loader: DataLoader[object], steps: int) -> None:
    model = small_model().train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    losses: list[float] = []
    epoch = 0
    while len(losses) < steps:
        dataset.set_epoch(epoch)
        for images, labels in loader:
            labels = TRAIN_IDS[labels.long()]  # uint8, as the files are
            logits = model(images)
            classes = labels.where(labels != OOD_ID, IGNORE_ID)
            loss = nn.functional.cross_entropy(logits, classes, ignore_index=IGNORE_ID)
            loss = loss + 0.1 * outlier_exposure(logits, labels, ood_id=OOD_ID)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(float(loss.detach()))
        epoch += 1
    few = max(1, len(losses) // 4)
    print(f"loss: {sum(losses[:few]) / few:.3f} in the first {few} steps, {sum(losses[-few:]) / few:.3f} in the last")


if __name__ == "__main__":
    main()
