"""What a run would make in vain: objects of a recipe, or of classes, that were dropped whenever they are made."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterable
from pathlib import Path

from poc_aug.cache import Cache
from poc_aug.cache.journal import Journal
from poc_aug.cache.manifest_checks import object_parts
from poc_aug.cache.selection import StoredThings
from poc_aug.scenes.scene_recipe import split_key

_SHORT_FINGERPRINT = 8
_MOST_NAMES = 10
_UNNAMED = -1  # a variant that no decision names


def warn_of_dropped(cache: Path, member: Path, keys: Iterable[str]) -> None:
    """Warn if what a run is about to make was dropped already, as a recipe or by class.

    Args:
        cache: the ``NAME.cache`` directory.
        member: it, or its member that is filled.
        keys: those of which something is made.

    Raises:
        CacheError: it cannot be read.
    """
    with Cache.open(member) as opened:
        if text := dropped_text(cache, opened, keys):
            warnings.warn(text, stacklevel=3)


def dropped_text(cache: Path, member: Cache, keys: Iterable[str]) -> str:
    """What is said of a recipe that was dropped, or of its classes that were; empty if none was.

    Args:
        cache: the ``NAME.cache`` directory.
        member: it, or one of its members, opened.
        keys: those of which something is made; of a cache of frames, they name the domains.

    Example:
        >>> import tempfile
        >>> from poc_aug import InsertionPipeline, Recipe, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.upkeep import drop
        >>> pipeline = InsertionPipeline(Recipe(objects=("barrel", "traffic cone")), RenderedInserter())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.cache"
        ...     _ = warm_cache(SyntheticStreet(size=(64, 128), length=3), path, pipeline, workers=0)
        ...     _ = drop(path, class_name="traffic cone")
        ...     with Cache.open(path) as opened:
        ...         print(dropped_text(Path("a.cache"), opened, []))
        'traffic cone' was dropped in recipe ... of a.cache: what is made of it stays left out; take it in again ...
    """
    # Other decisions are about some samples or variants only.
    wide = [entry for entry in member.journal.counting if entry.where.to_dict().keys() <= {"recipe", "class"}]
    if not any(entry.op == "drop" for entry in wide):
        return ""
    journal, parts, made = Journal(wide), object_parts(member.manifest.recipe), list(keys)
    if member.manifest.kind == "frames":
        parts = {split_key(key)[1]: () for key in made}
    states = {
        name: journal.dropped(StoredThings(("",), _UNNAMED, (frozenset({name, *own}),), (own,))).get(0)
        for name, own in parts.items()
    }
    for name, entry in states.items():
        if entry is not None and not _stays_out(member, made, name, parts[name]):
            states[name] = None
    found = [entry for entry in states.values() if entry is not None]
    if not found:
        return ""
    fingerprint = member.manifest.fingerprint[:_SHORT_FINGERPRINT]
    command = f"poc-aug drop {shlex.quote(str(cache))} --recipe {fingerprint}"
    names = list(dict.fromkeys(entry.where.class_name for entry in found if entry.where.class_name is not None))
    if any(entry.where.class_name is None for entry in found):
        kept = [name for name, entry in states.items() if entry is None]
        return (
            f"recipe {fingerprint} of {cache} was dropped: what is made of it stays left out"
            f"{f', but for {_listed(kept)}' if kept else ''}; take it in again with `{command} --restore`"
        )
    were, them = ("was", "it") if len(names) == 1 else ("were", "them")
    named = f"--class {shlex.quote(names[0])} --restore"
    return (
        f"{_listed(names)} {were} dropped in recipe {fingerprint} of {cache}: what is made of {them} stays left out; "
        f"take {them} in again with `{command} {named}`{'' if len(names) == 1 else ', and so on'}"
    )


def _stays_out(member: Cache, keys: list[str], name: str, parts: tuple[str, ...]) -> bool:
    """Whether an object, or a frame of a domain, is left out of any of these samples, after all decisions."""
    frames = member.manifest.kind == "frames"
    keys = [key for key in keys if not frames or split_key(key)[1] == name]
    names = (frozenset({name, *parts}),)
    samples = ((key, key.rpartition("@")[0]) if frames else (key,) for key in keys)
    return not keys or any(member.journal.dropped(StoredThings(own, _UNNAMED, names, (parts,))) for own in samples)


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_MOST_NAMES]))
    return shown + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
