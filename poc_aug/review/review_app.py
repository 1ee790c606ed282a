"""The review as an ASGI application: routes, checks of every request, headers of every answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poc_aug.errors import PocAugError
from poc_aug.optional_imports import require
from poc_aug.review.review import Review
from poc_aug.review.review_access import ReviewAccess, ReviewSession
from poc_aug.review.review_requests import (
    MAX_REQUEST_NBYTES,
    Answer,
    RequestRefused,
    ReviewRequests,
    as_json,
    refusal_answer,
)

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_logger = logging.getLogger("poc_aug")
_HERE = Path(__file__).parent
_PURPOSE = "the review page"
_REVIEW_HEADER = "X-Poc-Aug-Review"
_STATIC_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}", re.ASCII)
_MEDIA_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".html": "text/html",
}
SAFE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every answer."""

Handler = Callable[[ReviewSession, "Request", bytes], Answer]


def create_app(review: Review, access: ReviewAccess) -> Starlette:
    """The ASGI application of a review.

    Args:
        review: what is reviewed.
        access: who may see it.

    Raises:
        MissingDependencyError: the extra ``review`` is not installed.

    Example:
        >>> from poc_aug.review import Review, ReviewAccess, create_app
        >>> def app_of(path: str) -> object:
        ...     return create_app(Review([path]), ReviewAccess("anna"))
    """
    applications, routing, responses, concurrency = (
        require(f"starlette.{name}", extra="review", purpose=_PURPOSE)
        for name in ("applications", "routing", "responses", "concurrency")
    )
    page = _page()
    requests = ReviewRequests(review)
    handlers: dict[tuple[str, str], Handler] = {
        ("GET", "/api/state"): lambda session, request, body: as_json(requests.state(session)),
        ("GET", "/api/things"): lambda session, request, body: as_json(requests.things(session, request.query_params)),
        ("GET", "/api/changes"): lambda session, request, body: as_json(
            requests.changes(session, request.query_params)
        ),
        ("GET", "/picture/{name}/{view}"): lambda session, request, body: requests.picture(
            session,
            request.path_params["name"],
            request.path_params["view"],
            request.query_params,
            request.headers.get("if-none-match", ""),
        ),
        ("GET", "/static/{name}"): lambda session, request, body: _static(request.path_params["name"]),
        ("POST", "/api/decide"): lambda session, request, body: as_json(requests.decide(session, body)),
        ("POST", "/api/undo"): lambda session, request, body: as_json(requests.undo(session, body)),
        ("POST", "/api/reviewer"): lambda session, request, body: as_json(requests.rename(session, body)),
    }

    def answered(handler: Handler, session: ReviewSession, request: Request, body: bytes) -> Answer:
        try:
            return handler(session, request, body)
        except PocAugError as error:
            return refusal_answer(error, review)
        except Exception as error:  # a page gets no traceback, and is answered
            _logger.exception("review: %s %s", request.method, type(error).__name__)
            return as_json({"error": f"unexpected {type(error).__name__}", "expected": "", "hint": ""}, 500)

    def sent(answer: Answer) -> Response:
        headers = {"Cache-Control": "no-store", **SAFE_HEADERS, **answer.headers}
        made: Response = responses.Response(answer.body, answer.status, headers, answer.media_type)
        return made

    def endpoint(handler: Handler) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                session = _checked(access, request)
                _check_review(review, request)
                body = await _read(request) if request.method == "POST" else b""
            except PocAugError as error:
                return sent(refusal_answer(error, review))
            return sent(await concurrency.run_in_threadpool(answered, handler, session, request, body))

        return answer

    async def start(request: Request) -> Response:
        cookie = None
        try:
            _check_host(access, request)
            if access.takes(request.query_params.get("ticket")):
                cookie, session = access.begin()
            else:
                session = _checked(access, request)
        except PocAugError as error:
            return sent(refusal_answer(error, review))
        if cookie is None and not access.knows(request.cookies.get(access.cookie)):
            cookie, session = access.begin()
        values = {"review": review.identity, "reviewer": session.reviewer}
        made = sent(Answer(200, page(values).encode("utf-8", "replace"), "text/html"))
        if cookie is not None:
            made.set_cookie(access.cookie, cookie, httponly=True, samesite="strict", path="/")
        return made

    def not_there(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        return sent(refusal_answer(RequestRefused("no such page", expected="the page of the review", status=status)))

    routes = [routing.Route("/", start, methods=["GET"])]
    routes += [routing.Route(path, endpoint(handler), methods=[method]) for (method, path), handler in handlers.items()]
    http_exception = require("starlette.exceptions", extra="review", purpose=_PURPOSE).HTTPException
    app: Starlette = applications.Starlette(routes=routes, exception_handlers={http_exception: not_there})
    return app


def _check_host(access: ReviewAccess, request: Request) -> None:
    if not access.allows_host(request.headers.get("host")):
        raise RequestRefused(
            "this name is not that of the review's server",
            expected="localhost, 127.0.0.1, or what --host names",
            hint="open the address that `poc-aug review` printed",
            status=403,
        )


def _checked(access: ReviewAccess, request: Request) -> ReviewSession:
    """The session of a request that may be answered.

    Raises:
        RequestRefused: it may not.
    """
    _check_host(access, request)
    session = access.session(request.cookies.get(access.cookie), request.query_params.get("token"))
    if session is None:
        raise RequestRefused(
            "no or another token",
            expected="the address that `poc-aug review` printed, with its token",
            hint="open that address again; each start of the server has a new one",
            status=403,
        )
    if request.method == "POST":
        if not access.allows_origin(request.headers.get("origin"), request.headers.get("host")):
            raise RequestRefused("a request of another page", expected="one of the review's own page", status=403)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestRefused(
                "a request of another content type", expected="Content-Type: application/json", status=415
            )
    return session


def _check_review(review: Review, request: Request) -> None:
    """Check that a page was opened for these caches: its address may be that of another review by now.

    Raises:
        RequestRefused: it was opened for others.
    """
    if request.headers.get(_REVIEW_HEADER, review.identity) != review.identity:
        raise RequestRefused(
            f"this page is about other caches than the server, which reviews {review.name}",
            expected="a page of this review",
            hint="open the address that `poc-aug review` printed",
            status=412,
        )


async def _read(request: Request) -> bytes:
    """The body of a request.

    Raises:
        RequestRefused: it is too long.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_REQUEST_NBYTES:
            raise RequestRefused(
                f"a request of more than {MAX_REQUEST_NBYTES} bytes",
                expected="decisions about fewer things",
                status=413,
            )
    return bytes(body)


def _page() -> Callable[[Mapping[str, Any]], str]:
    jinja2 = require("jinja2", extra="review", purpose=_PURPOSE)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True)
    template = environment.get_template("review.html")

    def rendered(values: Mapping[str, Any]) -> str:
        text: str = template.render(**values)
        return text

    return rendered


def _static(name: str) -> Answer:
    path = _HERE / "static" / name
    media_type = _MEDIA_TYPES.get(path.suffix)
    if not _STATIC_NAME.fullmatch(name) or media_type is None or not path.is_file():
        raise RequestRefused("no such file", expected="a file of the review's page", status=404)
    return Answer(200, path.read_bytes(), media_type, {"Cache-Control": "no-cache"})
