"""JSON from a stranger: bounded in size and depth, with finite numbers and no name twice in one object."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_JSON_DEPTH = 64
"""Objects and lists inside one another, at most."""

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def load_json(text: bytes) -> Any:
    """Parse JSON that `json.dumps` could have written with ``allow_nan=False``.

    Raises:
        ValueError: not JSON, NaN or an infinity, a name twice in one object, a number of thousands of digits, or nested
            deeper than `MAX_JSON_DEPTH`.

    Example:
        >>> load_json(b'{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
        >>> load_json(b'{"a": 1e999}')
        Traceback (most recent call last):
        ...
        ValueError: 1e999 is not a finite number
    """
    if _is_too_deep(text):
        raise ValueError(f"it is nested deeper than {MAX_JSON_DEPTH} levels")
    return _DECODER.decode(text.decode(json.detect_encoding(text), "surrogatepass"))


def _is_too_deep(text: bytes) -> bool:
    # The parser would find out by RecursionError; whoever copies or prints what was parsed, too, and later.
    if text.count(b"[") + text.count(b"{") <= MAX_JSON_DEPTH:
        return False
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(None, delete=_NO_BRACKETS)
    for _ in range(MAX_JSON_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)  # also if they do not match: then it is not JSON


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text[:40])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"{twice[:40]!r} occurs twice in one object")
    return found


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
