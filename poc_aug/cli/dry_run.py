"""``warm-cache --dry-run``: how much there is to do, before anything is written or any model is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from poc_aug.cache import Cache, has_manifest
from poc_aug.cache.members import member_paths
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.counting import count_of
from poc_aug.generation.dropped_classes import dropped_text
from poc_aug.generation.object_order import draw_objects
from poc_aug.generation.replacing import replacements
from poc_aug.keys import dataset_keys, first_of_each
from poc_aug.paper_sets import PaperSet
from poc_aug.paper_sets.set_estimate import FillingEstimate, estimate
from poc_aug.recipe import Recipe

_FIRST_KEYS = 3
_FIRST_VARIANTS = 3
_LABELS = {
    "anomaly": "0 in-distribution (inserted classes of the dataset too), 1 OOD, 255 ignore",
    "ood": "254 for all new classes; classes of the dataset keep their ids",
    "ids": "an id for each new class; classes of the dataset keep theirs",
}


def dry_run(
    console: Console,
    job: WarmCacheOptions,
    dataset: Any,
    recipe: Recipe,
    *,
    painted_by: str,
    paper_set: PaperSet | None = None,
) -> None:
    """Print what a run with these options would make.

    Args:
        console: where it is printed.
        job: the options of ``warm-cache``.
        dataset: the dataset.
        recipe: the recipe.
        painted_by: the backend, or "rendered", "paste".
        paper_set: the set that is named.
    """
    names = list(first_of_each(dataset_keys(dataset, job.keys)))
    chosen = names if job.limit is None else names[: job.limit]
    found = estimate(
        recipe,
        len(chosen),
        job.num_variants,
        painted_by=painted_by,
        model=job.model,
        steps=_steps(job.backend_args),
        codec=job.codec,
        rate=job.rate,
    )
    rows: list[tuple[str, str]] = []
    if paper_set is not None:
        rows += [("set", f"{paper_set.name}: {paper_set.title}"), ("from", paper_set.source)]
    rows += [
        ("frames", _frames(len(chosen), len(names), paper_set)),
        ("variants", f"{job.num_variants} per frame: {found.variants}"),
        ("objects", f"{found.objects:.10g}, of {len(recipe.objects)} kinds"),
    ]
    rows += _of_cache(job, recipe, chosen)
    if paper_set is not None:
        rows += _labels(paper_set, recipe)
    for key in chosen[:_FIRST_KEYS]:
        drawn = [
            " and ".join(spec.name for spec in draw_objects(recipe, key, index)) or "none"
            for index in range(min(job.num_variants, _FIRST_VARIANTS))
        ]
        rows.append(("first keys" if key == chosen[0] else "", f"{key}: {', '.join(drawn)}"))
    rows += _costs(found, painted_by)
    if paper_set is not None:
        rows += _against_paper(paper_set, recipe, painted_by)
    for title, text in rows:
        console.print(f"{title:<12}{text}")
    console.print("dry run: nothing was written")


def _of_cache(job: WarmCacheOptions, recipe: Recipe, keys: Sequence[str]) -> list[tuple[str, str]]:
    """What was dropped of a cache that is there: variants that would be replaced, and classes that stay left out."""
    made_by = json.loads(json.dumps(recipe.to_dict()))
    members = member_paths(job.out) if job.out is not None and has_manifest(job.out) else []
    for member in members:
        with Cache.open(member) as cache:
            if dict(cache.manifest.recipe) == made_by:
                rows = [("replaced", _replaced(cache, keys, job.num_variants))] if job.replace_dropped else []
                text = dropped_text(members[0], cache, keys)
                return rows + ([("warning", text)] if text else [])
    return [("replaced", "none: no cache of this recipe is there (--out)")] if job.replace_dropped else []


def _replaced(cache: Cache, keys: Sequence[str], num_variants: int) -> str:
    """How many variants of a cache would be replaced, since something of them was dropped."""
    found = replacements(cache, [key for key in keys if cache.variants(key)], num_variants)
    return f"{count_of(found.count, 'variant')} in place of dropped ones" + (
        f"; {found.unreplaced} cannot be: what would be made is dropped, too" if found.unreplaced else ""
    )


def _steps(backend_args: Mapping[str, Any]) -> int | None:
    steps = backend_args.get("steps")
    return steps if isinstance(steps, int) else None


def _frames(chosen: int, there: int, paper_set: PaperSet | None) -> str:
    text = str(chosen) if chosen == there else f"{chosen} of {there} (--limit)"
    if paper_set is None:
        return text
    data = paper_set.data
    of = f"{data.frames} in the official {' and '.join(data.splits)}"
    return f"{text} ({of}{'' if data.drawn is None else f', of which {data.drawn} are drawn'})"


def _labels(paper_set: PaperSet, recipe: Recipe) -> list[tuple[str, str]]:
    parts = [part for spec in recipe.objects for part in spec.parts]
    classes = list(dict.fromkeys(parts))
    known = [name for name in classes if name in paper_set.label_schema]
    new = [name for name in classes if name not in known]
    ids = [f"{name} {label_id}" for name, label_id in paper_set.new_classes.items() if name in new]
    rows = [("labels", f"{paper_set.labels}: {_LABELS[paper_set.labels]}")]
    if new:
        listed = f"; as ids: {', '.join(ids)}" if len(ids) == len(new) else f": {', '.join(new)}"
        rows.append(("new classes", f"{len(new)}{listed}"))
    if known:
        rows.append(("known", ", ".join(f"{name} {paper_set.label_schema.id_of(name)}" for name in known)))
    return rows


def _against_paper(paper_set: PaperSet, recipe: Recipe, painted_by: str) -> list[tuple[str, str]]:
    """What is not known of a set; or in what the cache would not be the set, as far as it shows without its models."""
    changed = ", ".join(paper_set.changed_fields(recipe.to_dict()))
    if painted_by != paper_set.models.backend:
        return [("note", f"not {paper_set.name}: objects from {painted_by}, not from {paper_set.models.backend}")]
    rows = [("note", f"not {paper_set.name}: other fields of the recipe: {changed}")] if changed else []
    return rows + [("† not known", text) for text in paper_set.unknown]


def _costs(found: FillingEstimate, painted_by: str) -> list[tuple[str, str]]:
    if found.disk_bytes is None:
        disk = f"not measured for {found.disk_basis}"
    else:
        each = found.disk_bytes / found.objects if found.objects else 0.0
        disk = f"{_size(found.disk_bytes)} ({_size(each)} per object, measured: {found.disk_basis})"
    rows = [("disk", disk)]
    for hours in found.hours:
        span = f"{_time(hours.least)} if each first attempt is accepted, {_time(hours.most)} if all attempts are needed"
        rows.append(("GPU", f"{hours.device}: {span} ({hours.seconds:.2g} s per attempt: {hours.basis})"))
    if painted_by in ("rendered", "paste"):
        rows.append(("GPU", "none is needed"))
    elif not found.hours:
        rows.append(("GPU", "never measured for this model and recipe: --rate SECONDS gives the time of one attempt"))
    return rows


def _time(hours: float) -> str:
    return f"{hours:.3g} h" if hours >= 1 else f"{hours * 60:.2g} min"


def _size(count: float) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.3g} bytes"
