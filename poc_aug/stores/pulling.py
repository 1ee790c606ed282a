"""Pulling a cache from a store to a local disk, once, checked: `pull` and `local_copy`."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from poc_aug.cache import Cache, Manifest
from poc_aug.cache.cache_path import absolute_path, has_manifest
from poc_aug.cache.index_building import update_index
from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.manifest_checks import MAX_MANIFEST_NBYTES
from poc_aug.cache.strict_json import load_json
from poc_aug.errors import StoreError
from poc_aug.stores.copy_folder import CopyFolder, default_copies_folder
from poc_aug.stores.file_fetching import RefusedFileError, fetch_file
from poc_aug.stores.reading_lists import read_contents, read_whole
from poc_aug.stores.store_address import StoreAddress, is_store_url
from poc_aug.stores.store_contents import StoreContents, StoredFile
from poc_aug.stores.store_errors import UnreachableStoreError
from poc_aug.stores.store_files import StoreFiles
from poc_aug.stores.transfer_attempts import Attempts
from poc_aug.stores.transfer_pool import ByteCount, run_transfers
from poc_aug.stores.transfer_settings import ByteProgress, TransferReport, TransferSettings

_logger = logging.getLogger("poc_aug")
_Caches = TypeVar("_Caches")


def pull(
    url: str,
    path: str | os.PathLike[str],
    *,
    settings: TransferSettings | None = None,
    progress: ByteProgress | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> TransferReport:
    """Fetch a cache from a store, or what an earlier copy lacks of it.

    Every name, size and hash is checked, then everything that `Cache.open` checks. An interrupted pull continues where
    it stopped; a second process that pulls to the same path waits, and finds it done.

    Args:
        url: address of the cache: ``"s3://bucket/name.cache"``.
        path: the ``NAME.cache`` directory to make or to update.
        settings: how files are transferred.
        progress: called with bytes that are there, and their total.
        on_wait: called with a line if another process pulls to this path; by default it goes to the log.

    Raises:
        MissingDependencyError: the package for this protocol is not installed; the message holds the install line.
        StoreError: no rights, no cache there, a file that is not what the list says (named), or too many failures.
        CacheDiskError: the disk is full or cannot be written; the same call continues.
        CacheError: what was pulled is no sound cache.

    Example:
        >>> from poc_aug.cache import CacheWriter
        >>> from poc_aug.stores import push
        >>> CacheWriter("street.cache", Manifest.create({}, {}, {})).close()
        >>> push("street.cache", "memory://pull-example/street.cache").sent
        ('manifest.json',)
        >>> pull("memory://pull-example/street.cache", "copy.cache").files
        1
    """
    address = StoreAddress.parse(url)
    folder = absolute_path(path)
    return _pull(address, folder, settings or TransferSettings(), progress, on_wait or _logger.warning)


def local_copy(
    url: str,
    *,
    settings: TransferSettings | None = None,
    progress: ByteProgress | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> Path:
    """The path of a local copy of a cache on a store; what it lacks is fetched first, as `pull` does.

    Copies are in ``$POC_AUG_CACHE_HOME/caches``, by default in ``~/.cache/poc_aug/caches``, one folder per address.
    If the store cannot be reached and the copy is complete, it is used, with a warning.

    Args:
        url: address of the cache.
        settings: how files are transferred.
        progress: called with bytes that are there, and their total.
        on_wait: called with a line if another process fetches the same cache; by default it goes to the log.

    Raises:
        MissingDependencyError, StoreError, CacheDiskError, CacheError: as `pull`.

    Example:
        >>> import os
        >>> from poc_aug.cache import CacheWriter
        >>> from poc_aug.stores import push
        >>> CacheWriter("street.cache", Manifest.create({}, {}, {})).close()
        >>> _ = push("street.cache", "memory://copy-example/street.cache")
        >>> os.environ["POC_AUG_CACHE_HOME"] = "home"
        >>> local_copy("memory://copy-example/street.cache").name
        'street-4f78ee503114.cache'
        >>> del os.environ["POC_AUG_CACHE_HOME"]
    """
    address = StoreAddress.parse(url)
    folder = default_copies_folder() / address.folder_name
    _pull(
        address, folder, settings or TransferSettings(), progress, on_wait or _logger.warning, offline=_logger.warning
    )
    return folder


def local_cache(cache: _Caches) -> _Caches:
    """What is read as a cache: the path of the local copy in place of an address on a store, anything else as it is.

    Args:
        cache: a path, an address, an opened cache, ``None``, or a list of these.

    Raises:
        MissingDependencyError, StoreError, CacheDiskError, CacheError: as `local_copy`.

    Example:
        >>> local_cache("runs/street.cache"), local_cache([None])
        ('runs/street.cache', [None])
    """
    found: Any = cache
    if isinstance(cache, str):
        found = str(local_copy(cache)) if is_store_url(cache) else cache
    elif isinstance(cache, list | tuple):
        found = [local_cache(each) for each in cache]
    return cast("_Caches", found)


def _pull(
    address: StoreAddress,
    path: Path,
    settings: TransferSettings,
    progress: ByteProgress | None,
    on_wait: Callable[[str], None],
    offline: Callable[[str], None] | None = None,
) -> TransferReport:
    stop = threading.Event()
    store = StoreFiles(address, settings.storage_options)
    attempts = Attempts(address, settings, stop)
    folder = CopyFolder(path)
    with folder.locked(on_wait):
        former = folder.former()
        try:
            contents = read_contents(store, attempts)
        except UnreachableStoreError as error:
            if offline is None or former is None or not folder.has_all(former):
                raise
            offline(f"{error.problem}; the copy in {path}, which was complete, is used")
            return TransferReport(str(path), len(former), former.nbytes)
        if contents != former or not folder.has_all(contents):
            missing = _fetch_missing(store, contents, former, folder, attempts, progress)
        else:
            missing = []
    _check(path, contents)
    names, nbytes = tuple(file.name for file in missing), sum(file.nbytes for file in missing)
    return TransferReport(str(path), len(contents), contents.nbytes, names, nbytes)


def _fetch_missing(
    store: StoreFiles,
    contents: StoreContents,
    former: StoreContents | None,
    folder: CopyFolder,
    attempts: Attempts,
    progress: ByteProgress | None,
) -> list[StoredFile]:
    for member in contents.members():
        _check_manifest(store, contents.files[f"{member}{MANIFEST}"], folder.path / member, attempts)
    missing = folder.missing(contents, former)
    folder.check_room(missing)
    count = ByteCount(contents.nbytes, progress)
    count.add(contents.nbytes - sum(file.nbytes for file in missing))
    refused: list[RefusedFileError] = []

    def fetch(file: StoredFile) -> None:
        try:
            fetch_file(store, file, folder.part(file), attempts, count)
        except RefusedFileError as error:
            refused.append(error)
            return
        if not file.is_manifest:
            folder.place(file)

    # What is left out is known before the records that it is about; the manifests make it a cache.
    for group in (_journals, _others):
        run_transfers(
            [partial(fetch, file) for file in missing if group(file)], attempts.settings.parallel, attempts.stop, count
        )
    if refused:
        first = min(refused, key=lambda error: error.problem)
        more = f" (and {len(refused) - 1} more files)" if len(refused) > 1 else ""
        raise StoreError(f"{first.problem}{more}", expected=first.expected, hint=first.hint)
    for file in sorted(missing, key=lambda file: file.name, reverse=True):  # recipes/... before manifest.json
        if file.is_manifest:
            folder.place(file)
    folder.retire(contents, former)
    folder.finish(contents)
    return missing


def _journals(file: StoredFile) -> bool:
    return file.name.startswith(f"{file.member}journal/")


def _others(file: StoredFile) -> bool:
    return not _journals(file)


def _check_manifest(store: StoreFiles, file: StoredFile, local: Path, attempts: Attempts) -> None:
    """Check a manifest on the store, and that what is at a local path, if anything, is a cache of the same recipe."""
    where = f"{MANIFEST} of {store.address.shown}"
    text = read_whole(store, file.path, MAX_MANIFEST_NBYTES, attempts)
    if text is None or hashlib.sha256(text).hexdigest() != file.sha256:
        raise StoreError(
            f"{file.what} of {store.address.shown} is {'missing' if text is None else 'not what its list says'}",
            expected="the bytes that were pushed",
            hint="push the cache again from its source, or tell whoever published it",
        )
    try:
        theirs = Manifest.from_dict(load_json(text), where)
    except ValueError as error:
        raise StoreError(f"{where} is not JSON: {error}", expected="the manifest of a cache") from error
    if has_manifest(local):
        check_same_recipe(Manifest.read(local), str(local), theirs, store.address.shown)


def check_same_recipe(ours: Manifest, our_place: str, theirs: Manifest, their_place: str) -> None:
    """Check that two caches may be united.

    Raises:
        StoreError: made with another recipe, codec or dataset; names which.
    """
    for what, own, other in (
        ("recipe", ours.fingerprint, theirs.fingerprint),
        ("codec", ours.codec, theirs.codec),
        ("dataset", dict(ours.dataset), dict(theirs.dataset)),
    ):
        if own != other:
            raise StoreError(
                f"{their_place} holds a cache of another {what} than {our_place}: {str(other)[:100]}, not "
                f"{str(own)[:100]}",
                expected="one cache per address and path",
                hint="use another address or path",
            )


def _check(path: Path, contents: StoreContents) -> None:
    for member in contents.members():
        Cache.open(path / member).close()
        update_index(path / member)
