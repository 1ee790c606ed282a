"""Hugging Face: rows of a table, a stream, and the `Trainer` with Segformer and its processor.

    python examples/hugging_face.py --epochs 5

A table of rendered streets with the columns image, label and file_name is made, and a cache of obstacles; the model is
a small Segformer with random weights. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from torch.utils.data import DataLoader

import poc_aug
from poc_aug import Composer, InsertionPipeline, OodLabels, POCAugmentedDataset, RenderedInserter, SyntheticStreet
from poc_aug.integrations.hugging_face import ComposeRows
from poc_aug.presets import load_preset

OOD_ID = 254
SCHEMA = SyntheticStreet(length=1).schema
POLICY = OodLabels(OOD_ID)


def make_table(length: int) -> datasets.Dataset:
    """Rendered streets as a table; its rows have names, as those of real data sets should."""
    streets = SyntheticStreet(size=(96, 192), length=length)
    images, labels = zip(*(streets[number] for number in range(length)), strict=True)
    kinds = {"image": datasets.Image(), "label": datasets.Image(), "file_name": datasets.Value("string")}
    columns = {"image": list(images), "label": list(labels), "file_name": streets.keys()}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


def share_with_objects(rows: Any) -> float:
    """Share of rows whose labels hold the OOD id."""
    found = [OOD_ID in np.asarray(row["label"]) for row in rows]
    return sum(found) / len(found)


def read_rows(table: datasets.Dataset, cache: Path) -> None:
    """Map-style: in any order, since rows are named by a column."""
    train = POCAugmentedDataset(table.shuffle(seed=0), cache, POLICY, schema=SCHEMA, keys="file_name")
    for epoch in range(2):
        poc_aug.set_epoch(train, epoch)
        print(f"rows, epoch {epoch}: {share_with_objects(train[i] for i in range(len(train))):.0%} with objects")


def read_stream(table: datasets.Dataset, cache: Path) -> None:
    """A stream in two shards, each read by a worker of its own."""
    composer = Composer(cache, POLICY, schema=SCHEMA, key="file_name", redraw="read")
    stream = table.to_iterable_dataset(num_shards=2).map(composer).shuffle(seed=0, buffer_size=4)
    loader = DataLoader(stream, batch_size=2, num_workers=2, collate_fn=list)
    for epoch in range(2):
        share = share_with_objects(row for batch in loader for row in batch)
        print(f"stream, epoch {epoch}: {share:.0%} with objects")


class Prepare:
    """The transform of the Trainer's examples: columns in, tensors out. The OOD id becomes the model's last class."""

    def __init__(self) -> None:
        self.processor = transformers.SegformerImageProcessor(size={"height": 96, "width": 192}, do_reduce_labels=False)

    def __call__(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Pixels and labels of a batch."""
        inputs = dict(
            self.processor([image.convert("RGB") for image in batch["image"]], batch["label"], return_tensors="pt")
        )
        labels = inputs["labels"]
        inputs["labels"] = torch.where(labels == OOD_ID, max(SCHEMA.ids.values()) + 1, labels)
        return inputs


def train(table: datasets.Dataset, cache: Path, folder: Path, epochs: int) -> None:
    """The Trainer, on a table with a transform."""
    composer = Composer(cache, POLICY, schema=SCHEMA, key="file_name", redraw="read")
    train_ds = table.with_transform(ComposeRows(composer, then=Prepare()))
    sizes: dict[str, Any] = {
        "num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1], "hidden_sizes": [16, 16],
        "num_attention_heads": [1, 1], "patch_sizes": [7, 3], "strides": [4, 2], "mlp_ratios": [2, 2],
        "decoder_hidden_size": 16, "num_labels": max(SCHEMA.ids.values()) + 2,
    }  # fmt: skip
    config = transformers.SegformerConfig(**sizes)
    model = transformers.SegformerForSemanticSegmentation(config)
    arguments = transformers.TrainingArguments(
        str(folder), num_train_epochs=epochs, per_device_train_batch_size=2, learning_rate=2e-3, use_cpu=True,
        report_to=[], save_strategy="no", disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=train_ds)
    print(f"Trainer: {epochs} epochs, loss {trainer.train().training_loss:.3f}; {composer.stats()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="a few rows and one epoch")
    options = parser.parse_args()
    transformers.set_seed(0)
    table = make_table(6 if options.smoke else 32)
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "street.cache"
        pipeline = InsertionPipeline(load_preset("obstacles"), RenderedInserter())
        poc_aug.warm_cache(table, cache, pipeline, workers=0, schema=SCHEMA, keys="file_name")
        read_rows(table, cache)
        read_stream(table, cache)
        train(table, cache, Path(scratch) / "run", 1 if options.smoke else options.epochs)


if __name__ == "__main__":
    main()
