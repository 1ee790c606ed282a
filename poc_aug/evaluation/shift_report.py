"""What an evaluation over shifts found: figures on the clean frames, and in each domain at each severity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poc_aug.evaluation.anomalies import EvaluationResult
from poc_aug.evaluation.closed_set import ClassResult

CLEAN = "clean"
"""The domain of the frames as they are, at severity 0."""

HIGHER_IS_BETTER = {
    **{"mIoU": True, "ECE": False, "AUROC of confidence": True},
    **{"AuPRC": True, "FPR95": False, "AUROC": True, "sIoU": True, "component F1": True, "open-IoU TPR95": True},
}
"""The figures that tables and plots show, and whether more is better."""


@dataclass(frozen=True)
class ShiftResult:
    """The result in one domain at one severity.

    Attributes:
        domain: the domain, with the name of its cache if there is one; `CLEAN` for the frames as they are.
        severity: 1 to 5; 0 for the frames as they are.
        left_out: frames that are not evaluated since the cache says that each attempt at them was rejected.
        classes: the result on known classes, if they were asked for.
        anomalies: the result on anomalies, if the dataset has some.

    Example:
        >>> from poc_aug.evaluation.closed_set import ClassResult
        >>> from poc_aug.evaluation.shift_report import ShiftResult
        >>> known = ClassResult("streets", 4, {"road": 0.9, "car": 0.5}, (), 1.0, {"ECE": 0.1, "AUROC": 0.8})
        >>> ShiftResult("fog", 3, classes=known).figures
        {'mIoU': 0.7, 'ECE': 0.1, 'AUROC of confidence': 0.8}
    """

    domain: str
    severity: int
    left_out: int = 0
    classes: ClassResult | None = None
    anomalies: EvaluationResult | None = None

    @property
    def figures(self) -> dict[str, float]:
        """The figures of `HIGHER_IS_BETTER` that there are; those on anomalies as "FIGURE, SCORE"."""
        figures: dict[str, float] = {}
        if self.classes is not None:
            figures["mIoU"] = self.classes.mean_iou
            known = {"ECE": "ECE", "AUROC": "AUROC of confidence"}
            figures |= {known[name]: value for name, value in self.classes.confidence.items() if name in known}
        for score, result in ({} if self.anomalies is None else self.anomalies.scores).items():
            values = {**result.pixels, **result.components, **result.open_set}
            figures |= {f"{name}, {score}": values[name] for name in HIGHER_IS_BETTER if name in values}
        return figures

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        parts = {"classes": self.classes, "anomalies": self.anomalies}
        return {
            **{"domain": self.domain, "severity": self.severity, "left_out": self.left_out},
            **{name: part.to_dict() for name, part in parts.items() if part is not None},
        }


@dataclass(frozen=True)
class ShiftReport:
    """The results of one dataset: first on its clean frames, then in each domain at each severity.

    Attributes:
        dataset: its name.
        results: one per domain and severity.

    Example:
        >>> from poc_aug.evaluation.shift_report import ShiftReport, ShiftResult
        >>> report = ShiftReport("streets", (ShiftResult("clean", 0), ShiftResult("fog", 1), ShiftResult("fog", 2)))
        >>> report.domains, report.at("fog", 2).severity
        (('fog',), 2)
    """

    dataset: str
    results: tuple[ShiftResult, ...]

    @property
    def clean(self) -> ShiftResult:
        """The result on the frames as they are."""
        return self.results[0]

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains, without that of the clean frames."""
        return tuple(dict.fromkeys(result.domain for result in self.results[1:]))

    def at(self, domain: str, severity: int) -> ShiftResult:
        """The result in a domain at a severity.

        Raises:
            KeyError: it was not evaluated.
        """
        for result in self.results:
            if (result.domain, result.severity) == (domain, severity):
                return result
        raise KeyError(f"{domain} at severity {severity}")

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"dataset": self.dataset, "results": [result.to_dict() for result in self.results]}
