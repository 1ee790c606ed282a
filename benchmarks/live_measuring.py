"""What is measured of each loader: items per second, and what a training step waits."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from live_inserter import CALL_S, ITEM_S, SLOW_ITEM_S
from live_loaders import BatchInWorker, InWorker, Loading, Open, Setting

from poc_aug.benchmarking.timing import Spread, interleaved, ratios, significant

STEPS = (1.0, 1.5)


@dataclass
class Throughput:
    """A measurement of one arm: items per second, from its second round of batches on.

    Attributes:
        setting: what all arms share.
        open: starts a fresh loader.
        processor_ms: processor milliseconds per item of each kind of process, by measurement.
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
        self.busy.append((CALL_S * calls + ITEM_S * crops) / seconds)
        return items / seconds


def measure_throughput(setting: Setting, repeats: int, *, smoke: bool) -> list[dict[str, Any]]:
    """All ways to generate while loading; a smoke test leaves out "generate, 32 crops per call"."""
    opens = {
        "not augmented": setting.plain(),
        "in each worker": setting.in_worker(InWorker, 8),
        "in each worker, whole batches": setting.in_worker(BatchInWorker, 8),
        "in the main process": setting.in_main(8),
        "generate": setting.ours("generate"),
    }
    if not smoke:
        opens["generate, 32 crops per call"] = setting.ours("generate", crops=32)
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
    """A measurement of one arm: seconds per batch if nothing but loading is done; then of loops that train.

    Attributes:
        setting: what all arms share.
        open: starts a fresh loader.
        steps_s: seconds of a step, for each loop.
        processor_ms: processor milliseconds per item of each kind of process, by measurement.
        loop_s: seconds per step with its wait, by measurement, for each loop.
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
        """Seconds per batch of one measurement."""
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
    """Seconds per step, and seconds of it in which it waited for its batch."""
    waited = 0.0
    started = time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        next(loading.batches)
        waited += time.perf_counter() - asked
        time.sleep(step_s)  # the accelerator's time: no processor is busy
    return (time.perf_counter() - started) / steps, waited / steps


def measure_waiting(setting: Setting, repeats: int, *, smoke: bool) -> list[dict[str, Any]]:
    """What "background" adds to a loader that augments nothing; a smoke test leaves out the slow inserter."""
    phases = 1 + len(STEPS)
    batch_s = Waiting(setting, setting.plain(), ())()
    steps_s = [factor * batch_s for factor in STEPS]
    plain = "not augmented"
    opens = {
        plain: setting.plain(phases),
        "background": setting.ours("background", phases=phases),
    }
    if not smoke:
        opens["background, slow inserter"] = setting.ours("background", item_s=SLOW_ITEM_S, phases=phases)
    arms = {name: Waiting(setting, opened, steps_s) for name, opened in opens.items()}
    times = interleaved(arms, repeats, warmup=0)
    rows = []
    for name, arm in arms.items():
        loops = []
        for number, (factor, step_s) in enumerate(zip(STEPS, steps_s, strict=True)):
            loop_s, plain_s = ([seconds[number] for seconds in one.loop_s] for one in (arm, arms[plain]))
            loops.append(
                {
                    "step_over_batch": factor,
                    "step_s": significant(step_s),
                    "loop_s": Spread.of(loop_s).to_dict(),
                    "loop_over_plain": ratios(loop_s, plain_s).to_dict(),
                    "wait_s": Spread.of([seconds[number] for seconds in arm.wait_s]).to_dict(),
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
    return {name: significant(Spread.of([figures[name] for figures in measured]).median) for name in measured[0]}
