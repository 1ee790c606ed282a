"""Names of records inside a shard: ``(sample key, variant index)`` to LMDB key and back.

LMDB keys have at most 511 bytes and sort a shard. A sample key that fits is stored as it is, so that listing a cache
reads no record; a longer one is hashed, and listing reads the real one from its record's header.
"""

from __future__ import annotations

import struct

import xxhash

from poc_aug.errors import CacheError

_INDEX = struct.Struct(">I")
_MAX_TEXT_BYTES = 500
_TEXT, _HASHED = b"t", b"#"


def encode_key(key: str, index: int) -> bytes:
    """LMDB key of a record.

    Raises:
        CacheError: an index outside ``[0, 2**32)``.
    """
    if not 0 <= index < 2**32:
        raise CacheError(f"variant index {index} of {key!r}", expected="an integer from 0 to 2**32 - 1")
    # Keys made from file names may hold lone surrogates (os.fsdecode).
    text = key.encode("utf-8", "surrogatepass")
    if len(text) <= _MAX_TEXT_BYTES:
        return _TEXT + text + _INDEX.pack(index)
    return _HASHED + xxhash.xxh3_128_digest(text) + _INDEX.pack(index)


def decode_key(data: bytes) -> tuple[str | None, int]:
    """Sample key and variant index; the key is ``None`` if only its hash is stored.

    Raises:
        ValueError: bytes that `encode_key` never writes.
    """
    tag, text, number = data[:1], data[1 : -_INDEX.size], data[-_INDEX.size :]
    if len(data) <= _INDEX.size or tag not in (_TEXT, _HASHED):
        raise ValueError(f"not a record's name: {data[:40]!r}")
    index = int(_INDEX.unpack(number)[0])
    return (text.decode("utf-8", "surrogatepass") if tag == _TEXT else None), index


def name_hash(name: bytes) -> int:
    """The hash of a sample's key, from the LMDB key of any of its records: what an index finds them by."""
    return xxhash.xxh3_64_intdigest(name[: -_INDEX.size])


def key_hash(key: str) -> int:
    """As `name_hash`, from the sample's key.

    Example:
        >>> key_hash("a.png") == name_hash(encode_key("a.png", 3))
        True
    """
    return name_hash(encode_key(key, 0))
