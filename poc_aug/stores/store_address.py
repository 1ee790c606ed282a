"""Addresses of caches on object stores: ``s3://bucket/name.cache``; what may be shown of them, and what is secret."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote

from poc_aug.errors import StoreError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/\s'\"<>]*@)?([^\s?#'\"<>]*)(?:[?#][^\s'\"<>]*)?")
_WEB = ("http", "https")
_LONGEST = 2000
_EXAMPLE = (
    "an address such as 's3://bucket/name.cache', 'hf://datasets/OWNER/NAME/name.cache' or 'https://HOST/name.cache'"
)


def is_store_url(path: object) -> bool:
    """Whether a path of a cache is an address on a store rather than a path of this machine.

    Example:
        >>> is_store_url("s3://bucket/street.cache"), is_store_url("runs/street.cache")
        (True, False)
    """
    return isinstance(path, str) and _URL.match(path) is not None


def without_secrets(text: str) -> str:
    """A text without the passwords and signed queries of the URLs in it.

    Example:
        >>> without_secrets("status 403 of https://me:pw@host/a.cache?X-Amz-Signature=1b2c")
        'status 403 of https://host/a.cache'
    """
    return _SECRET.sub(lambda found: found[1] + found[2], text)


@dataclass(frozen=True)
class StoreAddress:
    """Where a cache is on a store.

    Attributes:
        protocol: "s3", "https", "memory".
        base: the address without its query, without a slash at the end; it may hold a password.
        query: what follows ``?``, such as a signature; "" if there is none.

    Example:
        >>> address = StoreAddress.parse("https://me:pw@host/data/street.cache/?sig=1")
        >>> address.shown, address.folder_name
        ('https://host/data/street.cache', 'street-7a721d982184.cache')
    """

    protocol: str
    base: str
    query: str = ""

    @classmethod
    def parse(cls, url: str) -> StoreAddress:
        """Read an address.

        Raises:
            StoreError: not an address that a cache can have.
        """
        found = _URL.match(url)
        shown = without_secrets(url)[:200]
        if found is None:
            raise StoreError(f"{shown!a} is not an address on a store", expected=_EXAMPLE, hint="correct it")
        protocol = found[1].lower()
        rest, _, query = url[found.end() :].partition("?")
        rest = rest.partition("#")[0] if protocol in _WEB else rest
        rest = rest.rstrip("/")
        parts = [unquote(part) for part in rest.split("/")]
        problem = ""
        if len(url) > _LONGEST:
            problem = f"has {len(url)} characters"
        elif not (url.isprintable() and url.isascii()) or any(char in url for char in " \\\"'<>*{}"):
            problem = "holds characters that addresses do not have"
        elif "::" in url:
            problem = "is a chain of addresses"
        elif not rest.strip("/") or (protocol in _WEB and not parts[0].rpartition("@")[2]):
            problem = "names no cache"
        elif any(part in (".", "..") for part in parts):
            problem = "has a part '..' or '.'"
        if problem:
            raise StoreError(f"the address {shown!a} {problem}", expected=_EXAMPLE, hint="correct it")
        return cls(protocol, f"{protocol}://{rest}", query if protocol in _WEB else "")

    @property
    def shown(self) -> str:
        """The address for messages, without secrets."""
        return without_secrets(self.base)

    @property
    def is_web(self) -> bool:
        """Whether it is on a web server, which lists nothing and takes nothing."""
        return self.protocol in _WEB

    def below(self, name: str) -> str:
        """Address of a file of the cache; a signed query stays."""
        return f"{self.base}/{name}" + (f"?{self.query}" if self.query else "")

    @property
    def folder_name(self) -> str:
        """Name of the folder of its local copy: readable, and another one for another address.

        Passwords and queries are left out: a signature that was renewed leads to the same copy.
        """
        digest = hashlib.sha256(self.shown.encode()).hexdigest()[:12]
        last = re.sub(r"[^A-Za-z0-9._-]+", "-", self.shown.rpartition("/")[2]).removesuffix(".cache").strip(".-")
        return f"{last[:60] or 'cache'}-{digest}.cache"
