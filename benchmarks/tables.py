"""Write the tables of docs/benchmarks.md and docs/camera.md from benchmarks/results/*.json, between their markers.

Run: python benchmarks/tables.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import RESULTS

DOCS = Path(__file__).parents[1] / "docs"
_KINDS = ("list", "array", "lazy")


def regions_table(result: dict[str, Any]) -> Iterator[str]:
    """Ours and the others by case, for each source of frames."""
    for source, items in result["results"].items():
        yield f"\n**{source}**\n"
        yield "| case | positions | ours | list | array | lazy |"
        yield "|---|--:|--:|--:|--:|--:|"
        for item in items:
            cells = [item["case"], f"{item['positions']:,}", f"{1e3 * item['ours_s']['median']:.2f} ms"]
            for kind in _KINDS:
                search = item[kind]
                mark = "~" if search["extrapolated"] else ""
                cells.append(f"{mark}{_time(search['s']['median'])} (**{_times(search['times_slower_than_ours'])}**)")
            yield _line(cells)


def cache_read_table(result: dict[str, Any]) -> Iterator[str]:
    """Arms by source of frames, then the stages of one item."""
    for source, section in result["results"].items():
        yield f"\n**{source}**, {section['frames']} frames\n"
        yield (
            "| | objects | samples/s | time over base | CPU time over base | MB per variant | smaller than PNG pairs |"
        )
        yield "|---|--:|--:|--:|--:|--:|--:|"
        for arm in section["arms"]:
            smaller = arm["times_smaller_than_png_pairs"]
            base = not arm["mb_per_variant"]
            yield _line(
                [
                    arm["arm"],
                    f"{arm['objects_per_item']:.1f}" if arm["objects_per_item"] else "",
                    f"{arm['samples_per_s']:.1f}",
                    "" if base else _change(arm["time_over_base"]),
                    "" if base else _change(arm["cpu_over_base"]),
                    "" if base else f"{arm['mb_per_variant']:.3f}",
                    f"{smaller:.1f}x" if smaller else "",
                ]
            )
        stages = "; ".join(f"{name} {1e3 * spread['median']:.2f} ms" for name, spread in section["stages_s"].items())
        yield f"\nOne item of the default cache, in one process: {stages}."


def live_table(result: dict[str, Any]) -> Iterator[str]:
    """Throughput by frame size, then what "background" adds."""
    for section in result["results"]["throughput"]:
        yield f"\n**throughput**, {_frames(result, section)}\n"
        yield (
            "| | items/s | over in each worker | over in main process | crops per call | device busy "
            "| CPU ms per item |"
        )
        yield "|---|--:|--:|--:|--:|--:|--:|"
        for arm in section["arms"]:
            used = arm["crops_per_call"] > 0
            yield _line(
                [
                    arm["arm"],
                    f"{arm['items_per_s']['median']:.1f}",
                    _ratio(arm["over_in_worker"]),
                    _ratio(arm["over_in_main"]),
                    f"{arm['crops_per_call']:.1f}" if used else "",
                    f"{arm['device_busy']:.0%}" if used else "",
                    _processor(arm),
                ]
            )
    for section in result["results"]["background"]:
        yield f"\n**waiting**, {_frames(result, section)}\n"
        steps = [loop["step_over_batch"] for loop in section["arms"][0]["loops"]]
        heads = "".join(f" wait per step, {factor:g}x | loop over plain |" for factor in steps)
        yield f"| | ms per batch | over plain |{heads} made per item | CPU ms per item |"
        yield f"|---|--:|--:|{'--:|--:|' * len(steps)}--:|--:|"
        for arm in section["arms"]:
            cells = [arm["arm"], f"{1e3 * arm['batch_s']['median']:.0f}", _change(arm["time_over_plain"])]
            for loop in arm["loops"]:
                cells += [f"{1e3 * loop['wait_s']['median']:.0f} ms", _change(loop["loop_over_plain"])]
            yield _line([*cells, f"{arm['made_per_item']:.2f}", _processor(arm)])


def metrics_table(result: dict[str, Any]) -> Iterator[str]:
    """Time, memory and error by arm."""
    height, width = result["frame_hw"]
    yield f"\n{result['frames']} frames of {width}x{height}\n"
    yield "| | time | of scikit-learn's | peak beyond the frames | largest error | a billion pixels |"
    yield "|---|--:|--:|--:|--:|--:|"
    for arm, measurement in result["results"].items():
        worst = max(abs(value) for value in measurement["errors"].values())
        yield _line(
            [
                arm,
                _time(measurement["seconds"]),
                f"**{measurement['share_of_scikit_learn_time']:.3f}**",
                f"{measurement['peak_mb']:.0f} MB",
                f"{worst:.0e}" if worst else "0",
                _time(measurement["billion_pixels_s"]),
            ]
        )


def blending_table(result: dict[str, Any]) -> Iterator[str]:
    """Both ways by case, for each device."""
    height, width = result["frame_hw"]
    for device, items in result["results"].items():
        yield f"\n**{device if device == 'cpu' else result['gpu']}**, frames of {width}×{height}\n"
        yield "| | ours | kornia | kornia over ours | apart, levels of 255 |"
        yield "|---|--:|--:|--:|--:|"
        for item in items:
            medians = [f"{1e3 * item[f'{arm}_s']['median']:.2f} ms" for arm in ("ours", "kornia")]
            apart = f"{item['largest_difference_levels']:g}"
            yield _line([item["case"], *medians, _ratio(item["kornia_over_ours"]), apart])


def weather_table(result: dict[str, Any]) -> Iterator[str]:
    """Each domain's time per frame, and the same effect of the other libraries."""
    height, width = result["frame_hw"]
    yield f"\n**{result['frames']}**, {result['count']} frames of {width}×{height}, severity {result['severity']}\n"
    yield "| | ours | albumentations | kornia | goal |"
    yield "|---|--:|--:|--:|--:|"
    for item in result["results"]:
        cells = [item["domain"], _time(item["seconds"]["ours"]["median"])]
        for name in ("albumentations", "kornia"):
            other = item["seconds"].get(name)
            cells.append("" if other is None else f"{_time(other['median'])} ({_ratio(item['over_ours'][name])})")
        yield _line([*cells, _time(item["goal_s"])])


def horizon_table(result: dict[str, Any]) -> Iterator[str]:
    """Errors by group and kind of evidence, then every frame's rows."""
    kinds = ("preset", "preset and objects", "objects", "ground")
    errors = {(error["group"], error["kind"]): error for error in result["errors"]}
    yield f"\n| mean (greatest) error, px | {' | '.join(kinds)} |"
    yield "|---|--:|--:|--:|--:|"
    for group in dict.fromkeys(frame["group"] for frame in result["frames"]):
        rows = {frame["rows_of"] for frame in result["frames"] if frame["group"] == group}
        count = sum(frame["group"] == group for frame in result["frames"])
        cells = [f"{group}, {count} frames of {'/'.join(map(str, sorted(rows)))} rows"]
        for kind in kinds:
            error = errors.get((group, kind))
            some = f", {error['frames']} frames" if error is not None and error["frames"] < count else ""
            cells.append("" if error is None else f"{error['mean_px']:.1f} ({error['max_px']:.0f}{some})")
        yield _line(cells)
    yield f"\n| frame | reference | {' | '.join(kinds)} | recorded as |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    for frame in result["frames"]:
        rows_of = [frame["reference"], *(frame[kind] for kind in kinds)]
        yield _line([frame["frame"], *("" if row is None else f"{row:.0f}" for row in rows_of), frame["recorded_as"]])


def _frames(result: dict[str, Any], section: dict[str, Any]) -> str:
    height, width = section["frame_hw"]
    return f"{result['frames']} frames of {width}×{height}, {result['workers']} workers"


def _ratio(spread: dict[str, float]) -> str:
    return f"{spread['median']:.2f}x ({spread['low']:.2f} to {spread['high']:.2f})"


def _processor(arm: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in arm["processor_ms_per_item"].items() if value)


def _change(spread: dict[str, float]) -> str:
    return f"{spread['median'] - 1:+.1%} ({spread['low'] - 1:+.1%} to {spread['high'] - 1:+.1%})"


def _time(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1e3 * seconds:,.1f} ms"


def cache_scale_table(result: dict[str, Any]) -> Iterator[str]:
    """Both caches with and without an index, then the large one over the small one."""
    yield (
        f"| | index | open | open, first variants | one of the first {result['reads']:,} reads | one read | dataset of "
        f"{result['samples']:,} samples | one item of it | `info` | memory, once open | after the reads, of its own | "
        "with mapped files |"
    )
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    times = ["open_ms", "first_ms", "first_reads_us", "read_us", "dataset_ms", "item_ms", "info_ms"]
    names = [*times, "memory_mb", "own_mb", "mapped_mb"]
    for row in result["results"]:
        cells = [row["cache"], "yes" if row["index"] else "no"]
        for name in names:
            unit = name.rpartition("_")[2]
            value = row.get(name)
            shown = "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
            cells.append(f"{shown} {dict(ms='ms', us='µs', mb='MB')[unit]}" if shown else "")
        yield _line(cells)
    for name, title in (("over_listed", "without an index"), ("over_indexed", "with its index")):
        ratios = result["ratios"][name]
        yield _line(
            [
                f"the large one, with its index, over the small one {title}",
                "",
                *(_bold_ratio(ratios.get(one)) for one in names),
            ]
        )
    built = [row for row in result["results"] if row["index"]]
    yield "\nThe index of the large cache has {:.0f} MB, and takes {:.0f} s to make from nothing.".format(
        built[-1]["index_mb"], built[-1]["make_index_s"]
    )


def _bold_ratio(value: float | None) -> str:
    return "" if value is None else f"**{value:.2f}**"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.2g}x"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _environment(result: dict[str, Any]) -> str:
    machine = result["environment"]
    packages = ", ".join(f"{name} {machine[name]}" for name in ("torch", "numpy", "pillow", "lmdb"))
    return (
        f"Commit {machine['commit']}, {machine['date'][:10]}; {machine['cpu']}, {machine['cores']} cores, load "
        f"{machine['load_1min']} when it ended; Python {machine['python']}, {packages}."
    )


def main() -> None:
    """Replace what stands between the markers of each result."""
    for page, name, table in (
        ("benchmarks.md", "regions", regions_table),
        ("benchmarks.md", "cache_read", cache_read_table),
        ("benchmarks.md", "cache_scale", cache_scale_table),
        ("benchmarks.md", "live", live_table),
        ("benchmarks.md", "live_background", live_table),
        ("benchmarks.md", "metrics", metrics_table),
        ("benchmarks.md", "blending", blending_table),
        ("benchmarks.md", "weather", weather_table),
        ("camera.md", "horizon", horizon_table),
    ):
        text = (DOCS / page).read_text(encoding="utf-8")
        result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        body = "\n".join([*table(result), "", _environment(result)])
        sections = re.findall(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
        if len(sections) != 1:
            raise ValueError(f"{page} has {len(sections)} places marked <!-- {name} --> ... <!-- end -->, expected one")
        text = text.replace(f"<!-- {name} -->\n{sections[0]}<!-- end -->", f"<!-- {name} -->\n{body}\n<!-- end -->")
        (DOCS / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
