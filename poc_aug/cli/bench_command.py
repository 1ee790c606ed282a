"""``poc-aug bench``: what the wrapper costs on a dataset and its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.benchmarking.wrapper_cost import bench_reading, print_result
from poc_aug.cache import Cache
from poc_aug.cli.arguments import given_dataset, load_dataset, parse_arguments
from poc_aug.cli.cache_argument import CacheToRead, cache_to_read
from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.cli.shared_options import DatasetArguments, DatasetName, KeysName, SchemaName, Workers
from poc_aug.files.outputs import check_outputs
from poc_aug.labels.detect import find_schema, require_schema
from poc_aug.labels.schema import SCHEMAS, LabelSchema


@with_report("bench")
def bench_command(
    *,
    cache: CacheToRead,
    arguments: DatasetArguments = None,
    dataset: DatasetName = None,
    schema: SchemaName = None,
    keys: KeysName = None,
    workers: Workers = 2,
    items: Annotated[int, typer.Option("--items", min=1, max=1_000_000, help="Items to read in one measurement.")] = 64,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, max=1_000, help="Measurements; the median is reported.")
    ] = 5,
    out: Annotated[Path | None, typer.Option("--out", help="Write the result as JSON.")] = None,
    reported: dict[str, Any],
) -> None:
    """Measure your dataset with and without the wrapper: samples/s, time per stage, MB per sample."""
    name = given_dataset(dataset)  # these two first: loading a dataset can take long
    if out is not None:
        check_outputs(out.parent, out.name)
    base = load_dataset(name, parse_arguments(arguments or []))
    path = cache_to_read(cache)
    known = _schema(base, schema, path)
    settings: dict[str, Any] = {"workers": workers, "items": items, "repeats": repeats}
    with progress(console, "measurements") as show:
        result = bench_reading(base, path, schema=known, keys=keys, **settings, on_progress=show)
    reported.update(result.to_dict())
    print_result(console, result)
    if out is not None:
        result.write(out)


def _schema(dataset: Any, schema: str | None, cache: Path) -> LabelSchema:
    """The given label schema, the dataset's own, or the one by whose name the cache was made."""
    known = find_schema(dataset, schema)
    if known is None:
        with Cache.open(cache) as opened:
            named = opened.manifest.dataset.get("schema")
        known = SCHEMAS.get(named) if isinstance(named, str) else None
    return require_schema(dataset, known)
