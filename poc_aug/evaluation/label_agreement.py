"""Whether the labels of a frame still hold once it was shifted: what a segmenter finds on it, against the original."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from statistics import fmean

import torch
import xxhash

from poc_aug.errors import ItemFormatError, SchemaError, SettingError
from poc_aug.evaluation.frame_segmenter import FrameSegmenter
from poc_aug.evaluation.matched_classes import matched_classes
from poc_aug.labels.schema import LabelSchema
from poc_aug.number_settings import checked_integer, checked_number
from poc_aug.scenes.shifter_protocol import Agreement, SceneFrame
from poc_aug.types import Json

_VERSION = 1
"""Raised whenever the same frames get other figures."""
_IGNORED = 255
_NAMED = 3


class LabelConsistency:
    """Compares a segmenter's agreement with the labels on a shifted frame with that on the original frame.

    The figure of a class is the IoU of what the segmenter finds with the labels on the shifted frame, over the IoU on
    the original one, at most 1: what it misses on both says nothing about the shift. The figure of the frame is the
    mean over classes. All classes count alike, as in mIoU: weighted by their pixels, road, buildings and sky would
    decide alone, and a frame without its cars would pass. A mean over ten classes can still hide that one of them is
    gone, so a frame is refused as well if a class of it is below ``least_by_class``.

    Args:
        segmenter: a `FrameSegmenter`: `poc_aug.evaluation.frame_segmenter.ModelSegmenter` for a module or function,
            `poc_aug.backends.scene_models.semantic_model.TransformersSemantic` for a saved model of transformers. Its
            classes and those of the frames' schema are matched by name.
        threshold: a frame whose figure is lower is refused.
        least_by_class: a frame is refused if the figure of one of its classes is lower.
        least_iou: classes with a lower IoU on the original frame are left out: the segmenter does not find them.
        least_share: classes with a smaller share of the frame's pixels are left out: a shift by one pixel halves the
            IoU of a thin pole.
        remembered: number of frames whose IoU on the original is kept, so that several shifts of one frame run the
            segmenter on it once.

    A segmenter that is weak in a domain refuses frames whose labels do hold. Use one that is robust there, or lower
    thresholds; weather without weights keeps its labels and needs no check.

    Raises:
        SettingError: a setting outside its limits, or a segmenter without `classes`, `describe` and `segment`.

    Example:
        A segmenter that calls red road and blue sky; a shift that keeps the colours, and one that loses the road:

        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.frame_segmenter import ModelSegmenter
        >>> from poc_aug.evaluation.label_agreement import LabelConsistency
        >>> from poc_aug.labels.schema import LabelSchema
        >>> from poc_aug.scenes.shifter_protocol import SceneFrame
        >>> image = torch.zeros(3, 2, 4, dtype=torch.uint8)
        >>> image[2, 0] = image[0, 1] = 200
        >>> labels = torch.tensor([[1] * 4, [0] * 4])
        >>> schema = LabelSchema("view", {"road": 0, "sky": 1})
        >>> frame = SceneFrame(image, labels, "a", severity=3, seed=0, schema=schema)
        >>> check = LabelConsistency(ModelSegmenter(nn.Identity(), ("road", "grass", "sky")))
        >>> check.check([frame], [image // 2])[0].by_class
        {'road': 1.0, 'sky': 1.0}
        >>> check.check([frame], [image.flip(0)])[0].detail
        'agreement 0.00, at least 0.50 needed; worst: road 0.00, sky 0.00'
    """

    def __init__(
        self,
        segmenter: FrameSegmenter,
        *,
        threshold: float = 0.5,
        least_by_class: float = 0.1,
        least_iou: float = 0.4,
        least_share: float = 0.003,
        remembered: int = 4096,
    ) -> None:
        if isinstance(segmenter, type) or not isinstance(segmenter, FrameSegmenter):
            raise SettingError(
                f"a segmenter of type {type(segmenter).__name__}",
                expected="a FrameSegmenter: classes, describe() and segment(image)",
                hint="ModelSegmenter(model, classes) of a module or function",
            )
        self.segmenter = segmenter
        self.threshold = _share("threshold", threshold)
        self.least_by_class = _share("least_by_class", least_by_class)
        self.least_iou = _share("least_iou", least_iou)
        self.least_share = _share("least_share", least_share)
        if not self.least_iou:
            raise SettingError("least_iou=0", expected="more than 0: a class that was never found has no ratio")
        self.remembered = checked_integer("remembered", remembered, least=1)
        self._originals: OrderedDict[tuple[str, str], dict[str, float]] = OrderedDict()
        self._matched: tuple[LabelSchema, tuple[list[str], torch.Tensor, torch.Tensor]] | None = None

    def describe(self) -> dict[str, Json]:
        """The segmenter and the settings."""
        return {
            "agreement": "label-consistency",
            "version": _VERSION,
            "segmenter": self.segmenter.describe(),
            "threshold": self.threshold,
            "least_by_class": self.least_by_class,
            "least_iou": self.least_iou,
            "least_share": self.least_share,
        }

    def check_schema(self, schema: LabelSchema | None) -> None:
        """Check, before any long work, that the segmenter knows classes of a schema.

        Raises:
            SchemaError: no schema, or no class of one name.
        """
        self._match(schema)

    def check(self, frames: Sequence[SceneFrame], shifted: Sequence[torch.Tensor]) -> list[Agreement]:
        """Compare original and shifted frames, uint8 ``[3, H, W]``; one result per frame, in order.

        A frame on which the segmenter finds no class even before the shift cannot be checked, and is refused.

        Raises:
            SchemaError: a frame's schema is not known, holds none of the segmenter's classes, or lacks an id.
            ItemFormatError: a shifted frame of another size.
            ModelError: the segmenter fails.
        """
        if len(frames) != len(shifted):
            raise ItemFormatError(f"{len(shifted)} shifted frames of {len(frames)}", expected="one per frame")
        return [self._compare(frame, image) for frame, image in zip(frames, shifted, strict=True)]

    def _compare(self, frame: SceneFrame, image: torch.Tensor) -> Agreement:
        if image.shape != frame.image.shape:
            raise ItemFormatError(
                f"the shifted frame of {frame.key!r} has shape {list(image.shape)}",
                expected=f"{list(frame.image.shape)}, as the original",
            )
        before = self._original(frame)
        if not before:
            problem = "nothing to compare: the segmenter finds no class of the labels on the original frame"
            return Agreement({}, 0.0, False, f"{problem} (IoU of {self.least_iou:g} or more)")
        after = self._ious(frame, image)
        by_class = {name: min(1.0, after[name] / iou) for name, iou in before.items()}
        value = fmean(by_class.values())
        worst = sorted(by_class, key=lambda name: (by_class[name], name))[:_NAMED]
        named = ", ".join(f"{name} {by_class[name]:.2f}" for name in worst)
        if value < self.threshold:
            detail = f"agreement {value:.2f}, at least {self.threshold:.2f} needed; worst: {named}"
            return Agreement(by_class, value, False, detail)
        if by_class[worst[0]] < self.least_by_class:
            needed = f"at least {self.least_by_class:.2f} needed for each class"
            return Agreement(by_class, value, False, f"agreement {value:.2f}, but {needed}; worst: {named}")
        return Agreement(by_class, value, True, f"agreement {value:.2f}; worst: {named}")

    def _original(self, frame: SceneFrame) -> dict[str, float]:
        """IoU on the original frame of the classes that count."""
        # Two datasets may call different frames by one key; the digest tells them apart.
        key = (frame.key, _digest(frame))
        if key in self._originals:
            self._originals.move_to_end(key)
            return self._originals[key]
        found = {name: iou for name, iou in self._ious(frame, frame.image).items() if iou >= self.least_iou}
        self._originals[key] = found
        if len(self._originals) > self.remembered:
            self._originals.popitem(last=False)
        return found

    def _ious(self, frame: SceneFrame, image: torch.Tensor) -> dict[str, float]:
        """IoU on an image of each of the frame's classes with enough pixels."""
        names, place_of_id, place_of_channel = self._match(frame.schema)
        assert frame.schema is not None
        frame.schema.check(frame.labels, frame.key)
        truth = place_of_id[frame.labels.cpu().long()].flatten()
        found = self.segmenter.segment(image)
        # Labels beyond the segmenter's classes are errors like any other.
        other = len(names)
        known = (found >= 0) & (found < len(place_of_channel))
        predicted = torch.where(known, place_of_channel[found.clamp(0, len(place_of_channel) - 1)], other).flatten()
        counted = truth != _IGNORED
        pairs = truth[counted].long() * (other + 1) + predicted[counted]
        confusion = torch.bincount(pairs, minlength=other * (other + 1)).reshape(other, other + 1).double()
        labelled, hits = confusion.sum(dim=1), confusion.diagonal()
        ious = hits / (labelled + confusion.sum(dim=0)[:other] - hits)
        enough = labelled >= max(1.0, self.least_share * frame.labels.numel())
        return {name: float(iou) for name, iou, counts in zip(names, ious, enough, strict=True) if counts}

    def _match(self, schema: LabelSchema | None) -> tuple[list[str], torch.Tensor, torch.Tensor]:
        if schema is None:
            raise SchemaError(
                "the frames' label schema is not known",
                expected="class names, to compare the labels with what a segmenter finds",
                hint="pass the schema of the dataset: schema=",
                command="give the schema of the dataset: --schema NAME|FILE.yaml",
            )
        if self._matched is None or self._matched[0] != schema:
            classes = self.segmenter.classes
            if not any(name in schema for name in classes):
                raise SchemaError(
                    f"the segmenter's classes ({', '.join(classes)}) and those of schema {schema.name!r} "
                    f"({', '.join(schema.ids)}) have no name in common",
                    expected="a segmenter of the dataset's classes",
                    hint="use one that was trained on them, or ModelSegmenter(model, classes) with the schema's names",
                    command="give a segmenter that was trained on them, or that names them in its attribute `classes`",
                )
            self._matched = schema, matched_classes(schema, classes, {})
        return self._matched[1]


def _share(name: str, value: float) -> float:
    number = checked_number(name, value)
    if not 0 <= number <= 1:
        raise SettingError(f"{name}={value}", expected="from 0 to 1")
    return number


def _digest(frame: SceneFrame) -> str:
    digest = xxhash.xxh3_64(f"{list(frame.image.shape)}{frame.labels.dtype}".encode())
    for tensor in (frame.image, frame.labels):
        digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
