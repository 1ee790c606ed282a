"""Whether a synthetic test set ranks and grades models as a real one does: correlations of their results (GenVal).

Loiseau et al., *Reliability in Semantic Segmentation: Can We Use Synthetic Data?*, ECCV 2024: the better the results on
synthetic shifted data correlate with those on real shifted data, the better the former can stand in for the latter.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from poc_aug.errors import SettingError
from poc_aug.evaluation.correlation_interval import Correlation, with_interval
from poc_aug.files.outputs import make_folder, writing
from poc_aug.files.pictures import check_regular
from poc_aug.number_settings import checked_integer, checked_number
from poc_aug.optional_imports import require
from poc_aug.seeding import generator

Results: TypeAlias = Mapping[str, float]
"""One figure, such as mIoU or AuPRC, by model name."""

_Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
_COLUMNS = ("model", "synthetic", "real")
_LEAST_MODELS = 3
_LARGEST = 1e12  # sums of their squares stay exact enough


@dataclass(frozen=True)
class Reliability:
    """Agreement of results on synthetic and on real data.

    Attributes:
        models: names, sorted.
        synthetic: results on synthetic data, in the models' order.
        real: results on real data.
        pearson: linear correlation.
        spearman: rank correlation.
        kendall: rank correlation tau-b, from the pairs of models in the same and in the opposite order.
        confidence: level of the intervals.
        resamples: number of resamples drawn for the intervals.
        degenerate: number of resamples left out because one side was constant, which leaves no correlation.

    Example:
        >>> from poc_aug.evaluation.reliability import Correlation, Reliability
        >>> same = Correlation(1.0, 1.0, 1.0)
        >>> result = Reliability(
        ...     ("erfnet", "segformer", "setr"), (0.3, 0.5, 0.4), (0.2, 0.6, 0.4), same, same, same, 0.95, 1000, 120
        ... )
        >>> result.n, list(result.correlations)
        (3, ['pearson', 'spearman', 'kendall'])
        >>> result.to_dict()["results"][0]
        {'model': 'erfnet', 'synthetic': 0.3, 'real': 0.2}
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
        """The three correlations by name."""
        return {"pearson": self.pearson, "spearman": self.spearman, "kendall": self.kendall}

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "n": self.n,
            "confidence": self.confidence,
            "resamples": self.resamples,
            "degenerate": self.degenerate,
            **{name: correlation.to_dict() for name, correlation in self.correlations.items()},
            "results": [
                dict(zip(_COLUMNS, row, strict=True))
                for row in zip(self.models, self.synthetic, self.real, strict=True)
            ],
        }

    def plot(self, path: str | Path, *, label: str = "") -> Path:
        """Draw one point per model with its name, the line of equal results, and the three coefficients.

        Args:
            path: picture to write; its folder is made if missing. The format follows the suffix.
            label: name of the figure that was measured, for the axes: "mIoU".

        Returns:
            The path.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        # Without pyplot, which keeps figures and picks a backend for the whole process.
        figure = _optional("matplotlib.figure").Figure(figsize=(5.6, 5.2), layout="constrained")
        axes = figure.subplots()
        axes.scatter(self.synthetic, self.real, s=24, zorder=3)
        for name, x, y in zip(self.models, self.synthetic, self.real, strict=True):
            axes.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize="x-small", parse_math=False)
        ends = [min(*self.synthetic, *self.real), max(*self.synthetic, *self.real)]
        axes.plot(ends, ends, color="grey", linewidth=1, linestyle="--", label="equal")
        coefficients = [f"{name} {c.value:.2f} ({c.interval_text(2)})" for name, c in self.correlations.items()]
        title = "\n".join([f"{self.n} models, {self.confidence:.0%} intervals", *coefficients])
        axes.set_title(title, fontsize="x-small")
        axes.set_xlabel(f"{label} on synthetic data".strip(), parse_math=False)
        axes.set_ylabel(f"{label} on real data".strip(), parse_math=False)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small", loc="lower right")
        path = make_folder(Path(path).parent) / Path(path).name
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

    The intervals are percentiles of the coefficients over bootstrap resamples of the models. A resample in which one
    side is constant (with three models, 11% of them draw one model three times) has no coefficient; it is left out and
    counted in ``degenerate``. With few models the intervals are rough, so report ``n`` with them. With fewer than
    `poc_aug.evaluation.correlation_interval.least_models` there is no interval, and neither if all resamples agree, as
    they do if all models are in the same order on both sides: the result says why instead.

    Args:
        synthetic: results by model; or, without ``real``, a file of both, see `read_results`.
        real: results by model, for the same models.
        confidence: level of the intervals, between 0 and 1.
        resamples: number of resamples to draw.
        seed: seed of the draws; the models' order does not matter.

    Raises:
        SettingError: fewer than three models, models with one result only, results that are constant or not finite, a
            file that cannot be read, or a confidence or number of resamples out of range.
        MissingDependencyError: SciPy is not installed.

    Example:
        >>> from poc_aug.evaluation.reliability import reliability
        >>> synthetic = {"erfnet": 0.31, "segformer": 0.52, "setr": 0.44, "mask2former": 0.58}
        >>> real = {"erfnet": 0.28, "segformer": 0.61, "setr": 0.49, "mask2former": 0.57}
        >>> result = reliability(synthetic, real, resamples=500)
        >>> round(result.pearson.value, 3), round(result.kendall.value, 3)
        (0.938, 0.667)
    """
    confidence = checked_number("confidence", confidence)
    if not 0 < confidence < 1:
        raise SettingError(
            f"confidence={confidence}", expected="between 0 and 1", hint="confidence=0.95", command="--confidence 0.95"
        )
    resamples = checked_integer("resamples", resamples, least=1)
    if isinstance(synthetic, (str, Path)):
        if real is not None:
            raise SettingError(
                f"synthetic={str(synthetic)!r} with real results", expected="a file of both, or two mappings"
            )
        synthetic, real = read_results(synthetic)
    elif real is None:
        raise SettingError("real=None", expected="results by model on the real data too")
    for side, results in (("synthetic", synthetic), ("real", real)):
        if not isinstance(results, Mapping) or not all(isinstance(model, str) for model in results):
            raise SettingError(
                f"{side} results of type {type(results).__name__}", expected="a mapping: {model: figure}"
            )
    models = _common_models(synthetic, real)
    x, y = _values("synthetic", synthetic, models), _values("real", real, models)
    stats = _optional("scipy.stats")
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
    correlations = [
        with_interval(point, values, len(models), confidence) for point, values in zip(points, over_draws, strict=True)
    ]
    pearson, spearman, kendall = correlations
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
        path: a ``.csv`` file with the columns model, synthetic, real (others are ignored); or a ``.json`` file with a
            list of objects with those keys, or with an object that holds such a list as "results", as
            `Reliability.to_dict` returns. An empty value means that there is no result.

    Returns:
        The results on synthetic and on real data, each by model.

    Raises:
        SettingError: no such file, another form, a model named twice, or a value that is not a number.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from poc_aug.evaluation.reliability import read_results
        >>> rows = [
        ...     {"model": "erfnet", "synthetic": 0.31, "real": 0.28},
        ...     {"model": "setr", "synthetic": 0.4, "real": 0.5},
        ... ]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "results.json")
        ...     _ = path.write_text(json.dumps(rows))
        ...     read_results(path)
        ({'erfnet': 0.31, 'setr': 0.4}, {'erfnet': 0.28, 'setr': 0.5})
    """
    path = Path(path)
    readers: Mapping[str, Callable[[str], Any]] = {".csv": _csv_rows, ".json": json.loads}
    if path.suffix.lower() not in readers:
        raise SettingError(f"results in {path.name!r}", expected="a .csv or .json file")
    try:
        check_regular(path)
        rows = readers[path.suffix.lower()](path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
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
            raise SettingError(f"{path} holds the model {name!r} twice", expected="one row per model")
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
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingError(f"{what} is {value!r}", expected="a number") from error


def _common_models(synthetic: Results, real: Results) -> list[str]:
    lone = {
        "on synthetic data alone": sorted(set(synthetic) - set(real)),
        "on real data alone": sorted(set(real) - set(synthetic)),
    }
    if any(lone.values()):
        listed = "; ".join(f"{where}: {', '.join(names)}" for where, names in lone.items() if names)
        raise SettingError(
            f"models with one result only, {listed}", expected="both results of each model", hint="leave those out"
        )
    if len(synthetic) < _LEAST_MODELS:
        raise SettingError(
            f"results of {len(synthetic)} models ({', '.join(sorted(synthetic)) or 'none'})",
            expected=f"at least {_LEAST_MODELS}: any two points lie on a line",
        )
    return sorted(synthetic)


def _values(side: str, results: Results, models: Iterable[str]) -> _Array:
    by_name = {name: _number(results[name], f"the {side} result of {name!r}") for name in models}
    not_finite = [f"{name}: {value}" for name, value in by_name.items() if not math.isfinite(value)]
    if not_finite:
        raise SettingError(
            f"{side} results that are not finite: {', '.join(not_finite)}",
            expected="numbers",
            hint="leave those models out",
        )
    too_large = [f"{name}: {value:g}" for name, value in by_name.items() if abs(value) > _LARGEST]
    if too_large:
        raise SettingError(
            f"{side} results out of range: {', '.join(too_large)}",
            expected=f"figures from -{_LARGEST:g} to {_LARGEST:g}, such as mIoU",
            hint="correct them, or leave those models out",
        )
    values = np.array(list(by_name.values()), dtype=np.float64)
    # Values that differ by rounding only count as constant: a coefficient of them would be noise.
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        raise SettingError(
            f"all {side} results are {values[0]:g} ({', '.join(by_name)})",
            expected="results that differ between models",
        )
    return values


def _pearson(x: _Array, y: _Array) -> _Array:
    """Linear correlation of each row."""
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    # Scaled first, because squares of tiny values would underflow.
    x, y = (side / np.abs(side).max(axis=1, keepdims=True) for side in (x, y))
    coefficients: _Array = (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return coefficients.clip(-1, 1)


def _ranks(values: _Array) -> _Array:
    ranks: _Array = _optional("scipy.stats").rankdata(values, axis=1)
    return ranks


def _kendall(x: _Array, y: _Array) -> _Array:
    """Tau-b of each row; SciPy takes one row at a time, which would be thousands of calls."""
    first, second = np.triu_indices(x.shape[1], 1)
    step = max(1, 2_000_000 // len(first))  # bounds the number of pairs in memory
    chunks = []
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        a = np.sign(x[rows, first] - x[rows, second])
        b = np.sign(y[rows, first] - y[rows, second])
        chunks.append((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)))
    tau: _Array = np.concatenate(chunks)
    return tau.clip(-1, 1)


def _optional(module: str) -> Any:
    return require(module, extra="metrics", purpose="reliability")
