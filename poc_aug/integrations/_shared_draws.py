"""Composers that write different labels, and share caches, epoch and the counts of what was read."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from poc_aug.cache import UnitedCaches
from poc_aug.cache.key_finder import KeyFinder
from poc_aug.composer import Composer
from poc_aug.counting import count_of
from poc_aug.errors import CacheMissError, NextStep
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.item_composer import ItemComposer


def rewriting(
    composer: Composer, policy: LabelPolicy, schema: LabelSchema | None, *, check_labels: bool, advice: str
) -> Composer:
    """A composer that draws what another one draws, in turn with it, and writes the labels of another schema.

    For pipelines that know only from their items which ids labels have, whereas the counts of reads have to be shared
    before the first worker starts.

    Args:
        composer: the composer that is shared.
        policy: the label policy.
        schema: the schema of the items.
        check_labels: compare the labels with those that the insertions were made for.
        advice: the next step if an image is not the one that the insertions were made for.

    Raises:
        LabelPolicyError: an inserted class without a label id, or one that is taken.
    """
    derived = copy.copy(composer)
    ItemComposer.__init__(
        derived, schema, policy, sigma_px=composer.sigma_px, check_labels=check_labels, advice=NextStep(advice, advice)
    )
    derived.resolve_ids()
    return derived


def check_some_held(composer: Composer, names: Iterable[Any]) -> None:
    """Check that the caches hold at least one of the items that have these names; nothing is checked of no names.

    Raises:
        CacheMissError: they hold none, and ``on_miss`` was not given.
    """
    if composer.on_miss == "original":
        return
    caches = composer.cache.caches if isinstance(composer.cache, UnitedCaches) else (composer.cache,)
    finders = [KeyFinder(cache) for cache in caches]
    first = None
    for name in names:
        first = name if first is None else first
        if isinstance(name, str) and any(finder.find(name) for finder in finders):
            return
    if first is not None:
        held = composer.cache.keys()
        raise CacheMissError(
            f"the cache holds none of the dataset's items, such as {first!r}",
            expected=f"items of its {count_of(len(held), 'key')}, such as {', '.join(map(repr, held[:2])) or '(none)'}",
            hint="check the path of the cache; key= says which field names an item; on_miss='original' leaves what it "
            "does not hold as it is",
        )
