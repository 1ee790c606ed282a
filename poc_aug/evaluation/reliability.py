"""Does a synthetic test set rank and grade models as a real one does? Correlations of their results (GenVal).

Loiseau et al., *Reliability in Semantic Segmentation: Can We Use Synthetic Data?*, ECCV 2024: the better results on
synthetic shifted data agree with those on real shifted data, model by model, the better the former can stand for the
latter.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from poc_aug.errors import MissingDependencyError, SettingError
from poc_aug.files.outputs import writing
from poc_aug.seeding import generator

Results: TypeAlias = Mapping[str, float]
"""One figure (an mIoU, an AuPRC) by model name."""

_Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
_COLUMNS = ("model", "synthetic", "real")
_LEAST_MODELS = 3


@dataclass(frozen=True, slots=True)
class Correlation:
    """One correlation coefficient, in [-1, 1], and its bootstrap interval.

    Attributes:
        value: over all models.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """Agreement of results on synthetic and on real data.

    Attributes:
        models: names, sorted.
        synthetic: results on synthetic data, in the models' order.
        real: results on real data.
        pearson: linear correlation.
        spearman: rank correlation.
        kendall: rank correlation tau-b: pairs of models in the same order, over those in another.
        confidence: level of the intervals.
        resamples: resamples drawn for the intervals.
        degenerate: those of them that were left out: one of the sides was constant, so nothing correlates.
    """

    models: tuple[str, ...]
    synthetic: tuple[float, ...] = field(repr=False)
    real: tuple[float, ...] = field(repr=False)
    pearson: Correlation
    spearman: Correlation
    kendall: Correlation
    confidence: float
    resamples: int
    degenerate: int

    @property
    def n(self) -> int:
        """Number of models."""
        return len(self.models)

    @property
    def correlations(self) -> dict[str, Correlation]:
        """The three by name."""
        return {"pearson": self.pearson, "spearman": self.spearman, "kendall": self.kendall}

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "n": self.n,
            "confidence": self.confidence,
            "resamples": self.resamples,
            "degenerate": self.degenerate,
            **{name: {"value": c.value, "low": c.low, "high": c.high} for name, c in self.correlations.items()},
            "results": [
                dict(zip(_COLUMNS, row, strict=True))
                for row in zip(self.models, self.synthetic, self.real, strict=True)
            ],
        }

    def plot(self, path: str | Path, *, label: str = "") -> Path:
        """Draw a point a model, its name, the line of equal results, and the three coefficients.

        Args:
            path: picture; its folder is made. The format follows the suffix.
            label: what was measured, for the axes ("mIoU").

        Returns:
            The path.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        # A figure of its own, without pyplot: that one keeps figures and picks a backend for the whole process.
        figure = _module("matplotlib.figure").Figure(figsize=(5.6, 5.2), layout="constrained")
        axes = figure.subplots()
        axes.scatter(self.synthetic, self.real, s=24, zorder=3)
        for name, x, y in zip(self.models, self.synthetic, self.real, strict=True):
            axes.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize="x-small", parse_math=False)
        ends = [min(*self.synthetic, *self.real), max(*self.synthetic, *self.real)]
        axes.plot(ends, ends, color="grey", linewidth=1, linestyle="--", label="equal")
        told = [f"{name} {c.value:.2f} [{c.low:.2f}, {c.high:.2f}]" for name, c in self.correlations.items()]
        axes.set_title(f"{self.n} models, {self.confidence:.0%} intervals\n" + "   ".join(told), fontsize="x-small")
        axes.set_xlabel(f"{label} on synthetic data".strip(), parse_math=False)
        axes.set_ylabel(f"{label} on real data".strip(), parse_math=False)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small", loc="lower right")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path):
            figure.savefig(path, dpi=150)
        return path


def reliability(
    synthetic: Results | str | Path,
    real: Results | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> Reliability:
    """Correlate models' results on synthetic and on real data.

    The intervals are percentiles of the coefficients over models drawn anew with replacement. A resample in which a
    side is constant (one model drawn every time: 11% of them with three models) has no coefficient and is left out;
    how many were is told. With few models the intervals are rough: mind ``n``.

    Args:
        synthetic: result by model; or, without ``real``, a file of both, see `read_results`.
        real: result by model, for the same models.
        confidence: level of the intervals, between 0 and 1.
        resamples: how many are drawn.
        seed: of the draws; the models' order does not matter.

    Raises:
        SettingError: fewer than three models, models with one result only, results that are constant or not finite, a
            file that cannot be read, a confidence or number of resamples that is none.
        MissingDependencyError: SciPy is not installed.
    """
    if not 0 < confidence < 1:
        raise SettingError(
            f"confidence={confidence}", expected="between 0 and 1", hint="confidence=0.95", command="--confidence 0.95"
        )
    if resamples < 1:
        raise SettingError(f"resamples={resamples}", expected="1 or more")
    if isinstance(synthetic, (str, Path)):
        if real is not None:
            raise SettingError(
                f"synthetic={str(synthetic)!r} with real results", expected="a file of both, or two mappings"
            )
        synthetic, real = read_results(synthetic)
    elif real is None:
        raise SettingError("real=None", expected="results by model on the real data too")
    models = _common_models(synthetic, real)
    x, y = _values("synthetic", synthetic, models), _values("real", real, models)
    stats = _module("scipy.stats")
    points = [float(function(x, y)[0]) for function in (stats.pearsonr, stats.spearmanr, stats.kendalltau)]
    rng = generator("reliability", seed)
    draws = torch.randint(len(models), (resamples, len(models)), generator=rng).numpy()
    xs, ys = x[draws], y[draws]
    varied = (np.ptp(xs, axis=1) > 0) & (np.ptp(ys, axis=1) > 0)
    xs, ys = xs[varied], ys[varied]
    if not len(xs):
        raise SettingError(
            f"all of {resamples} resamples of {len(models)} models are constant", expected="more resamples or models"
        )
    over_draws = (_pearson(xs, ys), _pearson(_ranks(xs), _ranks(ys)), _kendall(xs, ys))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    found = []
    for point, values in zip(points, over_draws, strict=True):
        low, high = np.quantile(values, tails)
        found.append(Correlation(point, float(low), float(high)))
    pearson, spearman, kendall = found
    return Reliability(
        models=tuple(models),
        synthetic=tuple(x.tolist()),
        real=tuple(y.tolist()),
        pearson=pearson,
        spearman=spearman,
        kendall=kendall,
        confidence=confidence,
        resamples=resamples,
        degenerate=int((~varied).sum()),
    )


def read_results(path: str | Path) -> tuple[dict[str, float], dict[str, float]]:
    """Read results on synthetic and real data, by model.

    Args:
        path: ``.csv`` with the columns model, synthetic, real (others are passed over), or ``.json``: a list of objects
            with those keys, or an object that holds one as "results", as `Reliability.to_dict` makes. An empty value
            means that there is no result.

    Raises:
        SettingError: no such file, another form, a model named twice, or a value that is no number.
    """
    path = Path(path)
    readers: Mapping[str, Callable[[str], Any]] = {".csv": _csv_rows, ".json": json.loads}
    if path.suffix.lower() not in readers:
        raise SettingError(f"results in {path.name!r}", expected="a .csv or .json file")
    try:
        rows = readers[path.suffix.lower()](path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, csv.Error) as error:
        raise SettingError(f"{path} cannot be read: {error}", expected="a .csv or .json file") from error
    if isinstance(rows, Mapping):
        rows = rows.get("results")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and set(_COLUMNS) <= set(row) for row in rows):
        raise SettingError(f"{path} is a table of another form", expected=f"the columns {', '.join(_COLUMNS)}")
    sides: tuple[dict[str, float], dict[str, float]] = {}, {}
    names: set[str] = set()
    for row in rows:
        name = str(row["model"])
        if name in names:
            raise SettingError(f"{path} holds the model {name!r} twice", expected="one row a model")
        names.add(name)
        for column, side in zip(_COLUMNS[1:], sides, strict=True):
            if row[column] is not None and row[column] != "":
                side[name] = _number(row[column], f"{path}: {column} of {name!r}")
    return sides


def _csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines(), skipinitialspace=True))


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise SettingError(f"{what} is {value!r}", expected="a number") from error


def _common_models(synthetic: Results, real: Results) -> list[str]:
    lone = {
        "on synthetic data alone": sorted(set(synthetic) - set(real)),
        "on real data alone": sorted(set(real) - set(synthetic)),
    }
    if any(lone.values()):
        told = "; ".join(f"{where}: {', '.join(names)}" for where, names in lone.items() if names)
        raise SettingError(
            f"models with one result only, {told}", expected="both results of each model", hint="leave those out"
        )
    if len(synthetic) < _LEAST_MODELS:
        raise SettingError(
            f"results of {len(synthetic)} models ({', '.join(sorted(synthetic)) or 'none'})",
            expected=f"at least {_LEAST_MODELS}: any two points lie on a line",
        )
    return sorted(synthetic)


def _values(side: str, results: Results, models: Iterable[str]) -> _Array:
    by_name = {name: _number(results[name], f"the {side} result of {name!r}") for name in models}
    strange = [f"{name}: {value}" for name, value in by_name.items() if not math.isfinite(value)]
    if strange:
        raise SettingError(
            f"{side} results that are not finite: {', '.join(strange)}",
            expected="numbers",
            hint="leave those models out",
        )
    values = np.array(list(by_name.values()), dtype=np.float64)
    # Differences of a few roundings are none: a coefficient of them would be noise.
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        raise SettingError(
            f"all {side} results are {values[0]:g} ({', '.join(by_name)})",
            expected="results that differ between models",
        )
    return values


def _pearson(x: _Array, y: _Array) -> _Array:
    """Linear correlation of each row."""
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    x, y = (each / np.abs(each).max(axis=1, keepdims=True) for each in (x, y))  # squares of tiny values would vanish
    found: _Array = (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return found.clip(-1, 1)


def _ranks(values: _Array) -> _Array:
    ranks: _Array = _module("scipy.stats").rankdata(values, axis=1)
    return ranks


def _kendall(x: _Array, y: _Array) -> _Array:
    """Tau-b of each row. SciPy's takes one row at a time, thousands of calls."""
    first, second = np.triu_indices(x.shape[1], 1)
    step = max(1, 2_000_000 // len(first))  # bounds the pairs in memory
    found = []
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        a = np.sign(x[rows, first] - x[rows, second])
        b = np.sign(y[rows, first] - y[rows, second])
        found.append((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)))
    tau: _Array = np.concatenate(found)
    return tau.clip(-1, 1)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"reliability needs {name.partition('.')[0]}, which is not installed", hint="pip install 'poc_aug[metrics]'"
        ) from error
