"""`ShiftStages`: what the engine does with a batch of frames: caption, depth, shift, and check of the labels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

import torch

from poc_aug.counting import count_of
from poc_aug.errors import GenerationError
from poc_aug.generation.statistics import Statistics
from poc_aug.scenes.shifter_protocol import (
    Agreement,
    AgreementCheck,
    Captioner,
    DepthEstimator,
    SceneFrame,
    Shifted,
    Shifter,
)
from poc_aug.types import Rejection

ShiftOutcome: TypeAlias = "tuple[SceneFrame, Shifted, Agreement | None] | Rejection"
"""The frame with its caption, what it was shifted to and whether its labels hold; or why there is none."""

_T = TypeVar("_T")
_REMEMBERED = 64
"""Frames whose caption and depth are kept: all domains, severities and variants of one frame follow each other."""


@dataclass(frozen=True)
class ShiftModels:
    """What shifts frames, and what a shift may be given besides.

    Attributes:
        shifters: by domain.
        captioner: says what frames show, for shifters that take a prompt.
        depth: estimates depth, instead of labels and camera.
        agreement: checks whether the labels hold.
    """

    shifters: Mapping[str, Shifter]
    captioner: Captioner | None = None
    depth: DepthEstimator | None = None
    agreement: AgreementCheck | None = None


class ShiftStages:
    """Shifts batches of frames.

    Args:
        models: what shifts them.
        statistics: times and batches are added to it.
    """

    def __init__(self, models: ShiftModels, statistics: Statistics) -> None:
        self.models = models
        self.statistics = statistics
        self._captions: _Remembered[str] = _Remembered()
        self._depths: _Remembered[torch.Tensor] = _Remembered()

    def subject(self, key: str, item: tuple[str, SceneFrame]) -> str:
        """How error reports name a frame."""
        domain, frame = item
        return f"sample {key!r}, domain {domain!r}, severity {frame.severity}, seed {frame.seed}"

    def process(self, items: Sequence[tuple[str, SceneFrame]]) -> list[ShiftOutcome]:
        """Shift one batch of frames, each to its domain.

        Raises:
            GenerationError: a backend broke its contract.
        """
        self.statistics.batches[len(items)] += 1
        frames = [frame for _, frame in items]
        if (captioner := self.models.captioner) is not None:
            with self.statistics.stage("annotate"):
                captions = self._captions.of(
                    frames, lambda images: _texts(captioner, captioner.caption(images), images)
                )
            frames = [replace(frame, caption=text) for frame, text in zip(frames, captions, strict=True)]
        if (depth := self.models.depth) is not None:
            with self.statistics.stage("scene"):
                depths = self._depths.of(frames, lambda images: _depths(depth, depth.depth(images), images))
            frames = [replace(frame, depth_m=depth_m) for frame, depth_m in zip(frames, depths, strict=True)]
        outcomes: list[ShiftOutcome | None] = [None] * len(items)
        for domain in dict.fromkeys(domain for domain, _ in items):
            numbers = [number for number, (other, _) in enumerate(items) if other == domain]
            self._shift(self.models.shifters[domain], [frames[number] for number in numbers], numbers, outcomes)
        return [outcome for outcome in outcomes if outcome is not None]

    def _shift(
        self,
        shifter: Shifter,
        frames: Sequence[SceneFrame],
        numbers: Sequence[int],
        outcomes: list[ShiftOutcome | None],
    ) -> None:
        with self.statistics.stage("insert"):
            results = shifter.shift(frames)
        _check_results(shifter, results, frames)
        checked: list[Agreement | None] = [None] * len(frames)
        shifted = [number for number, result in enumerate(results) if isinstance(result, Shifted)]
        if (agreement := self.models.agreement) is not None and shifted:
            images = [result.image for result in results if isinstance(result, Shifted)]
            with self.statistics.stage("annotate"):
                answers = agreement.check([frames[number] for number in shifted], images)
            _check_count(agreement, answers, Agreement, len(shifted))
            for number, answer in zip(shifted, answers, strict=True):
                checked[number] = answer
        for number, frame, result, verdict in zip(numbers, frames, results, checked, strict=True):
            outcomes[number] = result if isinstance(result, Rejection) else (frame, result, verdict)


class _Remembered(Generic[_T]):
    """What a model said of the last frames, by their keys."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, _T] = OrderedDict()

    def of(self, frames: Sequence[SceneFrame], ask: Callable[[list[torch.Tensor]], Sequence[_T]]) -> list[_T]:
        new = {frame.key: frame.image for frame in frames if frame.key not in self._values}
        known = {frame.key: self._values[frame.key] for frame in frames if frame.key in self._values}
        if new:
            known |= dict(zip(new, ask(list(new.values())), strict=True))
        self._values.update(known)
        for key in known:
            self._values.move_to_end(key)
        while len(self._values) > _REMEMBERED:
            self._values.popitem(last=False)
        return [known[frame.key] for frame in frames]


def _texts(captioner: Captioner, captions: Sequence[str], images: Sequence[torch.Tensor]) -> Sequence[str]:
    _check_count(captioner, captions, str, len(images))
    return captions


def _depths(
    estimator: DepthEstimator, depths: Sequence[torch.Tensor], images: Sequence[torch.Tensor]
) -> Sequence[torch.Tensor]:
    _check_count(estimator, depths, torch.Tensor, len(images))
    for depth_m, image in zip(depths, images, strict=True):
        if depth_m.shape != image.shape[1:]:
            raise GenerationError(
                f"{type(estimator).__name__} returned a depth map of {list(depth_m.shape)} for an image of "
                f"{list(image.shape[1:])}",
                expected="depth in metres, float32 [H, W], of the image's size",
                hint="correct the depth model",
            )
    return depths


def _check_results(shifter: Shifter, results: object, frames: Sequence[SceneFrame]) -> None:
    _check_count(shifter, results, (Shifted, Rejection), len(frames))
    assert isinstance(results, Sequence)
    for result, frame in zip(results, frames, strict=True):
        if not isinstance(result, Shifted):
            continue
        image = result.image
        if not isinstance(image, torch.Tensor) or image.dtype != torch.uint8 or image.shape != frame.image.shape:
            kind = f"{image.dtype} {list(image.shape)}" if isinstance(image, torch.Tensor) else type(image).__name__
            raise GenerationError(
                f"{type(shifter).__name__} returned {kind} for sample {frame.key!r}",
                expected=f"torch.uint8 {list(frame.image.shape)}, the frame's own size: its labels stay where they are",
                hint="correct the shifter",
            )


def _check_count(backend: object, results: object, kinds: type | tuple[type, ...], count: int) -> None:
    if isinstance(results, Sequence) and not isinstance(results, str) and len(results) == count:
        wrong = sorted({type(result).__name__ for result in results if not isinstance(result, kinds)})
        if not wrong:
            return
        problem = f"results of type {', '.join(wrong)}"
    else:
        many = isinstance(results, Sequence) and not isinstance(results, str)
        problem = f"{len(results)} results" if many else f"a {type(results).__name__}"  # type: ignore[arg-type]
    names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    raise GenerationError(
        f"{type(backend).__name__} returned {problem} for {count_of(count, 'frame')}",
        expected=f"a list of {count}: one {names} per frame, in order",
        hint="correct the backend",
    )
