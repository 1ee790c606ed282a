"""Feathering and blending: whole numbers and shifted sums (the CPU path) alongside kornia's filters on tensors.

On the CPU both compose the same insertions into the same frame, in one run and in turns: one insertion at a time, as
reading an item does. On a GPU, if there is one, tensors composed where they lie are measured against copying each
rectangle to the host, composing it there in whole numbers and copying it back. The copy of the frame that the first
write makes is not part of it. Times on the CPU are processor time.

Run: python benchmarks/blending.py [--smoke] [--out benchmarks/results/blending.json]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from harness import SIZE_HW, console, options, publish, show
from kornia.filters import gaussian_blur2d

from poc_aug import seeding
from poc_aug.benchmarking.timing import Spread, interleaved, ratios
from poc_aug.items.device_canvas import DeviceImageCanvas
from poc_aug.items.tensor_canvas import TensorImageCanvas
from poc_aug.masks import dilate, feather, feather_radius_px
from poc_aug.reading.compose import compose_image
from poc_aug.types import Insertion, Part

_OBJECTS = 3


def disc(side: int) -> torch.Tensor:
    """A mask with room for its feather around it, bool ``[side, side]``."""
    steps = torch.linspace(-1.3, 1.3, side)
    return steps[:, None] ** 2 + steps[None, :] ** 2 <= 1


def insertions_of(side: int, size_hw: tuple[int, int], *, matte: bool) -> list[Insertion]:
    """Three discs of noise in a row: feathered, or with a matte and a shadow of their own."""
    rng = seeding.generator("benchmark", "blending", side)
    mask = disc(side)
    inner = mask.to(torch.uint8) * 255
    soft = torch.where(mask, 255, torch.where(dilate(mask, 2), 128, 0)).to(torch.uint8)
    shade = torch.where(dilate(mask, side // 16), 90, 0).to(torch.uint8)
    made = []
    for number in range(_OBJECTS):
        patch = torch.randint(0, 256, (3, side, side), generator=rng, dtype=torch.uint8)
        box = ((size_hw[0] - side) // 2, (size_hw[1] - side) * number // (_OBJECTS - 1), side, side)
        alpha, shadow = (soft.maximum(inner), shade) if matte else (None, None)
        made.append(Insertion(box, patch, (Part("disc", mask),), alpha, shadow, "disc", 4.0))
    return made


def kornia_feather(mask: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """What `poc_aug.masks.feather` gives, by kornia."""
    size = 2 * feather_radius_px(sigma_px) + 1
    hard = mask[None, None].float()
    return torch.maximum(hard, gaussian_blur2d(hard, (size, size), (sigma_px, sigma_px), border_type="constant"))[0, 0]


def feathering(side: int, sigma_px: float, device: str) -> dict[str, Callable[[], torch.Tensor]]:
    """Arms that feather one mask."""
    mask = disc(side)
    there = mask.to(device)
    if device == "cpu":
        return {"ours": lambda: feather(mask, sigma_px), "kornia": lambda: kornia_feather(mask, sigma_px)}
    return {"ours": lambda: feather(there, sigma_px), "kornia": lambda: kornia_feather(there, sigma_px)}


def composing(
    side: int, sigma_px: float, device: str, size_hw: tuple[int, int], *, matte: bool
) -> dict[str, Callable[[], torch.Tensor]]:
    """Arms that compose three insertions into a frame that lies on a device, again and again."""
    insertions = insertions_of(side, size_hw, matte=matte)
    rng = seeding.generator("benchmark", "frame")
    frame = torch.randint(0, 256, (3, *size_hw), generator=rng, dtype=torch.uint8).to(device)

    def arm(kind: type[TensorImageCanvas]) -> Callable[[], torch.Tensor]:
        canvas = kind(frame, "frame", "the image")

        def compose() -> torch.Tensor:
            compose_image(canvas, insertions, sigma_px)  # its first write copies the frame, in the first warm-up
            return canvas.value

        return compose

    # A `TensorImageCanvas` copies each rectangle to the CPU and back; a `DeviceImageCanvas` lends its tensor.
    return {"ours": arm(TensorImageCanvas), "kornia": arm(DeviceImageCanvas)}


def measure(
    name: str, arms: dict[str, Callable[[], torch.Tensor]], levels: int, repeats: int, device: str
) -> dict[str, Any]:
    """Both arms in turns, the ratio round by round, and how far their results are apart in levels of 255."""

    def timed(work: Callable[[], torch.Tensor]) -> Callable[[], float]:
        def mean_s() -> float:
            clock = time.process_time if device == "cpu" else time.perf_counter
            started = clock()
            for _ in range(10):
                work()
            if device != "cpu":
                torch.cuda.synchronize()
            return (clock() - started) / 10

        return mean_s

    apart = (arms["ours"]().double() - arms["kornia"]().double()).abs().max() * levels
    figures = interleaved({arm: timed(work) for arm, work in arms.items()}, repeats, warmup=2)
    return {
        "case": name,
        **{f"{arm}_s": Spread.of(values).to_dict() for arm, values in figures.items()},
        "kornia_over_ours": ratios(figures["kornia"], figures["ours"]).to_dict(),
        "largest_difference_levels": round(float(apart), 4),
    }


def cases(device: str, size_hw: tuple[int, int], repeats: int) -> list[dict[str, Any]]:
    """All cases on one device; sizes are those of 2048×1024 frames, and smaller in smaller frames."""
    results = []
    scale = size_hw[0] / SIZE_HW[0]
    for side in (100, 400):
        scaled = round(side * scale)
        for sigma_px in (1.0, 4.0):
            arms = feathering(scaled, sigma_px, device)
            results.append(measure(f"feather a mask of {scaled} px, sigma {sigma_px:g}", arms, 255, repeats, device))
        for matte, how in ((False, "feathered, sigma 1"), (True, "with matte and shadow")):
            arms = composing(scaled, 1.0, device, size_hw, matte=matte)
            results.append(measure(f"compose 3 objects of {scaled} px, {how}", arms, 1, repeats, device))
    return results


def main() -> None:
    """Measure, print, write."""
    chosen = options("Whole numbers and shifted sums alongside kornia's filters.").parse_args()
    torch.set_num_threads(1)  # as in a worker of a DataLoader
    size_hw = (128, 256) if chosen.smoke else SIZE_HW
    repeats = chosen.repeats or (3 if chosen.smoke else 31)
    results = {}
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        measured = results[device] = cases(device, size_hw, repeats)
        rows = [
            (
                item["case"],
                *(f"{1e3 * item[f'{arm}_s']['median']:.3f} ms" for arm in ("ours", "kornia")),
                f"{item['kornia_over_ours']['median']:.2f}x",
                f"{item['largest_difference_levels']:g}",
            )
            for item in measured
        ]
        show(f"{device}, frames of {size_hw[1]}x{size_hw[0]}", ("", "ours", "kornia", "ratio", "levels apart"), rows)
    if not torch.cuda.is_available():
        console.print("no CUDA device: the CPU alone was measured")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    publish("blending", {"frame_hw": size_hw, "gpu": gpu, "results": results}, chosen.out)


if __name__ == "__main__":
    main()
