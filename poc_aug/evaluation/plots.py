"""Pictures of an evaluation: score maps alongside image and ground truth, precision-recall curves, box plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from poc_aug.evaluation.anomalies import EvaluationResult, Frame
from poc_aug.files.outputs import make_folder, writing
from poc_aug.files.safe_names import file_name
from poc_aug.optional_imports import require

_WIDTH = 512
_GAP = 6
_TITLE_PX, _FONT_PX, _BAR_PX = 26, 18, 96
_TRUTH = "ground truth: anomaly red, ignored black"
_ANOMALY, _IGNORED = (255, 40, 40), (0, 0, 0)


def write_maps(frame: Frame, folder: Path) -> Path:
    """Write image, ground truth (anomalies red, ignored pixels black) and each score map side by side, with titles.

    The colours of a score map go from its 1% quantile (dark) to its 99% quantile (bright); its title gives both.

    Args:
        frame: frame of an evaluation.
        folder: folder of the PNG; it is made if missing.

    Returns:
        The PNG's path, named after the frame's key (`poc_aug.files.safe_names.file_name`).

    Raises:
        MissingDependencyError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from PIL import Image
        >>> from poc_aug.evaluation.anomalies import Frame
        >>> from poc_aug.evaluation.plots import write_maps
        >>> image, labels = torch.zeros(3, 16, 32, dtype=torch.uint8), torch.zeros(16, 32, dtype=torch.uint8)
        >>> frame = Frame("town/0001", image, labels, {"msp": torch.rand(16, 32)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_maps(frame, Path(folder))
        ...     with Image.open(path) as sheet:
        ...         path.name, sheet.size
        ('town%2F0001.png', (1548, 282))
    """
    image = frame.image.permute(1, 2, 0).numpy()
    truth = image // 2
    labels = frame.labels.numpy()
    truth[labels == 1] = _ANOMALY
    truth[labels == 255] = _IGNORED
    panels: list[tuple[str, np.ndarray[Any, Any], tuple[float, float] | None]]
    panels = [("image", image, None), (_TRUTH, truth, None)]
    for name, values in frame.scores.items():
        numbers = values.float().numpy()
        low, high = (float(limit) for limit in np.quantile(numbers, [0.01, 0.99]))
        panels.append((name, _coloured((numbers - low) / max(high - low, 1e-12)), (low, high)))
    height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
    sheet = Image.new("RGB", (len(panels) * (_WIDTH + _GAP) - _GAP, _TITLE_PX + height), "white")
    for number, (title, picture, limits) in enumerate(panels):
        left = number * (_WIDTH + _GAP)
        _write_title(sheet, left, title, limits)
        small = Image.fromarray(np.ascontiguousarray(picture)).resize((_WIDTH, height), Image.Resampling.BILINEAR)
        sheet.paste(small, (left, _TITLE_PX))
    make_folder(folder)
    path = folder / f"{file_name(frame.key)}.png"
    with writing(path):
        sheet.save(path)
    return path


def plot_precision_recall(results: Sequence[EvaluationResult], path: Path) -> None:
    """Draw precision over recall, one line per score and dataset.

    Args:
        results: results of one or several datasets.
        path: picture to write; the format follows the suffix.

    Raises:
        MissingDependencyError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.evaluation.anomalies import EvaluationResult, ScoreResult
        >>> from poc_aug.evaluation.plots import plot_precision_recall
        >>> curves = {"recall": [0.5, 1.0], "precision": [1.0, 0.6]}
        >>> result = EvaluationResult("RoadAnomaly", 60, 0, {"msp": ScoreResult({"AuPRC": 0.8}, curves=curves)}, 1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "precision_recall.png")
        ...     plot_precision_recall([result], path)
        ...     path.stat().st_size > 1000
        True
    """
    figure, axes = _figure((6.4, 4.8))
    for result in results:
        for name, score in result.scores.items():
            value = score.pixels["AuPRC"]
            label = f"{result.dataset}, {name}: AuPRC {f'{value:.1%}' if math.isfinite(value) else 'undefined'}"
            axes.plot(score.curves["recall"], score.curves["precision"], label=label, linewidth=1.2)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small")
    with writing(path):
        figure.savefig(path, dpi=150)


def plot_boxes(results: Sequence[EvaluationResult], path: Path) -> None:
    """Draw box plots of the scores of in-distribution and anomalous pixels (POC, Fig. 4): 5%, quartiles, 95%.

    Args:
        results: results of one or several datasets.
        path: picture to write; the format follows the suffix.

    Raises:
        MissingDependencyError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.evaluation.anomalies import EvaluationResult, ScoreResult
        >>> from poc_aug.evaluation.plots import plot_boxes
        >>> quantiles = {"known": [0.0, 0.1, 0.2, 0.3, 0.5], "anomalous": [0.2, 0.4, 0.5, 0.7, 0.9]}
        >>> result = EvaluationResult("RoadAnomaly", 60, 0, {"msp": ScoreResult({}, quantiles=quantiles)}, 1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "scores.png")
        ...     plot_boxes([result], path)
        ...     path.stat().st_size > 1000
        True
    """
    names = list(dict.fromkeys(name for result in results for name in result.scores))
    figure, grid = _figure((1.6 + 1.5 * max(2, len(results)), 3.2 * len(names)), rows=len(names))
    for axes, name in zip(grid if len(names) > 1 else [grid], names, strict=True):
        boxes: list[dict[str, Any]] = []
        for result in results:
            for kind in ("known", "anomalous"):
                spread = result.scores[name].quantiles[kind] if name in result.scores else []
                if spread:
                    low, q1, median, q3, high = spread
                    boxes.append(
                        {"whislo": low, "q1": q1, "med": median, "q3": q3, "whishi": high, "fliers": []}
                        | {"label": f"{result.dataset}\n{'ID' if kind == 'known' else 'OOD'}"}
                    )
        drawn = axes.bxp(boxes, showfliers=False, patch_artist=True)
        for box, patch in zip(boxes, drawn["boxes"], strict=True):
            patch.set_facecolor("#9ecae1" if box["label"].endswith("ID") else "#fc9272")
        axes.set_ylabel(name)
        axes.tick_params(axis="x", labelsize="x-small")
        axes.grid(axis="y", alpha=0.3)
    with writing(path):
        figure.savefig(path, dpi=150)


def _write_title(sheet: Image.Image, left: int, title: str, limits: tuple[float, float] | None) -> None:
    """Write a panel's title above it; for a score map also its colours, between the values of the two ends."""
    font, middle = ImageFont.load_default(_FONT_PX), _TITLE_PX // 2
    draw = ImageDraw.Draw(sheet)
    draw.text((left + 4, middle), title, fill="black", font=font, anchor="lm")
    if limits is None:
        return
    low, high = (f"{value:.4g}" for value in limits)
    bar_at = left + _WIDTH - 4 - math.ceil(draw.textlength(high, font=font)) - 6 - _BAR_PX
    bar = _coloured(np.tile(np.linspace(0, 1, _BAR_PX), (_FONT_PX - 2, 1)))
    sheet.paste(Image.fromarray(bar), (bar_at, middle - bar.shape[0] // 2))
    draw.text((bar_at - 6, middle), low, fill="black", font=font, anchor="rm")
    draw.text((bar_at + _BAR_PX + 6, middle), high, fill="black", font=font, anchor="lm")


def _coloured(levels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The colours of levels from 0 to 1; those outside get the colour of the nearer end."""
    colours: np.ndarray[Any, Any] = _matplotlib("matplotlib").colormaps["inferno"](np.clip(levels, 0, 1))[..., :3]
    return (colours * 255).astype(np.uint8)


def _figure(size_inches: tuple[float, float], rows: int = 1) -> tuple[Any, Any]:
    figure = _matplotlib("matplotlib.figure").Figure(figsize=size_inches, layout="constrained")
    return figure, figure.subplots(rows)


def _matplotlib(module: str) -> Any:
    return require(module, extra="metrics", purpose="drawing an evaluation")
