"""Pushing a cache to a store: `push`. The list of its files is written last, so that what it lists is there."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from poc_aug.cache import Cache, Manifest
from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.manifest_checks import MAX_MANIFEST_NBYTES
from poc_aug.cache.shard import SUFFIX
from poc_aug.cache.strict_json import load_json
from poc_aug.errors import SettingError, StoreError
from poc_aug.stores.pulling import check_same_recipe
from poc_aug.stores.pushed_files import HashedFile, pushed_files
from poc_aug.stores.reading_lists import read_whole
from poc_aug.stores.store_address import StoreAddress, is_store_url, without_secrets
from poc_aug.stores.store_contents import CONTENTS, MAX_CONTENTS_NBYTES, StoreContents, StoredFile
from poc_aug.stores.store_files import StoreFiles
from poc_aug.stores.transfer_attempts import Attempts
from poc_aug.stores.transfer_pool import ByteCount, run_transfers
from poc_aug.stores.transfer_settings import ByteProgress, TransferReport, TransferSettings

_SENT = "push-in-work.json"
"""What an interrupted push has sent, which the next one does not send again; below the address, not read by `pull`."""

_HASHES_ITSELF = ("hf",)
"""Stores that notice by themselves that they have a file; each file that is written is a commit there."""


def push(
    cache: str | os.PathLike[str],
    url: str,
    *,
    rejected: bool = False,
    replace: bool = False,
    settings: TransferSettings | None = None,
    progress: ByteProgress | None = None,
) -> TransferReport:
    """Send a cache to a store, or what the store lacks of it; several machines may send their shards to one address.

    Shards that a writer has open are left out, and named in the report: push again once the writer has ended. What is
    at the address already stays.

    Args:
        cache: the ``NAME.cache`` directory.
        url: address for it: ``"s3://bucket/name.cache"``.
        rejected: send the pictures of rejected attempts, too.
        replace: the address is to have this cache alone, such as a repaired or compacted one: what else is listed there
            is taken off the list. By default it stays, and a shard there with the name of one of this cache, but other
            content, is an error.
        settings: how files are transferred.
        progress: called with bytes that are there, and their total.

    Raises:
        CacheError: there is no cache, or it cannot be read.
        MissingDependencyError: the package for this protocol is not installed; the message holds the install line.
        StoreError: no rights, no bucket, a cache of another recipe at that address, other shards of the same names, or
            too many failures.

    Example:
        >>> from poc_aug.cache import CacheWriter
        >>> CacheWriter("street.cache", Manifest.create({}, {}, {})).close()
        >>> push("street.cache", "memory://push-example/street.cache").sent
        ('manifest.json',)
        >>> push("street.cache", "memory://push-example/street.cache").sent
        ()
    """
    if is_store_url(cache):
        raise SettingError(
            f"cache={without_secrets(str(cache))!r} is an address", expected="the path of a local cache", hint="pull it"
        )
    path = absolute_path(cache)
    address = StoreAddress.parse(url)
    if address.is_web:
        raise StoreError(
            f"nothing can be pushed to {address.shown}",
            expected="an address of a store that takes files: s3://, hf://, gs://, sftp://, file://",
            hint="push to the bucket behind it, or copy the cache and its contents.json there: `poc-aug push CACHE "
            "file:///folder/name.cache` makes both",
        )
    Cache.open(path).close()
    settings = settings or TransferSettings()
    return _Push(path, address, settings, rejected=rejected, replace=replace).run(progress)


class _Push:
    """One push."""

    def __init__(
        self, path: Path, address: StoreAddress, settings: TransferSettings, *, rejected: bool, replace: bool
    ) -> None:
        self._replace = replace
        self._path = path
        self._address = address
        self._parallel = settings.parallel
        self._stop = threading.Event()
        self._store = StoreFiles(address, settings.storage_options)
        self._attempts = Attempts(address, settings, self._stop)
        self._found = pushed_files(path, rejected=rejected)
        self._left_out = list(self._found.being_written)
        self._lock = threading.Lock()
        self._hashed: dict[str, HashedFile] = {}
        self._sent: dict[str, StoredFile] = {}  # by this push and an interrupted one
        self._notes = address.protocol not in _HASHES_ITSELF

    def run(self, progress: ByteProgress | None) -> TransferReport:
        before = self._contents()
        self._check_recipes(before)
        self._hashed = self._hash_all()
        ours = StoreContents(one.file for one in self._hashed.values())
        self._sent = self._sent_before()
        new = [file for file in ours if not file.is_same(before.get(file.name))]
        if not self._replace:
            self._check_shards(new, before)
        # Another version of a listed file is stored under its hash: those who pull now need the one that is there.
        new = [file if before.get(file.name) is None else file.under_its_hash() for file in new]
        missing = [file for file in new if not self._is_sent(file)]
        count = ByteCount(ours.nbytes, progress)
        count.add(ours.nbytes - sum(file.nbytes for file in missing))
        run_transfers([partial(self._send, file, count) for file in missing], self._parallel, self._stop, count)
        listed = [file for file in new if file.name not in self._left_out]
        kept = [file for file in before if ours.get(file.name) is not None] if self._replace else before
        after = self._write_list([*kept, *listed])
        sent = tuple(file.name for file in missing if file.name not in self._left_out)
        return TransferReport(
            self._address.shown,
            len(after),
            after.nbytes,
            sent,
            sum(after.files[name].nbytes for name in sent),
            tuple(sorted(self._left_out)),
            tuple(name for name in after.files if ours.get(name) is None and name not in self._left_out),
        )

    def _contents(self) -> StoreContents:
        text = read_whole(self._store, CONTENTS, MAX_CONTENTS_NBYTES, self._attempts)
        try:
            return StoreContents([]) if text is None else StoreContents.parse(text, self._address.shown)
        except StoreError as error:
            raise error.with_hint(
                f"push to another address; or delete that {CONTENTS} first, if it is damaged"
            ) from None

    def _check_recipes(self, before: StoreContents) -> None:
        """Check that what is at the address, whole or half-sent, is of the same recipes."""
        for name, path in self._found.paths.items():
            listed = before.get(name)
            if not name.endswith(MANIFEST) or (listed is None and before.files):
                continue
            text = read_whole(self._store, listed.path if listed else name, MAX_MANIFEST_NBYTES, self._attempts)
            if text is None:
                continue
            where = f"{name} of {self._address.shown}"
            try:
                theirs = Manifest.from_dict(load_json(text), where)
            except ValueError as error:
                raise StoreError(f"{where} is not JSON: {error}", expected="the manifest of a cache") from error
            check_same_recipe(Manifest.read(path.parent), str(path.parent), theirs, self._address.shown)

    def _hash_all(self) -> dict[str, HashedFile]:
        names, paths = list(self._found.paths), list(self._found.paths.values())
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="hash") as pool:
            found = dict(zip(names, pool.map(HashedFile.of, names, paths), strict=True))
        self._left_out += [name for name, one in found.items() if one is None]
        return {name: one for name, one in found.items() if one is not None}

    def _check_shards(self, new: list[StoredFile], before: StoreContents) -> None:
        """Check that no shard would take the place of another one, made elsewhere, in the list."""
        if other := [file.what for file in new if file.name.endswith(SUFFIX) and before.get(file.name) is not None]:
            raise StoreError(
                f"{self._address.shown} has {other[0]} with other content"
                + (f", and {len(other) - 1} more" if len(other) > 1 else ""),
                expected="shards with names of their own",
                hint="replace=True if this cache is to take the place of that one; otherwise unite them with `poc-aug "
                "merge`, or push to another address",
                command="--replace if this cache is to take the place of that one; otherwise unite them with `poc-aug "
                "merge`, or push to another address",
            )

    def _sent_before(self) -> dict[str, StoredFile]:
        if not self._notes:
            return {}
        text = read_whole(self._store, _SENT, MAX_CONTENTS_NBYTES, self._attempts)
        try:
            return {} if text is None else StoreContents.parse(text, self._address.shown, whole=False).files
        except StoreError:  # no note of ours: everything is sent again
            return {}

    def _is_sent(self, file: StoredFile) -> bool:
        if self._sent.get(file.name) != file:
            return False
        size = self._attempts.of(f"look for {file.what} at", lambda: self._store.nbytes(file.path))
        return size == file.nbytes

    def _send(self, file: StoredFile, count: ByteCount) -> None:
        local, done = self._hashed[file.name], 0

        def advance(nbytes: int) -> None:
            nonlocal done
            done += nbytes
            count.add(nbytes)

        def put() -> None:
            advance(-done)  # of an attempt that failed
            self._store.put(file.path, local.path, advance)

        try:
            self._attempts.of(f"send {file.what} to", put)
        except FileNotFoundError as error:
            if not local.path.exists():
                self._leave_out(file)
                return
            raise self._no_bucket() from error
        advance(file.nbytes - done)
        if not local.is_unchanged():
            self._leave_out(file)
            return
        if self._notes:
            with self._lock:
                self._sent[file.name] = file
                note = StoreContents(self._sent.values()).to_bytes()
                self._attempts.of("note what was sent to", lambda: self._store.write(_SENT, note))

    def _leave_out(self, file: StoredFile) -> None:
        with self._lock:
            self._left_out.append(file.name)

    def _write_list(self, files: list[StoredFile]) -> StoreContents:
        """Write the list, with what another push has added meanwhile."""
        now = self._contents()
        after = StoreContents(files if self._replace else [*now, *files])
        if after != now:
            self._attempts.of(f"write {CONTENTS} to", lambda: self._store.write(CONTENTS, after.to_bytes()))
        if self._sent and self._notes:
            self._attempts.of(f"remove {_SENT} from", lambda: self._store.remove(_SENT))
        return after

    def _no_bucket(self) -> StoreError:
        bucket = "/".join(self._address.shown.split("/")[:3])
        return StoreError(
            f"cannot push to {self._address.shown}: there is no {bucket}",
            expected="a bucket or repository that exists",
            hint=(f"make it first (aws s3 mb {bucket}), or" if self._address.protocol == "s3" else "make it first, or")
            + " correct the address",
        )
