from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image

from poc_aug.errors import MissingDependencyError, SettingError
from poc_aug.evaluation.correlation_interval import Correlation
from poc_aug.evaluation.reliability import _kendall, _pearson, _ranks, read_results, reliability
from poc_aug.seeding import generator
from tests.helpers.command_line import run


def results(n: int = 12, noise: float = 0.5, seed: int = 0) -> tuple[dict[str, float], dict[str, float]]:
    rng = generator("reliability test", seed)
    x = torch.rand(n, generator=rng, dtype=torch.float64)
    y = x + noise * torch.rand(n, generator=rng, dtype=torch.float64)
    names = [f"model-{i:03}" for i in range(n)]
    return dict(zip(names, x.tolist(), strict=True)), dict(zip(names, y.tolist(), strict=True))


def test_known_correlations() -> None:
    x = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    same = reliability(x, {name: 10 * value - 3 for name, value in x.items()})
    assert [c.value for c in same.correlations.values()] == pytest.approx([1, 1, 1])
    assert [c.low for c in same.correlations.values()] == [None, None, None]
    reverse = reliability(x, {name: -value for name, value in x.items()})
    assert [c.value for c in reverse.correlations.values()] == pytest.approx([-1, -1, -1])
    monotone = reliability(x, {name: math.exp(5 * value) for name, value in x.items()})
    assert monotone.spearman.value == pytest.approx(1)
    assert monotone.pearson.value < 0.9
    # Of six pairs, one is in another order.
    swapped = reliability(x, {"a": 1, "b": 3, "c": 2, "d": 4})
    assert swapped.kendall.value == pytest.approx(4 / 6)
    assert swapped.spearman.value == pytest.approx(0.8)
    assert swapped.n == 4


@pytest.mark.parametrize(("n", "confidence", "given"), [(4, 0.95, False), (5, 0.95, True), (5, 0.99, False)])
def test_too_few_models_are_said_instead_of_an_interval(n: int, confidence: float, given: bool, tmp_path: Path) -> None:
    result = reliability(*results(n, noise=3), resamples=300, confidence=confidence)
    for name, c in result.correlations.items():
        assert (c.low is not None, c.high is not None) == (given, given)
        stored = result.to_dict()[name]
        assert stored["low"] == c.low
        assert ("no_interval" in stored) != given
        if not given:
            assert c.interval_text(2) == f"none: too few models ({n}; at least {n + 1})"
    table = tmp_path / "results.csv"
    lines = [f"{name},{x},{y}" for name, x, y in zip(result.models, result.synthetic, result.real, strict=True)]
    table.write_text("\n".join(["model,synthetic,real", *lines]))
    output = run("reliability", str(table), "--resamples", "300", "--confidence", str(confidence))
    assert ("too few models" in output) != given
    assert result.plot(tmp_path / "a.png").stat().st_size > 1000


def test_one_order_has_no_interval_of_no_width() -> None:
    x = dict(zip("abcdefgh", [0.1, 0.2, 0.4, 0.5, 0.55, 0.7, 0.8, 0.95], strict=True))
    result = reliability(x, {name: value**3 for name, value in x.items()}, resamples=300)
    assert result.spearman.value == pytest.approx(1)
    for c in (result.spearman, result.kendall):
        assert c.low is None
        assert c.interval_text(2) == "none: equal in all resamples"
    assert result.pearson.low is not None
    assert result.pearson.low < result.pearson.value < 1


@pytest.mark.parametrize("seed", range(6))
def test_points_are_those_of_scipy_and_lie_in_their_intervals(seed: int) -> None:
    synthetic, real = results(12, seed=seed)
    result = reliability(synthetic, real, resamples=800)
    x, y = list(synthetic.values()), list(real.values())
    assert result.pearson.value == scipy.stats.pearsonr(x, y)[0]
    assert result.spearman.value == scipy.stats.spearmanr(x, y)[0]
    assert result.kendall.value == scipy.stats.kendalltau(x, y)[0]
    for c in result.correlations.values():
        low, high = _ends(c)
        assert -1 <= low < c.value < high <= 1
    wider = reliability(synthetic, real, resamples=800, confidence=0.99)
    assert all(w.low <= c.low and c.high <= w.high for w, c in zip(*map(_correlations, (wider, result)), strict=True))


def _ends(correlation: Correlation) -> tuple[float, float]:
    assert correlation.low is not None
    assert correlation.high is not None
    return correlation.low, correlation.high


def _correlations(result: Any) -> list[Any]:
    return list(result.correlations.values())


def test_coefficients_of_resamples_are_those_of_scipy() -> None:
    rng = generator("rows")
    x = torch.randint(0, 6, (40, 9), generator=rng).double().numpy()  # ties
    y = (x + torch.randint(0, 4, (40, 9), generator=rng).numpy()) * 1e-200
    for own, scipys in (
        (_pearson(x, y * 1e200), scipy.stats.pearsonr),
        (_pearson(_ranks(x), _ranks(y)), scipy.stats.spearmanr),
        (_kendall(x, y), scipy.stats.kendalltau),
    ):
        assert own == pytest.approx([scipys(a, b * 1e200)[0] for a, b in zip(x, y, strict=True)])
    assert _pearson(x, y) == pytest.approx(_pearson(x, y * 1e200))


def test_more_models_give_a_narrower_interval_and_chunks_change_nothing() -> None:
    few, many = (reliability(*results(n), resamples=400) for n in (8, 150))
    widths = [high - low for low, high in map(_ends, (many.pearson, few.pearson))]
    assert widths[0] < widths[1]
    x = np.asarray(torch.rand((30, 300), generator=generator("chunks"), dtype=torch.float64))
    whole = _kendall(x, x[:, ::-1])
    assert whole == pytest.approx([_kendall(row[None], row[None, ::-1])[0] for row in x])


def test_the_interval_covers_as_often_as_it_says() -> None:
    # Independent sides: 0 is the true coefficient. Percentile intervals of 30 models are a little short.
    covered = 0
    for seed in range(60):
        rng = generator("coverage", seed)
        x, y = torch.randn((2, 30), generator=rng).tolist()
        result = reliability(dict(zip("abcdefghijklmnopqrstuvwxyzABCD", x, strict=True)),
                            dict(zip("abcdefghijklmnopqrstuvwxyzABCD", y, strict=True)), resamples=300)  # fmt: skip
        low, high = _ends(result.kendall)
        covered += low <= 0 <= high
    assert 50 <= covered <= 60


def test_seeds_repeat_whatever_the_order() -> None:
    synthetic, real = results(6)
    first = reliability(synthetic, real, resamples=200)
    turned = reliability(dict(reversed(synthetic.items())), real, resamples=200)
    assert first == turned
    assert first != reliability(synthetic, real, resamples=200, seed=1)


def test_degenerate_resamples_are_counted() -> None:
    synthetic, real = results(3)
    result = reliability(synthetic, real, resamples=6000)
    assert result.degenerate / result.resamples == pytest.approx(1 / 9, abs=0.015)
    tied = reliability({"a": 1, "b": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}, resamples=6000)
    assert tied.degenerate / tied.resamples == pytest.approx(1 / 3, abs=0.02)  # a and b alone are constant too
    assert tied.kendall.value == pytest.approx(scipy.stats.kendalltau([1, 1, 2], [1, 2, 3])[0])
    seed = next(
        s
        for s in range(200)
        if int(torch.randint(3, (1, 3), generator=generator("reliability", s)).unique().numel()) == 1
    )
    with pytest.raises(SettingError, match="all of 1 resamples of 3 models"):
        reliability(synthetic, real, resamples=1, seed=seed)


def test_files_and_json(tmp_path: Path) -> None:
    synthetic, real = results(5)
    result = reliability(synthetic, real, resamples=100)
    report = tmp_path / "report.json"
    report.write_text(json.dumps(result.to_dict()))
    assert reliability(report, resamples=100) == result
    assert result.to_dict()["n"] == 5
    assert result.to_dict()["kendall"] == {key: getattr(result.kendall, key) for key in ("value", "low", "high")}
    table = tmp_path / "table.CSV"
    lines = [f"{name},{synthetic[name]!r},x,{real[name]!r}" for name in synthetic]
    table.write_text("\n".join(["model, synthetic, note, real", *lines]), encoding="utf-8-sig")
    assert reliability(str(table), resamples=100) == result
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(result.to_dict()["results"]))
    assert read_results(rows) == (synthetic, real)


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("a.txt", "", "a.txt"),
        ("a.json", "{", "cannot be read"),
        ("a.json", "{}", "model, synthetic, real"),
        ("a.json", "[1]", "model, synthetic, real"),
        ("a.csv", "model,real\na,1", "model, synthetic, real"),
        ("a.csv", "model,synthetic,real\na,1,2\na,1,2", "'a' twice"),
        ("a.csv", "model,synthetic,real\na,1,oops", "real of 'a' is 'oops'"),
        ("a.csv", "model,synthetic,real\na,1,\nb,1,2\nc,2,3\nd,2,3", "on synthetic data alone: a"),
        ("a.csv", "model,synthetic,real\na,1,nan\nb,1,2\nc,2,3", "real results that are not finite: a: nan"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, named: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingError, match=named):
        reliability(tmp_path / name)


X = {"a": 1.0, "b": 2.0, "c": 3.0}


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        (({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}), {}, r"2 models \(a, b\)(?s:.*)at least 3"),
        (({}, {}), {}, "none"),
        ((X, {"a": 1.0, "b": 2.0, "d": 3.0}), {}, "synthetic data alone: c; on real data alone: d"),
        ((X, dict.fromkeys(X, 0.3)), {}, r"all real results are 0\.3"),
        ((dict.fromkeys(X, 0), X), {}, "all synthetic results are 0"),
        (({**X, "b": 2.0}, {"a": 0.1, "b": 0.1 + 1e-16, "c": 0.1}), {}, "all real results"),
        ((X, {**X, "b": math.inf}), {}, "real results that are not finite: b: inf"),
        ((X, {**X, "b": "good"}), {}, "real result of 'b' is 'good'"),
        ((X,), {}, "real=None"),
        (("a.csv", X), {}, r"a\.csv"),
        (("missing.csv",), {}, "missing.csv cannot be read"),
        ((X, X), {"confidence": 95}, "confidence=95"),
        ((X, X), {"resamples": 0}, "resamples=0"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[Any, ...], options: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        reliability(*arguments, **options)


def test_plot_leaves_pyplot_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import would fail
    synthetic, real = results(5)
    synthetic["weird $name_{1"] = real["weird $name_{1"] = 0.5
    result = reliability(synthetic, real, resamples=100)
    path = result.plot(tmp_path / "new" / "scatter.png", label="mIoU, $%")
    with Image.open(path) as picture:
        assert min(picture.size) > 400
        assert len(picture.convert("RGB").getcolors(10**6) or []) > 20
    result.plot(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 1000


@pytest.mark.parametrize("package", ["scipy.stats", "matplotlib.figure"])
def test_missing_packages_are_named(package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = reliability(X, X, resamples=9)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"poc_aug\[metrics\]"):
        result.plot(tmp_path / "a.png") if "matplotlib" in package else reliability(X, X)


def test_the_command_prints_draws_and_reads_its_own_json(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    x, y = results(6)
    table.write_text("model,synthetic,real\n" + "".join(f"{name},{x[name]},{y[name]}\n" for name in x))
    out = tmp_path / "report"
    output = run("reliability", str(table), "--label", "mIoU", "--resamples", "200", "--out", str(out))
    expected = reliability(x, y, resamples=200)
    for part in ("6 models", "pearson", "spearman", f"{expected.kendall.value:.3f}", "95% interval"):
        assert part in output
    with Image.open(out / "reliability.png") as picture:
        assert min(picture.size) > 300
    assert json.loads((out / "reliability.json").read_text()) == json.loads(json.dumps(expected.to_dict()))
    again = run("reliability", str(out / "reliability.json"), "--resamples", "200")
    assert f"{expected.pearson.value:.3f}" in again
    assert "confidence=2" in run("reliability", str(table), "--confidence", "2", fails=True)
