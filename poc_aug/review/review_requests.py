"""Requests of a page and their answers, without a server: what `poc_aug.review.review_app` serves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poc_aug.errors import PocAugError
from poc_aug.inspection.rejected_sheet import shown_detail
from poc_aug.review.decisions import SHOWN_OPS
from poc_aug.review.review import Review
from poc_aug.review.review_access import ReviewSession, checked_reviewer
from poc_aug.review.review_index import ATTEMPTS, DECISIONS, SORTS, ThingFilter
from poc_aug.review.review_pictures import MAX_WIDTH, MIN_WIDTH, VIEWS, View
from poc_aug.review.review_things import KINDS, Thing, ThingPart
from poc_aug.review.shown_text import cut_paths, shown_class, shown_key, shown_line

MAX_REQUEST_NBYTES = 1 << 20
MAX_IDS = 10_000
_MOST_LISTED = 1000
_MOST_TEXT_CHARS = 1024
_MOST_CHANGES = 5000
_NEXT = 3
_LISTING_S = 10.0


class RequestRefused(PocAugError):
    """A request that is answered with an error; ``status`` is HTTP's.

    Example:
        >>> RequestRefused("no such thing", status=404).status
        404
    """

    def __init__(self, problem: str, *, expected: str = "", hint: str = "", status: int = 400) -> None:
        super().__init__(problem, expected=expected, hint=hint)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: Any, status: int = 200) -> Answer:
    """An answer in JSON; ASCII alone, so that any text of a cache can be sent."""
    return Answer(status, json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii"))


def refusal_answer(error: PocAugError, review: Review | None = None) -> Answer:
    """The answer that says what went wrong, without a path of this machine."""
    known = [] if review is None else [cache.path for cache in review.caches]
    texts = {"error": error.problem, "expected": error.expected, "hint": error.command or error.hint}
    status = error.status if isinstance(error, RequestRefused) else 422
    return as_json({name: shown_line(cut_paths(text, known)) for name, text in texts.items()}, status)


class ReviewRequests:
    """Answers to the requests of pages.

    Args:
        review: what they are about.
    """

    def __init__(self, review: Review) -> None:
        self.review = review

    def state(self, session: ReviewSession) -> dict[str, Any]:
        """What a page begins with."""
        review, index = self.review, self.review.index
        review.decisions.poll(index)
        counts = index.recipe_counts()
        recipes = [
            {
                "fingerprint": cache.manifest.fingerprint,
                "objects": [shown_class(name) for name in review.objects[source]],
                "count": counts[source],
            }
            for source, cache in enumerate(review.caches)
        ]
        classes = index.classes()
        kinds = index.kinds()
        names = [shown_class(name) for objects in review.objects for name in objects] + [name for name, _ in classes]
        own = dict.fromkeys(name for name in names if name.isprintable() and 0 < len(name) <= _MOST_TEXT_CHARS)
        return {
            "cache": shown_line(review.name),
            "kind": "frames" if kinds[:1] == ["frames"] else "insertions",
            "reviewer": session.reviewer,
            "recipes": recipes,
            "classes": [{"name": name, "count": count} for name, count in classes],
            "relabel_classes": list(dict.fromkeys([*own, *review.schema_classes])),
            "kinds": kinds,
            "has_dataset": review.has_dataset,
            "can_undo": bool(session.undos),
            "damaged": index.damaged,
            "failure": None if review.failure is None else json.loads(refusal_answer(review.failure, review).body),
            **self._now(),
        }

    def things(self, session: ReviewSession, query: Mapping[str, str]) -> dict[str, Any]:
        """The things that a filter leaves, a part of them."""
        wanted = filter_of(query)
        offset = _whole(query, "offset", 0, 0, 1 << 31)
        limit = _whole(query, "limit", 200, 0, _MOST_LISTED)
        chosen = self.review.index.select(wanted)
        part = chosen[offset : offset + limit]
        session.listed = [thing.id for thing in chosen]
        self.review.expect(part[:_NEXT])
        return {"total": len(chosen), "offset": offset, "things": [self.shown(thing) for thing in part], **self._now()}

    def picture(self, session: ReviewSession, name: str, view: str, query: Mapping[str, str], etag: str) -> Answer:
        """A picture; 304 if the page has it."""
        thing = self._thing(name)
        known: View | None = next((each for each in VIEWS if each == view), None)
        if known is None:
            raise RequestRefused(f"picture {view[:60]!a}", expected=f"one of {', '.join(VIEWS)}", status=404)
        width = _whole(query, "width", 0, MIN_WIDTH, MAX_WIDTH) if query.get("width") else None
        mark = f'"{self.review.pictures.etag(thing, known, width)}"'
        # Another cache may be reviewed at the same address soon, with other pictures of the same names: a browser asks.
        headers = {"Cache-Control": "private, no-cache", "ETag": mark}
        if mark in [part.strip().removeprefix("W/") for part in etag.split(",")]:
            return Answer(304, b"", "image/jpeg", headers)
        made = self.review.pictures.picture(thing, known, width)
        if known != "thumb":
            self._expect_next(session, thing)
        return Answer(200, made.data, made.media_type, headers)

    def decide(self, session: ReviewSession, body: bytes) -> dict[str, Any]:
        """Write a decision; it is on disk before the answer."""
        asked = _body(body, {"ids", "op", "to", "part", "seen", "marks", "force", "late", "by"})
        ids, op = asked.get("ids"), asked.get("op")
        if not isinstance(ids, list) or not 0 < len(ids) <= MAX_IDS:
            raise RequestRefused("ids of a decision", expected=f"a list of 1 to {MAX_IDS}")
        seen, marks = (_texts(asked.get(name, {}), f"{name!r} of a decision") for name in ("seen", "marks"))
        if not isinstance(op, str):
            raise RequestRefused("'op' of a decision", expected="accept, reject, relabel or skip")
        to, part = (_text_or_none(asked, name) for name in ("to", "part"))
        names = list(dict.fromkeys(ids if all(isinstance(name, str) for name in ids) else [""]))
        self._wait_for(names)
        gone = dict.fromkeys(name for name in names if name in marks and not self._is_still(name, marks[name]))
        things = [self._thing(name) for name in names if name not in gone]
        report = self.review.decisions.decide(
            self.review.index,
            things,
            op,
            _reviewer(asked, session),
            to=to,
            part=part,
            seen=seen,
            force=asked.get("force") is True,
            late=asked.get("late") is True,
        )
        if report.written:
            session.wrote(report.written)
        # What was asked for comes first, changed or not.
        shown = dict.fromkeys([*things, *report.things])
        return {
            "things": [self.shown(thing) for thing in shown],
            "conflicts": [thing.id for thing in report.conflicts],
            "gone": list(gone),
            **self._now(),
        }

    def undo(self, session: ReviewSession, body: bytes) -> dict[str, Any]:
        """Take back what this browser's last call decided, or the decisions that it names."""
        asked = _body(body, {"seen", "by"})
        if asked.get("seen") is not None:
            return self._undo_seen(session, asked)
        try:
            written = session.undos.pop()  # at once: another tab may ask at the same moment
        except IndexError:
            expected = "a decision of this browser"
            raise RequestRefused("there is nothing to undo", expected=expected, status=409) from None
        try:
            changed = self.review.decisions.undo(self.review.index, written, session.reviewer)
        except PocAugError:
            session.undos.append(written)
            raise
        return {"things": [self.shown(thing) for thing in changed], "can_undo": bool(session.undos), **self._now()}

    def _undo_seen(self, session: ReviewSession, asked: Mapping[str, Any]) -> dict[str, Any]:
        seen = _texts(asked["seen"], "'seen' of what is undone")
        self._wait_for(list(seen))
        things = [self._thing(each) for each in seen]
        changed = self.review.decisions.undo_seen(self.review.index, things, seen, _reviewer(asked, session))
        named = set(seen.values())
        session.undos = [
            left for wrote in session.undos if (left := [each for each in wrote if each[1].id not in named])
        ]
        shown = dict.fromkeys([*things, *changed])
        return {"things": [self.shown(thing) for thing in shown], "can_undo": bool(session.undos), **self._now()}

    def rename(self, session: ReviewSession, body: bytes) -> dict[str, Any]:
        """Give this browser another reviewer's name."""
        session.reviewer = _reviewer_named(_body(body, {"reviewer"}).get("reviewer"))
        return {"reviewer": session.reviewer}

    def changes(self, session: ReviewSession, query: Mapping[str, str]) -> dict[str, Any]:
        """What changed after a version, by anybody."""
        since = _whole(query, "since", 0, 0, 1 << 62)
        self.review.decisions.poll(self.review.index)
        now = self._now()
        changed = self.review.index.changed_since(since)[:_MOST_CHANGES]
        if len(changed) == _MOST_CHANGES:  # the rest follows from there; those of one version stay together
            last = changed[-1].version
            changed = [thing for thing in changed if thing.version < last] or self.review.index.changed_since(since)
            now["version"] = changed[-1].version
        return {"things": [self.shown(thing) for thing in changed], "reviewer": session.reviewer, **now}

    def shown(self, thing: Thing) -> dict[str, Any]:
        """A thing as a page gets it."""
        state, last = thing.state, thing.last
        made_by = state.entry or last
        names = state.names
        return {
            "id": thing.id,
            "key": shown_key(thing.key),
            "variant": thing.variant,
            "insertion": thing.insertion,
            "class": shown_class(thing.class_name),
            "parts": [_shown_part(part, names) for part in thing.parts],
            "label": shown_class(thing.label),
            "width": thing.size_hw[1],
            "height": thing.size_hw[0],
            "box": list(thing.box_yxhw),
            "area": thing.area,
            "score": thing.score,
            "recipe": self.review.index.fingerprints[thing.source],
            "kind": thing.kind,
            "prompt": shown_line(thing.prompt),
            "reason": shown_line(thing.reason),
            "detail": shown_line(shown_detail(thing.detail)),
            "attempt": thing.attempt,
            "picture": thing.kind != ATTEMPTS or self.review.attempts.has(thing),
            "decision": None if state.outcome is None else SHOWN_OPS[state.outcome],
            "by": "" if made_by is None else made_by.by,
            "time": "" if made_by is None else made_by.time,
            "conflict": state.is_conflict,
            "decisions": [
                {
                    "by": each.by,
                    "op": SHOWN_OPS.get(each.op, each.op),
                    "to": None if each.to is None else shown_class(each.to),
                    "time": each.time,
                }
                for each in state.decisions
            ],
            "seen": state.seen,
            "mark": thing.mark.hex(),
        }

    def _now(self) -> dict[str, Any]:
        index = self.review.index
        indexing = not index.complete
        return {"version": index.version, "counts": index.counts(), "indexing": indexing}

    def _wait_for(self, names: Sequence[str]) -> None:
        """Wait for things that a server which has just been started may not have listed yet.

        Raises:
            RequestRefused: it takes long; a page asks again.
        """
        if any(name not in self.review.index.things for name in names) and not self.review.wait(_LISTING_S):
            raise RequestRefused("the caches are still being listed", expected="a moment's patience", status=503)

    def _is_still(self, name: str, mark: str) -> bool:
        """Whether a thing is there, and its record is the one that was seen."""
        thing = self.review.index.things.get(name)
        return thing is not None and thing.mark.hex() == mark

    def _thing(self, name: object) -> Thing:
        thing = self.review.index.things.get(name) if isinstance(name, str) else None
        if thing is None:
            raise RequestRefused("no such insertion, frame or attempt", expected="an id of this review", status=404)
        return thing

    def _expect_next(self, session: ReviewSession, thing: Thing) -> None:
        """Prepare those that come next in what this browser lists."""
        try:
            at = session.listed.index(thing.id)
        except ValueError:
            return
        index = self.review.index.things
        self.review.expect([index[name] for name in session.listed[at + 1 : at + 1 + _NEXT]])


def _shown_part(part: ThingPart, names: Mapping[str, str]) -> dict[str, Any]:
    label = shown_class(names.get(part.name, part.name))
    return {"name": shown_class(part.name), "score": part.score, "area": part.area, "label": label}


def filter_of(query: Mapping[str, str]) -> ThingFilter:
    """The filter that a query asks for.

    Raises:
        RequestRefused: a value that it cannot have.

    Example:
        >>> filter_of({"class": "cow", "max_size": "40"}).max_size
        40.0
    """
    kind, decision, sort = query.get("kind", ""), query.get("decision", ""), query.get("sort") or "key"
    for name, value, allowed in (
        ("kind", kind, ("", *KINDS)),
        ("decision", decision, ("", *DECISIONS)),
        ("sort", sort, SORTS),
    ):
        if value not in allowed:
            raise RequestRefused(f"{name} {value[:60]!a}", expected=f"one of {', '.join(filter(None, allowed))}")
    return ThingFilter(
        class_name=query.get("class", ""),
        recipe=query.get("recipe", ""),
        kind=kind,
        decision=DECISIONS.get(decision, ""),
        key=query.get("key", ""),
        min_size=_number(query, "min_size"),
        max_size=_number(query, "max_size"),
        min_score=_number(query, "min_score"),
        max_score=_number(query, "max_score"),
        sort=sort,
        reverse=query.get("reverse", "") not in ("", "0", "false"),
        seed=query.get("seed", ""),
    )


def _number(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        value = float(text) if len(text) <= 40 else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestRefused(f"{name} {text[:40]!a}", expected="a number")
    return value


def _whole(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else -1
    if value < 0 or (name == "offset" and value > most):
        raise RequestRefused(f"{name} {text[:40]!a}", expected=f"a whole number from {least} to {most}")
    return min(max(value, least), most)


def _body(body: bytes, allowed: set[str]) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RequestRefused("the body of the request", expected="a JSON object")
    if unknown := sorted(value.keys() - allowed):
        raise RequestRefused(f"unknown field {unknown[0][:60]!a}", expected=f"{', '.join(sorted(allowed)) or '{}'}")
    return value


def _texts(value: object, what: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise RequestRefused(what, expected="an object of text by id")
    return value


def _reviewer(asked: Mapping[str, Any], session: ReviewSession) -> str:
    """Whose decision it is: the page says which name it showed when the decision was made."""
    by = asked.get("by")
    if by is not None and not isinstance(by, str):
        raise RequestRefused("'by' of a decision", expected="the reviewer's name")
    return session.reviewer if by is None else checked_reviewer(by)


def _reviewer_named(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise RequestRefused("the reviewer's name", expected="one printable line of at most 200 characters")
    return checked_reviewer(name.strip())


def _text_or_none(asked: Mapping[str, Any], name: str) -> str | None:
    value = asked.get(name)
    if value is not None and (not isinstance(value, str) or not 0 < len(value) <= _MOST_TEXT_CHARS):
        raise RequestRefused(f"{name!r} of a decision", expected=f"a text of 1 to {_MOST_TEXT_CHARS} characters")
    return value
