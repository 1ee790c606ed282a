"""Pictures of rejected attempts that a cache keeps, and which attempt each of them shows."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import xxhash
from PIL import Image

from poc_aug.cache import Cache
from poc_aug.cache.entries import REJECTED, check_entries
from poc_aug.cache.selection import StoredThings
from poc_aug.errors import CacheFormatError, CacheMissError
from poc_aug.files.pictures import open_picture
from poc_aug.generation.rejected_pictures import DESCRIPTION
from poc_aug.review.review_things import Thing, thing_id

_NAME = re.compile(r"(?:.*-)?([0-9a-f]{8})-([0-9a-f]{16})-([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,10})\.png", re.ASCII)
_MOST_TEXT_CHARS = 100_000


class AttemptPictures:
    """The pictures of rejected attempts in several caches, by what their file names say.

    Args:
        caches: the caches, members counted.
    """

    def __init__(self, caches: Sequence[Cache]) -> None:
        self._paths: dict[str, Path] = {}
        self._named: list[dict[tuple[str, str, str, int, int], list[Path]]] = []
        for cache in caches:
            found: dict[tuple[str, str, str, int, int], list[Path]] = defaultdict(list)
            for path in _files(cache):
                if parts := _NAME.fullmatch(path.name):
                    name = path.parent.name, parts[1], parts[2], int(parts[3]), int(parts[5])
                    found[name].append(path)
            self._named.append(found)

    def assign(self, thing: Thing) -> None:
        """Find the picture of an attempt; of several of one place, the next one."""
        folder = re.sub(r"[^a-z0-9]+", "-", thing.reason.lower()).strip("-")[:60] or "other"
        key = xxhash.xxh3_64_hexdigest(thing.key.encode("utf-8", "surrogatepass"))
        spec = xxhash.xxh32_hexdigest(thing.class_name.encode("utf-8", "surrogatepass"))
        paths = self._named[thing.source].get((folder, spec, key, thing.variant, thing.attempt))
        if paths:
            self._paths[thing.id] = paths.pop(0)

    def has(self, thing: Thing) -> bool:
        """Whether there is a picture of an attempt."""
        return thing.id in self._paths

    def without_record(self, source: int, fingerprint: str) -> list[Thing]:
        """Attempts that only pictures tell of, once all records were assigned theirs: of a run that was killed."""
        things: list[Thing] = []
        for paths in self._named[source].values():
            for path in paths:
                try:
                    with Image.open(path) as picture:  # its text comes before its pixels
                        about = _about(picture)
                except (OSError, ValueError, SyntaxError, RecursionError, Image.DecompressionBombError):
                    continue  # of no sample; `picture` of it cannot be asked for
                thing = Thing(
                    thing_id(source, fingerprint, "picture", path.parent.name, path.name),
                    source,
                    about["key"],
                    int(about["variant"]),
                    0,
                    "rejected attempts",
                    about["object"],
                    StoredThings((about["key"],), 0, (), ()),
                    reason=about["reason"],
                    detail=about["detail"],
                    attempt=int(about["attempt"]),
                )
                self._paths[thing.id] = path
                things.append(thing)
            paths.clear()
        return things

    def picture(self, thing: Thing) -> Image.Image:
        """The picture of an attempt.

        Raises:
            CacheMissError: none was kept.
            CacheFormatError: it cannot be decoded.
        """
        if thing.id not in self._paths:
            raise CacheMissError(
                "no picture of this attempt was kept",
                expected="an attempt of a run with --keep-rejected",
                hint="fill another cache with --keep-rejected 5: what is stored is not made again",
            )
        path = self._paths[thing.id]
        return open_picture(path, what="picture of a rejected attempt", error=CacheFormatError, hint="remove it")


def _files(cache: Cache) -> list[Path]:
    if not (cache.path / REJECTED).is_dir():
        return []
    check_entries(cache.path, rejected=True)
    return sorted((cache.path / REJECTED).glob("*/*.png"))


def _about(picture: Image.Image) -> dict[str, str]:
    text = picture.info.get(DESCRIPTION, "")
    about = json.loads(text) if isinstance(text, str) and len(text) <= _MOST_TEXT_CHARS else None
    if not isinstance(about, dict):
        raise ValueError("it does not say what it shows")
    try:
        found = {name: str(about[name]) for name in ("key", "variant", "object", "attempt", "reason")}
    except KeyError as error:
        raise ValueError(f"it does not say its {error}") from error
    int(found["variant"]), int(found["attempt"])
    return found | {"detail": str(about.get("detail", ""))}
