"""Streams without an index: WebDataset's shards, and LitData's `StreamingDataset`.

    python examples/streams.py

Rendered streets and a cache of obstacles are made, then the streets are written as WebDataset's shards and as LitData's
chunks, and read from both by two workers. Each sample brings its name, by which a `Composer` finds what to insert.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import litdata
import numpy as np
import webdataset
from litdata.streaming.writer import BinaryWriter
from torch.utils.data import DataLoader

from poc_aug import Composer, InsertionPipeline, OodLabels, RenderedInserter, SyntheticStreet, warm_cache
from poc_aug.integrations.web_dataset import decode_ids
from poc_aug.presets import load_preset

OOD_ID = 254
POLICY = OodLabels(OOD_ID)


def png(picture: Any) -> bytes:
    """A picture as the bytes of a file."""
    with io.BytesIO() as file:
        picture.save(file, "PNG")
        return file.getvalue()


def write_shards(streets: SyntheticStreet, folder: Path) -> str:
    """As any WebDataset: ``KEY.png`` and ``KEY.seg.png``."""
    with webdataset.ShardWriter(str(folder / "street-%d.tar"), maxcount=len(streets) // 2, verbose=0) as writer:
        for key, (image, labels) in zip(streets.keys(), (streets[i] for i in range(len(streets))), strict=True):
            writer.write({"__key__": key.partition(".")[0], "png": png(image), "seg.png": png(labels)})
    return str(folder / "street-{0..1}.tar")


def write_chunks(streets: SyntheticStreet, folder: Path) -> str:
    """What ``litdata.optimize`` writes, in this process."""
    folder.mkdir()
    writer = BinaryWriter(str(folder), chunk_size=len(streets) // 2)
    for number, key in enumerate(streets.keys()):
        image, labels = streets[number]
        writer[number] = {"image": image, "mask": labels, "name": key}
    writer.done()
    writer.merge()
    return str(folder)


def report(name: str, loader: Iterable[Any], labels: str, epochs: int) -> None:
    """Share of samples with objects, by epoch."""
    for epoch in range(epochs):
        shown = [OOD_ID in np.asarray(sample[labels]) for batch in loader for sample in batch]
        print(f"{name}, epoch {epoch}: {len(shown)} samples, {sum(shown) / len(shown):.0%} with objects")


def read_shards(urls: str, cache: Path, epochs: int) -> None:
    """Two workers, one shard each."""
    schema = SyntheticStreet(length=1).schema
    composer = Composer(cache, POLICY, schema=schema, key="__key__", redraw="read")
    dataset = webdataset.WebDataset(urls, shardshuffle=2).decode(decode_ids(), "pil").map(composer).shuffle(8)
    report("WebDataset", DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=list), "seg.png", epochs)


def read_chunks(folder: str, cache: Path, epochs: int) -> None:
    """LitData calls the composer as the dataset's transform."""
    schema = SyntheticStreet(length=1).schema
    composer = Composer(cache, POLICY, schema=schema, key="name", redraw="read")
    dataset = litdata.StreamingDataset(folder, shuffle=True, transform=composer)
    loader = litdata.StreamingDataLoader(dataset, batch_size=2, num_workers=2, collate_fn=list)
    report("LitData", loader, "mask", epochs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--smoke", action="store_true", help="a few samples and two epochs")
    options = parser.parse_args()
    streets = SyntheticStreet(size=(96, 192), length=6 if options.smoke else 32)
    epochs = 2 if options.smoke else options.epochs
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "street.cache"
        warm_cache(streets, cache, InsertionPipeline(load_preset("obstacles"), RenderedInserter()), workers=0)
        read_shards(write_shards(streets, Path(scratch)), cache, epochs)
        read_chunks(write_chunks(streets, Path(scratch) / "chunks"), cache, epochs)


if __name__ == "__main__":
    main()
