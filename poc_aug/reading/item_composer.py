"""`ItemComposer`: what is checked of an open item, and what is written into it; `Composer` and the dataset share it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from poc_aug.cache import Cache, UnitedCaches
from poc_aug.cache.united_caches import journal_class_names
from poc_aug.errors import CacheMismatchError, NextStep
from poc_aug.items.open_item import OpenItem
from poc_aug.labels.composed_schema import composed_schema
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.reading.base_checks import BaseChecks
from poc_aug.reading.compose import compose_image
from poc_aug.reading.compose_opacity import covered
from poc_aug.reading.label_writer import LabelWriter
from poc_aug.recipe import Recipe
from poc_aug.types import Variant


class ItemComposer:
    """Writes variants of caches into open items: their pixels, and labels as a label policy says.

    Args:
        schema: label schema of the items, if it is known.
        label_policy: turns class names into label ids.
        sigma_px: feather of the objects' edges in pixels.
        check_labels: compare the labels, by class name, with those that the insertions were made for.
        advice: the next step if an image is another one.

    Attributes:
        cache: what holds the insertions, from `read_from` on.
        recipes: the recipe of each cache.
        checks: what is checked of each item.

    Raises:
        LabelPolicyError: ``label_policy`` is not a label policy.
    """

    cache: Cache | UnitedCaches
    recipes: tuple[Recipe, ...]
    _labels: LabelWriter

    def __init__(
        self,
        schema: LabelSchema | None,
        label_policy: LabelPolicy,
        *,
        sigma_px: float,
        check_labels: bool,
        advice: NextStep,
    ) -> None:
        self.base_schema, self.label_policy, self.sigma_px = schema, label_policy, float(sigma_px)
        self.checks = BaseChecks(schema, label_policy, check_labels, advice)

    def read_from(self, cache: Cache | UnitedCaches) -> None:
        """Say what holds the insertions; the label ids of their classes are then known.

        Raises:
            CacheMismatchError: it holds frames, not insertions.
            LabelPolicyError: a class without an id, or a policy that needs a schema.
        """
        caches = cache.caches if isinstance(cache, UnitedCaches) else (cache,)
        if caches[0].manifest.kind != "insertions":
            raise CacheMismatchError(
                f"the cache {str(caches[0].path)!r} holds shifted frames",
                expected="a cache of insertions",
                hint="read it with SceneShiftDataset(base, shift, cache)",
            )
        self.cache = cache
        self.recipes = tuple(Recipe.from_dict(dict(each.manifest.recipe)) for each in caches)

    def resolve_ids(self) -> None:
        """Find the label ids of all classes that the caches may show.

        Raises:
            LabelPolicyError: a class without an id, or a policy that needs a schema.
        """
        caches = self.cache.caches if isinstance(self.cache, UnitedCaches) else (self.cache,)
        names = {part for recipe in self.recipes for spec in recipe.objects for part in spec.parts}
        names |= journal_class_names(caches)  # of objects that reviewers gave another class
        self._labels = LabelWriter(self.label_policy, self.base_schema, names)

    @property
    def ids(self) -> Mapping[str, int]:
        """Label id of each class name that inserted objects may have."""
        return self._labels.ids

    @property
    def max_sigma_px(self) -> float:
        """The largest feather for which the caches hold pixels."""
        return min(recipe.max_sigma_px for recipe in self.recipes)

    @property
    def schema(self) -> LabelSchema | None:
        """The schema of composed labels, inserted classes included; ``None`` if that of the items is not known."""
        if self.base_schema is None:
            return None
        return composed_schema(self.base_schema, self.label_policy, self._labels.ids)

    def write(self, item: OpenItem, variant: Variant | None, followed: Collection[str] = ()) -> None:
        """Write a variant into an open item, whose ids are checked.

        Args:
            item: the item.
            variant: one with insertions; ``None``: only labels change, if the policy rewrites them.
            followed: names of further maps of the item that will show the objects.

        Raises:
            CacheDatasetMismatchError, SchemaError: it was made for another frame, see `BaseChecks.check_match`.
            LabelPolicyError: an id that does not fit the labels' dtype.
        """
        if variant is not None:
            cache = self.cache.cache_of(variant.index) if isinstance(self.cache, UnitedCaches) else self.cache
            self.checks.check_match(item, variant, cache)
        insertions = () if variant is None else variant.insertions
        self._labels.write(item.labels, insertions)
        if variant is not None:
            compose_image(item.image, insertions, self.sigma_px)
            item.cover(partial(covered, insertions, item.size_hw, self.sigma_px), followed)
