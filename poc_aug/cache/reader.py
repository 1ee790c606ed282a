"""Reading a cache: all its shards as one, in any process, any number of times."""

from __future__ import annotations

import difflib
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import lmdb

from poc_aug.cache import registry
from poc_aug.cache.keys import encode_key
from poc_aug.cache.manifest import MANIFEST, Manifest
from poc_aug.cache.record import RecordError, decode_record, record_name
from poc_aug.cache.shard import check_shard, read_meta, shard_paths
from poc_aug.cache.verify import VerifyReport, listed_name, lmdb_keys, verify_shards
from poc_aug.errors import (
    CacheCorruptError,
    CacheError,
    CacheFormatError,
    CacheMismatchError,
    CacheNotFoundError,
)
from poc_aug.types import Variant

T = TypeVar("T")


class Cache:
    """A read-only view over all shards of a cache; open it with `Cache.open`.

    What is stored is listed once, at the first use in a process; records that a writer adds later are seen
    after `refresh`. A cache can be pickled (the copy opens the files again, on first use), forked, opened
    several times in one process, and used while a `CacheWriter` of the same path writes. Keep it on a local disk:
    LMDB's maps are not safe on network file systems.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._shards: list[registry.Environment] = []
        self._index: dict[str, dict[int, int]] | None = None
        self._closed = False
        # Also when an instance is dropped without close(): a count that stays would keep its files open for ever.
        self._finalizer = weakref.finalize(self, _release_all, self._shards)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, fingerprint: str | None = None) -> Cache:
        """Open a cache for reading.

        Args:
            path: the ``NAME.cache`` directory.
            fingerprint: the fingerprint that the cache must have; ``None`` takes any.

        Raises:
            CacheNotFoundError: nothing there; the message lists the caches beside it.
            CacheFormatError: not a cache, of another schema version, half-written, or a truncated shard.
            CacheMismatchError: another fingerprint.
        """
        where = Path(os.path.abspath(path))
        if not where.exists():
            raise _not_found(where)
        if not where.is_dir():
            raise CacheFormatError(
                f"{str(where)!r} is a file of {where.stat().st_size} bytes",
                expected="a cache directory as warm_cache makes it",
                hint="pass the NAME.cache directory, not a file of it",
            )
        manifest = Manifest.read(where)
        if fingerprint is not None and fingerprint != manifest.fingerprint:
            raise CacheMismatchError(
                f"cache {str(where)!r} was made with fingerprint {manifest.fingerprint}, asked for {fingerprint}",
                expected="the recipe and backends that the cache was made with",
                hint=f"compare with `poc-aug info {where}`, or make a cache of this recipe at another path",
            )
        for shard in shard_paths(where):
            check_shard(shard)
        return cls(where, manifest)

    def get(self, key: str, variant: int) -> Variant | None:
        """Read one variant; ``None`` where it is not stored. A 100×100 px insertion takes about 0.3 ms.

        Raises:
            CacheCorruptError: the record's hash does not fit, or it is not the one asked for.
        """
        return self._read(key, variant, lambda data: decode_record(data, key, variant))

    def get_new(self, key: str, variant: int) -> Variant | None:
        """As `get`, but also sees what another process has stored since the cache was listed; one look a shard.

        Raises:
            CacheCorruptError: as `get`.
        """
        if variant not in self._listing().get(key, {}):
            with registry.exclusive():
                self._find(key, variant)
        return self.get(key, variant)

    def raw(self, key: str, variant: int) -> bytes | None:
        """The record's bytes with their hash checked, not decoded; ``None`` where it is not stored.

        Raises:
            CacheCorruptError: as `get`.
        """

        def checked(data: bytes) -> bytes:
            record_name(data)
            return data

        return self._read(key, variant, checked)

    def variants(self, key: str) -> tuple[int, ...]:
        """Stored variant indices of a sample, sorted, those that hold rejections only among them."""
        return tuple(sorted(self._listing().get(key, ())))

    def keys(self) -> list[str]:
        """Keys of all samples with a record, sorted."""
        return sorted(self._listing())

    def items(self) -> Iterator[tuple[str, int]]:
        """All ``(key, variant index)``, sorted."""
        listing = self._listing()
        for key in sorted(listing):
            for index in sorted(listing[key]):
                yield key, index

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return self.items()

    def __contains__(self, item: object) -> bool:
        if not (isinstance(item, tuple) and len(item) == 2):
            return False
        return item[1] in self._listing().get(item[0], ())

    def __len__(self) -> int:
        return sum(map(len, self._listing().values()))

    def __bool__(self) -> bool:
        return True  # an empty cache is still a cache: ``if cache`` must not depend on its length

    @property
    def nbytes(self) -> int:
        """Bytes that the cache holds on disk: pages in use and the manifest, not the size of the maps."""
        shards = sum(read_meta(path).nbytes for path in shard_paths(self.path))
        return shards + (self.path / MANIFEST).stat().st_size

    def refresh(self) -> None:
        """See what was stored since the cache was opened: new records, new shards, shards that were sealed."""
        with registry.exclusive():
            self._check_open()
            for shard in self._shards:
                shard.reopen_if_replaced()
            _release_all(self._shards)
            self._index = None

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Check the page tree of every shard, and the hash, name and content of every record.

        Args:
            progress: called with the number of records checked and their total.

        Raises:
            CacheFormatError: a shard was truncated since the cache was opened.
        """
        self._check_open()
        shards = [registry.acquire(path) for path in shard_paths(self.path)]
        try:
            return verify_shards(shards, progress)
        finally:
            _release_all(shards)

    def close(self) -> None:
        """Give the files back; a second call does nothing. Reading afterwards is an error."""
        self._closed = True
        self._index = None
        self._finalizer()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither handles nor the listing travel: the copy lists the shards again, on first use.
        return Cache, (self.path, self.manifest)

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r}, fingerprint={self.manifest.fingerprint!r})"

    def _check_open(self) -> None:
        if self._closed:
            raise CacheError(
                f"cache {str(self.path)!r} was closed", expected="an open cache", hint="open it with Cache.open(path)"
            )

    def _listing(self) -> dict[str, dict[int, int]]:
        self._check_open()
        if self._index is not None:
            return self._index
        with registry.exclusive():
            if self._index is None:
                self._shards += [registry.acquire(path) for path in shard_paths(self.path)]
                try:
                    self._index = self._list_records()
                except BaseException:
                    _release_all(self._shards)
                    raise
            return self._index

    def _list_records(self) -> dict[str, dict[int, int]]:
        index: dict[str, dict[int, int]] = {}
        for number, shard in enumerate(self._shards):
            try:
                for name in lmdb_keys(shard):
                    key, variant = listed_name(shard, name)
                    # Where two writers stored the same record, the first shard's is read: they are equal.
                    index.setdefault(key, {}).setdefault(variant, number)
            except (RecordError, lmdb.Error) as error:
                raise self._corrupt(f"shard {shard.path.name!r} cannot be listed: {error}") from error
        return index

    def _find(self, key: str, variant: int) -> None:
        """Add a record to the listing, if a shard holds it by now."""
        listing = self._listing()
        known = {shard.path for shard in self._shards}
        self._shards += [registry.acquire(path) for path in shard_paths(self.path) if path.resolve() not in known]
        name = encode_key(key, variant)
        for number, shard in enumerate(self._shards):
            shard.reopen_if_replaced()
            try:
                with shard.read() as transaction:
                    found = transaction.get(name) is not None
            except lmdb.Error as error:
                raise self._corrupt(f"shard {shard.path.name!r} cannot be read: {error}") from error
            if found:
                listing.setdefault(key, {})[variant] = number
                return

    def _read(self, key: str, variant: int, decode: Callable[[bytes], T]) -> T | None:
        number = self._listing().get(key, {}).get(variant)
        if number is None:
            return None
        shard = self._shards[number]
        # Twice: a process that was stopped for long beside a running writer may read a page that was used again.
        for last_try in (False, True):
            try:
                with shard.read() as transaction:
                    data = transaction.get(encode_key(key, variant))
                if data is None:
                    raise RecordError("the record is gone")
                return decode(data)
            except (RecordError, lmdb.Error) as error:
                if last_try:
                    place = f"variant {variant} of {key!r} in shard {shard.path.name!r}"
                    raise self._corrupt(f"{place} is damaged: {error}") from error
        raise AssertionError("unreachable")

    def _corrupt(self, problem: str) -> CacheCorruptError:
        return CacheCorruptError(
            f"cache {str(self.path)!r}: {problem}",
            expected="the bytes that were written",
            hint=f"list all damage with `poc-aug verify {self.path}`, then copy the shard again, or delete it and run "
            "the same warm_cache command: only its records are made again",
        )


def _release_all(shards: list[registry.Environment]) -> None:
    while shards:
        registry.release(shards.pop())


def _not_found(path: Path) -> CacheNotFoundError:
    folder = path.parent
    if not folder.is_dir():
        return CacheNotFoundError(
            f"no cache at {str(path)!r}: there is no folder {str(folder)!r}", hint="check the path"
        )
    names = sorted(entry.name for entry in folder.iterdir() if (entry / MANIFEST).is_file())
    close = difflib.get_close_matches(path.name, names, n=1)
    found = f"the caches beside it are: {', '.join(names[:10])}" if names else "there is no cache beside it either"
    return CacheNotFoundError(
        f"no cache at {str(path)!r}; {found}",
        expected="a cache directory as warm_cache makes it",
        hint=(f"did you mean {str(folder / close[0])!r}? Else m" if close else "m")
        + f"ake it with `poc-aug warm-cache ... --out {path}`",
    )
