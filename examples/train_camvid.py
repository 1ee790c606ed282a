"""Train a small segmentation model on CamVid with inserted objects, and learn to be unsure about them.

Known pixels get a cross-entropy loss, inserted ones (label 254) a loss towards the uniform distribution, as in
outlier exposure (Hendrycks et al., ICLR 2019). Runs on the CPU:

    python examples/train_camvid.py --camvid PATH/TO/camvid --objects PATH/TO/instances.json

The folder of CamVid holds train/, trainannot/, val/, valannot/; objects are whatever `warm_cache --objects` takes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional

from poc_aug import InsertionPipeline, OodLabels, POCAugmentedDataset, warm_cache
from poc_aug.cli.object_sources import load_objects
from poc_aug.datasets import camvid

CLASSES = 11
OOD_ID = 254


class Crop:
    """Random crop of image and labels, to tensors."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw

    def __call__(self, image: object, labels: object) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 ``[3, h, w]`` in [0, 1] and int64 ``[h, w]``."""
        pixels = functional.pil_to_tensor(image).float() / 255
        ids = functional.pil_to_tensor(labels)[0].long()
        height, width = self.size_hw
        y = int(torch.randint(0, ids.shape[0] - height + 1, ()))
        x = int(torch.randint(0, ids.shape[1] - width + 1, ()))
        return pixels[:, y : y + height, x : x + width], ids[y : y + height, x : x + width]


def small_model() -> nn.Module:
    """An encoder-decoder of four strided and four upsampling convolutions."""

    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *block(3, 16, 2),
        *block(16, 32, 2),
        *block(32, 64, 2),
        *block(64, 64, 1),
        nn.Conv2d(64, CLASSES, 1),
        nn.Upsample(scale_factor=8, mode="bilinear", align_corners=False),
    )


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy on known pixels, distance to the uniform distribution on inserted ones."""
    known = torch.where(labels < CLASSES, labels, -100)
    loss = nn.functional.cross_entropy(logits, known, ignore_index=-100)
    inserted = labels == OOD_ID
    if inserted.any():
        uniform = -torch.log_softmax(logits, dim=1).mean(dim=1)
        loss = loss + 0.1 * uniform[inserted].mean()
    return loss


def main() -> None:
    data = Path(os.environ.get("POC_AUG_DATA", "data"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--camvid", type=Path, default=data / "scenes" / "camvid")
    parser.add_argument("--objects", default=str(data / "objects" / "coco_mini" / "instances.json"))
    parser.add_argument("--cache", type=Path, help="default: in a temporary folder")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--start-method", choices=("fork", "spawn", "forkserver"), default="fork")
    parser.add_argument("--smoke", action="store_true", help="a few frames and steps")
    options = parser.parse_args()

    base = camvid(options.camvid, "train")
    recipe, inserter = load_objects(options.objects, schema=base.schema)
    limit = 8 if options.smoke else None
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch) / "camvid.cache"
        report = warm_cache(base, cache, InsertionPipeline(recipe, inserter), num_variants=3, limit=limit)
        print(f"{report.made} variants, {report.objects} objects, {report.seconds:.1f} s")
        train(base, cache, options)


def train(base: torch.utils.data.Dataset[object], cache: Path, options: argparse.Namespace) -> None:
    augmented = POCAugmentedDataset(base, cache, OodLabels(OOD_ID), p=0.7, transforms=Crop((256, 320)))
    print(augmented)
    loader = DataLoader(
        augmented,
        batch_size=4,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        multiprocessing_context=options.start_method if options.workers else None,
    )
    torch.manual_seed(0)
    model = small_model().train()
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    steps = 12 if options.smoke else options.steps
    step = epoch = 0
    losses: list[float] = []
    while step < steps:
        augmented.set_epoch(epoch)
        for images, labels in loader:
            loss = loss_of(model(images), labels)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(float(loss.detach()))
            step += 1
            if step % 10 == 0 or step == steps:
                print(f"step {step}: loss {sum(losses[-10:]) / len(losses[-10:]):.3f}")
            if step == steps:
                break
        epoch += 1


if __name__ == "__main__":
    main()
