"""JSON from a stranger: bounded in depth, without NaN, and without a name that occurs twice in one object."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

MAX_JSON_DEPTH = 64
"""Objects and lists inside one another, at most."""

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def load_json(text: bytes) -> Any:
    """Parse JSON that `json.dumps` could have written with ``allow_nan=False``.

    Raises:
        ValueError: not JSON, NaN or an infinity, a name that occurs twice in one object, a number of thousands of
            digits, or nested deeper than `MAX_JSON_DEPTH`.

    Example:
        >>> load_json(b'{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
        >>> load_json(b'{"a": 1e999}')
        Traceback (most recent call last):
        ...
        ValueError: 1e999 is not a finite number
    """
    check_depth(text)
    return _STRICT.decode(text.decode(json.detect_encoding(text), "surrogatepass"))


def load_json_fast(text: bytes) -> Any:
    """As `load_json`, for one value in ASCII without spaces around it, as records have; half the time.

    Of a name that occurs twice, the last counts: `load_json`, which `Cache.verify` uses, finds it.

    Raises:
        ValueError: as `load_json`, but for that.
    """
    check_depth(text)
    plain = text.decode("ascii")
    try:
        value, end = _scan(plain, 0)
    except StopIteration as error:
        raise ValueError(f"no JSON value at character {error.value}") from None
    if end != len(plain):
        raise ValueError(f"{len(plain) - end} characters follow its JSON")
    return value


def check_depth(text: bytes) -> None:
    """Check how deep JSON is nested, before it is parsed.

    Raises:
        ValueError: deeper than `MAX_JSON_DEPTH`.
    """
    # The parser would find out by RecursionError; whoever copies or prints what was parsed, too, and later.
    if text.count(b"[") + text.count(b"{") <= MAX_JSON_DEPTH:
        return
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(None, delete=_NO_BRACKETS)
    steps = (12 - (np.frombuffer(brackets, np.uint8) & 15)).astype(np.int8)  # opening ones end in 0xB, closing in 0xD
    if steps.size and steps.cumsum(dtype=np.int32).max() > MAX_JSON_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_JSON_DEPTH} levels")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text[:40])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:40]!r} occurs twice in one object")
        found[name] = value
    return found


_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
_DECODER: Any = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_scan = _DECODER.scan_once  # what `JSONDecoder.raw_decode` calls
