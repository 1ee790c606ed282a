"""The index of the BRAVO challenge: one figure from closed-set, calibration, confidence and OOD figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from poc_aug.errors import SettingError
from poc_aug.number_settings import checked_number

SEMANTIC = ("mIoU", "ECE", "AUROC", "FPR95", "AUPR-Success", "AUPR-Error")
"""Figures of a labelled dataset that count, by their names here."""

OOD = ("AuPRC", "AUROC", "FPR95")
"""Figures of a dataset with anomalies that count."""

_LOWER_IS_BETTER = ("ECE", "FPR95")


@dataclass(frozen=True, slots=True)
class BravoIndex:
    """The result of `bravo_index`, each in [0, 1]; NaN if a figure is.

    Attributes:
        semantic: harmonic mean of the `SEMANTIC` figures of all labelled datasets.
        ood: harmonic mean of the `OOD` figures of all datasets with anomalies.
        index: harmonic mean of both.

    Example:
        >>> from poc_aug.metrics.bravo import BravoIndex
        >>> BravoIndex(semantic=0.6, ood=0.3, index=0.4).index
        0.4
    """

    semantic: float
    ood: float
    index: float


def bravo_index(semantic: Sequence[Mapping[str, Any]], ood: Sequence[Mapping[str, Any]]) -> BravoIndex:
    """The BRAVO index: harmonic means of figures, those of which lower is better as one minus them.

    Vu et al., *The BRAVO Semantic Segmentation Challenge Results in UNCV2024*, ECCV Workshops 2024, as the challenge's
    toolkit computes it (``valeoai/bravo_challenge``, ``summarize_results``): the figures of all datasets go into one
    harmonic mean per kind, and the index is the harmonic mean of the two. The challenge takes ``AUROC`` and the other
    OOD figures of one score, one minus the confidence ("msp" in `poc_aug.scores`). A mean that has a figure of 0 is 0.

    Args:
        semantic: the figures `SEMANTIC` of each labelled dataset, in [0, 1]; further ones are ignored.
        ood: the figures `OOD` of each dataset with anomalies, of one score.

    Raises:
        SettingError: no dataset of a kind, a figure that is missing, or one outside [0, 1].

    Example:
        >>> from poc_aug.metrics import bravo_index
        >>> camvid = {"mIoU": 0.5, "ECE": 0.1, "AUROC": 0.9, "FPR95": 0.4, "AUPR-Success": 0.98, "AUPR-Error": 0.45}
        >>> index = bravo_index([camvid], [{"AuPRC": 0.4, "AUROC": 0.9, "FPR95": 0.4}])
        >>> round(index.semantic, 3), round(index.ood, 3), round(index.index, 3)
        (0.657, 0.568, 0.61)
    """
    semantic_mean = _harmonic_mean(_figures("semantic", semantic, SEMANTIC))
    ood_mean = _harmonic_mean(_figures("ood", ood, OOD))
    return BravoIndex(semantic_mean, ood_mean, _harmonic_mean([semantic_mean, ood_mean]))


def _figures(side: str, datasets: Any, names: Iterable[str]) -> list[float]:
    """The figures of all datasets, higher is better."""
    if not isinstance(datasets, Sequence) or isinstance(datasets, str) or not datasets:
        raise SettingError(f"{side}={datasets!r}", expected="a list with the figures of at least one dataset")
    figures = []
    for figures_of_dataset in datasets:
        if not isinstance(figures_of_dataset, Mapping):
            raise SettingError(f"{side}: figures of type {type(figures_of_dataset).__name__}", expected="a mapping")
        for name in names:
            if name not in figures_of_dataset:
                raise SettingError(
                    f"{side}: no {name} among {', '.join(map(str, figures_of_dataset))}",
                    expected=f"the figures {', '.join(names)} of each dataset",
                )
            figures.append(_in_unit(f"{side} {name}", figures_of_dataset[name], name in _LOWER_IS_BETTER))
    return figures


def _in_unit(what: str, value: Any, lower_is_better: bool) -> float:
    number = float("nan") if _is_nan(value) else checked_number(what, value, most=1 + 1e-9)
    if number < -1e-9:
        raise SettingError(f"{what}={number}", expected="a figure in [0, 1], not in percent")
    return 1 - number if lower_is_better else number


def _is_nan(value: Any) -> bool:
    plain = value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
    return isinstance(plain, Real) and plain != plain


def _harmonic_mean(values: Sequence[float]) -> float:
    if any(value != value for value in values):
        return float("nan")
    if any(value <= 0 for value in values):
        return 0.0
    return len(values) / sum(1 / value for value in values)
