"""Evaluating a segmentation model on anomaly segmentation datasets: the figures, and what pictures are drawn from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from poc_aug.errors import DatasetError, ModelError, SettingError
from poc_aug.items.label_ids import distinct_ids
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.joint_transforms.joint_transform import check_base_transforms
from poc_aug.keys import Keys, dataset_keys
from poc_aug.labels.detect import find_schema
from poc_aug.labels.policies import AnomalyLabels
from poc_aug.labels.schema import LabelSchema, check_label_ids
from poc_aug.metrics import AnomalySegmentation, ComponentSegmentation
from poc_aug.metrics.component import Track
from poc_aug.scores import score_named

_Maps: TypeAlias = tuple[Mapping[str, torch.Tensor], torch.Tensor]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Those of the box plot: whiskers, box and median."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One evaluated frame, for pictures.

    Attributes:
        key: the sample's key.
        image: uint8 ``[3, H, W]``.
        labels: uint8 ``[H, W]``: 0 in-distribution, 1 anomaly, 255 ignored.
        scores: float32 ``[H, W]`` by score name.
    """

    key: str
    image: torch.Tensor
    labels: torch.Tensor
    scores: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class ScoreResult:
    """One score's result on one dataset.

    Attributes:
        pixels: figures of `AnomalySegmentation`.
        components: figures of `ComponentSegmentation` at the threshold of the best F1; empty where not asked for.
        quantiles: `QUANTILES` of the scores of in-distribution ("known") and of anomalous pixels.
        curves: `AnomalySegmentation.curves`, at most 2000 points.
    """

    pixels: Mapping[str, float]
    components: Mapping[str, float] = field(default_factory=dict)
    quantiles: Mapping[str, list[float]] = field(default_factory=dict)
    curves: Mapping[str, list[float]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class EvaluationResult:
    """Results on one dataset.

    Attributes:
        dataset: its name.
        frames: frames that were evaluated.
        left_out: frames that were left out since no pixel of theirs is anomalous.
        scores: results by score name.
        seconds: time taken.
    """

    dataset: str
    frames: int
    left_out: int
    scores: Mapping[str, ScoreResult]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values, without the curves."""
        return {
            "dataset": self.dataset,
            "frames": self.frames,
            "left_out": self.left_out,
            "seconds": round(self.seconds, 2),
            "scores": {
                name: {**result.pixels, **result.components, "quantiles": dict(result.quantiles)}
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
    anomalous_only: bool = False,
    limit: int | None = None,
    schema: LabelSchema | str | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    device: str | torch.device = "cpu",
    on_frame: Callable[[Frame], None] | None = None,
) -> EvaluationResult:
    """Evaluate a model on a dataset with anomalies, one frame at a time.

    Args:
        model: maps float32 ``[1, 3, H, W]``, RGB in [0, 1], to logits ``[1, C, h, w]``; they are resized (bilinear) to
            the labels' size.
        dataset: map-style, as for `POCAugmentedDataset`; its schema says which ids are anomalies (``ood``) and ignored.
        scores: names in `poc_aug.scores.SCORES`.
        name: what the dataset is called in the result; ``None``: its type.
        size_hw: images (bilinear) and labels (nearest) are resized to this first; ``None``: as they are.
        void_index: channel of a void class: for the score "void", and left out of all others.
        components: also component-wise figures, with the sizes of that track; all score maps are held for them, since
            their threshold is known at the end.
        anomalous_only: leave out frames without an anomalous pixel.
        limit: only the first frames.
        schema: label schema, if it is not known.
        keys: names of the samples, as in `POCAugmentedDataset`; they name frames in errors and files.
        adapt: how to take items of another form apart.
        device: where the model runs.
        on_frame: called with each frame.

    Raises:
        SettingError: no score, or an unknown one.
        SchemaError, LabelPolicyError: it is not known which labels are anomalies.
        TransformError: a torchvision transform in the dataset interpolates its label ids.
        ModelError: what the model returns is no map of logits.
        DatasetError: no frame is left.
    """
    if not scores:
        raise SettingError("scores=[]", expected="at least one name of poc_aug.scores.SCORES")
    functions = {each: score_named(each, void_index=void_index) for each in dict.fromkeys(scores)}
    check_base_transforms(dataset)
    found_schema, policy, names = find_schema(dataset, schema), AnomalyLabels(), dataset_keys(dataset, keys)
    started = time.perf_counter()
    metrics = {each: AnomalySegmentation().to(device) for each in functions}
    kept: list[_Maps] = []
    frames = left_out = 0
    model = model.to(device)
    with evaluating(model):
        for number in range(len(names) if limit is None else min(limit, len(names))):
            sample = open_item(dataset[number], adapt, key=names[number]).sample()
            check_label_ids(distinct_ids(sample.labels.numpy()), found_schema, sample.key)
            image, labels = resized(sample.image, policy.rewrite(sample.labels, found_schema).to(torch.uint8), size_hw)
            if anomalous_only and not bool((labels == 1).any()):
                left_out += 1
                continue
            logits = logits_of(model, image.to(device), labels.shape[-2:])
            maps = {each: function(logits)[0] for each, function in functions.items()}
            for each, values in maps.items():
                metrics[each].update(values[None], labels[None].to(device))
            frame = Frame(sample.key, image, labels, {each: values.float().cpu() for each, values in maps.items()})
            frames += 1
            if components is not None:
                kept.append((frame.scores, frame.labels))
            if on_frame is not None:
                on_frame(frame)
    if not frames:
        raise DatasetError(
            f"no frame of {name or type(dataset).__name__} is left of {left_out}",
            expected="at least one frame" + (" with an anomalous pixel" if anomalous_only else ""),
        )
    results = {each: _result(metrics[each], each, kept, components) for each in functions}
    seconds = time.perf_counter() - started
    return EvaluationResult(name or type(dataset).__name__, frames, left_out, results, seconds)


def _result(metric: AnomalySegmentation, name: str, frames: Sequence[_Maps], track: Track | None) -> ScoreResult:
    pixels = {key: float(value) for key, value in metric.compute().items()}
    components: dict[str, float] = {}
    if track is not None and pixels["F1_threshold"] == pixels["F1_threshold"]:
        # The metric calls a pixel anomalous at the threshold, the benchmark's components only above it.
        below = float(torch.nextafter(torch.tensor(pixels["F1_threshold"]), torch.tensor(-float("inf"))))
        counted = ComponentSegmentation(below, track=track)
        for maps, labels in frames:
            counted.update(maps[name][None], labels[None])
        components = {key: float(value) for key, value in counted.compute().items() if not key.startswith("F1_")}
        components["component F1"] = components.pop("F1")
    curves = metric.curves()
    step = max(1, len(curves["recall"]) // 2000)
    return ScoreResult(
        pixels,
        components,
        metric.quantiles(QUANTILES),
        {key: values[::step].tolist() for key, values in curves.items()},
    )


def resized(
    image: torch.Tensor, labels: torch.Tensor, size_hw: tuple[int, int] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image uint8 ``[3, H, W]`` (bilinear) and uint8 labels ``[H, W]`` (nearest) at a size; ``None``: as they are."""
    if size_hw is None or tuple(labels.shape) == size_hw:
        return image, labels
    small = F.interpolate(image[None].float(), size_hw, mode="bilinear", align_corners=False, antialias=True)
    nearest = F.interpolate(labels[None, None].float(), size_hw, mode="nearest-exact")
    return small[0].round().clamp(0, 255).to(torch.uint8), nearest[0, 0].to(torch.uint8)


def logits_of(model: nn.Module, image: torch.Tensor, size_hw: Sequence[int]) -> torch.Tensor:
    """Logits ``[1, C, H, W]`` of an image uint8 ``[3, h, w]``, resized to ``size_hw``.

    Raises:
        ModelError: what the model returns is no map of logits.
    """
    logits = model(image[None].float() / 255)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 4 or logits.shape[0] != 1:
        told = f"shape {list(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(
            f"{type(model).__name__} returned {told} for an image of {list(image.shape)}",
            expected="logits [1, C, h, w]",
            hint="wrap it: a module whose forward returns the logits alone (of torchvision's models: ['out'])",
        )
    height, width = image.shape[-2:]
    if height != width and tuple(logits.shape[-2:]) == (width, height):
        raise ModelError(
            f"{type(model).__name__} returned logits {list(logits.shape)} for an image of {height}x{width} (h x w)",
            expected="logits [1, C, h, w]: resized as they are, they would lie across the labels",
            hint="swap the last two axes: logits.transpose(-1, -2)",
        )
    return F.interpolate(logits.float(), tuple(size_hw), mode="bilinear", align_corners=False)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode within, the mode that it was in behind it."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
