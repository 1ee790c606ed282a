"""The BRAVO index of a whole evaluation: of all labelled datasets and all datasets with anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from poc_aug.evaluation.anomalies import EvaluationResult
from poc_aug.evaluation.closed_set import ClassResult
from poc_aug.evaluation.figure_values import json_figures
from poc_aug.metrics import bravo_index


def bravo_values(results: Sequence[EvaluationResult], closed: Sequence[ClassResult]) -> dict[str, dict[str, Any]]:
    """The BRAVO index of an evaluation, by score: all labelled datasets against all datasets with anomalies.

    Returns:
        ``semantic``, ``ood`` and ``index`` as JSON values, by score name; nothing without datasets of both kinds.

    Example:
        >>> from poc_aug.evaluation.anomalies import EvaluationResult, ScoreResult
        >>> from poc_aug.evaluation.closed_set import ClassResult
        >>> from poc_aug.evaluation.bravo_report import bravo_values
        >>> confidence = {"ECE": 0.1, "AUROC": 0.9, "FPR95": 0.4, "AUPR-Success": 0.98, "AUPR-Error": 0.45}
        >>> closed = ClassResult("camvid", 26, {"road": 0.5}, absent=(), seconds=3.2, confidence=confidence)
        >>> score = ScoreResult({"AuPRC": 0.4, "AUROC": 0.9, "FPR95": 0.4})
        >>> values = bravo_values([EvaluationResult("RoadAnomaly", 60, 0, {"msp": score}, 12.3)], [closed])
        >>> {name: round(value, 3) for name, value in values["msp"].items()}
        {'semantic': 0.657, 'ood': 0.568, 'index': 0.61}
    """
    if not results or not closed:
        return {}
    semantic = [{"mIoU": result.mean_iou, **result.confidence} for result in closed]
    scores = [name for name in results[0].scores if all(name in result.scores for result in results)]
    return {
        name: json_figures(
            asdict(bravo_index(semantic, [result.scores[name].pixels for result in results])),
            lambda name: "one of its figures is undefined",
        )
        for name in scores
    }
