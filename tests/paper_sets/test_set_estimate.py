"""Estimates come from measured figures alone: those of benchmarks/results, and docs/paper_sets.md shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from poc_aug.errors import SettingError
from poc_aug.paper_sets import load_set, set_names
from poc_aug.paper_sets.measured_rates import CUT_OUT_BYTES, OBJECT_BYTES, RATES, RENDERED_BYTES
from poc_aug.paper_sets.set_estimate import FillingEstimate, estimate

ROOT = Path(__file__).parents[2]


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))
    return found


def estimate_of(name: str, **options: Any) -> FillingEstimate:
    paper_set = load_set(name)
    models = paper_set.models
    known = {"painted_by": models.backend, "model": models.model, "steps": models.backend_args.get("steps")}
    return estimate(paper_set.recipe(), paper_set.data.used, paper_set.variants, **{**known, **options})


def test_rates_are_the_measured_ones() -> None:
    found = results("generation_gpu.json")
    arms = {"labels": "ours", "locator": "ours-located"}
    for rate in RATES:
        assert rate.device == found["device"]
        assert rate.attempts_per_s == found["arms"][arms[rate.located]]["inserts_per_s"]["median"]
    assert found["steps"] == 50


@pytest.mark.parametrize(
    ("table", "objects"),
    [
        (OBJECT_BYTES, "400x400 px"),
        (RENDERED_BYTES, "rendered, perspective"),
        (CUT_OUT_BYTES, "COCO cut-outs, perspective"),
    ],
)
def test_bytes_are_the_measured_ones(table: dict[Any, float], objects: str) -> None:
    arms = {arm["arm"]: arm for arm in results("cache_read.json")["results"]["cityscapes"]["arms"]}
    for codec, each in table.items():
        arm = arms[f"wrapper, {objects}, {codec}"]
        assert each == pytest.approx(arm["mb_per_variant"] * 1e6 / arm["objects_per_item"], rel=1e-5)


@pytest.mark.parametrize("name", set_names())
def test_the_page_shows_the_estimates(name: str) -> None:
    page = (ROOT / "docs" / "paper_sets.md").read_text(encoding="utf-8").partition("## What it takes")[2]
    found = estimate_of(name)
    rows = [line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line]
    if not found.hours:
        assert rows == []
        return
    ((objects, disk, least, most),) = [[cell.strip() for cell in row.split("|")[2:6]] for row in rows]
    assert objects == f"{found.objects:,.0f}"
    assert found.disk_bytes is not None
    assert float(disk.removesuffix(" GB")) == pytest.approx(found.disk_bytes / 1e9, rel=0.03)
    for text, hours in ((least, found.hours[0].least), (most, found.hours[0].most)):
        value, unit = re.fullmatch(r"([\d.]+) (h|min)", text).groups()  # type: ignore[union-attr]
        assert float(value) / (1 if unit == "h" else 60) == pytest.approx(hours, rel=0.03)


def test_what_was_not_measured_has_no_hours() -> None:
    assert len(estimate_of("poc-alt").hours) == 1
    for other in ({"steps": 4}, {"model": "black-forest-labs/FLUX.1-Fill-dev"}, {"painted_by": "mine:Inserter"}):
        assert estimate_of("poc-alt", **other).hours == ()
    for painted_by in ("rendered", "paste"):
        assert estimate_of("poc-alt", painted_by=painted_by, rate=1.0).hours == ()
    assert estimate_of("poc-alt", codec="raw").disk_bytes is None
    assert estimate_of("poc-alt", painted_by="paste", codec="webp").disk_bytes is None


def test_a_rate_takes_the_place_of_the_measured_ones() -> None:
    (hours,) = estimate_of("poc-a-t2i-full", rate=1.8).hours
    assert hours.device == "your device"
    assert hours.least == pytest.approx(10_425 * 1.8 / 3600)
    assert hours.most == pytest.approx(3 * hours.least)
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="rate="):
            estimate_of("poc-alt", rate=rate)


def test_numbers_of_objects_are_a_mean() -> None:
    recipe = load_set("poc-alt").recipe().with_changes(objects_per_variant=(1, 4))
    assert estimate(recipe, 10, 2).objects == 50
