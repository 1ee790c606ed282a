"""Serving a review on this machine until it is ended."""

from __future__ import annotations

import errno
import getpass
import os
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from poc_aug.errors import SettingError
from poc_aug.items.open_item import Adapt
from poc_aug.keys import Keys
from poc_aug.labels.schema import LabelSchema
from poc_aug.optional_imports import require
from poc_aug.review.first_filters import check_filters
from poc_aug.review.review import Review
from poc_aug.review.review_access import ReviewAccess
from poc_aug.review.review_app import create_app

_PURPOSE = "the review page"


def serve(
    caches: str | Path | Sequence[str | Path],
    dataset: Any = None,
    *,
    reviewer: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    keys: Keys | None = None,
    schema: LabelSchema | str | Path | None = None,
    adapt: Adapt | None = None,
    recipes: Sequence[str] | None = None,
    sigma_px: float = 1.0,
    token: str | None = None,
    filters: dict[str, str] | None = None,
    dry_run: bool = False,
    open_browser: bool = False,
    on_start: Callable[[str], None] = print,
) -> None:
    """Serve a page for the review of caches, until Ctrl-C.

    Args:
        caches: path of a cache, or of several of one dataset.
        dataset: the dataset that they were made from; ``None``: patches are shown on grey.
        reviewer: name that decisions carry; ``None``: the login name.
        host: address to listen at; one that other machines can reach is your decision.
        port: port to listen at; 0: any that is free.
        keys: see `POCAugmentedDataset`.
        schema: see `POCAugmentedDataset`; its classes are offered as new ones.
        adapt: see `POCAugmentedDataset`.
        recipes: fingerprints of those that are reviewed; ``None``: all.
        sigma_px: feather of insertions.
        token: the secret of the address; ``None`` draws one.
        filters: what the page shows first, as ``{"class": "cow"}``.
        dry_run: open everything, and end; ``on_start`` gets a line that says what there is to review.
        open_browser: open the page in this machine's browser, too.
        on_start: gets the page's address once it can be opened.

    Raises:
        SettingError: the port is taken, there is no such address, or no such class or other value of a filter.
        MissingDependencyError: the extra ``review`` is not installed.
        PocAugError: as `Review`.

    Example:
        >>> import poc_aug
        >>> from poc_aug.review import serve
        >>> def look(path: str) -> None:
        ...     serve(path, poc_aug.SyntheticStreet(), reviewer="anna")
    """
    paths = [caches] if isinstance(caches, str | Path) else list(caches)
    access = ReviewAccess(login_name() if reviewer is None else reviewer, host=host, token=token)
    with (
        listening(host, port) as listener,
        Review(paths, dataset, keys=keys, schema=schema, adapt=adapt, recipes=recipes, sigma_px=sigma_px) as review,
    ):
        server = _server(review, access)
        check_filters(review, filters or {})
        if dry_run:
            review.wait()
            on_start(_what_there_is(review))
            return
        at = f"{_reached_as(host)}:{listener.getsockname()[1]}"
        server.told = lambda: _tell(access, at, filters or {}, on_start, open_browser)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            # Ctrl-C is how a review ends: every decision is on disk already.
            return


def _tell(
    access: ReviewAccess, at: str, filters: Mapping[str, str], on_start: Callable[[str], None], open_browser: bool
) -> None:
    """Pass on the page's address; a browser gets one that can be opened once."""
    on_start(_address(at, {"token": access.token, **filters}))
    if open_browser:
        address = _address(at, {"ticket": access.ticket(), **filters})
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _address(at: str, query: Mapping[str, str]) -> str:
    return f"http://{at}/?{urlencode(query, errors='replace')}"


def _reached_as(host: str) -> str:
    """What to call this machine in an address: one that stands for all of its addresses cannot be opened elsewhere."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _what_there_is(review: Review) -> str:
    counts = review.index.counts()
    decided = ", ".join(f"{count} {name}" for name, count in counts.items() if name != "all" and count)
    return f"{counts['all']} to review" + (f": {decided}" if decided else "")


def check_installed() -> None:
    """Check that the server's packages are there, before anything is loaded.

    Raises:
        MissingDependencyError: the extra ``review`` is not installed.

    Example:
        >>> check_installed()
    """
    for module in ("starlette", "uvicorn", "jinja2"):
        require(module, extra="review", purpose=_PURPOSE)


def login_name() -> str:
    """The name of who runs this process; empty if nobody knows.

    Example:
        >>> isinstance(login_name(), str)
        True
    """
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return ""
    return name if name.isprintable() else ""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens at an address.

    Raises:
        SettingError: the port is taken or not allowed, or there is no such address.
    """
    bare = host.strip("[]")
    if not bare.strip():  # which would be every address of this machine
        raise SettingError(
            f"host={host!r}", expected="an address to listen at", hint="127.0.0.1", command="--host NAME"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((bare, port))
        except (OSError, ValueError, TypeError, OverflowError) as error:
            raise _no_listener(host, port, error) from error
        listener.listen(128)
        yield listener
    finally:
        listener.close()


def _no_listener(host: str, port: int, error: Exception) -> SettingError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return SettingError(
            f"port {port} of {host} is taken: another program listens there",
            expected="a free port",
            hint="port=0 takes any that is free",
            command="leave --port out: any that is free is taken",
        )
    if number == errno.EACCES:
        return SettingError(
            f"port {port} may not be listened at by this user", expected="0, or a port from 1024 to 65535"
        )
    reason = os.strerror(number) if number is not None and number > 0 else str(error)
    return SettingError(
        f"cannot listen at {host[:100]!r}, port {port}: {reason}",
        expected="an address of this machine",
        hint="host='127.0.0.1' for this machine alone",
        command="leave --host out: this machine alone",
    )


def _server(review: Review, access: ReviewAccess) -> Any:
    """A server that says when it can be asked."""
    uvicorn = require("uvicorn", extra="review", purpose=_PURPOSE)

    class ReviewServer(uvicorn.Server):  # type: ignore[misc, name-defined]
        told: Callable[[], None]

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.told()

    config = uvicorn.Config(
        create_app(review, access),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=200,
    )
    return ReviewServer(config)


@contextmanager
def served(
    caches: Sequence[str | Path], dataset: Any = None, *, reviewer: str = "", token: str | None = None, **settings: Any
) -> Iterator[tuple[str, Review]]:
    """A review that is served from a thread of this process: its address, and the review.

    Args:
        caches: as `Review`.
        dataset: as `Review`.
        reviewer: name that decisions carry.
        token: the secret of the address.
        settings: further ones of `Review`.

    Raises:
        PocAugError: as `serve`.

    Example:
        >>> def first_line(path: str) -> str:
        ...     with served([path]) as (address, review):
        ...         return address
    """
    access = ReviewAccess(reviewer, token=token)
    with listening("127.0.0.1", 0) as listener, Review(caches, dataset, **settings) as review:
        server = _server(review, access)
        started = threading.Event()
        server.told = started.set
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="review-server", daemon=True)
        thread.start()
        try:
            started.wait()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/?token={access.token}", review
        finally:
            server.should_exit = True
            thread.join()
