"""`BaseChecks`: what is checked of every base item before anything is written to it: its ids, image and classes."""

from __future__ import annotations

import logging

from poc_aug.cache import Cache
from poc_aug.errors import LabelPolicyError, NextStep
from poc_aug.items import image_digest as digest
from poc_aug.items.open_item import OpenItem
from poc_aug.labels.label_digest import check_labels
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.policy_protocol import ChecksBase, LabelPolicy
from poc_aug.labels.schema import LabelSchema, check_label_ids
from poc_aug.types import Variant

_logger = logging.getLogger("poc_aug")


class BaseChecks:
    """Checks of a dataset's items; each process has a copy of its own.

    Args:
        schema: schema of the base's labels, if it is known.
        policy: the label policy that will write into them.
        compare_labels: compare labels, by class name, with those that the insertions were made for.
        advice: the next step if an image is another one, see `poc_aug.keys.key_advice`.

    Raises:
        LabelPolicyError: ``policy`` is not a label policy.
    """

    def __init__(self, schema: LabelSchema | None, policy: LabelPolicy, compare_labels: bool, advice: NextStep) -> None:
        if not callable(getattr(policy, "resolve", None)):
            raise LabelPolicyError(
                f"label_policy={policy!r}",
                expected="a label policy: OodLabels(254), NewClassLabels({'cat': 19}) or AnomalyLabels()",
                hint=f"pass label_policy=OodLabels({policy})" if isinstance(policy, int) else "pass one of them",
            )
        self._schema, self._advice = schema, advice
        # Without the base's schema, a policy may check for itself, and what it says of known classes may be compared.
        self._policy = policy if schema is None and isinstance(policy, ChecksBase) else None
        partial_schema = policy.known_schema if isinstance(policy, OodLabels) else None
        self._compared_by = (schema or partial_schema) if compare_labels else None
        self._warned = False

    def check_ids(self, item: OpenItem) -> None:
        """Check an item's label ids, whether it will show insertions or not.

        It takes 0.5 to 1.3 ms for labels of 2048×1024 pixels; 0.9 ms for a PIL image.

        Raises:
            SchemaError: an id that the schema does not know, or labels that are not class ids.
            LabelPolicyError: without a schema, an id of the policy that the labels use already.
        """
        ids = item.labels.ids()
        check_label_ids(ids, self._schema, item.key)
        if self._policy is not None:
            self._policy.check_base(ids, self._schema, item.key)

    def check_match(self, item: OpenItem, variant: Variant, cache: Cache) -> None:
        """Check that image and labels, whose ids are checked, are those that a variant was made for: 0.1 ms.

        If the labels cannot be compared, because the two schemas share none of the class names shown, one warning is
        logged.

        Raises:
            CacheDatasetMismatchError: another image.
            SchemaError: other labels, or labels that are read with a wrong schema.
        """
        made_from = cache.manifest.dataset
        current = digest.digest_of(item.image)
        digest.check_match(variant.digest, current, item.key, cache.path, made_from, self._advice)
        schema, partial = self._compared_by, self._schema is None
        if schema is None or not variant.label_digest:
            return
        made_by = made_from.get("schema")
        compared = check_labels(
            variant.label_digest, item.labels, schema, item.key, cache.path, made_by, partial=partial, checked=True
        )
        if not (compared or partial or self._warned):
            self._warned = True
            _logger.warning(
                "The labels of %r, read by schema %r, cannot be compared with those that the cache %r was made from: "
                "they share no class name with what schema %r showed. Whether they are read right is not known, here "
                "and in samples like it",
                item.key,
                schema.name,
                str(cache.path),
                made_by,
            )
