"""Generation while training: loader throughput beside hand-written ways, and what a training step waits.

The inserter has a known cost, 40 ms a call and 5 ms a crop, alone on its device: it sleeps under a lock that all
processes share. (A GPU takes no processor time.) One item is one crop; nothing is in the cache.

Run: python benchmarks/live.py [--smoke] [--out benchmarks/results/live.json]
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import struct
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import SIZE_HW, Frames, cityscapes_frames, options, publish, show, synthetic_frames
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from poc_aug.benchmarking.timing import Spread, interleaved, ratios, significant
from poc_aug.cache import CODECS, Codec
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.items.open_item import open_item
from poc_aug.items.ownership import is_unshared
from poc_aug.labels.schema import LabelSchema
from poc_aug.live import ServerSettings
from poc_aug.reading.compose import compose, compose_image, paint_labels
from poc_aug.reading.source import OnMiss
from poc_aug.recipe import Recipe
from poc_aug.types import Annotation, Crop, Extent, Filled, Part, Rejection, Sample, Variant

THROUGHPUT_HW = ((512, 1024), (256, 512))
_CALL_S, _ITEM_S = 0.040, 0.005
# What `results/generation_gpu.json` says of Stable Diffusion 1.5 with a 4-step LCM LoRA.
_SLOW_ITEM_S = 0.28
_STEPS = (1.0, 1.5)
_PREFETCH = 2
_OOD_ID = 254
_SIGMA_PX = 1.0
_COUNTS = struct.Struct("<QQ")

Pair = tuple[torch.Tensor, torch.Tensor]
Batch = list[torch.Tensor]


class Device:
    """A file that stands for an accelerator: one call at a time, whatever the process; counts calls and crops.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(_COUNTS.pack(0, 0))

    def run(self, crops: int, seconds: float) -> None:
        """Be busy with some crops."""
        with self.path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(seconds)
            calls, before = _COUNTS.unpack(file.read())
            file.seek(0)
            file.write(_COUNTS.pack(calls + 1, before + crops))

    def counts(self) -> tuple[int, int]:
        """Calls and crops so far."""
        calls, crops = _COUNTS.unpack(self.path.read_bytes())
        return calls, crops


class KnownCost:
    """Fills the box with one colour, for a known time of the device.

    Args:
        device: runs one call at a time.
        call_s: seconds a call.
        item_s: seconds a crop.
    """

    needs_camera = False

    def __init__(self, device: Device, call_s: float, item_s: float) -> None:
        self.device, self.call_s, self.item_s = device, call_s, item_s

    def describe(self) -> dict[str, Any]:
        """See `Inserter.describe`."""
        return {"inserter": "known cost", "call_s": self.call_s, "item_s": self.item_s}

    def extent(self, object_name: str, seed: int) -> Extent | None:
        """It fills whatever box it is given."""
        return None

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """See `Inserter.insert`."""
        self.device.run(len(crops), self.call_s + self.item_s * len(crops))
        return [_filled(crop) for crop in crops]


def _filled(crop: Crop) -> Filled:
    y, x, h, w = crop.box_yxhw
    mask = torch.zeros(crop.image.shape[-2:], dtype=torch.bool)
    mask[y : y + h, x : x + w] = True
    image = crop.image.clone()
    image[:, mask] = crop.seed % 256
    return Filled(image, Annotation((Part(crop.object_name, mask),)))


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
        """One key an item, so that no item finds what another had generated."""
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
        found = self.pipeline.run([(item.sample(), 0) for item in opened])
        for item, variant in zip(opened, found, strict=True):
            compose_image(item.image, variant.insertions, _SIGMA_PX)
            paint_labels(item.labels, variant.insertions, self.ids)
        return [tensors(*item.close()) for item in opened]


class BatchInWorker(InWorker):
    """The same, written with more care: a worker generates for its whole batch at once."""

    def __getitems__(self, indices: Sequence[int]) -> list[Pair]:
        return self.items(indices)


def ids_of(pipeline: InsertionPipeline) -> dict[str, int]:
    """Label ids of the objects."""
    return {part: _OOD_ID for spec in pipeline.recipe.objects for part in spec.parts}


def pipeline_of(device: Device, schema: LabelSchema, *, item_s: float = _ITEM_S, crops: int = 8) -> InsertionPipeline:
    """One object a variant, always accepted, on the road."""
    recipe = Recipe.from_dict(
        {
            "objects": ["box"],
            "ladder": [{"min_overlap": 0.5}, {"min_overlap": 0.0}],
            "attempts": 1,
            "max_sigma_px": _SIGMA_PX,
        }
    )
    return InsertionPipeline(recipe, KnownCost(device, _CALL_S, item_s), schema=schema, batch_size=crops)


@dataclass
class Loading:
    """Batches as they come, and what may be looked at beside them.

    Attributes:
        batches: the batches.
        dataset: what is augmented while training, where that is measured.
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
                found = pipeline.run([(sample, 0) for sample in samples])
                for sample, variant in zip(samples, found, strict=True):
                    _compose_into(sample, variant, ids)
                yield [images, labels]

        return self._by_hand(make)

    def ours(
        self, on_miss: OnMiss, *, crops: int = 8, item_s: float = _ITEM_S, phases: int = 1
    ) -> Callable[[], AbstractContextManager[Loading]]:
        """The dataset with a generation process, on an empty cache each time."""

        @contextmanager
        def opened() -> Iterator[Loading]:
            pipeline = pipeline_of(self.device, self.frames.schema, item_s=item_s, crops=crops)
            base = self.base(phases)
            settings = ServerSettings(codec=self.codec)
            with POCAugmentedDataset(
                base, pipeline=pipeline, on_miss=on_miss, p=1.0, transforms=tensors, server=settings
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
    composed = compose(sample, variant.insertions, ids, sigma_px=_SIGMA_PX)
    sample.image.copy_(composed.image)
    sample.labels.copy_(composed.labels)


@dataclass
class Throughput:
    """A measurement of one arm: items per second, from its second round of batches on.

    Attributes:
        setting: what all arms share.
        open: starts a fresh loader.
        processor_ms: processor milliseconds an item of each kind of process, by measurement.
        crops: crops in a call of the inserter, by measurement.
        busy: share of the time in which the device was busy, by measurement.
    """

    setting: Setting
    open: Open
    processor_ms: list[dict[str, float]] = field(default_factory=list)
    crops: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Items per second of one measurement."""
        setting = self.setting
        items = setting.batch * setting.batches
        with self.open() as loading:
            # One batch of each worker. The workers are ahead by as much when the clock stops as when it starts.
            loading.take(setting.workers)
            before, (calls, crops) = loading.processor_s(), setting.device.counts()
            started = time.perf_counter()
            loading.take(setting.batches)
            seconds = time.perf_counter() - started
            after, (calls_after, crops_after) = loading.processor_s(), setting.device.counts()
        self.processor_ms.append({name: 1e3 * (after[name] - before[name]) / items for name in after})
        calls, crops = calls_after - calls, crops_after - crops
        self.crops.append(crops / calls if calls else 0.0)
        self.busy.append((_CALL_S * calls + _ITEM_S * crops) / seconds)
        return items / seconds


def measure_throughput(setting: Setting, repeats: int, *, smoke: bool) -> list[dict[str, Any]]:
    """All ways to generate while loading; but for one that starts another process, to try whether it works."""
    opens = {
        "not augmented": setting.plain(),
        "in each worker": setting.in_worker(InWorker, 8),
        "in each worker, whole batches": setting.in_worker(BatchInWorker, 8),
        "in the main process": setting.in_main(8),
        "generate": setting.ours("generate"),
    }
    if not smoke:
        opens["generate, 32 crops a call"] = setting.ours("generate", crops=32)
    arms = {name: Throughput(setting, opened) for name, opened in opens.items()}
    rates = interleaved(arms, repeats, warmup=0)  # each measurement starts its processes and warms up by itself
    return [
        {
            "arm": name,
            "items_per_s": Spread.of(rates[name]).to_dict(),
            "over_in_worker": ratios(rates[name], rates["in each worker"]).to_dict(),
            "over_in_main": ratios(rates[name], rates["in the main process"]).to_dict(),
            "crops_per_call": significant(Spread.of(arm.crops).median),
            "device_busy": significant(Spread.of(arm.busy).median),
            "processor_ms_per_item": _medians(arm.processor_ms),
        }
        for name, arm in arms.items()
    ]


@dataclass
class Waiting:
    """A measurement of one arm: seconds a batch where nothing but loading is done; then of loops that train.

    Attributes:
        setting: what all arms share.
        open: starts a fresh loader.
        steps_s: seconds of a step, for each loop.
        processor_ms: processor milliseconds an item of each kind of process, by measurement.
        loop_s: seconds a step with its wait, by measurement, for each loop.
        wait_s: seconds of that in which the step waited for its batch.
        made: variants made for each item read, by measurement.
    """

    setting: Setting
    open: Open
    steps_s: Sequence[float]
    processor_ms: list[dict[str, float]] = field(default_factory=list)
    loop_s: list[list[float]] = field(default_factory=list)
    wait_s: list[list[float]] = field(default_factory=list)
    made: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Seconds a batch of one measurement."""
        setting = self.setting
        items = setting.batch * setting.batches
        loops, waits = [], []
        with self.open() as loading:
            loading.take(setting.workers)
            before, made = loading.processor_s(), _made(loading)
            started = time.perf_counter()
            loading.take(setting.batches)
            seconds = time.perf_counter() - started
            after, made = loading.processor_s(), _made(loading) - made
            for step_s in self.steps_s:
                _train(loading, setting.workers, step_s)  # the queue of batches settles
                loop_s, wait_s = _train(loading, setting.batches, step_s)
                loops.append(loop_s)
                waits.append(wait_s)
        self.processor_ms.append({name: 1e3 * (after[name] - before[name]) / items for name in after})
        self.made.append(made / items)
        self.loop_s.append(loops)
        self.wait_s.append(waits)
        return seconds / setting.batches


def _made(loading: Loading) -> int:
    return 0 if loading.dataset is None else loading.dataset.stats().made


def _train(loading: Loading, steps: int, step_s: float) -> tuple[float, float]:
    """Seconds a step, and seconds of it in which it waited for its batch."""
    waited = 0.0
    started = time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        next(loading.batches)
        waited += time.perf_counter() - asked
        time.sleep(step_s)  # the accelerator's time: no processor is busy
    return (time.perf_counter() - started) / steps, waited / steps


def measure_waiting(setting: Setting, repeats: int, *, smoke: bool) -> list[dict[str, Any]]:
    """What "background" adds to a loader that augments nothing; one arm fewer to try whether it works."""
    phases = 1 + len(_STEPS)
    batch_s = Waiting(setting, setting.plain(), ())()
    steps_s = [factor * batch_s for factor in _STEPS]
    plain = "not augmented"
    opens = {
        plain: setting.plain(phases),
        "background": setting.ours("background", phases=phases),
    }
    if not smoke:
        opens["background, slow inserter"] = setting.ours("background", item_s=_SLOW_ITEM_S, phases=phases)
    arms = {name: Waiting(setting, opened, steps_s) for name, opened in opens.items()}
    times = interleaved(arms, repeats, warmup=0)
    rows = []
    for name, arm in arms.items():
        loops = []
        for number, (factor, step_s) in enumerate(zip(_STEPS, steps_s, strict=True)):
            loop_s, plain_s = ([each[number] for each in one.loop_s] for one in (arm, arms[plain]))
            loops.append(
                {
                    "step_over_batch": factor,
                    "step_s": significant(step_s),
                    "loop_s": Spread.of(loop_s).to_dict(),
                    "loop_over_plain": ratios(loop_s, plain_s).to_dict(),
                    "wait_s": Spread.of([each[number] for each in arm.wait_s]).to_dict(),
                }
            )
        rows.append(
            {
                "arm": name,
                "batch_s": Spread.of(times[name]).to_dict(),
                "time_over_plain": ratios(times[name], times[plain]).to_dict(),
                "made_per_item": significant(Spread.of(arm.made).median),
                "processor_ms_per_item": _medians(arm.processor_ms),
                "loops": loops,
            }
        )
    return rows


def _medians(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: significant(Spread.of([each[name] for each in measured]).median) for name in measured[0]}


def scaled(frames: Frames, folder: Path, size_hw: tuple[int, int]) -> Frames:
    """The frames at another size, written as PNG."""
    folder.mkdir()
    size = size_hw[1], size_hw[0]
    images, labels = [], []
    for number, (image, ids) in enumerate(zip(frames.images, frames.labels, strict=True)):
        images.append(folder / f"{number}.png")
        labels.append(folder / f"{number}_labels.png")
        with Image.open(image) as picture:
            picture.convert("RGB").resize(size, Image.Resampling.BOX).save(images[-1])
        with Image.open(ids) as picture:
            picture.resize(size, Image.Resampling.NEAREST).save(labels[-1])
    return Frames(frames.name, images, labels, frames.schema)


def main() -> None:
    """Measure, print, write."""
    parser = options("Generation while training: throughput, and what a training step waits.")
    parser.add_argument("--workers", type=int, help="loader processes; default 4")
    parser.add_argument("--only", choices=("synthetic", "cityscapes"), help="frames; default: the real ones, if there")
    parser.add_argument("--part", choices=("throughput", "background"), help="one of the two parts")
    parser.add_argument("--codec", choices=CODECS, help="codec of the cache that is written; default: the library's")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    # More workers than processors is the question here.
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    smoke = chosen.smoke
    workers = chosen.workers or (2 if smoke else 4)
    repeats = chosen.repeats or (1 if smoke else 3)
    throughput_hw, background_hw = (((96, 192),), (96, 192)) if smoke else (THROUGHPUT_HW, SIZE_HW)
    results: dict[str, Any] = {"throughput": [], "background": []}
    real = None if smoke or chosen.only == "synthetic" else cityscapes_frames()
    if real is None and chosen.only == "cityscapes":
        parser.error("there are no Cityscapes frames: set POC_AUG_DATA")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        device = Device(folder / "device")
        frames = real or synthetic_frames(folder / "frames", background_hw, 2 if smoke else 4)
        for size_hw in throughput_hw if chosen.part != "background" else ():
            small = scaled(frames, folder / f"{size_hw[0]}", size_hw)
            batches = 2 * workers
            setting = Setting(small, device, workers, batch=8, batches=batches, codec=chosen.codec)
            rows = measure_throughput(setting, repeats, smoke=smoke)
            results["throughput"].append({"frame_hw": size_hw, "arms": rows})
            _show_throughput(frames.name, size_hw, rows)
        if chosen.part != "throughput":
            batches = (1 if smoke else 3) * workers
            setting = Setting(frames, device, workers, batch=4, batches=batches, codec=chosen.codec)
            rows = measure_waiting(setting, repeats, smoke=smoke)
            results["background"].append({"frame_hw": background_hw, "arms": rows})
            _show_waiting(frames.name, background_hw, rows)
    told = {
        "frames": frames.name,
        "call_s": _CALL_S,
        "item_s": _ITEM_S,
        "slow_item_s": _SLOW_ITEM_S,
        "workers": workers,
        "repeats": repeats,
        "codec": chosen.codec,
    }
    publish("live", {**told, "results": results}, chosen.out)


def _show_throughput(name: str, size_hw: tuple[int, int], rows: Sequence[Mapping[str, Any]]) -> None:
    header = ("", "items/s", "over each worker", "over main", "crops a call", "device busy", "CPU ms an item")
    shown = [
        [
            row["arm"],
            f"{row['items_per_s']['median']:.1f}",
            *(
                f"{row[key]['median']:.2f}x ({row[key]['low']:.2f} to {row[key]['high']:.2f})"
                for key in ("over_in_worker", "over_in_main")
            ),
            f"{row['crops_per_call']:.1f}" if row["crops_per_call"] else "",
            f"{row['device_busy']:.0%}" if row["crops_per_call"] else "",
            _processor(row),
        ]
        for row in rows
    ]
    show(f"loading {name} frames, {size_hw[1]}x{size_hw[0]}, every item augmented", header, shown)


def _show_waiting(name: str, size_hw: tuple[int, int], rows: Sequence[Mapping[str, Any]]) -> None:
    steps = [f"wait, step {factor:g}x" for factor in _STEPS]
    header = ("", "ms a batch", "over plain", *steps, "made an item", "CPU ms an item")
    shown = [
        [
            row["arm"],
            f"{1e3 * row['batch_s']['median']:.0f}",
            _change(row["time_over_plain"]),
            *(
                f"wait {1e3 * each['wait_s']['median']:.0f}, {_change(each['loop_over_plain'])}"
                for each in row["loops"]
            ),
            f"{row['made_per_item']:.2f}",
            _processor(row),
        ]
        for row in rows
    ]
    show(f"waiting for {name} frames, {size_hw[1]}x{size_hw[0]}, in ms", header, shown)


def _change(spread: Mapping[str, float]) -> str:
    return f"{spread['median'] - 1:+.1%} ({spread['low'] - 1:+.1%} to {spread['high'] - 1:+.1%})"


def _processor(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in row["processor_ms_per_item"].items() if value)


if __name__ == "__main__":
    main()
