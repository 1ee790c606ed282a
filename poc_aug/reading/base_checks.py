"""What is checked of every base item, before anything is written to it: its ids, its image, its classes."""

from __future__ import annotations

import logging

from poc_aug.cache import Cache
from poc_aug.errors import LabelPolicyError, NextStep
from poc_aug.items import image_digest as digest
from poc_aug.items.open_item import OpenItem
from poc_aug.labels.label_digest import check_labels
from poc_aug.labels.label_policy import ChecksBase, LabelPolicy
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.schema import LabelSchema, check_label_ids
from poc_aug.types import Variant

_logger = logging.getLogger("poc_aug")


class BaseChecks:
    """Checks of a dataset's items; each process has a copy of its own.

    Args:
        schema: schema of the base's labels, where it is known.
        policy: what writes into them.
        compare_labels: compare labels, by class name, with those that insertions were made for.
        advice: the next step if an image is another one, see `poc_aug.keys.key_advice`.

    Raises:
        LabelPolicyError: ``policy`` is none.
    """

    def __init__(self, schema: LabelSchema | None, policy: LabelPolicy, compare_labels: bool, advice: NextStep) -> None:
        if not callable(getattr(policy, "resolve", None)):
            raise LabelPolicyError(
                f"label_policy={policy!r}",
                expected="a label policy: OodLabels(254), NewClassLabels({'cat': 19}) or AnomalyLabels()",
                hint=f"pass label_policy=OodLabels({policy})" if isinstance(policy, int) else "pass one of them",
            )
        self._schema, self._policy, self._compare_labels, self._advice = schema, policy, compare_labels, advice
        self._told_incomparable = False

    def check_ids(self, item: OpenItem) -> None:
        """Check an item's ids, whether it will show insertions or not: 0.5 to 1.3 ms of 2048×1024 labels, PIL's 0.9 ms.

        Raises:
            SchemaError: an id that the schema does not know, or labels that are no classes.
            LabelPolicyError: without a schema: an id of the policy that the labels hold already.
        """
        ids = item.labels.ids()
        check_label_ids(ids, self._schema, item.key)
        if isinstance(self._policy, ChecksBase):
            self._policy.check_base(ids, self._schema, item.key)

    def check_match(self, item: OpenItem, variant: Variant, cache: Cache) -> None:
        """Check that image and labels are those that a variant was made for: 0.1 ms.

        Where the labels cannot be compared, since the two schemas share no name there, one warning is logged.

        Raises:
            CacheDatasetMismatchError: another image.
            SchemaError: other labels, or labels that are read by a wrong schema.
        """
        made_from = cache.manifest.dataset
        seen = digest.digest_of(item.image)
        digest.check_match(variant.digest, seen, item.key, cache.path, made_from, self._advice)
        partial = self._schema is None
        schema = self._policy.known_schema if partial and isinstance(self._policy, OodLabels) else self._schema
        if not self._compare_labels or schema is None or not variant.label_digest:
            return
        made_by = made_from.get("schema")
        compared = check_labels(
            variant.label_digest, item.labels, schema, item.key, cache.path, made_by, partial=partial
        )
        if not (compared or partial or self._told_incomparable):
            self._told_incomparable = True
            _logger.warning(
                "The labels of %r, read by schema %r, cannot be compared with those that the cache %r was made from: "
                "they share no class name with what schema %r showed. Whether they are read right is not known, here "
                "and in samples like it",
                item.key,
                schema.name,
                str(cache.path),
                made_by,
            )
