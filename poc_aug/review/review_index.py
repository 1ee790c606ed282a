"""All things of a review in memory: filtered, sorted and counted."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from poc_aug.cache.review_state import ReviewState
from poc_aug.review.review_things import KINDS, Thing
from poc_aug.review.shown_text import shown_class, shown_key

ATTEMPTS = "rejected attempts"
DECISIONS = {
    "undecided": "undecided",
    "accept": "accepted",
    "accepted": "accepted",
    "reject": "rejected",
    "rejected": "rejected",
    "relabel": "relabelled",
    "relabelled": "relabelled",
    "skip": "skipped",
    "skipped": "skipped",
    "conflict": "conflicts",
    "conflicts": "conflicts",
}
"""Values of the filter by decision, and the counts that they go with."""
SORTS = ("key", "size", "score", "class", "random")
_COUNT_OF = {None: "undecided", "accept": "accepted", "drop": "rejected", "relabel": "relabelled", "skip": "skipped"}


@dataclass(frozen=True)
class ThingFilter:
    """What a page asks for; ``None`` and empty texts leave nothing out.

    Attributes:
        class_name: class that a thing has now.
        recipe: fingerprint of the recipe, or its first characters.
        kind: one of `KINDS`; ``""``: insertions and frames.
        decision: one of `DECISIONS`.
        key: part of the key as it is shown.
        min_size: least pixels of the longer side.
        max_size: most pixels of the longer side.
        min_score: least score.
        max_score: most.
        sort: one of `SORTS`.
        reverse: from last to first.
        seed: of the random order.
    """

    class_name: str = ""
    recipe: str = ""
    kind: str = ""
    decision: str = ""
    key: str = ""
    min_size: float | None = None
    max_size: float | None = None
    min_score: float | None = None
    max_score: float | None = None
    sort: str = "key"
    reverse: bool = False
    seed: str = ""


@dataclass
class ReviewIndex:
    """The things of a review; safe in several threads.

    Args:
        fingerprints: the recipe's fingerprint of each source.
        state_of: gives what was decided about an insertion or a frame.

    Attributes:
        version: grows with every change.
        complete: all things are in it.
        damaged: records that cannot be read.

    Example:
        >>> from poc_aug.cache.selection import StoredThings
        >>> things = [Thing(n, 0, n, 0, 0, "insertions", c, StoredThings((n,), 0, (), ())) for n, c in ("az", "by")]
        >>> index = ReviewIndex(["3f2a"], lambda thing: ReviewState())
        >>> index.add(things)
        >>> [thing.key for thing in index.select(ThingFilter(sort="class"))], index.counts()["undecided"]
        (['b', 'a'], 2)
    """

    fingerprints: Sequence[str]
    state_of: Callable[[Thing], ReviewState]
    version: int = 1
    complete: bool = False
    damaged: int = 0
    things: dict[str, Thing] = field(default_factory=dict)
    _by_key: dict[tuple[int, str], list[Thing]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _counted: tuple[int, dict[str, int]] = (0, {})

    def add(self, things: Iterable[Thing]) -> None:
        """Take further things in."""
        with self._lock:
            self.version += 1
            for thing in things:
                self.things[thing.id] = thing
                for key in thing.stored.keys:
                    self._by_key[thing.source, key].append(thing)
                self._decide(thing)

    def renew(self, source: int, keys: Iterable[str] | None) -> list[Thing]:
        """Look up the decisions about the things of some keys again; ``None``: of all. Gives those that changed."""
        with self._lock:
            if keys is None:
                found = [thing for thing in self.things.values() if thing.source == source]
            else:
                found = [thing for key in set(keys) for thing in self._by_key.get((source, key), ())]
            changed = [thing for thing in dict.fromkeys(found) if self._decide(thing)]
            if changed:
                self.version += 1
                for thing in changed:
                    thing.version = self.version
            return changed

    def _decide(self, thing: Thing) -> bool:
        """Look up what was decided about a thing; whether that is something else than before."""
        if thing.kind == ATTEMPTS:
            return False
        state = self.state_of(thing)
        changed = state.decisions != thing.state.decisions
        thing.state = state
        return changed

    def counts(self) -> dict[str, int]:
        """How many things are decided how; rejected attempts are not counted."""
        with self._lock:
            if self._counted[0] != self.version:
                counts = dict.fromkeys(("all", *sorted(set(DECISIONS.values()))), 0)
                for thing in self.things.values():
                    if thing.kind == ATTEMPTS:
                        continue
                    counts["all"] += 1
                    counts[_COUNT_OF[thing.state.outcome]] += 1
                    counts["conflicts"] += thing.state.is_conflict
                self._counted = self.version, counts
            return dict(self._counted[1])

    def classes(self) -> list[tuple[str, int]]:
        """Names that things have now, and how many; those of rejected attempts are there, with 0."""
        with self._lock:
            counter: Counter[str] = Counter()
            for thing in self.things.values():
                counter[shown_class(thing.label)] += thing.kind != ATTEMPTS
            return sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))

    def class_names(self) -> list[str]:
        """Names that the filter by class knows: those that things have now, and those of their objects."""
        with self._lock:
            names = {shown_class(name) for thing in self.things.values() for name in (thing.label, thing.class_name)}
            return sorted(names)

    def recipe_counts(self) -> list[int]:
        """How many things each source has, without rejected attempts."""
        with self._lock:
            counter = Counter(thing.source for thing in self.things.values() if thing.kind != ATTEMPTS)
            return [counter[source] for source in range(len(self.fingerprints))]

    def kinds(self) -> list[str]:
        """Kinds that there are."""
        with self._lock:
            held = {thing.kind for thing in self.things.values()}
            return [kind for kind in KINDS if kind in held]

    def changed_since(self, version: int) -> list[Thing]:
        """Things whose decisions changed after a version, from first to last; not those that were listed since.

        Version 0, which a page asks for when it meets a server that was started again, gives all with a decision.
        """
        with self._lock:
            things = self.things.values()
            changed = [each for each in things if each.version > version or (version == 0 and each.state.decisions)]
            return sorted(changed, key=lambda thing: thing.version)

    def select(self, wanted: ThingFilter) -> list[Thing]:
        """The things that a filter leaves, sorted."""
        with self._lock:
            chosen = [thing for thing in self.things.values() if self._fits(thing, wanted)]
        chosen.sort(key=self._sort_key(wanted), reverse=wanted.reverse)
        return chosen

    def _fits(self, thing: Thing, wanted: ThingFilter) -> bool:
        if (thing.kind != wanted.kind) if wanted.kind else thing.kind == ATTEMPTS:
            return False
        if wanted.class_name and wanted.class_name not in (shown_class(thing.label), shown_class(thing.class_name)):
            return False
        if wanted.recipe and not self.fingerprints[thing.source].startswith(wanted.recipe):
            return False
        if wanted.decision == "conflicts":
            if not thing.state.is_conflict:
                return False
        elif wanted.decision and (thing.kind == ATTEMPTS or _COUNT_OF[thing.state.outcome] != wanted.decision):
            return False
        if wanted.key and wanted.key.casefold() not in shown_key(thing.key).casefold():
            return False
        size, score = thing.size_px, thing.score
        if (wanted.min_size is not None and size < wanted.min_size) or (
            wanted.max_size is not None and size > wanted.max_size
        ):
            return False
        # Without a score, a thing is neither above nor below any.
        return not (
            (wanted.min_score is not None and (score is None or score < wanted.min_score))
            or (wanted.max_score is not None and (score is None or score > wanted.max_score))
        )

    def _sort_key(self, wanted: ThingFilter) -> Callable[[Thing], Any]:
        def place(thing: Thing) -> tuple[Any, ...]:
            return thing.key, thing.source, thing.variant, thing.insertion

        if wanted.sort == "size":
            return lambda thing: (thing.size_px, place(thing))
        if wanted.sort == "score":
            return lambda thing: (2.0 if thing.score is None else thing.score, place(thing))
        if wanted.sort == "class":
            return lambda thing: (thing.label, place(thing))
        if wanted.sort == "random":
            seed = wanted.seed.encode("utf-8", "surrogatepass")[:64]
            return lambda thing: blake2b(thing.id.encode(), digest_size=8, key=seed).digest()
        return place


def recipe_objects(recipe: Mapping[str, Any]) -> list[str]:
    """Names of a recipe's objects, or domains, as its manifest holds them; a stranger may have written it.

    Example:
        >>> recipe_objects({"objects": [{"name": "cow"}, 3]}), recipe_objects({"domains": ["fog"]})
        (['cow'], ['fog'])
    """
    objects, domains = recipe.get("objects"), recipe.get("domains")
    named = [item.get("name") for item in objects if isinstance(item, Mapping)] if isinstance(objects, list) else []
    found = [*named, *(domains if isinstance(domains, list) else [])]
    return [name for name in found if isinstance(name, str)]
