"""Who may see a review: whoever has its address, in a browser of this machine, from the page itself."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from poc_aug.cache.journal_entry import check_reviewer
from poc_aug.errors import SettingError
from poc_aug.review.decisions import Written

_MOST_SESSIONS = 1000
_MOST_UNDOS = 1000
_LOOPBACK_NAMES = ("localhost",)


@dataclass(eq=False)
class ReviewSession:
    """One browser.

    Attributes:
        reviewer: name that its decisions carry.
        undos: what its calls have written, for undoing the last one.
        listed: ids of the things that it was given last, in order: the next ones are prepared.
    """

    reviewer: str
    undos: list[list[Written]] = field(default_factory=list)
    listed: Sequence[str] = ()

    def wrote(self, written: list[Written]) -> None:
        """Note what one call has written."""
        self.undos.append(written)
        del self.undos[:-_MOST_UNDOS]


class ReviewAccess:
    """Sessions and checks of requests; safe in several threads.

    Args:
        reviewer: name that decisions carry if a browser gives no other.
        host: the address that is listened at; of one that is not this machine's own, any numeric address is answered.
        token: the secret of the address; ``None`` draws one.

    Example:
        >>> access = ReviewAccess("anna", token="secret")
        >>> access.session(None, "wrong") is None, access.session(None, "secret") is None
        (True, False)
    """

    def __init__(self, reviewer: str, *, host: str = "127.0.0.1", token: str | None = None) -> None:
        self.reviewer = checked_reviewer(reviewer)
        self.host = host
        self.token = token if token is not None else secrets.token_urlsafe(24)
        # Cookies do not tell ports apart: two reviews on one machine need different names.
        self.cookie = "poc-aug-review-" + hashlib.sha256(b"cookie" + self.token.encode()).hexdigest()[:12]
        self._sessions: OrderedDict[bytes, ReviewSession] = OrderedDict()
        self._by_token: ReviewSession | None = None
        self._tickets: set[bytes] = set()
        self._lock = threading.Lock()

    def ticket(self) -> str:
        """A secret that opens the page once: the address that a browser is started with is in the list of processes."""
        value = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets.add(_hashed(value))
        return value

    def takes(self, ticket: str | None) -> bool:
        """Whether a ticket opens the page; it does so once."""
        with self._lock:
            if ticket is None or _hashed(ticket) not in self._tickets:
                return False
            self._tickets.remove(_hashed(ticket))
            return True

    def session(self, cookie: str | None, token: str | None) -> ReviewSession | None:
        """The session of a request, by its cookie, or by the token; ``None``: it may see nothing."""
        with self._lock:
            if cookie is not None and (found := self._sessions.get(_hashed(cookie))) is not None:
                self._sessions.move_to_end(_hashed(cookie))
                return found
            if token is None or not hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
                return None
            if self._by_token is None:
                self._by_token = ReviewSession(self.reviewer)
            return self._by_token

    def begin(self) -> tuple[str, ReviewSession]:
        """A new session, and its cookie's value."""
        value, session = secrets.token_urlsafe(32), ReviewSession(self.reviewer)
        with self._lock:
            self._sessions[_hashed(value)] = session
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return value, session

    def knows(self, cookie: str | None) -> bool:
        """Whether a cookie is that of a session."""
        with self._lock:
            return cookie is not None and _hashed(cookie) in self._sessions

    def allows_host(self, header: str | None) -> bool:
        """Whether a request's ``Host`` is this server: a page of another site whose name leads here is refused."""
        name = _host_name(header)
        if name is None:
            return False
        own = () if is_loopback(self.host) else (socket.gethostname().lower(),)
        if name in (*_LOOPBACK_NAMES, self.host.lower().strip("[]"), *own):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback(self.host)

    def allows_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a request that changes something comes from the page itself."""
        if origin is None or host is None:
            return False
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def checked_reviewer(name: str) -> str:
    """The name of a reviewer.

    Raises:
        SettingError: no printable line, or too long.
    """
    try:
        check_reviewer(name)
    except ValueError:
        raise SettingError(
            f"the reviewer's name {name[:60]!a}", expected="one printable line of at most 200 characters"
        ) from None
    return name


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host_name(header: str | None) -> str | None:
    """The name in a ``Host`` header, without the port."""
    if not header or any(char in header for char in "/@?#\\ ,"):
        return None
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _hashed(cookie: str) -> bytes:
    # A look-up by a hash tells nothing of the cookies that there are.
    return hashlib.sha256(cookie.encode("utf-8", "replace")).digest()
