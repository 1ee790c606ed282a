"""What was decided about a cache, in the words that ``poc-aug info``, a report and a notebook share."""

from __future__ import annotations

from collections.abc import Mapping

from poc_aug.cache import Cache
from poc_aug.cache.kept_summary import ReviewCounts, count_review
from poc_aug.inspection.notebook_view import plain_line

OUTCOME_WORDS: Mapping[str, str] = {
    "accept": "accepted",
    "drop": "rejected",
    "relabel": "relabelled",
    "skip": "skipped",
}
"""Outcomes of a `ReviewState` as people read them, in the order in which they are listed; the review page's words."""
_MOST_CHANGES = 20
_MOST_READ = 2_000
_MOST_CHARS = 60


def decision_facts(cache: Cache, review: ReviewCounts | None = None) -> list[tuple[str, str]]:
    """What was decided, as rows of a name and a text; none without a decision that stands.

    A decision that was undone, and the one that undoes it, do not count. One decision may be about many objects: these
    are counted by what holds of each.

    Args:
        cache: an opened cache.
        review: what `summarize_kept` counted. ``None``: it is counted here, unless that takes reading many records.

    Example:
        >>> from pathlib import Path
        >>> from poc_aug.cache import Manifest
        >>> decision_facts(Cache(Path("street.cache"), Manifest.create({}, {}, {})))
        []
    """
    decisions = len(cache.journal.counting)
    if not decisions:
        return []
    rows = [("journal", f"{decisions:,} decision{'' if decisions == 1 else 's'}")]
    if review is None:
        review = count_review(cache, most=_MOST_READ)
    if review is None:
        return [*rows, ("decided", f"see `poc-aug info`: more than {_MOST_READ:,} variants have to be read")]
    if decided := [_decided(review, outcome) for outcome in OUTCOME_WORDS if review.outcomes[outcome]]:
        rows.append(("decided", ", ".join(decided)))
    if review.names:
        rows.append(("relabelled", changed_names(review)))
    if review.conflicts:
        rows.append(("conflicts", f"reviewers disagree about {review.conflicts:,}"))
    return rows


def outcome_counts(review: ReviewCounts) -> list[tuple[str, int]]:
    """How many insertions, or frames, are accepted, rejected, relabelled and skipped; those of which there are some.

    Example:
        >>> from collections import Counter
        >>> outcome_counts(ReviewCounts(outcomes=Counter(drop=2, accept=1)))
        [('accepted', 1), ('rejected', 2)]
    """
    return [(word, review.outcomes[outcome]) for outcome, word in OUTCOME_WORDS.items() if review.outcomes[outcome]]


def changed_names(review: ReviewCounts) -> str:
    """Which classes were relabelled, and as what.

    Example:
        >>> from collections import Counter
        >>> changed_names(ReviewCounts(names=Counter({("dog", "horse"): 2})))
        '2 dog to horse'
    """
    changes = [
        f"{count:,} {plain_line(old, _MOST_CHARS)} to {plain_line(new, _MOST_CHARS)}"
        for (old, new), count in review.names.most_common(_MOST_CHANGES)
    ]
    more = len(review.names) - _MOST_CHANGES
    return ", ".join(changes) + (f", and {more:,} more" if more > 0 else "")


def _decided(review: ReviewCounts, outcome: str) -> str:
    who = {name: counts[outcome] for name, counts in sorted(review.by.items()) if counts[outcome]}
    named = ", ".join(
        f"{number:,} by {plain_line(name, _MOST_CHARS) if name else 'nobody named'}" for name, number in who.items()
    )
    return f"{review.outcomes[outcome]:,} {OUTCOME_WORDS[outcome]}" + ("" if list(who) == [""] else f" ({named})")
