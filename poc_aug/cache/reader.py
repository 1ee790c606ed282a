"""Reading a cache: all its shards as one, in any process, any number of times."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsIndex, TypeVar

import lmdb
import numpy as np

from poc_aug.cache import registry
from poc_aug.cache.cache_path import absolute_path, has_manifest
from poc_aug.cache.index_file import ignore_index
from poc_aug.cache.journal import Journal
from poc_aug.cache.listing import Listing, indexed_records
from poc_aug.cache.manifest import MANIFEST, Manifest
from poc_aug.cache.manifest_checks import recipe_names
from poc_aug.cache.members import member_path
from poc_aug.cache.opening import check_opening, check_still_there
from poc_aug.cache.record import decode_record, record_name
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.record_keys import encode_key
from poc_aug.cache.shard import SHARDS, ShardState, read_error, scan_shards, shard_paths, used_nbytes
from poc_aug.cache.verify import VerifyReport, listed_name, lmdb_keys, verify_shards
from poc_aug.errors import CacheCorruptError, CacheError, SettingError
from poc_aug.notebook import ShownAsPicture
from poc_aug.types import Variant

_Decoded = TypeVar("_Decoded")


class Cache(ShownAsPicture):
    """A read-only view over all shards of a cache; open it with `Cache.open`.

    Records are listed once, at the first use in a process; records that a writer adds later are visible after
    `refresh`. A cache can be pickled (the copy opens the files again, on first use), forked, opened several times in
    one process, and used while a `CacheWriter` writes to the same path. Keep it on a local disk: LMDB's maps are not
    safe on network file systems.

    In each process, and after `refresh`, the first use repeats the checks of `open`: a cache that was removed, moved or
    replaced since, or that lost a shard, raises the same errors.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put(Variant("a.png", 0, digest=b"", insertions=()))
        ...     with Cache.open(Path(folder) / "a.cache") as cache:
        ...         list(cache), cache.variants("a.png"), cache.get("a.png", 1), cache.verify().ok
        ([('a.png', 0)], (0,), None, True)
    """

    def __init__(
        self, path: Path, manifest: Manifest, shards: Iterable[str] = (), journal: bool | Journal = True
    ) -> None:
        self.path = path
        self.manifest = manifest
        self._had = frozenset(shards)  # names of the shards at the last check
        names = recipe_names(manifest.recipe)
        self._classes = None if names is None else names[1]
        self._forks = registry.forks()
        self._names: list[str] = []  # of the shards, by number
        self._states: dict[str, ShardState] = {}  # when they were listed
        self._listed_at = 0.0
        self._shards: dict[int, registry.Environment] = {}  # those that were used
        self._index: Listing | None = None
        self._trusts_index = True
        self._closed = False
        self._reads_journal = journal is not False
        self._journal: Journal | None = journal if isinstance(journal, Journal) else None if journal else Journal([])
        # Also if an instance is dropped without close(): its count would keep the files open for ever.
        self._finalizer = weakref.finalize(self, _release_all, self._shards)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, fingerprint: str | None = None, journal: bool = True) -> Cache:
        """Open a cache for reading.

        Args:
            path: the ``NAME.cache`` directory.
            fingerprint: the fingerprint that the cache must have, or one of its members (`poc_aug.cache.members`),
                which is opened then; ``None`` takes any, and opens the recipe that the cache was begun with.
            journal: do as its journal says; ``False`` reads everything as it is stored.

        Raises:
            CacheError: a path that no file can have.
            CacheNotFoundError: there is none; the message lists the caches in the same folder.
            CacheFormatError: not a cache, of another schema version, half-written, or a truncated shard.
            CacheMismatchError: another fingerprint.
            CacheCorruptError: a line of its journal is damaged.
            CacheDiskError: it cannot be read.
        """
        absolute = absolute_path(path)
        if fingerprint is not None and has_manifest(member_path(absolute, fingerprint)):
            absolute = member_path(absolute, fingerprint)
        manifest, shards = check_opening(absolute, fingerprint)
        cache = cls(absolute, manifest, shards, journal)
        _ = cache.journal  # a damaged one is noticed now, not in a worker
        return cache

    @property
    def journal(self) -> Journal:
        """What is left out of the variants that `get` gives, or has new class names; see `poc_aug.cache.journal`."""
        if self._journal is None:
            self._journal = Journal.read(self.path, self.manifest.fingerprint)
        return self._journal

    def kept(self, variant: Variant) -> Variant:
        """A variant of this cache that comes from elsewhere, as its journal has it: see `Journal.kept`."""
        return self.journal.kept(variant)

    def get(self, key: str, variant: int) -> Variant | None:
        """Read one variant as `Journal.kept` has it, in 0.3 ms (100×100 px); ``None`` if it is not stored.

        Raises:
            SettingError: a key that is not a string, or a variant that is not an integer.
            CacheCorruptError: the record's hash does not fit, it is another record, or it holds what no writer writes.
        """
        stored = self._read(key, variant, lambda data: decode_record(data, key, variant, self._classes))
        return None if stored is None else self.kept(stored)

    def get_new(self, key: str, variant: int) -> Variant | None:
        """As `get`, but also finds records stored since the cache was listed; takes one lookup per shard.

        Raises:
            SettingError, CacheCorruptError: as `get`.
        """
        _check_name(key, variant)
        if self._listing().number_of(key, variant) is None:
            with registry.exclusive():
                self._find(key, variant)
        return self.get(key, variant)

    def raw(self, key: str, variant: int) -> bytes | None:
        """The record's bytes with their hash checked, not decoded; ``None`` if it is not stored.

        Raises:
            SettingError, CacheCorruptError: as `get`.
        """

        def checked(data: bytes) -> bytes:
            record_name(data)
            return data

        return self._read(key, variant, checked)

    def variants(self, key: str) -> tuple[int, ...]:
        """Stored variant indices of a sample, sorted, including those that hold only rejections.

        Raises:
            SettingError: a key that is not a string.
        """
        _check_name(key)
        return tuple(sorted(self._listing().variants(key)))

    def keys(self) -> list[str]:
        """Keys of all samples with a record, sorted; `held` asks for some, `samples` counts them, and both are faster.

        A large cache has an index, which knows no names: they are read from every shard.
        """
        return self._listing().keys()

    def held(self, keys: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which samples have a record, for many keys at once: an array of bool."""
        return self._listing().held(keys)

    @property
    def samples(self) -> int:
        """How many samples have a record."""
        return self._listing().samples

    def indices(self) -> frozenset[int]:
        """All indices that variants have, of any sample."""
        return self._listing().indices()

    def items(self) -> Iterator[tuple[str, int]]:
        """All ``(key, variant index)``, sorted; reads the names in every shard, as `keys`."""
        yield from self._listing().items()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return self.items()

    def __contains__(self, item: object) -> bool:
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)):
            return False
        return self._listing().number_of(*item) is not None

    def __len__(self) -> int:
        return len(self._listing())

    def __bool__(self) -> bool:
        return True  # an empty cache is still a cache: ``if cache`` must not depend on its length

    @property
    def nbytes(self) -> int:
        """Bytes that the cache holds on disk: pages in use and the manifest, not the size of the maps."""
        self._check_again()
        try:
            return used_nbytes(self.path) + (self.path / MANIFEST).stat().st_size
        except OSError as error:
            raise read_error(self.path, error) from error

    def refresh(self) -> None:
        """Update to what was stored since the cache was opened: new records, new shards, shards that were sealed.

        Raises:
            CacheNotFoundError, CacheFormatError, CacheMismatchError, CacheDiskError: the cache has changed otherwise.
        """
        with registry.exclusive():
            self._check_open()
            self._check_again()
            for shard in self._shards.values():
                shard.reopen_if_replaced()
            self._forget()
            self._journal = None if self._reads_journal else self._journal

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Check the page tree of every shard, and the hash, name and content of every record; see `verify_shards`.

        Args:
            progress: called with the number of records checked and their total.

        Raises:
            CacheFormatError: a shard was truncated since the cache was opened.
            CacheNotFoundError: the cache or a shard was removed since.
        """
        self._check_open()
        self._check_again()
        shards = [registry.acquire(path) for path in shard_paths(self.path)]
        try:
            return verify_shards(shards, progress, self.manifest, self.path)
        finally:
            for shard in shards:
                registry.release(shard)

    def close(self) -> None:
        """Close the files; a second call does nothing. Reading afterwards is an error."""
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
        # The copy lists the shards again, on first use: on unpickling, an error would end a worker without a message.
        journal = self._journal if self._reads_journal and self._journal is not None else self._reads_journal
        return Cache, (self.path, self.manifest, self._had, journal)

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r}, fingerprint={self.manifest.fingerprint!r})"

    def _check_open(self) -> None:
        if self._closed:
            raise CacheError(
                f"cache {str(self.path)!r} was closed", expected="an open cache", hint="open it with Cache.open(path)"
            )

    def _check_again(self) -> dict[str, ShardState]:
        """Repeat the checks of opening."""
        states = check_still_there(self.path, self.manifest, self._had)
        self._had |= frozenset(states)
        self._forks = registry.forks()
        return states

    def _listing(self) -> Listing:
        self._check_open()
        if self._index is not None and self._forks == registry.forks():
            return self._index
        with registry.exclusive():
            # A forked child has the listing, but has to open the files again: they may have been replaced.
            seen_at, states = time.time(), self._check_again()
            if self._index is None:
                try:
                    self._index = self._list_records(states, seen_at)
                except BaseException:
                    self._forget()
                    raise
            return self._index

    def _list_records(self, states: dict[str, ShardState], seen_at: float) -> Listing:
        self._names, self._states, self._listed_at = list(states), states, seen_at
        self._folder = os.path.realpath(self.path / SHARDS)
        indexed = indexed_records(self.path, self._states) if self._trusts_index else None
        arrays, numbers = indexed or (None, [])
        listing = Listing(arrays, numbers, self._read_names)
        for number in range(len(self._names)):
            # If two writers stored the same record, the first shard's is read: they are equal.
            if number not in listing.indexed:
                listing.add_shard(number, self._read_names(number))
        return listing

    def _read_names(self, number: int) -> Iterator[tuple[str, int]]:
        """Keys and variants of a shard."""
        shard = self._shard(number)
        try:
            for name in lmdb_keys(shard):
                yield listed_name(shard, name)
        except (RecordError, lmdb.Error) as error:
            raise self._corrupt(f"shard {shard.path.name!r} cannot be listed: {error}") from error

    def _shard(self, number: int) -> registry.Environment:
        with registry.exclusive():
            shard = self._shards.get(number)
            if shard is None:
                shard = self._shards[number] = registry.acquire_resolved(f"{self._folder}/{self._names[number]}")
            return shard

    def _find(self, key: str, variant: int) -> None:
        """Add a record to the listing if a shard holds it by now."""
        listing = self._listing()
        try:
            states = scan_shards(self.path)
        except OSError as error:
            raise read_error(self.path, error) from error
        if not self._had.issubset(states):
            self._check_again()  # raises an error that says what is missing
        self._names += sorted(states.keys() - set(self._names))
        name = encode_key(key, variant)
        for number, shard_name in enumerate(self._names):
            state = states.get(shard_name)
            if state is None or (state == self._states.get(shard_name) and state.is_settled(self._listed_at)):
                continue
            shard = self._shard(number)
            shard.reopen_if_replaced()
            try:
                with shard.read() as transaction:
                    is_stored = transaction.get(name) is not None
            except lmdb.Error as error:
                raise self._corrupt(f"shard {shard.path.name!r} cannot be read: {error}") from error
            if is_stored:
                self._had |= {shard.path.name}
                listing.add(key, variant, number)
                return

    def _forget(self) -> None:
        self._index = None
        _release_all(self._shards)

    def _read(self, key: str, variant: int, decode: Callable[[bytes], _Decoded]) -> _Decoded | None:
        _check_name(key, variant)
        number = self._listing().number_of(key, variant)
        if number is None:
            return None
        shard = self._shard(number)
        # Twice: a process that was stopped for long while a writer runs may read a page that was reused.
        for last_try in (False, True):
            try:
                data = shard.record(encode_key(key, variant))
                if data is None and number in self._listing().indexed:
                    return self._read_without_index(key, variant, decode)
                if data is None:
                    raise RecordError("the record no longer exists")
                return decode(data)
            except (RecordError, lmdb.Error) as error:
                if last_try:
                    place = f"variant {variant} of {key!r} in shard {shard.path.name!r}"
                    raise self._corrupt(f"{place} is damaged: {error}") from error
        raise AssertionError("unreachable")

    def _read_without_index(self, key: str, variant: int, decode: Callable[[bytes], _Decoded]) -> _Decoded | None:
        """Read a record that is not where the index says: list the shards, and believe them."""
        ignore_index(self.path, f"variant {variant} of {key[:200]!r} is not where it says")
        with registry.exclusive():
            self._trusts_index = False
            self._forget()
        return self._read(key, variant, decode)

    def _corrupt(self, problem: str) -> CacheCorruptError:
        return CacheCorruptError(
            f"cache {str(self.path)!r}: {problem}",
            expected="the bytes that were written",
            hint=f"list all damage with `poc-aug verify {self.path}`, then copy the shard again, or delete it and run "
            "the same warm_cache command: only its records are made again",
        )


def _check_name(key: object, variant: object = 0) -> None:
    if not isinstance(key, str):
        raise SettingError(
            f"key={key!r}", expected="the key of a sample, a string", hint="Cache.keys() lists those that are stored"
        )
    if not isinstance(variant, SupportsIndex):
        raise SettingError(f"variant={variant!r}", expected="the number of a variant, from 0")


def _release_all(shards: dict[int, registry.Environment]) -> None:
    while shards:
        registry.release(shards.popitem()[1])
