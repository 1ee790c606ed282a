"""Figures that are not defined for a dataset, such as a precision without a prediction: ``null`` and a reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def json_figures(figures: Mapping[str, float], quantiles: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Figures as JSON values: those that are not finite are ``None``, and "undefined" says why.

    Args:
        figures: figures by name.
        quantiles: quantiles of the scores of "known" and "anomalous" pixels; empty if there is no such pixel.

    Example:
        >>> from poc_aug.evaluation.undefined_figures import json_figures
        >>> json_figures({"AUROC": float("nan")}, {"known": [0.1], "anomalous": []})
        {'AUROC': None, 'undefined': {'AUROC': 'no evaluated pixel is anomalous'}}
        >>> json_figures({"AUROC": 0.5}, {"known": [0.1], "anomalous": [0.2]})
        {'AUROC': 0.5}
    """
    missing = [kind for kind in ("known", "anomalous") if kind in quantiles and not quantiles[kind]]
    reason = {"known": "no evaluated pixel is in-distribution", "anomalous": "no evaluated pixel is anomalous"}
    why = " and ".join(reason[kind] for kind in missing) or "it divides by a count that is 0 for these frames"
    undefined = {name: why for name, value in figures.items() if not math.isfinite(value)}
    values: dict[str, Any] = {name: None if name in undefined else value for name, value in figures.items()}
    return {**values, "undefined": undefined} if undefined else values


def percent(value: float | None) -> str:
    """A figure in percent for a table; a dash if it is not defined.

    Example:
        >>> from poc_aug.evaluation.undefined_figures import percent
        >>> percent(0.1234), percent(float("nan")), percent(None)
        ('12.34', '–', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.2f}"
