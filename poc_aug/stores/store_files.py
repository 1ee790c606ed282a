"""The files of one cache on a store, through `fsspec`: small ones whole, large ones in pieces from any offset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from poc_aug.errors import MissingDependencyError, StoreError
from poc_aug.optional_imports import require
from poc_aug.stores.store_address import StoreAddress
from poc_aug.stores.store_errors import cause_of, failure_kind, no_rights, plain, unreachable

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp"}
_OTHER_PACKAGES = {
    "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "sftp": "paramiko",
    "ssh": "paramiko", "smb": "smbprotocol", "oci": "ocifs", "oss": "ossfs", "webdav": "webdav4",
}  # fmt: skip
_WITH_FOLDERS = ("file", "local", "sftp", "ssh", "smb", "ftp", "webdav", "hdfs", "arrow_hdfs")
_WEB_PIECE_NBYTES = 1 << 18
_WEB_TIMEOUT_S = 60.0


class StoreFiles:
    """One cache's files on a store. Nothing is tried again here; errors are those of the store's library.

    Args:
        address: where the cache is.
        options: what `fsspec`'s file system is made with.

    Raises:
        MissingDependencyError: the package for this protocol is not installed.
        StoreError: no package knows this protocol, or the options do not fit it.
    """

    def __init__(self, address: StoreAddress, options: Mapping[str, Any]) -> None:
        self.address = address
        self._fs, self._root = _file_system(address, options)
        self._fs.invalidate_cache()

    def read(self, path: str, most_nbytes: int) -> bytes:
        """A small file, as a whole; more than ``most_nbytes`` are cut off, and one more byte says so."""
        if not self.address.is_web:
            return bytes(self._fs.cat_file(self._at(path), start=0, end=most_nbytes + 1))
        text = b""
        for piece in self._web_pieces(path, 0, most_nbytes + 1)[1]:
            text += piece
        return text

    def pieces(self, path: str, start: int, end: int, chunk_nbytes: int) -> tuple[int, Iterator[bytes]]:
        """The bytes of a file from ``start`` to ``end``, in pieces; fewer if the file is shorter.

        Returns:
            The offset of the first piece: 0 instead of ``start`` if a web server knows no ranges; and the pieces.
        """
        if self.address.is_web:
            return self._web_pieces(path, start, end)
        return start, self._chunks(path, start, end, chunk_nbytes)

    def nbytes(self, path: str) -> int | None:
        """Size of a file; ``None`` if the store does not say, or there is none."""
        if self.address.is_web:
            return None
        try:
            size = self._fs.info(self._at(path)).get("size")
        except FileNotFoundError:
            return None
        return size if isinstance(size, int) else None

    def neighbours(self) -> list[str] | None:
        """Names next to the cache, sorted; ``None`` on a web server."""
        if self.address.is_web or "/" not in self._root.strip("/"):
            return None
        folder = self._root.rstrip("/").rpartition("/")[0]
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in self._fs.ls(folder, detail=False))

    def write(self, path: str, data: bytes) -> None:
        """Write a small file, in one request."""
        at = self._at(path)
        self._make_folder(at)
        if self.address.protocol not in ("file", "local"):
            self._fs.pipe_file(at, data)
            return
        self._fs.pipe_file(f"{at}.new", data)  # a file system shows a file that is half-written
        self._fs.mv(f"{at}.new", at)

    def put(self, path: str, file: Path, count: Callable[[int], None]) -> None:
        """Send a file; ``count`` is called with the bytes of each part of it that was sent."""
        from fsspec.callbacks import Callback

        class _Counting(Callback):  # type: ignore[misc]
            def relative_update(self, inc: int = 1) -> None:
                count(inc)

        at = self._at(path)
        self._make_folder(at)
        self._fs.put_file(str(file), at, callback=_Counting())

    def remove(self, path: str) -> None:
        """Remove a file; none is fine."""
        if self._fs.exists(self._at(path)):
            self._fs.rm_file(self._at(path))

    def _at(self, path: str) -> str:
        return self.address.below(path) if self.address.is_web else f"{self._root}/{path}"

    def _make_folder(self, at: str) -> None:
        # An object store has none, and s3fs would make a bucket.
        if self.address.protocol in _WITH_FOLDERS:
            self._fs.makedirs(at.rpartition("/")[0], exist_ok=True)

    def _chunks(self, path: str, start: int, end: int, nbytes: int) -> Iterator[bytes]:
        while start < end:
            piece = bytes(self._fs.cat_file(self._at(path), start=start, end=min(start + nbytes, end)))
            if not piece:
                return
            yield piece
            start += len(piece)

    def _web_pieces(self, path: str, start: int, end: int) -> tuple[int, Iterator[bytes]]:
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-{end - 1}"} if start else {})}
        # Without a block size it is read as a stream; with a size, the server is not asked for one.
        file = self._fs.open(self._at(path), "rb", block_size=0, size=1, headers=headers)
        first = start if file.r.status == 206 else 0

        def read() -> Iterator[bytes]:
            left = end - first
            try:
                while left > 0 and (piece := file.read(min(left, _WEB_PIECE_NBYTES))):
                    yield piece
                    left -= len(piece)
            finally:
                file.close()

        return first, read()


def _file_system(address: StoreAddress, options: Mapping[str, Any]) -> tuple[Any, str]:
    import fsspec
    from fsspec.config import conf

    protocol = address.protocol
    if protocol in _PACKAGES:
        require(_PACKAGES[protocol], extra="stores", purpose=f"{protocol}://")
    known = dict(conf.get(protocol, {}))
    try:
        # A file system of its own: one that fsspec keeps would not know credentials that were set since.
        given = {**_defaults(protocol, {**known, **options}), **options, "skip_instance_cache": True}
        fs, root = fsspec.core.url_to_fs(address.base, **given)
    except ImportError as error:
        package = _OTHER_PACKAGES.get(protocol)
        raise MissingDependencyError(
            f"{protocol}:// needs a package that is not installed: {plain(error)}",
            expected=f"the package {package!r}" if package else "the package of fsspec for this protocol",
            hint=f"pip install {package}" if package else "install it with pip",
        ) from error
    except ValueError as error:
        raise StoreError(
            f"{address.shown!r} cannot be used: {plain(error)}",
            expected="a protocol that fsspec knows: s3, gs, az, hf, https, sftp, file, memory, ...",
            hint="correct the address",
        ) from error
    except TypeError as error:
        raise StoreError(
            f"the storage options {sorted(options)} do not fit {protocol}://: {plain(error)}",
            expected=f"what the fsspec file system of {protocol!r} takes",
            hint="correct storage_options",
        ) from error
    except Exception as error:  # some connect at once
        if failure_kind(error) == "rights":
            raise no_rights(address, "open", error) from cause_of(error)
        raise unreachable(address, "open", error, 1) from cause_of(error)
    return fs, str(root).rstrip("/")


def _defaults(protocol: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Timeouts, and fewer attempts of the libraries themselves, unless somebody has set them."""
    if protocol in ("s3", "s3a") and "config_kwargs" not in given:
        retries = {"total_max_attempts": 2, "mode": "standard"}
        return {"config_kwargs": {"connect_timeout": 15, "read_timeout": _WEB_TIMEOUT_S, "retries": retries}}
    if protocol in ("http", "https") and "client_kwargs" not in given:
        from aiohttp import ClientTimeout

        # aiohttp's own limit of five minutes is for a whole file.
        timeout = ClientTimeout(total=None, sock_connect=15, sock_read=_WEB_TIMEOUT_S)
        return {"client_kwargs": {"timeout": timeout}}
    return {}
