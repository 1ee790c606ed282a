"""``poc-aug sets``: the papers' sets by name, one of them in full, and whether a cache is one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poc_aug.cache import Cache
from poc_aug.cache.members import member_paths
from poc_aug.cli.console import console
from poc_aug.errors import SettingError
from poc_aug.paper_sets import PaperSet, load_set, set_names

_NOT_THE_SET = 1


def sets_command(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show one set in full.")] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Check whether a cache is this set; exit code 1: it is not.")
    ] = None,
) -> None:
    """List the papers' sets, which warm-cache fills: warm-cache --set NAME --data ROOT --out PATH."""
    if name is None:
        if cache is not None:
            raise SettingError("--cache without the name of a set", expected="poc-aug sets cs-poc --cache PATH")
        _list()
        return
    paper_set = load_set(name)
    if cache is None:
        _show(paper_set)
    elif not _check(paper_set, cache):
        raise typer.Exit(_NOT_THE_SET)


def _check(paper_set: PaperSet, cache: Path) -> bool:
    """Say of each recipe of a cache whether it is a set, and if not, why; whether one of them is."""
    with Cache.open(cache) as opened:  # with the messages for what is no cache
        paths = member_paths(opened.path)
    found = False
    for path in paths:
        with Cache.open(path) as member:
            manifest, count = member.manifest, len(member)
        differences = paper_set.differences(manifest)
        found = found or not differences
        which = str(cache) if len(paths) == 1 else f"{cache}, recipe {manifest.fingerprint}"
        if not differences:
            total = paper_set.data.used * paper_set.variants
            console.print(f"{which}: made as {paper_set.name}, {count} variants of {total}")
            continue
        console.print(f"{which} is not {paper_set.name}, these differ:")
        for line in differences:
            console.print(f"  {line}")
    return found


def _list() -> None:
    for name in set_names():
        paper_set = load_set(name)
        console.print(name, style="bold")
        console.print(f"  {paper_set.title}")
        frames = f"{paper_set.data.used} frames of {paper_set.base.title} {' and '.join(paper_set.data.splits)}"
        variants = f"{paper_set.variants} variant{'s' if paper_set.variants > 1 else ''} each"
        console.print(f"  {frames}, {variants}; {len(paper_set.new_classes)} new classes", style="dim")
    console.print("\nIn full: poc-aug sets NAME. To fill one: poc-aug warm-cache --set NAME --data ROOT --out PATH")


def _show(paper_set: PaperSet) -> None:
    data, models = paper_set.data, paper_set.models
    drawn = "" if data.drawn is None else f", {data.drawn} drawn by seed {data.drawn_seed}"
    settings = ", ".join(f"{name}={value}" for name, value in models.backend_args.items())
    rows = {
        "from": paper_set.source,
        "dataset": f"{paper_set.base.title} {' and '.join(data.splits)}: {data.frames} frames{drawn}; "
        f"{paper_set.base.page}",
        "objects": f"preset {paper_set.preset}" + (", the paper's sizes in pixels" if paper_set.paper_sizes else ""),
        "variants": f"{paper_set.variants} per frame, seed {paper_set.seed}",
        "model": f"{models.model} ({models.backend}{'; ' if settings else ''}{settings})",
        "annotator": f"{models.detector}, {models.segmenter}",
        "labels": f"{paper_set.labels}; as ids: from {paper_set.first_id}",
        "export": f"{paper_set.export.layout}, labels {paper_set.export.labels}",
    }
    console.print(paper_set.name, style="bold")
    console.print(f"  {paper_set.title}")
    for title, text in rows.items():
        console.print(f"  {title:<11}{text}")
    notes = {"as in the paper": paper_set.same, "different": paper_set.differs, "not known †": paper_set.unknown}
    for title, lines in notes.items():
        console.print(f"  {title}:" if lines else f"  {title}: nothing")
        for line in lines:
            console.print(f"    - {line}")
