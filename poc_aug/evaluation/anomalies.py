"""Evaluating a segmentation model on anomaly segmentation datasets: figures, and the curves and boxes for plots."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.utils.data import Dataset

from poc_aug.errors import DatasetError, SettingError
from poc_aug.evaluation.figure_values import json_figures
from poc_aug.evaluation.inference import evaluating, frame_logits, resize_pair
from poc_aug.evaluation.open_set_figures import OpenSetFigures, instance_figures
from poc_aug.items.label_ids import distinct_ids
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.joint_transforms.joint_transform import check_base_transforms
from poc_aug.keys import Keys, dataset_keys
from poc_aug.labels.detect import find_schema, require_schema
from poc_aug.labels.policies import AnomalyLabels
from poc_aug.labels.schema import LabelSchema, check_label_ids
from poc_aug.metrics import AnomalySegmentation, ComponentSegmentation
from poc_aug.metrics.component import Track
from poc_aug.scores import score_named

_ScoredFrame: TypeAlias = tuple[Mapping[str, torch.Tensor], torch.Tensor]
"""Score maps by name, and labels."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of the box plot: lower whisker, box, median, box, upper whisker."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One evaluated frame, for pictures.

    Attributes:
        key: the sample's key.
        image: uint8 ``[3, H, W]``.
        labels: uint8 ``[H, W]``: 0 in-distribution, 1 anomaly, 255 ignored.
        scores: score maps, float32 ``[H, W]``, by score name.

    Example:
        >>> import torch
        >>> from poc_aug.evaluation.anomalies import Frame
        >>> image, labels = torch.zeros(3, 4, 8, dtype=torch.uint8), torch.zeros(4, 8, dtype=torch.uint8)
        >>> Frame("frame-0", image, labels, {"msp": torch.zeros(4, 8)}).scores["msp"].shape
        torch.Size([4, 8])
    """

    key: str
    image: torch.Tensor
    labels: torch.Tensor
    scores: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class ScoreResult:
    """The result of one score on one dataset.

    Attributes:
        pixels: figures of `AnomalySegmentation`.
        components: figures of `ComponentSegmentation` at the threshold of the best F1, and of
            `AnomalyInstanceSegmentation` for the same components; empty unless requested.
        quantiles: `QUANTILES` of the scores of in-distribution ("known") and of anomalous pixels.
        curves: `AnomalySegmentation.curves`, thinned to about 2000 points.
        open_set: figures of `OpenSetSegmentation`; empty unless the model's classes were given.

    Example:
        >>> from poc_aug.evaluation.anomalies import ScoreResult
        >>> ScoreResult({"AuPRC": 0.75})
        ScoreResult(pixels={'AuPRC': 0.75}, components={}, quantiles={}, open_set={})
    """

    pixels: Mapping[str, float]
    components: Mapping[str, float] = field(default_factory=dict)
    quantiles: Mapping[str, list[float]] = field(default_factory=dict)
    curves: Mapping[str, list[float]] = field(default_factory=dict, repr=False)
    open_set: Mapping[str, float] = field(default_factory=dict)

    def why_undefined(self, figure: str) -> str:
        """Why a figure is NaN."""
        kinds = {"known": "in-distribution", "anomalous": "anomalous"}
        empty = [word for kind, word in kinds.items() if not self.quantiles.get(kind, [0.0])]
        if empty:
            return " and ".join(f"no evaluated pixel is {word}" for word in empty)
        counted = "component" if figure in self.components else "pixel"
        return f"it divides by a number of {counted}s that is 0 for these frames"


@dataclass(frozen=True)
class EvaluationResult:
    """The results of all scores on one dataset.

    Attributes:
        dataset: its name.
        frames: number of evaluated frames.
        left_out: number of frames left out because none of their pixels is anomalous.
        scores: results by score name.
        seconds: time taken.

    Example:
        >>> from poc_aug.evaluation.anomalies import EvaluationResult, ScoreResult
        >>> result = EvaluationResult("RoadAnomaly", 60, 0, {"msp": ScoreResult({"AuPRC": 0.75})}, 12.345)
        >>> result.to_dict()["scores"]
        {'msp': {'AuPRC': 0.75, 'quantiles': {}}}
    """

    dataset: str
    frames: int
    left_out: int
    scores: Mapping[str, ScoreResult]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values, without the curves; figures that are not defined are ``None``, with a reason."""
        return {
            "dataset": self.dataset,
            "frames": self.frames,
            "left_out": self.left_out,
            "seconds": round(self.seconds, 2),
            "scores": {
                name: {
                    **json_figures({**result.pixels, **result.components, **result.open_set}, result.why_undefined),
                    "quantiles": dict(result.quantiles),
                }
                for name, result in self.scores.items()
            },
        }


@torch.no_grad()
def evaluate(
    model: nn.Module,
    dataset: Dataset[Any],
    scores: Sequence[str] = ("msp",),
    *,
    name: str | None = None,
    size_hw: tuple[int, int] | None = None,
    void_index: int | None = None,
    components: Track | None = None,
    classes: Sequence[str] = (),
    anomalous_only: bool = False,
    limit: int | None = None,
    schema: LabelSchema | str | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    device: str | torch.device = "cpu",
    on_frame: Callable[[Frame], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> EvaluationResult:
    """Evaluate a model on a dataset with anomalies, one frame at a time.

    Args:
        model: maps float32 ``[1, 3, H, W]``, RGB in [0, 1], to logits ``[1, C, h, w]``; they are resized (bilinear) to
            the labels' size.
        dataset: map-style, as for `POCAugmentedDataset`; its schema says which ids are anomalies (``ood``) and which
            are ignored.
        scores: names in `poc_aug.scores.SCORES`, or "void".
        name: name of the dataset in the result; ``None``: its type.
        size_hw: size to which images (bilinear) and labels (nearest) are resized first; ``None``: as they are.
        void_index: channel of a void class: used by the score "void", left out by all others.
        components: also compute component-wise figures, with the component sizes of that track, and the instance AP of
            the same components. All score maps are kept in memory until the end, because the threshold is only known
            then.
        classes: names of the first channels, in order; also compute the open-IoU of those classes that the dataset's
            schema has too, see `poc_aug.evaluation.open_set_figures`.
        anomalous_only: leave out frames without an anomalous pixel.
        limit: evaluate the first frames only.
        schema: label schema, if the dataset's is not known.
        keys: names of the samples, as in `POCAugmentedDataset`; they name frames in errors and files.
        adapt: how to take items of another form apart, as in `POCAugmentedDataset`.
        device: where the model runs.
        on_frame: called with each frame.
        on_progress: called before each frame with the number of frames done and their total.

    Raises:
        SettingError: no score, or an unknown one.
        SchemaError, LabelPolicyError: it is not known which labels are anomalies, or the dataset's schema has none of
            ``classes``.
        TransformError: a torchvision transform in the dataset interpolates its label ids.
        ModelError: the model does not return a map of logits, or one with fewer channels than ``classes``.
        DatasetError: no frame is left, or no pixel of them counts; with ``size_hw``, also if none is anomalous, or none
            in-distribution.

    Example:
        A model whose logits are the pixel's colour, on a red road with a grey animal:

        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.anomalies import evaluate
        >>> from poc_aug.labels.schema import LabelSchema
        >>> labels = torch.zeros(16, 32, dtype=torch.uint8)
        >>> labels[8:, 4:9] = 1
        >>> image = torch.stack([255 - 128 * labels, 127 * labels, 127 * labels])
        >>> schema = LabelSchema("animals", {"road": 0, "animal": 1}, ood=("animal",))
        >>> result = evaluate(nn.Identity(), [(image, labels)], ("msp", "entropy"), schema=schema)
        >>> result.frames, result.scores["msp"].pixels["AuPRC"]
        (1, 1.0)
        >>> result.scores["entropy"].pixels["FPR95"]
        0.0
    """
    if not scores:
        raise SettingError("scores=[]", expected="at least one name of poc_aug.scores.SCORES")
    functions = {score: score_named(score, void_index=void_index) for score in dict.fromkeys(scores)}
    if components is not None:
        ComponentSegmentation(0.5, track=components)  # an unknown track is named now, not after the last frame
    check_base_transforms(dataset)
    known_schema, policy, names = find_schema(dataset, schema), AnomalyLabels(), dataset_keys(dataset, keys)
    started = time.perf_counter()
    metrics = {score: AnomalySegmentation().to(device) for score in functions}
    open_set = OpenSetFigures(require_schema(dataset, schema), classes, functions, device) if classes else None
    scored: list[_ScoredFrame] = []
    frames = left_out = 0
    kinds: set[int] = set()
    model = model.to(device)
    with evaluating(model):
        count = len(names) if limit is None else min(limit, len(names))
        for index in range(count):
            if on_progress is not None:
                on_progress(index, count)
            sample = open_item(dataset[index], adapt, key=names[index]).sample()
            check_label_ids(distinct_ids(sample.labels.numpy()), known_schema, sample.key)
            anomaly_labels = policy.rewrite(sample.labels, known_schema).to(torch.uint8)
            image, labels = resize_pair(sample.image, anomaly_labels, size_hw)
            if anomalous_only and not bool((labels == 1).any()):
                left_out += 1
                continue
            logits = frame_logits(model, image.to(device), labels.shape[-2:])
            maps = {score: function(logits)[0] for score, function in functions.items()}
            for score, values in maps.items():
                metrics[score].update(values[None], labels[None].to(device))
            if open_set is not None:
                open_set.add(sample.labels, logits, maps)
            frame = Frame(sample.key, image, labels, {score: values.float().cpu() for score, values in maps.items()})
            frames += 1
            kinds |= distinct_ids(labels.numpy()) & {0, 1}
            if components is not None:
                scored.append((frame.scores, frame.labels))
            if on_frame is not None:
                on_frame(frame)
    if not frames:
        raise DatasetError(
            f"no frame of {name or type(dataset).__name__} is left of {left_out}",
            expected="at least one frame" + (" with an anomalous pixel" if anomalous_only else ""),
        )
    _check_kinds(kinds, f"{frames} frames of {name or type(dataset).__name__}", size_hw)
    results = {score: _result(metrics[score], score, scored, components, open_set) for score in functions}
    seconds = time.perf_counter() - started
    return EvaluationResult(name or type(dataset).__name__, frames, left_out, results, seconds)


def _check_kinds(kinds: set[int], frames: str, size_hw: tuple[int, int] | None) -> None:
    """Check that the evaluated pixels are of both kinds, 0 and 1; those of frames as they are may lack one."""
    if kinds == {0, 1} or (kinds and size_hw is None):
        return
    lacking = "evaluated" if not kinds else "anomalous" if 1 not in kinds else "in-distribution"
    raise DatasetError(
        f"no pixel of {frames} is {lacking}" + ("" if size_hw is None else f" at size_hw={size_hw}"),
        expected="anomalous and in-distribution pixels",
        hint="take a larger size_hw, or leave it out" if size_hw is not None else "take more frames",
        command="give a larger --size, or leave it out" if size_hw is not None else "raise --limit, or leave it out",
    )


def _result(
    metric: AnomalySegmentation,
    name: str,
    frames: Sequence[_ScoredFrame],
    track: Track | None,
    open_set: OpenSetFigures | None,
) -> ScoreResult:
    pixels = {key: float(value) for key, value in metric.compute().items()}
    components: dict[str, float] = {}
    threshold = pixels["F1_threshold"]
    if track is not None and not math.isnan(threshold):
        # Pixels at the threshold are anomalous for AnomalySegmentation, but only pixels above it for the benchmark.
        below = float(torch.nextafter(torch.tensor(threshold), torch.tensor(-float("inf"))))
        metric_of_components = ComponentSegmentation(below, track=track)
        for maps, labels in frames:
            metric_of_components.update(maps[name][None], labels[None])
        figures = metric_of_components.compute()
        components = {key: float(value) for key, value in figures.items() if not key.startswith("F1_")}
        components["component F1"] = components.pop("F1")
        components |= instance_figures(
            ((maps[name], labels) for maps, labels in frames), below, min_px=metric_of_components.min_predicted_px
        )
    curves = metric.curves()
    step = max(1, len(curves["recall"]) // 2000)
    return ScoreResult(
        pixels,
        components,
        metric.quantiles(QUANTILES),
        {key: values[::step].tolist() for key, values in curves.items()},
        {} if open_set is None else open_set.figures(name),
    )
