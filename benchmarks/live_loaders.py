"""The loaders that are compared: hand-written ones, and the dataset with a generation process."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Frames
from live_inserter import ITEM_S, SIGMA_PX, Device, ids_of, pipeline_of
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from poc_aug.cache import Codec
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.items.open_item import open_item
from poc_aug.items.ownership import is_unshared
from poc_aug.reading.compose import compose, compose_image, paint_labels
from poc_aug.reading.live_settings import LiveSettings, ServerSettings
from poc_aug.reading.parameters import OnMiss
from poc_aug.types import Sample, Variant

Pair = tuple[torch.Tensor, torch.Tensor]
Batch = list[torch.Tensor]
_PREFETCH = 2


class Repeated(Dataset[Any]):
    """Few frames under many keys, decoded with PIL anew each time.

    Args:
        frames: the frames.
        length: number of items.
    """

    def __init__(self, frames: Frames, length: int) -> None:
        self.frames, self.length, self.schema = frames, length, frames.schema

    def __len__(self) -> int:
        return self.length

    def keys(self) -> list[str]:
        """One key per item, so that no item uses what was generated for another."""
        return [f"{number:06d}" for number in range(self.length)]

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        number = index % len(self.frames.images)
        labels = Image.open(self.frames.labels[number])
        labels.load()
        return Image.open(self.frames.images[number]).convert("RGB"), labels


def tensors(image: Image.Image, labels: Image.Image) -> Pair:
    """What a user's transforms end with."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return pixels, torch.from_numpy(np.array(labels))


class Plain(Dataset[Pair]):
    """The base as tensors, without augmentation."""

    def __init__(self, base: Repeated) -> None:
        self.base = base

    def __getitem__(self, index: int) -> Pair:
        return tensors(*self.base[index])


class InWorker(Dataset[Pair]):
    """What one would write by hand: each worker holds the pipeline and generates for its own item."""

    def __init__(self, base: Repeated, pipeline: InsertionPipeline) -> None:
        self.base, self.pipeline, self.keys, self.ids = base, pipeline, base.keys(), ids_of(pipeline)

    def __getitem__(self, index: int) -> Pair:
        return self.items([index])[0]

    def items(self, indices: Sequence[int]) -> list[Pair]:
        """Items whose insertions are generated together."""
        opened = []
        for index in indices:
            came = self.base[index]
            unshared = is_unshared(came)
            opened.append(open_item(came, key=self.keys[index], unshared=unshared))
        variants = self.pipeline.run([(item.sample(), 0) for item in opened])
        for item, variant in zip(opened, variants, strict=True):
            compose_image(item.image, variant.insertions, SIGMA_PX)
            paint_labels(item.labels, variant.insertions, self.ids)
        return [tensors(*item.close()) for item in opened]


class BatchInWorker(InWorker):
    """The same, written with more care: a worker generates for its whole batch at once."""

    def __getitems__(self, indices: Sequence[int]) -> list[Pair]:
        return self.items(indices)


@dataclass
class Loading:
    """Batches as they come, and what may be looked at alongside them.

    Attributes:
        batches: the batches.
        dataset: what is augmented while training, if that is measured.
    """

    batches: Iterator[Batch]
    dataset: POCAugmentedDataset | None = None

    @property
    def generation_pid(self) -> int | None:
        """Id of the generation process."""
        live = self.dataset._live if self.dataset is not None else None
        return None if live is None else live.pid

    def take(self, count: int) -> None:
        """Take some batches and drop them."""
        for _ in range(count):
            next(self.batches)

    def processor_s(self) -> dict[str, float]:
        """Processor seconds so far of each kind of process."""
        generation = self.generation_pid
        children = [child.pid for child in multiprocessing.active_children()]
        workers = [pid for pid in children if pid is not None and pid != generation]
        return {
            "workers": sum(_processor_s(pid) for pid in workers),
            "main": time.process_time(),
            "generation": 0.0 if generation is None else _processor_s(generation),
        }


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Open = Callable[[], AbstractContextManager[Loading]]


@dataclass(frozen=True)
class Setting:
    """What all arms on one source of frames share.

    Attributes:
        frames: the frames.
        device: the accelerator.
        workers: loader processes.
        batch: items in a batch.
        batches: batches in one measurement.
        codec: codec of the cache that is written; ``None``: the library's default.
    """

    frames: Frames
    device: Device
    workers: int
    batch: int
    batches: int
    codec: Codec | None = None

    def base(self, phases: int = 1) -> Repeated:
        """More items than are taken: the workers never run out of work while they are timed."""
        ahead = (2 + _PREFETCH) * self.workers
        return Repeated(self.frames, self.batch * (ahead + phases * (self.workers + self.batches)))

    def load(self, dataset: Dataset[Pair]) -> Iterator[Batch]:
        """A loader's batches."""
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=self.batch,
            sampler=range(len(dataset.base)),  # type: ignore[attr-defined]
            num_workers=self.workers,
            prefetch_factor=_PREFETCH,
        )
        return iter(loader)

    def plain(self, phases: int = 1) -> Open:
        """Nothing is inserted."""
        return self._by_hand(lambda: self.load(Plain(self.base(phases))))

    def in_worker(self, kind: type[InWorker], crops: int) -> Open:
        """The workers generate."""

        def make() -> Iterator[Batch]:
            return self.load(kind(self.base(), pipeline_of(self.device, self.frames.schema, crops=crops)))

        return self._by_hand(make)

    def in_main(self, crops: int) -> Open:
        """The main process generates for each batch that a plain loader gives."""

        def make() -> Iterator[Batch]:
            base = self.base()
            pipeline = pipeline_of(self.device, self.frames.schema, crops=crops)
            keys, ids = iter(base.keys()), ids_of(pipeline)
            for images, labels in self.load(Plain(base)):
                samples = [Sample(*pair, next(keys)) for pair in zip(images, labels, strict=True)]
                variants = pipeline.run([(sample, 0) for sample in samples])
                for sample, variant in zip(samples, variants, strict=True):
                    _compose_into(sample, variant, ids)
                yield [images, labels]

        return self._by_hand(make)

    def ours(
        self, on_miss: OnMiss, *, crops: int = 8, item_s: float = ITEM_S, phases: int = 1
    ) -> Callable[[], AbstractContextManager[Loading]]:
        """The dataset with a generation process, on an empty cache each time."""

        @contextmanager
        def opened() -> Iterator[Loading]:
            pipeline = pipeline_of(self.device, self.frames.schema, item_s=item_s, crops=crops)
            base = self.base(phases)
            settings = ServerSettings(codec=self.codec)
            with POCAugmentedDataset(
                base, pipeline=pipeline, on_miss=on_miss, p=1.0, transforms=tensors, live=LiveSettings(server=settings)
            ) as dataset:
                dataset.start()
                loading = Loading(self.load(dataset), dataset)
                yield loading
                del loading.batches  # ends the workers before the process that they wait for

        return opened

    def _by_hand(self, make: Callable[[], Iterator[Batch]]) -> Open:
        @contextmanager
        def opened() -> Iterator[Loading]:
            loading = Loading(make())
            yield loading
            del loading.batches

        return opened


def _compose_into(sample: Sample, variant: Variant, ids: Mapping[str, int]) -> None:
    composed = compose(sample, variant.insertions, ids, sigma_px=SIGMA_PX)
    sample.image.copy_(composed.image)
    sample.labels.copy_(composed.labels)
