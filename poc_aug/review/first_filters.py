"""What a page shows first: checked when the review is started, where whoever typed it can read the answer."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from poc_aug.errors import SettingError
from poc_aug.review.review import Review
from poc_aug.review.review_requests import RequestRefused, filter_of
from poc_aug.review.shown_text import shown_class

FIRST_FILTERS = ("key", "decision", "class", "kind", "recipe", "min_size", "max_size", "min_score", "max_score", "sort")
"""Names that the filters of a page's address have."""
_MOST_LISTED = 30


def check_filters(review: Review, filters: Mapping[str, str]) -> None:
    """Check that what a page shall show first is there.

    Args:
        review: what is reviewed; if its recipes have no object of the class, its things are waited for.
        filters: what the page shows first, as ``{"class": "cow"}``.

    Raises:
        SettingError: there is no such filter, or a class, recipe or other value that it cannot have.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from pathlib import Path
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> with TemporaryDirectory() as folder:
        ...     CacheWriter(Path(folder) / "a.cache", Manifest.create({"objects": [{"name": "cow"}]}, {}, {})).close()
        ...     with Review([Path(folder) / "a.cache"]) as review:
        ...         check_filters(review, {"class": "cow"})
    """
    if unknown := next((name for name in filters if name not in FIRST_FILTERS), None):
        raise SettingError(f"a filter {unknown[:60]!a}", expected=f"one of {', '.join(FIRST_FILTERS)}")
    try:
        wanted = filter_of(filters)
    except RequestRefused as error:
        raise SettingError(error.problem, expected=error.expected) from None
    recipes = list(dict.fromkeys(review.index.fingerprints))
    if not any(each.startswith(wanted.recipe) for each in recipes):
        raise SettingError(f"{review.name} holds no recipe {wanted.recipe[:60]!a}", expected=_one_of(recipes))
    if not wanted.class_name or wanted.class_name in {shown_class(name) for names in review.objects for name in names}:
        return
    review.wait()
    known = review.index.class_names()
    if wanted.class_name not in known:
        close = get_close_matches(wanted.class_name, known, n=1)
        raise SettingError(
            f"{review.name} has no class {wanted.class_name[:60]!a}",
            expected=_one_of(known) if known else "a cache with insertions, frames or rejected attempts",
            hint=f"did you mean {close[0]!a}?" if close else "",
        )


def _one_of(names: list[str]) -> str:
    rest = len(names) - _MOST_LISTED
    return f"one of: {', '.join(names[:_MOST_LISTED])}" + (f", and {rest} more" if rest > 0 else "")
