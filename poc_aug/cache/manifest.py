"""The manifest of a cache, ``manifest.json``: recipe, backends and dataset that it was made with."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poc_aug.cache.codec import CODECS, Codec
from poc_aug.cache.manifest_checks import CacheKind, check_manifest_values, manifest_json
from poc_aug.cache.regular_files import open_regular
from poc_aug.errors import CacheDatasetMismatchError, CacheFormatError, CacheMismatchError
from poc_aug.recipe import fingerprint

FORMAT = "poc_aug-cache"
SCHEMA_VERSION = 1
"""Version of the layout on disk; caches of another version are refused."""

MANIFEST = "manifest.json"
TEMPORARY_MANIFEST = f".{MANIFEST}."
"""Beginning of the names of manifests that are being written; a run that was killed meanwhile leaves one."""

_OLDER_HORIZON = (
    "this version estimates horizons differently from the one that made the cache: read it as it is, or write all "
    "of it again, to another path"
)

_MOST_LINES = 6
"""Lines that an error lists of what differs."""

_FIELDS: dict[str, type] = {
    "fingerprint": str,
    "recipe": dict,
    "backends": dict,
    "dataset": dict,
    "codec": str,
    "created_by": str,
}


def _version() -> str:
    return f"poc_aug {importlib.metadata.version('poc_aug')}"


@dataclass(frozen=True)
class Manifest:
    """Everything that decides the content of a cache.

    Attributes:
        fingerprint: hash of recipe and backends; a cache can only be continued with the same one.
        recipe: ``Recipe.to_dict()``.
        backends: ``describe()`` of inserter, annotator and locator, by role.
        dataset: JSON values that identify the base dataset. A cache can only be continued with equal ones, so they
            hold nothing that may change from run to run (no time, no absolute path).
        codec: how patches are stored: "delta-zstd" (lossless), "webp" (lossless), "webp-lossy", "zstd" or "raw".
        created_by: name and version of the library that created the cache.
        samples: number of samples of the dataset when the cache was created, repeated ones once; ``None`` in caches
            that do not say. A cache may be continued with more samples: the number only distinguishes a partly
            filled cache from one of another dataset.

    Example:
        >>> manifest = Manifest.create(recipe={"seed": 0}, backends={"inserter": {"name": "paste"}}, dataset={})
        >>> Manifest.from_dict(manifest.to_dict()) == manifest
        True
    """

    fingerprint: str
    recipe: Mapping[str, Any]
    backends: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)
    codec: Codec = "delta-zstd"
    created_by: str = field(default_factory=_version)
    samples: int | None = None

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise CacheFormatError(f"codec {self.codec!r}", expected=f"one of: {', '.join(CODECS)}")

    @classmethod
    def create(
        cls,
        recipe: Mapping[str, Any],
        backends: Mapping[str, Any],
        dataset: Mapping[str, Any],
        codec: Codec = "delta-zstd",
    ) -> Manifest:
        """A manifest whose fingerprint is the hash of ``recipe`` and ``backends``."""
        made_with = fingerprint({"recipe": dict(recipe), "backends": dict(backends)})
        return cls(made_with, recipe, backends, dataset, codec)

    def has_own_fingerprint(self) -> bool:
        """Whether the fingerprint is the hash of this manifest's recipe and backends."""
        try:
            # A pipeline's has the backends next to the recipe, that of `create` has them in one mapping.
            made = (
                fingerprint({"recipe": self.recipe, **self.backends}),
                fingerprint({"recipe": self.recipe, "backends": self.backends}),
            )
        except ValueError:  # a text that UTF-8 cannot hold
            return False
        return self.fingerprint in made

    @property
    def kind(self) -> CacheKind:
        """What the cache holds: "insertions", or "frames" of scene shifts."""
        return "frames" if self.recipe.get("kind") == "frames" else "insertions"

    @property
    def max_sigma_px(self) -> float | None:
        """Largest feather that can be chosen on reading; ``None`` if the recipe does not say."""
        value = self.recipe.get("max_sigma_px")
        return None if value is None else float(value)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; ``Manifest.from_dict(manifest.to_dict()) == manifest``."""
        head = {"format": FORMAT, "schema_version": SCHEMA_VERSION}
        fields = {
            name: dict(getattr(self, name)) if kind is dict else getattr(self, name) for name, kind in _FIELDS.items()
        }
        return head | fields | ({} if self.samples is None else {"samples": self.samples})

    @classmethod
    def from_dict(cls, data: object, where: str = "manifest") -> Manifest:
        """Build from JSON values; ``where`` names their source in errors.

        Raises:
            CacheFormatError: not a manifest, of another schema version, or a field is missing or of a wrong type.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            named = data.get("format") if isinstance(data, dict) else type(data).__name__
            raise CacheFormatError(f"{where} is not a cache's manifest: {named!r}", expected=f"format {FORMAT!r}")
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise CacheFormatError(
                f"{where} has schema version {version!r}, made by {data.get('created_by')!r}",
                expected=f"schema version {SCHEMA_VERSION}, which {_version()} reads and writes",
                hint="install the poc_aug that made it, or make the cache again at another path",
            )
        for name, kind in _FIELDS.items():
            if not isinstance(data.get(name), kind):
                raise CacheFormatError(
                    f"{where} has {name} = {data.get(name)!r}",
                    expected=f"a {'mapping' if kind is dict else 'string'}",
                    hint="restore the manifest from a copy of this cache",
                )
        samples = data.get("samples")
        if samples is not None and (type(samples) is not int or samples < 0):
            raise CacheFormatError(
                f"{where} has samples = {samples!r}",
                expected="a whole number, or none",
                hint="restore the manifest from a copy of this cache",
            )
        texts = {name: data[name] for name in ("fingerprint", "codec", "created_by")}
        check_manifest_values(data["recipe"], data["backends"], texts)
        return cls(**{name: data[name] for name in _FIELDS}, samples=samples)

    @classmethod
    def read(cls, cache: Path) -> Manifest:
        """Read the manifest of the cache directory ``cache``.

        Raises:
            CacheFormatError: missing, half-written, not JSON, or as in `from_dict`.
        """
        path = cache / MANIFEST
        try:
            data = manifest_json(path)
        except FileNotFoundError:
            entries = (entry.name for entry in cache.iterdir() if not entry.name.startswith(TEMPORARY_MANIFEST))
            names = ", ".join(sorted(entries)[:10]) or "nothing"
            raise CacheFormatError(
                f"{str(cache)!r} has no {MANIFEST}; it holds: {names}",
                expected="a cache directory as warm_cache makes it",
                hint="check the path; a copied cache needs its manifest.json and shards/",
            ) from None
        except ValueError as error:
            raise CacheFormatError(
                f"{str(path)!r} is half-written or not JSON ({path.stat().st_size} bytes): {error}",
                expected="the whole file; poc_aug writes it at once or not at all",
                hint="copy the manifest again from the cache's source",
            ) from error
        return cls.from_dict(data, repr(str(path)))

    def write(self, cache: Path) -> None:
        """Write into the directory ``cache``, durably and atomically: neither a reader nor a crash sees half of it.

        Raises:
            OSError: the disk is full or cannot be written; there is no manifest then.
        """
        text = json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False)
        temporary = cache / f"{TEMPORARY_MANIFEST}{os.getpid()}"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with open(open_regular(temporary, flags), "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(cache / MANIFEST)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_directory(cache)

    def check_continues(self, stored: Manifest, cache: Path) -> None:
        """Check that a cache with the manifest ``stored`` can be continued, or read, with this one.

        Raises:
            CacheMismatchError: another recipe, other backends or another codec; names each field that differs.
            CacheDatasetMismatchError: another dataset; names each field that differs.
        """
        made = {"recipe": stored.recipe, "backends": stored.backends, "codec": stored.codec}
        wanted = {"recipe": self.recipe, "backends": self.backends, "codec": self.codec}
        fields = list(_differences(made, wanted, ""))
        if self.fingerprint != stored.fingerprint or self.codec != stored.codec:
            older = _OLDER_HORIZON if _is_of_older_estimator(fields) else ""
            raise CacheMismatchError(
                f"cache {str(cache)!r} was made with fingerprint {stored.fingerprint}, this run has "
                f"{self.fingerprint}; these fields differ:\n{_listed(fields, made)}",
                expected="the recipe, backends and codec that the cache was made with",
                hint=older
                or "correct these fields, write to another path, or store both in this cache: add_recipe=True; "
                "`poc-aug info --recipe` prints the cache's",
                command=f"{older}: --out"
                if older
                else "correct these fields, write to another path, or store both in this cache: --add-recipe; "
                "`poc-aug info --recipe` prints the cache's",
            )
        self.check_same_dataset(stored, cache)

    def check_same_dataset(self, stored: Manifest, cache: Path) -> None:
        """Check that a cache with the manifest ``stored`` is of the dataset that this one is of.

        Raises:
            CacheDatasetMismatchError: another dataset; names each field that differs.
        """
        if other := list(_differences(dict(stored.dataset), dict(self.dataset), "dataset")):
            listed = _listed(other, {"dataset": stored.dataset})
            raise CacheDatasetMismatchError(
                f"cache {str(cache)!r} was made from another dataset; these fields differ:\n{listed}",
                expected="the dataset that the cache was made from",
                hint="pass that dataset, or write to another path",
            )


def fsync_directory(path: Path) -> None:
    """Make renames and new files in a directory durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _differences(stored: Any, wanted: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*stored, *wanted}):
            inner = f"{name}.{key}" if name else str(key)
            yield from _differences(stored.get(key), wanted.get(key), inner)
    elif isinstance(stored, list | tuple) and isinstance(wanted, list | tuple) and len(stored) == len(wanted):
        for i, (first, second) in enumerate(zip(stored, wanted, strict=True)):
            yield from _differences(first, second, f"{name}[{i}]")
    elif stored != wanted:
        yield name, stored, wanted


def _is_of_older_estimator(fields: list[tuple[str, Any, Any]]) -> bool:
    names = [name for name, _, _ in fields]
    horizon = [name for name in names if name.startswith("backends.horizon")]
    # Older presets of cameras had fewer fields, too.
    return bool(horizon) and all(name in horizon or name.startswith("recipe.camera") for name in names)


def _listed(fields: list[tuple[str, Any, Any]], made: Mapping[str, Any]) -> str:
    """One line per field; one for a field of several members of a list."""

    def short(value: Any) -> str:
        text = json.dumps(value, ensure_ascii=False, default=str)
        return text if len(text) <= 80 else f"{text[:77]}..."

    groups: dict[tuple[str, str], list[tuple[str, Any, Any]]] = {}
    for difference in fields:
        groups.setdefault(_member_field(difference[0]), []).append(difference)
    lines: list[str] = []
    shown = 0
    for (members, inner), group in groups.items():
        if len(lines) == _MOST_LINES - 1 and len(groups) > _MOST_LINES:
            lines.append(f"  and {len(fields) - shown} more")
            break
        name, stored, wanted = group[0]
        line = f"{name}: cache {short(stored)}, this run {short(wanted)}"
        if len(group) > 1:
            count, total = len({name[len(members) :].split("]")[0] for name, _, _ in group}), _length(made, members)
            of = f"{'all ' if count == total else ''}{count}{f' of {total}' if total and count < total else ''}"
            line = f"{inner} of {of} {members.rpartition('.')[2]}, for example {line}"
        lines.append(f"  {line}")
        shown += len(group)
    return "\n".join(lines) or "  (none that the manifest holds)"


def _member_field(name: str) -> tuple[str, str]:
    """The list and the field of its members that ``name`` is of (``a.b[2].c.d``: a.b, c); another name as it is."""
    found = re.match(r"([^\[]+)\[[0-9]+\]\.([^.\[]+)", name)
    return (found[1], found[2]) if found else (name, "")


def _length(made: Mapping[str, Any], name: str) -> int:
    """Number of members of the list ``a.b`` of a manifest; 0 if there is none of that name."""
    value: Any = made
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return len(value) if isinstance(value, list | tuple) else 0
