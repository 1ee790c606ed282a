"""Caches to pack: of several recipes, with prompts, paths of a machine, licences, and several shards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.members import member_path
from poc_aug.recipe import Recipe
from poc_aug.types import Insertion, Rejection, Variant
from tests.helpers.cache_cases import make_insertion, make_variant

HOST, USER, HOME = "node7.quiet-cluster", "ada.secretive", "/home/ada.secretive/data"
SECRETS = (HOST, USER, "/home/", "quiet-cluster", "ada.")


def recipe_of(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A recipe of a gnu, as a pipeline writes it into a manifest."""
    objects = [{"name": "gnu", "prompts": ["a hidden gnu"], "parts": ["part 0", "part 1", "part 2"]}]
    recipe = Recipe.from_dict({"objects": objects, "seed": seed, "prompt_template": "a photo of {object}", **changes})
    return recipe.to_dict()


def manifest_of(recipe: dict[str, Any], inserter: dict[str, Any] | None = None) -> Manifest:
    """A manifest whose fingerprint is its own."""
    return Manifest.create(recipe, {"inserter": inserter or {"inserter": "paste"}}, {"length": 7})


def telling_variant(number: int) -> Variant:
    """A variant whose provenance and rejections tell of the machine and its user."""
    variant = make_variant(number)
    licences: tuple[dict[str, str], ...] = (
        {"licence": "CC-BY-NC-2.0", "attribution": "http://example.org/1"},
        {"licence": "CC-BY-2.0"},
        {},
    )
    insertions = [
        replace(one, provenance={**one.provenance, "horizon_from": "labels", "source": f"{HOME}/gnu.png", **licence})
        for one, licence in zip(variant.insertions, licences, strict=False)
    ]
    return _with(variant, insertions, f"cannot read '{HOME}/objects/gnu {number}.png'")


def _with(variant: Variant, insertions: Iterable[Insertion], detail: str) -> Variant:
    rejections = tuple(Rejection(r.reason, r.object_name, r.attempt, detail) for r in variant.rejections)
    return replace(variant, insertions=tuple(insertions), rejections=rejections)


def telling_cache(path: Path, count: int = 9, writers: int = 3) -> Path:
    """A cache of several shards, named after a machine, and a member of another recipe."""
    inserter = {"inserter": "paste", "model": "someone/their-own", "file": f"{HOME}/model.bin"}
    for number in range(writers):
        manifest = manifest_of(recipe_of(), inserter)
        with CacheWriter(path, manifest, writer=f"{HOST}-{number}of{writers}-20260101T000000000-{number}") as writer:
            writer.put_many([telling_variant(n) for n in range(number, count, writers)])
    other = manifest_of(recipe_of(seed=1))
    with CacheWriter(member_path(path, other.fingerprint), other, writer=f"{HOST}-all-20260101T000000000-9") as writer:
        writer.put_many([make_variant(n) for n in range(3)])
    return path


def records_of(cache: Path) -> dict[tuple[str, int], Variant]:
    """All variants of a cache, as they are read."""
    with Cache.open(cache) as opened:
        found = {item: opened.get(*item) for item in opened}
    return {item: variant for item, variant in found.items() if variant is not None}


def lossy_cache(path: Path) -> Path:
    """One variant whose patch a lossy codec has changed already."""
    manifest = replace(manifest_of(recipe_of()), codec="webp-lossy")
    with CacheWriter(path, manifest) as writer:
        writer.put(replace(make_variant(1), insertions=(make_insertion(5, (40, 50)),)))
    return path
