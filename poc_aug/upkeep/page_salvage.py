"""What a damaged shard still holds, read page by page without LMDB, which a damaged tree of pages can crash.

Every page is looked at, also those that the tree no longer reaches: records are never changed, so an older copy of one
is as good as the current one. Nothing that is found is trusted: whoever calls this checks the hash, the name and the
content of each record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from poc_aug.cache.record_header import MAX_RECORD_NBYTES
from poc_aug.cache.shard import read_meta
from poc_aug.errors import CacheFormatError

# mdb.c (LMDB 0.9, 64 bit): the header of a page is its number, 2 unused bytes, flags, and where its free space begins
# and ends, or how many pages an overflow page has. A node is the size of its data (low and high half), flags, the size
# of its key, the key and the data, or the number of an overflow page.
_PAGE = struct.Struct("<QHHHH")
_PAGES = struct.Struct("<12xI")
_NODE = struct.Struct("<HHHH")
_PAGE_NUMBER = struct.Struct("<Q")
_LEAF, _OVERFLOW = 0x02, 0x04
_BIG = 0x01
_MAX_NAME_NBYTES = 511
_PAGE_SIZES = (4096, 16384, 65536, 8192, 32768, 2048, 1024, 512)
_PROBED = 64


def salvaged(path: Path) -> Iterator[tuple[bytes, bytes]]:
    r"""Names and bytes of what may be records; one may come several times, or be damaged.

    Args:
        path: the shard.

    Raises:
        OSError: it cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> from poc_aug.types import Variant
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put(Variant("a.png", 0, digest=b"", insertions=()))
        ...     [(name, data[:4]) for name, data in salvaged(writer.path / "shards" / "local-0.lmdb")]
        [(b'ta.png\x00\x00\x00\x00', b'PAUG')]
    """
    size = _page_size(path)
    with path.open("rb") as file:
        number = 0
        while page := file.read(size):
            for name, data, big in _nodes(page):
                found = _overflow(file, data, big, size) if big is not None else data
                if found:
                    yield name, found
            number += 1
            file.seek(number * size)


def _nodes(page: bytes) -> Iterator[tuple[bytes, bytes, int | None]]:
    """Names and data of a leaf page; for large data, its size, and the number of its overflow page in its place."""
    if len(page) < _PAGE.size:
        return
    _, _, flags, lower, _ = _PAGE.unpack_from(page)
    if not flags & _LEAF or lower > len(page):
        return
    for at in range(_PAGE.size, lower - 1, 2):
        start = int.from_bytes(page[at : at + 2], "little")
        if not _PAGE.size <= start <= len(page) - _NODE.size:
            continue
        low, high, node_flags, key_nbytes = _NODE.unpack_from(page, start)
        key_at = start + _NODE.size
        data_at = key_at + key_nbytes
        nbytes = low | high << 16
        if not 0 < key_nbytes <= _MAX_NAME_NBYTES or data_at > len(page):
            continue
        name = page[key_at:data_at]
        if node_flags & _BIG:
            yield name, page[data_at : data_at + _PAGE_NUMBER.size], nbytes
        elif data_at + nbytes <= len(page):
            yield name, page[data_at : data_at + nbytes], None


def _overflow(file: BinaryIO, pointer: bytes, nbytes: int, size: int) -> bytes:
    """Data that has pages of its own; nothing if they are not there."""
    if len(pointer) < _PAGE_NUMBER.size or nbytes > MAX_RECORD_NBYTES:
        return b""
    number = _PAGE_NUMBER.unpack(pointer)[0]
    if number >= 1 << 48:
        return b""
    file.seek(number * size)
    head = file.read(_PAGE.size)
    if len(head) < _PAGE.size or not _PAGE.unpack(head)[2] & _OVERFLOW:
        return b""
    if _PAGES.unpack(head)[0] * size < _PAGE.size + nbytes:
        return b""
    data = file.read(nbytes)
    return data if len(data) == nbytes else b""


def _page_size(path: Path) -> int:
    """The size of the pages: as the meta page says, otherwise that at which most pages carry their own number."""
    try:
        return read_meta(path).page_nbytes
    except CacheFormatError:
        return max(_PAGE_SIZES, key=lambda size: _numbered(path, size))


def _numbered(path: Path, size: int) -> int:
    with path.open("rb") as file:
        count = 0
        for number in range(1, _PROBED):
            file.seek(number * size)
            head = file.read(_PAGE.size)
            count += len(head) == _PAGE.size and _PAGE.unpack(head)[0] == number
        return count
