"""Checks of the arguments of label policies; each raises a `LabelPolicyError`."""

from __future__ import annotations

from collections.abc import Mapping

from poc_aug.errors import LabelPolicyError
from poc_aug.labels.schema import class_key


def check_label_id(what: str, label_id: int) -> None:
    """Check that a label id is an integer of up to 64 bits; ``what`` names it in the message."""
    if not isinstance(label_id, int) or isinstance(label_id, bool):
        raise LabelPolicyError(f"{what}={label_id!r}", expected="an integer label id")
    if not -(2**63) <= label_id < 2**63:
        raise LabelPolicyError(f"{what}={label_id}", expected="a label id that the largest dtype, int64, can hold")


def check_names(what: str, ids: Mapping[str, int]) -> None:
    """Check that ids of class names are integers, and that two spellings of a name have one id."""
    if not isinstance(ids, Mapping) or not all(isinstance(name, str) for name in ids):
        raise LabelPolicyError(f"{what}={ids!r}", expected="label ids by class name, such as {'car': 13}")
    spelt: dict[str, str] = {}
    for name, label_id in ids.items():
        check_label_id(f"{what}[{name!r}]", label_id)
        other = spelt.setdefault(class_key(name), name)
        if ids[other] != label_id:
            raise LabelPolicyError(
                f"{what} gives one class two ids: {other!r} {ids[other]}, {name!r} {label_id}",
                expected="one id per class",
            )


def check_ring(ring_px: int) -> None:
    """Check that the width of a ring is a number of pixels."""
    if not isinstance(ring_px, int) or isinstance(ring_px, bool) or ring_px < 0:
        raise LabelPolicyError(f"ring_px={ring_px!r}", expected="a whole number of pixels, 0 or more")
