"""Figures as JSON values and in tables: one that is undefined is null, or a dash, and the report says why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any


def json_figures(figures: Mapping[str, float], reason: Callable[[str], str]) -> dict[str, Any]:
    """Figures as JSON values, which know no NaN and no infinity.

    Args:
        figures: figures by name.
        reason: why a figure is NaN, by its name.

    Returns:
        The figures, ``None`` for those that are not finite, and then "undefined": the reasons by name.

    Example:
        >>> from poc_aug.evaluation.figure_values import json_figures
        >>> json_figures({"AUROC": float("nan"), "accuracy": 1.0}, lambda name: "no pixel is wrong")
        {'AUROC': None, 'accuracy': 1.0, 'undefined': {'AUROC': 'no pixel is wrong'}}
    """
    values = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    reasons = {
        name: reason(name) if math.isnan(value) else f"{'-' if value < 0 else ''}infinite"
        for name, value in figures.items()
        if not math.isfinite(value)
    }
    return {**values, "undefined": reasons} if reasons else values


def percent(value: float | None) -> str:
    """A figure in percent for a table; a dash if it is undefined.

    Example:
        >>> from poc_aug.evaluation.figure_values import percent
        >>> percent(0.1234), percent(float("nan")), percent(None)
        ('12.34', '–', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.2f}"
