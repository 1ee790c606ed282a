"""Insertions generated while training, with Hugging Face Accelerate.

    python examples/live_accelerate.py --mode background
    torchrun --nproc-per-node 2 examples/live_accelerate.py --cache live.cache

The objects, model, loss and crop are those of ``live_training.py``; runs on the CPU, with nothing downloaded. Each
process has a generation process of its own; on one cache, they share what they make.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from live_training import draw_cutouts
from torch.utils.data import DataLoader
from train_camvid import OOD_ID, Crop, loss_of, small_model

from poc_aug import InsertionPipeline, LiveSettings, OodLabels, POCAugmentedDataset, SyntheticStreet
from poc_aug.cli.object_sources import load_objects


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mode", choices=("generate", "background"), default="generate")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--cache", type=Path, help="kept and continued; default: each process has a temporary one")
    parser.add_argument("--smoke", action="store_true", help="a few frames and two epochs")
    options = parser.parse_args()
    options.epochs = options.epochs or (2 if options.smoke else 5)
    accelerator = Accelerator(cpu=True)
    set_seed(0)
    base = SyntheticStreet(size=(128, 256), length=8 if options.smoke else 64)
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = InsertionPipeline(*load_objects(str(draw_cutouts(Path(scratch)))))
        labels, crop = OodLabels(OOD_ID), Crop((96, 192))
        with POCAugmentedDataset(
            base,
            options.cache,
            labels,
            pipeline=pipeline,
            on_miss=options.mode,
            live=LiveSettings(refresh=0.1),
            p=0.7,
            transforms=crop,
        ) as train:
            train_model(accelerator, train, options)


def train_model(accelerator: Accelerator, train: POCAugmentedDataset, options: argparse.Namespace) -> None:
    persistent = options.workers > 0
    plain = DataLoader(
        train, 4, shuffle=True, drop_last=True, num_workers=options.workers, persistent_workers=persistent
    )
    model = small_model().train()
    model, optimiser, loader = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), 2e-3), plain)
    for epoch in range(options.epochs):
        # A prepared loader counts epochs itself and tells the dataset, unless its sampler takes them. It counts
        # from 0 in a run that is resumed, and not those that are left early: so both are reported to it.
        loader.set_epoch(epoch)
        train.set_epoch(epoch)
        losses = []
        for images, labels in loader:
            loss = loss_of(model(images), labels)
            optimiser.zero_grad()
            accelerator.backward(loss)
            optimiser.step()
            losses.append(accelerator.gather(loss.detach()).mean().item())
        accelerator.print(f"epoch {epoch}: loss {sum(losses) / len(losses):.6f}")
        print(f"  process {accelerator.process_index}: {train.stats()}")


if __name__ == "__main__":
    main()
