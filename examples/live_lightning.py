"""Insertions generated while training, with Lightning.

    python examples/live_lightning.py --mode background

The objects, model, loss and crop are those of ``live_training.py``; runs on the CPU, with nothing downloaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from live_training import draw_cutouts
from torch.utils.data import DataLoader
from train_camvid import OOD_ID, Crop, loss_of, small_model

from poc_aug import InsertionPipeline, LiveSettings, OodLabels, POCAugmentedDataset, SyntheticStreet
from poc_aug.cli.object_sources import load_objects

if importlib.util.find_spec("lightning") is None:
    sys.exit("examples/live_lightning.py needs Lightning: pip install lightning")

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from poc_aug.integrations.lightning import AugmentationEpochs


class Reported(AugmentationEpochs):
    """Announces each epoch to the datasets, as its base does, and reports what became of it."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the epoch that ends."""
        print(f"epoch {trainer.current_epoch}: loss {trainer.callback_metrics['loss']:.6f}")
        for dataset in self.found:
            statistics = dataset.stats()
            print(f"  {statistics}")
            if isinstance(trainer.logger, TensorBoardLogger):
                statistics.write_to(trainer.logger.experiment)


class Streets(L.LightningDataModule):
    """The data of ``live_training.py``."""

    def __init__(self, train: POCAugmentedDataset, workers: int) -> None:
        super().__init__()
        self.train, self.workers = train, workers

    def train_dataloader(self) -> DataLoader[Any]:
        """As without poc_aug."""
        keep = self.workers > 0
        return DataLoader(self.train, 4, True, drop_last=True, num_workers=self.workers, persistent_workers=keep)


class Segmenter(L.LightningModule):
    """The model of ``live_training.py``."""

    def __init__(self) -> None:
        super().__init__()
        self.model = small_model()

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """The loss of one batch."""
        images, labels = batch
        loss = loss_of(self.model(images), labels)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As in ``live_training.py``."""
        return torch.optim.AdamW(self.model.parameters(), 2e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mode", choices=("generate", "background"), default="generate")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--resume", type=Path, metavar="CHECKPOINT", help="continue from this checkpoint")
    parser.add_argument("--log", type=Path, metavar="DIR", help="write TensorBoard logs and checkpoints there")
    parser.add_argument("--smoke", action="store_true", help="a few frames and two epochs")
    options = parser.parse_args()
    epochs = options.epochs or (2 if options.smoke else 5)
    L.seed_everything(0, verbose=False)
    base, crop = SyntheticStreet(size=(128, 256), length=8 if options.smoke else 64), Crop((96, 192))
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = InsertionPipeline(*load_objects(str(draw_cutouts(Path(scratch)))))
        with POCAugmentedDataset(
            base,
            None,
            OodLabels(OOD_ID),
            pipeline=pipeline,
            on_miss=options.mode,
            live=LiveSettings(refresh=0.1),
            p=0.7,
            transforms=crop,
        ) as train:
            trainer = L.Trainer(
                accelerator="cpu",
                max_epochs=epochs,
                logger=TensorBoardLogger(options.log) if options.log else False,
                enable_checkpointing=options.log is not None,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[Reported()],
            )
            trainer.fit(Segmenter(), datamodule=Streets(train, options.workers), ckpt_path=options.resume)


if __name__ == "__main__":
    main()
