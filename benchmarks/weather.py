"""Weather without weights, alongside the same effect of albumentations and kornia where they have it.

Severity 3 on frames of 2048x1024, in turns: real Cityscapes frames if they are at hand, otherwise synthetic streets.
Times are processor time of one thread, as in a worker, from a uint8 frame to a uint8 frame. The others know neither
labels nor camera: their fog is painted in patches, their rain and snow have no depth. kornia works on float32 and is
given it; converting is not part of its time.

Run: python benchmarks/weather.py [--smoke] [--out benchmarks/results/weather.json]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations
import cv2
import kornia.augmentation
import numpy as np
import torch
from harness import SIZE_HW, Frames, cityscapes_frames, options, publish, show, synthetic_frames
from PIL import Image

from poc_aug.benchmarking.timing import Spread, interleaved, ratios
from poc_aug.camera import find_camera
from poc_aug.camera_spec import CAMERAS
from poc_aug.scenes.shifter_protocol import SceneFrame
from poc_aug.scenes.weather_shifter import WeatherShifter

DOMAINS = ("fog", "night", "rain", "snow", "low-sun")
GOALS_S = {"fog": 0.060, "night": 0.250, "rain": 0.250, "snow": 0.250, "low-sun": 0.250}
"""What a frame of 2048x1024 may take on one core."""
_SEVERITY = 3


def scene_frame(frames: Frames, number: int) -> SceneFrame:
    """A frame as a shifter is given it."""
    with Image.open(frames.images[number]) as picture:
        image = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()
    labels = frames.label_map(number)
    camera = find_camera(CAMERAS["cityscapes"], labels, frames.schema)
    return SceneFrame(image, labels, str(number), _SEVERITY, number, frames.schema, camera)


def others(domain: str, frame: SceneFrame) -> dict[str, Callable[[], object]]:
    """The same effect by other libraries."""
    array = np.ascontiguousarray(frame.image.permute(1, 2, 0).numpy())
    tensor = frame.image[None].float() / 255
    transforms = {
        "fog": albumentations.RandomFog(p=1),
        "rain": albumentations.RandomRain(p=1),
        "snow": albumentations.RandomSnow(p=1),
        "low-sun": albumentations.RandomSunFlare(p=1),
    }
    augmentations = {"rain": kornia.augmentation.RandomRain(p=1), "snow": kornia.augmentation.RandomSnow(p=1)}
    arms: dict[str, Callable[[], object]] = {}
    if domain in transforms:
        arms["albumentations"] = lambda: transforms[domain](image=array)
    if domain in augmentations:
        arms["kornia"] = lambda: augmentations[domain](tensor)
    return arms


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Processor seconds of a call."""

    def once() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return once


def measure(domain: str, frames: list[SceneFrame], repeats: int) -> dict[str, Any]:
    """Each arm's time per frame, over all frames, and how many times as long the others take."""
    shifter = WeatherShifter(domain)
    figures: dict[str, list[float]] = {}
    for frame in frames:

        def ours(frame: SceneFrame = frame) -> object:
            return shifter.shift([frame])

        arms = {"ours": ours, **others(domain, frame)}
        measured = interleaved({name: timed(work) for name, work in arms.items()}, repeats)
        for name, values in measured.items():
            figures.setdefault(name, []).extend(values)
    return {
        "domain": domain,
        "goal_s": GOALS_S[domain],
        "seconds": {name: Spread.of(values).to_dict() for name, values in figures.items()},
        "over_ours": {
            name: ratios(values, figures["ours"]).to_dict() for name, values in figures.items() if name != "ours"
        },
    }


def row(result: dict[str, Any]) -> list[str]:
    """A line of the table."""
    seconds = result["seconds"]
    names = ("ours", "albumentations", "kornia")
    times = [f"{1e3 * seconds[name]['median']:.1f} ms" if name in seconds else "" for name in names]
    return [result["domain"], *times, f"{1e3 * result['goal_s']:.0f} ms"]


def main() -> None:
    """Measure, print, write."""
    chosen = options("Weather without weights, alongside albumentations and kornia.").parse_args()
    torch.set_num_threads(1)  # as in a worker of a DataLoader
    cv2.setNumThreads(1)
    repeats = chosen.repeats or (2 if chosen.smoke else 9)
    with tempfile.TemporaryDirectory() as folder:
        found = None if chosen.smoke else cityscapes_frames()
        size_hw = (128, 256) if chosen.smoke else SIZE_HW
        frames = found or synthetic_frames(Path(folder), size_hw, 1 if chosen.smoke else 4)
        scenes = [scene_frame(frames, number) for number in range(len(frames.images))]
        results = [measure(domain, scenes, repeats) for domain in DOMAINS]
    header = ("domain", "ours", "albumentations", "kornia", "goal")
    show(f"{frames.name}, {size_hw[1]}x{size_hw[0]}", header, [row(result) for result in results])
    measured_on = {"frames": frames.name, "count": len(scenes), "frame_hw": size_hw, "severity": _SEVERITY}
    versions = {"albumentations": albumentations.__version__, "opencv": cv2.__version__}
    publish("weather", {**measured_on, "versions": versions, "results": results}, chosen.out)


if __name__ == "__main__":
    main()
