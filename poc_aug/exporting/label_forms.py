"""``--labels ood:254|ids|anomaly``: the label policies of an export, and which ids are anomalies in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from poc_aug.errors import ExportError, SettingError
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.files.yaml_files import read_yaml
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.policy_protocol import LabelPolicy
from poc_aug.labels.schema import LabelSchema
from poc_aug.recipe import IGNORED

FORMS = "ood:254, ids or anomaly"
"""The label forms, for messages."""


def parse_label_form(
    text: str,
    *,
    ids: str | None = None,
    ring_px: int = 0,
    classes: Sequence[str] = (),
    schema: LabelSchema | None = None,
) -> LabelPolicy:
    """The label policy that ``--labels`` names.

    Args:
        text: "ood", "ood:ID", "ids" or "anomaly".
        ids: ids of new classes, "cat=19,dog=20" or a YAML file, with "ids".
        ring_px: width of a ring of ignored pixels around each object.
        classes: class names of the objects, in their recipe's order: without ``ids``, they are numbered in it.
        schema: schema of the labels; its classes keep their ids.

    Raises:
        SettingError: none of them, or ids that cannot be read.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> parse_label_form("ood:254")
        OodLabels(ring_px=0, ignore_id=None, ood_id=254, known=None, void=False)
        >>> parse_label_form("ids", classes=["cat", "car", "dog"], schema=SCHEMAS["cityscapes-trainIds"]).ids
        {'cat': 19, 'dog': 21}
    """
    form, colon, value = text.partition(":")
    if form != "ids" and ids is not None:
        raise SettingError(f"--ids {ids} with --labels {text}", expected="--labels ids", hint="leave --ids out")
    if form == "ood" and (not colon or value.isascii()) and (value.isdigit() or not colon):
        return OodLabels(int(value) if value else 254, ring_px=ring_px)
    if form == "ids" and not colon:
        numbered = _new_ids(classes, schema) if ids is None else _given_ids(ids)
        return NewClassLabels(numbered, ring_px=ring_px)
    if form == "anomaly" and not colon:
        return AnomalyLabels(ring_px=ring_px)
    raise SettingError(f"--labels {text}", expected=FORMS, hint="ood:254 suits most OOD fine-tuning code")


def anomaly_ids(policy: LabelPolicy, ids: Mapping[str, int], schema: LabelSchema | None) -> frozenset[int]:
    """The label ids that mean "not a class of the base" under a policy: those of objects, and of the base's anomalies.

    Args:
        policy: the label policy.
        ids: its label id of each inserted class.
        schema: schema of the labels that it rewrites.

    Example:
        >>> sorted(anomaly_ids(OodLabels(254), {"dog": 254, "car": 13}, None))
        [254]
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> sorted(anomaly_ids(NewClassLabels({"cat": 19}), {"cat": 19, "car": 13}, SCHEMAS["cityscapes-trainIds"]))
        [19]
    """
    if isinstance(policy, AnomalyLabels):
        return frozenset((1,))
    base = frozenset(schema.id_of(name) for name in schema.ood) if schema is not None else frozenset()
    if isinstance(policy, OodLabels):
        return base | {policy.ood_id}
    known: Iterable[int] = () if schema is None else schema.known_ids - base
    return base | {label_id for name, label_id in ids.items() if name != IGNORED} - frozenset(known)


def check_eight_bits(plan: ExportPlan) -> None:
    """Check that all ids that may be written fit into 8 bits.

    Raises:
        ExportError: one does not.

    Example:
        >>> plan = ExportPlan(None, NewClassLabels({"cat": 300}), {"cat": 300}, 1, ("train",), False, {})
        >>> check_eight_bits(plan)
        Traceback (most recent call last):
        poc_aug.errors.ExportError: class 'cat' has label id 300
        Expected: ids of 0 to 255: the labels are PNGs of 8 bits
        Next step: choose other ids for the new classes: NewClassLabels({'cat': 19})
    """
    written = {f"class {name!r}": label_id for name, label_id in plan.ids.items()}
    if plan.policy.ring_px:
        written["the ring"] = plan.policy.ring_id(plan.schema)
    base: dict[str, int] = {}
    if plan.schema is not None and not plan.policy.rewrites_base:
        ids = plan.schema.ids.items()
        # -1 ("license plate") is in the list of Cityscapes' classes and in none of its files.
        base = {f"class {name!r} of schema {plan.schema.name!r}": label_id for name, label_id in ids if label_id != -1}
    for name, label_id in {**base, **written}.items():
        if not 0 <= label_id <= 255:
            new = name not in base
            raise ExportError(
                f"{name} has label id {label_id}",
                expected="ids of 0 to 255: the labels are PNGs of 8 bits",
                hint="choose other ids for the new classes: NewClassLabels({'cat': 19})"
                if new
                else "pass another schema=",
                command="choose other ids: --labels ids --ids cat=19,dog=20"
                if new
                else "give another schema: --schema",
            )


def _new_ids(classes: Sequence[str], schema: LabelSchema | None) -> dict[str, int]:
    """Ids of new classes, as `preset_ids` numbers them: a class of the schema uses up a number, and keeps its id."""
    known = schema.known_ids - set(schema.ignore) if schema is not None else frozenset()
    ignored = set(schema.ignore) if schema is not None else {255}
    free = (label_id for label_id in itertools.count(max(known, default=-1) + 1) if label_id not in ignored)
    numbered = dict(zip(dict.fromkeys(classes), free, strict=False))
    return {name: label_id for name, label_id in numbered.items() if schema is None or schema.known_id(name) is None}


def _given_ids(text: str) -> dict[str, int]:
    if Path(text).suffix in (".yaml", ".yml"):
        values = read_yaml(text, SettingError)
    else:
        values = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
        if len(values) != len(text.split(",")):
            raise SettingError(f"--ids {text}", expected="each class once, 'cat=19,dog=20', or a YAML file")
    numbers = {}
    for name, value in values.items():
        if not isinstance(value, int) and not (
            isinstance(value, str) and value.strip().isascii() and value.strip().isdigit()
        ):
            raise SettingError(f"--ids: {name}={value}", expected="a whole number for each class: 'cat=19,dog=20'")
        numbers[str(name).strip()] = int(value)
    return numbers
