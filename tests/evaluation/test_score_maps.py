"""Score maps: titles, and the colours of a score's range; labels of the curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

from poc_aug.evaluation import plots
from poc_aug.evaluation.anomalies import EvaluationResult, Frame, ScoreResult
from poc_aug.evaluation.plots import plot_precision_recall, write_maps


def sheet_of(folder: Path, **scores: torch.Tensor) -> np.ndarray:
    labels = torch.zeros(64, 128, dtype=torch.uint8)
    labels[:, :64], labels[:32, :64] = 255, 1
    with Image.open(write_maps(Frame("a", torch.full((3, 64, 128), 90).byte(), labels, scores), folder)) as sheet:
        return np.asarray(sheet.convert("RGB"))


def panel(sheet: np.ndarray, number: int) -> np.ndarray:
    return sheet[:, number * 518 : number * 518 + 512]


def test_every_panel_has_a_title_of_its_own(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 1, 64 * 128).view(64, 128)
    sheet = sheet_of(tmp_path, msp=ramp, entropy=ramp)
    titles = [panel(sheet, number)[:26] for number in range(4)]
    for number, title in enumerate(titles):
        assert (title < 100).all(axis=-1).sum() > 40  # dark letters on white
        assert (title[:, -2:] == 255).all()  # which end inside the panel
        assert (title[0] == 255).all()
        assert not any((title == other).all() for other in titles[:number])
    assert (panel(sheet, 1)[40, 40] == (255, 40, 40)).all()  # an anomaly, below the title
    assert (panel(sheet, 1)[-10, 40] == 0).all()  # ignored
    assert (panel(sheet, 0)[26:] == 90).all()


def test_the_title_of_a_score_map_gives_its_range(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 1, 64 * 128).view(64, 128)
    sheets = [sheet_of(tmp_path, msp=values) for values in (ramp, -3e-5 * ramp.flip(0, 1), 2 * ramp)]
    titles = [panel(sheet, 2)[:26] for sheet in sheets]
    # The same colours, but other numbers next to the bar of colours.
    assert (panel(sheets[0], 2)[26:] == panel(sheets[2], 2)[26:]).all()
    assert not (titles[0] == titles[2]).all()
    ends = plots._coloured(np.array([[-1.0, 0.0, 1.0, 2.0]]))[0]
    for title in titles:
        middle = title[13].tolist()
        assert middle.index(ends[2].tolist()) - middle.index(ends[0].tolist()) == 95
    assert (ends[0] == ends[1]).all()
    assert (ends[2] == ends[3]).all()


def test_the_numbers_are_the_quantiles_that_the_colours_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(plots, "_write_title", lambda sheet, left, title, limits: written.append((title, limits)))
    sheet_of(tmp_path, energy=torch.arange(64 * 128).float().view(64, 128) / 100)
    assert written[:2] == [("image", None), ("ground truth: anomaly red, ignored black", None)]
    ((title, limits),) = written[2:]
    assert title == "energy"
    np.testing.assert_allclose(limits, np.array([0.01, 0.99]) * (64 * 128 - 1) / 100, rtol=1e-5)


@pytest.mark.parametrize(("value", "shown"), [(0.8, "80.0%"), (float("nan"), "undefined")])
def test_an_undefined_area_is_no_percentage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, shown: str
) -> None:
    labels: list[str] = []
    plot = Axes.plot

    def noted(axes: Axes, *values: Any, **settings: Any) -> Any:
        labels.append(settings["label"])
        return plot(axes, *values, **settings)

    monkeypatch.setattr(Axes, "plot", noted)
    score = ScoreResult({"AuPRC": value}, curves={"recall": [0.5, 1.0], "precision": [1.0, 0.6]})
    plot_precision_recall([EvaluationResult("streets", 4, 0, {"msp": score}, 1.0)], tmp_path / "curves.png")
    assert labels == [f"streets, msp: AuPRC {shown}"]
