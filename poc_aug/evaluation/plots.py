"""Pictures of an evaluation: score maps beside image and ground truth, precision over recall, scores by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import MissingDependencyError
from poc_aug.evaluation.anomalies import EvaluationResult, Frame
from poc_aug.files.outputs import make_folder, writing

_WIDTH = 512
_GAP = 6
_ANOMALY, _IGNORED = (255, 40, 40), (0, 0, 0)


def write_maps(frame: Frame, folder: Path) -> Path:
    """Write image, ground truth (anomalies red, ignored pixels black) and each score map side by side.

    The colours of a score map go from its 1% to its 99% quantile: dark to bright.

    Returns:
        The PNG's path.
    """
    image = frame.image.permute(1, 2, 0).numpy()
    truth = image // 2
    labels = frame.labels.numpy()
    truth[labels == 1] = _ANOMALY
    truth[labels == 255] = _IGNORED
    pictures = [image, truth, *(_coloured(values) for values in frame.scores.values())]
    height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
    sheet = Image.new("RGB", (len(pictures) * (_WIDTH + _GAP) - _GAP, height), "white")
    for number, picture in enumerate(pictures):
        small = Image.fromarray(np.ascontiguousarray(picture)).resize((_WIDTH, height), Image.Resampling.BILINEAR)
        sheet.paste(small, (number * (_WIDTH + _GAP), 0))
    make_folder(folder)
    path = folder / f"{frame.key.replace('/', '_')}.png"
    with writing(path):
        sheet.save(path)
    return path


def plot_precision_recall(results: Sequence[EvaluationResult], path: Path) -> None:
    """Draw precision over recall, a line a score and dataset."""
    figure, axes = _figure((6.4, 4.8))
    for result in results:
        for name, score in result.scores.items():
            label = f"{result.dataset}, {name}: AuPRC {score.pixels['AuPRC']:.1%}"
            axes.plot(score.curves["recall"], score.curves["precision"], label=label, linewidth=1.2)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small")
    with writing(path):
        figure.savefig(path, dpi=150)


def plot_boxes(results: Sequence[EvaluationResult], path: Path) -> None:
    """Draw the scores of in-distribution and anomalous pixels as boxes (POC, Fig. 4): quartiles, 5% and 95%."""
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


def _coloured(values: torch.Tensor) -> np.ndarray[Any, Any]:
    numbers = values.float().numpy()
    low, high = np.quantile(numbers, [0.01, 0.99])
    level = np.clip((numbers - low) / max(high - low, 1e-12), 0, 1)
    colours: np.ndarray[Any, Any] = _matplotlib("colormaps")["inferno"](level)[..., :3]
    return (colours * 255).astype(np.uint8)


def _figure(size_inches: tuple[float, float], rows: int = 1) -> tuple[Any, Any]:
    figure = _matplotlib("figure").Figure(figsize=size_inches, layout="constrained")
    return figure, figure.subplots(rows)


def _matplotlib(name: str) -> Any:
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise MissingDependencyError(
            "pictures of an evaluation need matplotlib, which is not installed", hint="pip install 'poc_aug[metrics]'"
        ) from error
    return getattr(matplotlib, name)
