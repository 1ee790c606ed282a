"""What is shown of a cache: what it is, and some of what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import lmdb

from poc_aug.cache import Cache, UnitedCaches, registry
from poc_aug.cache.manifest_checks import recipe_names
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.shard import shard_paths
from poc_aug.cache.verify import listed_name, lmdb_keys
from poc_aug.counting import count_of
from poc_aug.errors import PocAugError
from poc_aug.inspection.contact_sheet import to_pil
from poc_aug.inspection.decision_facts import decision_facts
from poc_aug.inspection.notebook_view import NotebookView, Panel, PanelRow, plain_line
from poc_aug.inspection.record_views import described_insertion, on_grey
from poc_aug.reading.compose_opacity import opacity
from poc_aug.types import Variant

_MOST_PICTURES = 6
_MOST_TRIED = 24


def view_of_cache(cache: Cache | UnitedCaches) -> NotebookView:
    """What is shown of an opened cache, or of several."""
    caches = cache.caches if isinstance(cache, UnitedCaches) else (cache,)
    if len(caches) == 1:
        return _cache_view(caches[0])
    view = NotebookView(f"{len(caches)} caches, {count_of(len(cache), 'variant', thousands=True)}")
    for each in caches:
        own = _cache_view(each)
        view.facts += [("", ""), ("cache", own.title), *own.facts] if view.facts else [("cache", own.title), *own.facts]
        view.rows += own.rows
        view.notes += own.notes
    return view


def _cache_view(cache: Cache) -> NotebookView:
    manifest = cache.manifest
    frames = manifest.kind == "frames"
    name = cache.path.name if cache.path.parent.name != "recipes" else cache.path.parent.parent.name
    view = NotebookView(f"Cache {plain_line(name)}: {'shifted frames' if frames else 'insertions'}")
    names = recipe_names(manifest.recipe)
    inserter = manifest.backends.get("inserter")
    made_by = inserter.get("inserter") if isinstance(inserter, Mapping) else None
    of = "" if manifest.samples is None or frames else f" of {manifest.samples:,}"
    view.facts = [
        ("samples", f"{cache.samples:,}{of}"),
        ("frames" if frames else "variants", f"{len(cache):,}"),
        ("objects", "" if names is None else _listed(sorted(names[0]))),
        ("made by", "" if made_by is None else plain_line(made_by)),
        ("recipe", plain_line(manifest.fingerprint)),
        *decision_facts(cache),
    ]
    view.facts = [fact for fact in view.facts if fact[1]]
    panels: list[Panel] = []
    for key, index in _first_names(cache, view.notes):
        try:
            variant = cache.get(key, index)
        except PocAugError as error:
            view.notes.append(plain_line(f"variant {index} of {key!r} cannot be read: {error.problem}", 300))
            continue
        panels += [] if variant is None else _panels(variant)
        if len(panels) >= _MOST_PICTURES:
            break
    if panels:
        view.rows = [PanelRow(panels[:_MOST_PICTURES], "some of what it holds", 4)]
    return view


def _first_names(cache: Cache, notes: list[str]) -> Iterator[tuple[str, int]]:
    """Keys and numbers of some variants, in the order of the shards: a large cache is not listed for them."""
    count = _MOST_TRIED
    for path in shard_paths(cache.path):
        shard = registry.acquire(path)
        try:
            for name in lmdb_keys(shard):
                if count <= 0:
                    return
                yield listed_name(shard, name)
                count -= 1
        except (RecordError, lmdb.Error) as error:
            notes.append(plain_line(f"shard {path.name!r} cannot be listed: {error}", 300))
        finally:
            registry.release(shard)


def _panels(variant: Variant) -> list[Panel]:
    if variant.frame is not None:
        return [Panel(f"{variant.frame.domain}-{variant.frame.severity}", to_pil(variant.frame.image))]
    return [
        Panel(described_insertion(each).partition(", ")[0], to_pil(on_grey(each)))
        for each in variant.insertions
        if opacity(each, 0.0).any()
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(plain_line(name, 60) for name in names[:12]) + (", ..." if len(names) > 12 else "")
