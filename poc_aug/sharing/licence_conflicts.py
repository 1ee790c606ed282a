"""Whether the licence of a packed cache goes with those of what it was made with; see `licence_conflicts`."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence

from poc_aug.counting import count_of
from poc_aug.sharing.datasheet_counts import RecipeCounts
from poc_aug.sharing.licences import licence_terms, model_licences

_NON_COMMERCIAL = re.compile(r"(^|[-.])nc($|[-.])|non-?commercial|research|amlr")
_NOT_JUDGED = ("other", "unknown", "cc")
_MOST_SHOWN = 5


def licence_conflicts(given: str, recipes: Sequence[RecipeCounts]) -> list[str]:
    """Sources whose licences forbid what the licence of the whole allows, one text each; none if no licence is given.

    Only what licences say for sure is compared: bans of commercial use and of derivatives, and that what is made from a
    source is to have its licence. It is no legal advice: whoever shares a cache may have agreed otherwise.

    Args:
        given: licence of the packed cache, as an id of the Hugging Face hub.
        recipes: what was counted of it.

    Example:
        >>> from poc_aug.cache import Manifest
        >>> counts = RecipeCounts(Manifest.create({}, {}, {}), made_with="")
        >>> counts.licences.update({"CC-BY-NC-2.0": 3, "CC-BY-2.0": 4})
        >>> licence_conflicts("cc-by-4.0", [counts])
        ['pictures of 3 insertions have the licence CC-BY-NC-2.0, which bans commercial use']
        >>> licence_conflicts("cc-by-nc-4.0", [counts]), licence_conflicts("", [counts])
        ([], [])
    """
    if not given or given in _NOT_JUDGED:
        return []
    found = []
    objects = sum((one.licences for one in recipes), Counter[str]())
    for licence, count in objects.most_common():
        if why := _broken(given, licence):
            pictures = f"{'the picture' if count == 1 else 'pictures'} of {count_of(count, 'insertion')}"
            named = min((name for one in recipes for name in one.attributions.get(licence, ())), default="")
            have = f"{f' (such as {named})' if named else ''} {'has' if count == 1 else 'have'}"
            found.append(f"{pictures}{have} the licence {licence}, which {' and '.join(why)}")
    models = dict.fromkeys(model for one in recipes for model in model_licences(one.manifest.backends))
    if not _is_non_commercial(given):
        banned = dict.fromkeys((one.model, one.licence) for one in models if one.non_commercial)
        found += [f"model {model} has the licence {licence}, which bans commercial use" for model, licence in banned]
    return found


def warn_of_conflicts(given: str, recipes: Sequence[RecipeCounts]) -> tuple[str, ...]:
    """`licence_conflicts`, after a warning that names them, if there are any."""
    found = licence_conflicts(given, recipes)
    if found:
        more = f"; and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        warnings.warn(
            f"the licence {given} of the packed cache contradicts those of its sources: "
            f"{'; '.join(found[:_MOST_SHOWN])}{more}. Give it one that goes with all of them, or "
            "none, or drop what was made with them",
            stacklevel=4,
        )
    return tuple(found)


def _broken(given: str, licence: str) -> list[str]:
    """What a source's licence asks for, and the given one does not."""
    asked, kept = licence_terms(licence), licence_terms(given)
    why = []
    if "non-commercial" in asked and not _is_non_commercial(given):
        why.append("bans commercial use")
    if "no derivatives" in asked and "no derivatives" not in kept:
        why.append("allows no derivatives")
    # That licence names the other one as compatible.
    also = licence.upper().replace(" ", "-") == "CC-BY-SA-4.0" and given == "gpl-3.0"
    if "share-alike" in asked and kept != asked and not also:
        why.append("asks for the same licence")
    return why


def _is_non_commercial(given: str) -> bool:
    return _NON_COMMERCIAL.search(given.lower()) is not None
