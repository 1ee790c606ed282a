"""`benchmarks/record_figures.py` on small frames, and `docs/scaling.md` against its result."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.quick_start import run_script

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scaling.md"
RESULT = ROOT / "benchmarks" / "results" / "record_figures.json"
_QUANTITY = re.compile(r"\d[\d,.]* (?:TB|GB|MB|kB|ms|µs|s|min|h)\b")


@pytest.fixture(scope="module")
def tables() -> Iterator[Any]:
    """The module that writes the page's tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import scaling_tables

        yield scaling_tables
        for name in ("scaling_tables", "harness"):
            sys.modules.pop(name, None)


def test_the_figures_of_a_record(tmp_path: Path, tables: Any) -> None:
    out = tmp_path / "result.json"
    done = run_script("benchmarks/record_figures.py", "--smoke", "--repeats", "1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    figures = result["results"]
    for row in figures["records"]:
        assert row["objects_per_record"] <= 3
        assert row["header_bytes_per_record"] < row["bytes_per_record"] <= row["stored_bytes_per_record"]
        assert row["look_up_ms"]["median"] <= row["read_ms"]["high"]
    kinds = {(row["what"], row["codec"]): row for row in figures["records"]}
    assert len(kinds) == len(figures["records"]) == 9
    assert kinds["discs of 8 px", "delta-zstd"]["px_per_object"] == 64
    # One record per transaction waits for the disk each time.
    assert [row["records"] for row in figures["storing"]["by_batch"]] == [1, 8, 64]
    assert 16 <= figures["index"]["bytes_per_record"] < 20  # hash, variant, shard
    assert figures["manifest"]["bytes_by_objects"]["80"] > figures["manifest"]["bytes_by_objects"]["1"]
    assert figures["journal"]["bytes_per_decision"] > 100
    lines = list(tables.scaling_tables(result))
    assert sum(line.startswith("| discs of 8 px") for line in lines) == 6


def test_the_page_has_the_tables_of_the_result(tables: Any) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (section,) = re.findall(r"<!-- record_figures -->\n(.*?)<!-- end -->", text, re.DOTALL)
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert section.startswith("\n".join(tables.scaling_tables(result)))
    assert result["frames"] == "cityscapes"


def test_the_prose_has_no_figures_of_its_own() -> None:
    """Quantities outside of the tables are limits that the code has, or that others report."""
    prose = re.sub(r"<!-- record_figures -->.*<!-- end -->", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert _QUANTITY.findall(prose) == ["64 GB"]
    from poc_aug.cache import registry

    assert f"{registry._MOST_OPEN:,} open" in prose


def test_the_totals_are_those_of_the_records(tables: Any) -> None:
    """The arithmetic, done again by hand."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    records = 100_000_000 // 3
    assert f"{records:,} records of {records // 3:,} samples" in text
    for row in result["results"]["records"]:
        total = row["stored_bytes_per_record"] * records
        shown = f"{total / 1e12:.1f} TB" if total >= 1e12 else f"{total / 1e9:.1f} GB"
        assert f"| {row['what']} | {row['codec']} | {shown} |" in text
    index = result["results"]["index"]
    assert f"| index | {index['bytes_per_record'] * records / 1e6:.1f} MB |" in text
    rates = json.loads((RESULT.parent / "generation_gpu.json").read_text(encoding="utf-8"))["arms"]
    hours = 1e8 / rates["ours"]["inserts_per_s"]["median"] / 3600
    assert f"| {hours:,.0f} | {hours / 1000:.1f} h | {hours / 50_000:.2f} |" in text
    assert tables.GPU_HOURS_PER_FAILURE == pytest.approx(54 * 24 * 16_384 / 419, rel=0.02)
