"""Region search: every valid place at once (ours) against testing positions one at a time.

The procedure of POC's public code, as facts: list the positions of the valid area; in random order test whether the
box of the drawn size, its corner placed there, lies on the valid area by at least half and keeps the margin; stop at
the first that does, or when all have failed. It is written here from that description, three times:

* ``list``: a Python list, shuffled; the overlap as a mean;
* ``array``: a NumPy permutation, the margin tested first (free), the overlap by counting (faster than a mean);
* ``lazy``: as ``array``, but positions are drawn one by one and never listed. It can only end by finding a place or
  by having drawn as often as there are positions, so it never proves that there is none.

Ours is timed from the mask on: the summed-area table is built in every run, and used for one search.

Run: python benchmarks/regions.py [--smoke] [--out benchmarks/results/regions.json]
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from harness import SIZE_HW, Frames, cityscapes_frames, console, options, publish, show, synthetic_frames

from poc_aug import seeding
from poc_aug.benchmarking.timing import Spread, seconds, significant
from poc_aug.camera import find_camera
from poc_aug.camera_model import Camera
from poc_aug.generation.regions import ValidArea, find_region
from poc_aug.recipe import CAMERAS, Recipe
from poc_aug.types import Region

Mask = npt.NDArray[np.bool_]
SizeAt = Callable[[int], tuple[int, int]]
"""Height and width of the box at a row of the picture."""

_MIN_OVERLAP = 0.5


@dataclass(frozen=True)
class Case:
    """One search problem.

    Attributes:
        name: what is special about it.
        mask: the valid area, bool ``[H, W]``.
        recipe: sizes, margin and overlap, for ours.
        size_at: the same sizes, for the others.
        margin: distance to the frame's border in pixels.
        foot: whether a listed position is the box's lower left corner (perspective sizes) or its upper left one.
        places: how many of the listed positions are valid.
        view: the camera, for perspective sizes.
    """

    name: str
    mask: torch.Tensor
    recipe: Recipe
    size_at: SizeAt
    margin: int
    foot: bool
    places: int
    view: Camera | None = None


@dataclass(frozen=True)
class Tried:
    """How a run of a one-at-a-time search went."""

    seconds: float
    found: bool
    tests: int
    positions: int
    complete: bool


def one_at_a_time(case: Case, kind: str, seed: int, budget_s: float) -> Tried:
    """Search by testing positions; stops after ``budget_s`` and then extrapolates the time of all tests."""
    valid: Mask = case.mask.numpy()
    rng = np.random.default_rng(seed)
    started = time.perf_counter()
    positions, order = _ordered(valid, kind, rng)
    listed = time.perf_counter()
    tests, success = 0, False
    for y, x in order:
        tests += 1
        if _fits(valid, case, int(y), int(x), literal=kind == "list"):
            success = True
            break
        if tests % 256 == 0 and time.perf_counter() - started > budget_s:
            break
    ended = time.perf_counter()
    complete = success or tests >= positions
    # The order is random, so the tests done are a fair sample of those left.
    whole = ended - started if complete else (listed - started) + (ended - listed) * positions / tests
    return Tried(whole, success, tests, positions, complete)


def _ordered(valid: Mask, kind: str, rng: np.random.Generator) -> tuple[int, Iterator[tuple[int, int]]]:
    if kind == "list":
        positions = list(zip(*(axis.tolist() for axis in np.nonzero(valid)), strict=True))
        random.Random(int(rng.integers(2**32))).shuffle(positions)
        return len(positions), iter(positions)
    if kind == "array":
        listed = np.argwhere(valid)
        return len(listed), ((y, x) for y, x in (listed[number] for number in rng.permutation(len(listed))))
    return _drawn(valid, rng)


def _drawn(valid: Mask, rng: np.random.Generator) -> tuple[int, Iterator[tuple[int, int]]]:
    count, (height, width) = int(np.count_nonzero(valid)), valid.shape

    def draw() -> Iterator[tuple[int, int]]:
        drawn = 0
        while drawn < count:
            y, x = int(rng.integers(height)), int(rng.integers(width))
            if valid[y, x]:
                drawn += 1
                yield y, x

    return count, draw()


def _fits(valid: Mask, case: Case, y: int, x: int, *, literal: bool) -> bool:
    height, width = case.size_at(y)
    if case.foot:
        y -= height
    inside = (
        y >= case.margin
        and x >= case.margin
        and y + height <= valid.shape[0] - case.margin
        and x + width <= valid.shape[1] - case.margin
    )
    if literal:
        box = valid[max(y, 0) : y + height, x : x + width]
        return bool(box.size and box.mean() >= _MIN_OVERLAP and inside)
    if not inside:
        return False
    return bool(np.count_nonzero(valid[y : y + height, x : x + width]) >= _MIN_OVERLAP * height * width)


def ours(case: Case, seed: int) -> bool:
    """Table and search; whether a place was found."""
    area = ValidArea(case.mask, (case.mask.shape[0], case.mask.shape[1]))
    spec = case.recipe.objects[0]
    region = find_region(area, spec, case.recipe, seeding.generator(seed), camera=case.view)
    return isinstance(region, Region)


def cases_of(frames: Frames, scale: float) -> list[Case]:
    """Search problems on the first frame; ``scale`` is its size over 2048×1024."""
    labels = frames.label_map(0)
    margin = round(50 * scale)
    road, sidewalk = (frames.schema.mask(labels, [name]) for name in ("road", "sidewalk"))
    sizes = [round(size * scale) for size in range(200, 710, 10)]
    counts = {size: _places(road.numpy(), size, margin) for size in sizes}
    fewest = max((size for size in sizes if counts[size]), default=sizes[0])
    cases = [
        _pixel_case("easy: 300 px on the road", road, round(300 * scale), margin),
        _pixel_case(f"few places: {fewest} px on the road", road, fewest, margin),
        _pixel_case("none it can find: 700 px on the road", road, round(700 * scale), margin),
        _pixel_case("none at all: 300 px on the sidewalk", sidewalk, round(300 * scale), margin),
    ]
    camera = CAMERAS["cityscapes" if frames.name == "cityscapes" else "generic"]
    view = find_camera(camera, labels, frames.schema)
    if view is not None:
        cases.append(_metre_case("perspective: 0.6 m on the road", road, 0.6, 16, view))
        cases.append(_metre_case("perspective, none: 3 m and 600 px", road, 3.0, round(600 * scale), view))
    return cases


def _pixel_case(name: str, mask: torch.Tensor, size: int, margin: int) -> Case:
    recipe = Recipe.from_dict(
        {
            "objects": ["thing"],
            "size": {"kind": "pixels", "min_px": size, "max_px": size + 1},
            "aspect_min": 1,
            "aspect_max": 1,
            "margin_px": margin,
            "ladder": [{"min_overlap": _MIN_OVERLAP}],
        }
    )
    return Case(name, mask, recipe, lambda _: (size, size), margin, False, _places(mask.numpy(), size, margin))


def _metre_case(name: str, mask: torch.Tensor, size_m: float, min_px: int, view: Camera) -> Case:
    size = {"kind": "perspective", "size_m": size_m, "jitter": 0, "min_px": min_px, "max_fraction": 0.6}
    recipe = Recipe.from_dict(
        {
            "objects": ["thing"],
            "size": size,
            "aspect_min": 1,
            "aspect_max": 1,
            "ladder": [{"min_overlap": _MIN_OVERLAP}],
        }
    )
    highest = 0.6 * mask.shape[0]

    def size_at(row: int) -> tuple[int, int]:
        side = round(size_m * view.px_per_m(row))
        # A box larger than the frame keeps no margin: such rows are skipped for the price of a comparison.
        return (side, side) if min_px <= side <= highest else (2 * mask.shape[0], 2 * mask.shape[1])

    return Case(name, mask, recipe, size_at, 0, True, -1, view)


def _places(valid: Mask, size: int, margin: int) -> int:
    """How many valid pixels are the upper left corner of a valid box."""
    sums = np.pad(valid.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))
    height, width = valid.shape
    rows, cols = height - size + 1, width - size + 1
    if rows <= 2 * margin or cols <= 2 * margin:
        return 0
    boxes = sums[size:, size:] - sums[size:, :cols] - sums[:rows, size:] + sums[:rows, :cols]
    fits = (boxes >= _MIN_OVERLAP * size * size) & valid[:rows, :cols]
    return int(fits[margin : rows - margin, margin : cols - margin].sum())


def measure(case: Case, repeats: int, budget_s: float) -> dict[str, Any]:
    """Ours and the others on one problem, interleaved; a slow search runs once."""
    fast: list[float] = []
    slow: dict[str, list[Tried]] = {"list": [], "array": [], "lazy": []}
    success = ours(case, 0)  # warm-up
    for number in range(repeats):
        for kind, tries in slow.items():
            spent = sum(tried.seconds for tried in tries)
            if spent < budget_s / 4:
                tries.append(one_at_a_time(case, kind, number, budget_s))
        fast += [seconds(lambda: ours(case, number)) for _ in range(5)]  # noqa: B023  # called at once
    mine = Spread.of(fast)
    result: dict[str, Any] = {
        "case": case.name,
        "positions": slow["array"][0].positions,
        "valid_among_them": case.places if case.places >= 0 else None,
        "ours_found": success,
        "ours_s": mine.to_dict(),
    }
    for kind, tries in slow.items():
        time_s = Spread.of([tried.seconds for tried in tries])
        result[kind] = {
            "s": time_s.to_dict(),
            "found": [tried.found for tried in tries],
            "tests": [tried.tests for tried in tries],
            "extrapolated": not all(tried.complete for tried in tries),
            "times_slower_than_ours": significant(time_s.median / mine.median),
        }
    return result


def main() -> None:
    """Measure, print, write."""
    parser = options("Region search against testing positions one at a time.")
    parser.add_argument("--budget", type=float, default=15.0, help="seconds after which a search is extrapolated")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    size_hw = (128, 256) if chosen.smoke else SIZE_HW
    repeats = chosen.repeats or (2 if chosen.smoke else 7)
    budget_s = 0.1 if chosen.smoke else chosen.budget
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = [synthetic_frames(Path(folder), size_hw, 1)]
        real = cityscapes_frames()
        if real is not None and not chosen.smoke:
            sources.append(real)
        for frames in sources:
            measurements = [measure(case, repeats, budget_s) for case in cases_of(frames, size_hw[1] / 2048)]
            results[frames.name] = measurements
            header = ("case", "positions", "ours", *(f"{kind}: time, ratio" for kind in ("list", "array", "lazy")))
            show(
                f"region search, {frames.name}, {size_hw[1]}x{size_hw[0]}",
                header,
                [_row(item) for item in measurements],
            )
    console.print("~ extrapolated from the tests done within the budget")
    publish("regions", {"size_hw": size_hw, "budget_s": budget_s, "results": results}, chosen.out)


def _row(item: dict[str, Any]) -> list[str]:
    cells = [item["case"], f"{item['positions']:,}", f"{1e3 * item['ours_s']['median']:.2f} ms"]
    for kind in ("list", "array", "lazy"):
        search = item[kind]
        mark = "~" if search["extrapolated"] else ""
        cells.append(f"{mark}{1e3 * search['s']['median']:,.1f} ms, {search['times_slower_than_ours']:,.1f}x")
    return cells


if __name__ == "__main__":
    main()
