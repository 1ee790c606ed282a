"""Evaluating a model on a dataset's frames in other domains, at several severities, alongside the clean frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, Subset

from poc_aug.camera_spec import CameraSpec
from poc_aug.errors import DatasetError, SchemaError, SettingError
from poc_aug.evaluation.anomalies import evaluate
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.evaluation.shift_report import CLEAN, ShiftReport, ShiftResult
from poc_aug.evaluation.shift_request import ShiftRequest, read_shifts
from poc_aug.items.open_item import Adapt
from poc_aug.keys import Keys, dataset_keys
from poc_aug.labels.detect import require_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.metrics.component import Track
from poc_aug.scene_dataset import SceneShiftDataset
from poc_aug.scenes.shifter_protocol import DepthEstimator, SceneFrame, Shifted, Shifter
from poc_aug.types import Json, Rejection


def evaluate_shifts(
    model: nn.Module,
    dataset: Dataset[Any],
    shifts: Sequence[str | Shifter | ShiftRequest],
    classes: Sequence[str] = (),
    scores: Sequence[str] | None = None,
    *,
    merge: Mapping[str, str] | None = None,
    name: str | None = None,
    size_hw: tuple[int, int] | None = None,
    void_index: int | None = None,
    components: Track | None = None,
    anomalous_only: bool = False,
    limit: int | None = None,
    schema: LabelSchema | str | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    camera: CameraSpec | str | None = None,
    depth: str | Callable[[int], Any] | DepthEstimator | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    on_progress: Callable[[int, int], None] | None = None,
) -> ShiftReport:
    """Evaluate a model on a dataset's clean frames and on the same frames in other domains.

    Frames are shifted at their own size and then resized. Weather is made as frames are read; for shifters that hold
    models, fill a cache first, and give its path.

    Args:
        model: as in `evaluate_classes`.
        dataset: map-style, as for `SceneShiftDataset`.
        shifts: texts as on the command line (``"fog:1-5"``, ``"night:3"``, ``"corruption:contrast"``, the path of a
            cache of frames, whose first variants are read), shifters, or `ShiftRequest`s.
        classes: the model's classes, in the order of its channels: for mIoU, and the open-IoU of anomalies.
        scores: scores of anomalies, as in `evaluate`; ``None``: "msp" if the dataset has anomalies; empty: none.
        merge: as in `evaluate_classes`.
        name: name of the dataset in the report; ``None``: its type.
        size_hw: as in `evaluate_classes`.
        void_index: as in `evaluate`.
        components: as in `evaluate`.
        anomalous_only: as in `evaluate`.
        limit: evaluate the first frames only.
        schema: label schema, if the dataset's is not known.
        keys: names of the samples, as in `POCAugmentedDataset`.
        adapt: how to take items of another form apart, as in `POCAugmentedDataset`.
        camera: the frames' camera, as in `SceneShiftDataset`.
        depth: depth of the frames, as in `SceneShiftDataset`.
        seed: seed of the shifts.
        device: where the model runs.
        on_progress: called before each frame with the number of frames done and their total.

    Raises:
        SettingError: no shift, an unknown one, or the same twice; no classes for a dataset without anomalies.
        SchemaError: scores for a dataset without anomalies; classes that weather needs are not known.
        DatasetError: frames of a domain were rejected, and no cache says which.
        PocAugError: as `SceneShiftDataset`, `evaluate_classes` and `evaluate`.

    Example:
        A model whose logits are the pixel's colour, on frames that a shifter darkens:

        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.shift_evaluation import evaluate_shifts
        >>> from poc_aug.labels.schema import LabelSchema
        >>> from poc_aug.scenes.shifter_protocol import Shifted
        >>> class Dusk:
        ...     domain, holds_model = "dusk", False
        ...
        ...     def describe(self):
        ...         return {"shifter": "dusk"}
        ...
        ...     def shift(self, frames):
        ...         return [Shifted(frame.image // (1 + frame.severity)) for frame in frames]
        >>> image = torch.zeros(3, 2, 4, dtype=torch.uint8)
        >>> image[2, 0], image[0, 1] = 255, 255  # sky above road
        >>> labels = torch.tensor([[7, 7, 7, 7], [4, 4, 4, 4]], dtype=torch.uint8)
        >>> schema = LabelSchema("views", {"road": 4, "sky": 7})
        >>> frames, channels = [(image, labels)], ("road", "grass", "sky")
        >>> report = evaluate_shifts(nn.Identity(), frames, [Dusk()], channels, schema=schema)
        >>> [(result.domain, result.severity, round(result.figures["ECE"], 2)) for result in report.results[:3]]
        [('clean', 0, 0.42), ('dusk', 1, 0.55), ('dusk', 2, 0.59)]
    """
    name = name or type(dataset).__name__
    known = require_schema(dataset, schema)
    if scores is None:
        scores = ("msp",) if known.ood else ()
    if scores and not known.ood:
        raise SchemaError(
            f"{name}: scores={list(scores)}, and label schema {known.name!r} calls no class out of distribution",
            expected="a schema that says which ids are anomalies: ood",
            hint="leave scores= out, or pass the schema that fits these labels",
        )
    if not scores and not classes:
        raise SettingError(
            f"{name}: neither classes nor anomalies to evaluate",
            expected="classes=: names of the model's channels, in order",
        )
    base: dict[str, Any] = {"schema": known, "keys": keys, "adapt": adapt}
    shifted = shifted_datasets(dataset, shifts, camera=camera, depth=depth, seed=seed, **base)
    where: dict[str, Any] = {"name": name, "size_hw": size_hw, "device": device, **base}
    count = len(dataset_keys(dataset, keys))
    count = count if limit is None else min(limit, count)
    passes = bool(classes) + bool(scores)
    done, total = 0, (1 + len(shifted)) * passes * count

    def frame_done(_done: int, _total: int) -> None:
        nonlocal done
        if on_progress is not None:
            on_progress(done, total)
        done += 1

    def one(domain: str, severity: int, frames: Dataset[Any], left_out: int = 0) -> ShiftResult:
        limited: dict[str, Any] = {**where, "limit": None if left_out else limit, "on_progress": frame_done}
        if severity:  # the wrapper takes items apart, and names them
            limited |= {"keys": None}
        known_classes = found = None
        if classes:
            known_classes = evaluate_classes(model, frames, classes, merge=merge, **limited)
        if scores:
            of_anomalies: dict[str, Any] = {"void_index": void_index, "components": components, "classes": classes}
            found = evaluate(model, frames, scores, anomalous_only=anomalous_only, **of_anomalies, **limited)
        return ShiftResult(domain, severity, left_out, known_classes, found)

    results = [one(CLEAN, 0, dataset)]
    for request, severity, frames in shifted:
        with frames:
            kept = _kept(frames, count)
            if not kept:
                raise DatasetError(
                    f"{name}: the cache {request.cache} holds no frame of {request.domain} at severity {severity}: "
                    "each attempt was rejected",
                    expected="one frame or more",
                    hint="lower the threshold of its label check, or leave that severity out",
                )
            left_out = count - len(kept)
            results.append(one(request.name, severity, Subset(frames, kept) if left_out else frames, left_out))
            _check_shown(frames, f"{name} in {request.name} at severity {severity}")
    return ShiftReport(name, tuple(results))


def shifted_datasets(
    dataset: Dataset[Any],
    shifts: Sequence[str | Shifter | ShiftRequest],
    *,
    schema: LabelSchema | str | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    camera: CameraSpec | str | None = None,
    depth: str | Callable[[int], Any] | DepthEstimator | None = None,
    seed: int = 0,
) -> list[tuple[ShiftRequest, int, SceneShiftDataset]]:
    """The dataset in each domain at each severity; no frame is made yet, but each is checked to fit.

    Args:
        dataset: map-style.
        shifts: as in `evaluate_shifts`, like the other arguments.
        schema: label schema, if the dataset's is not known.
        keys: names of the samples.
        adapt: how to take items of another form apart.
        camera: the frames' camera.
        depth: depth of the frames.
        seed: seed of the shifts.

    Raises:
        PocAugError: see `evaluate_shifts`.

    Example:
        >>> from poc_aug import SyntheticStreet
        >>> from poc_aug.evaluation.shift_evaluation import shifted_datasets
        >>> street = SyntheticStreet(size=(64, 128), length=2)
        >>> [frames.keys[0] for _, _, frames in shifted_datasets(street, ["fog:2,4"])]
        ['street-000000@fog-2', 'street-000000@fog-4']
    """
    base: dict[str, Any] = {"schema": schema, "keys": keys, "adapt": adapt, "seed": seed}
    found = []
    for request in read_shifts(shifts):
        for severity in request.severities:
            if request.cache is None:
                made: dict[str, Any] = {"camera": camera, "depth": depth}
                frames = SceneShiftDataset(dataset, request.shift, severity=severity, **made, **base)
            else:
                stored: dict[str, Any] = {"on_miss": "raise", "variant": 0}
                frames = SceneShiftDataset(
                    dataset, _Stored(request.domain), request.cache, severity=severity, **stored, **base
                )
            found.append((request, severity, frames))
    return found


class _Stored:
    """Stands for the shifter of frames that are read from a cache."""

    def __init__(self, domain: str) -> None:
        self.domain = domain

    def describe(self) -> dict[str, Json]:
        return {"shifter": "stored"}

    def shift(self, frames: Sequence[SceneFrame]) -> list[Shifted | Rejection]:
        raise SettingError(f"frames of {self.domain} are read from a cache", expected="no frame to make")


def _kept(frames: SceneShiftDataset, count: int) -> list[int]:
    """The indices of frames that were not rejected; one that the cache does not hold is an error when it is read."""
    if frames.cache is None:
        return list(range(count))
    variants = ((index, frames.cache.get(key, 0)) for index, key in enumerate(frames.keys[:count]))
    return [index for index, variant in variants if variant is None or variant.frame is not None]


def _check_shown(frames: SceneShiftDataset, what: str) -> None:
    statistics = frames.stats()
    clean = statistics.items - statistics.hits - statistics.generated
    if clean:
        raise DatasetError(
            f"{clean} of {statistics.items} frames of {what} were rejected, and would count as they are",
            expected="frames that can all be shifted",
            hint="fill a cache, and evaluate that: it says which frames were rejected, and they are left out",
        )
