"""What is checked before the first frame is evaluated: the scores, every label map of a dataset, and the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from poc_aug.counting import count_of
from poc_aug.errors import (
    DatasetError,
    ModelError,
    PocAugError,
    SampleReadError,
    SchemaError,
    SettingError,
    in_one_line,
)
from poc_aug.evaluation.inference import evaluating, frame_logits, resize_pair
from poc_aug.evaluation.matched_classes import matched_classes
from poc_aug.items.open_item import open_item
from poc_aug.keys import dataset_keys
from poc_aug.keys.path_keys import as_list, path_of
from poc_aug.labels.detect import require_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.metrics.component import Track
from poc_aug.scores import score_named
from poc_aug.types import Sample

_Read = TypeVar("_Read")
_LARGER = "a larger size_hw, "
_LARGER_SIZE = "give a larger --size, "
_LABEL_LISTS = ("labels", "targets", "masks", "label_paths", "mask_paths", "annotations", "lbls")


def check_score_names(scores: Sequence[str], void_index: int | None, components: Track | None) -> None:
    """Check the names of scores and of a track of component-wise figures.

    Raises:
        SettingError: an unknown one.
    """
    for score in scores:
        score_named(score, void_index=void_index)
    if components is not None and components not in get_args(Track):
        raise SettingError(f"components={components!r}", expected=f"one of: {', '.join(get_args(Track))}")


def check_anomalies(
    dataset: Any,
    *,
    name: str,
    schema: LabelSchema | str | None = None,
    limit: int | None = None,
    size_hw: tuple[int, int] | None = None,
) -> None:
    """Read all labels of a dataset with anomalies, and check that they can be evaluated.

    Args:
        dataset: map-style, as in `poc_aug.evaluation.anomalies.evaluate`.
        name: its name in errors.
        schema: label schema, if the dataset's is not known.
        limit: check the first frames only.
        size_hw: size to which the labels are resized (nearest) first; ``None``: as they are.

    Raises:
        SchemaError: no schema, one without an anomaly, or an id that it does not know; the message names the ids, the
            dataset and the file.
        DatasetError: an item that cannot be read, or no anomalous, or no in-distribution, pixel in all frames.
    """
    known = _schema(dataset, schema, name)
    if not known.ood:
        raise SchemaError(
            f"{name}: label schema {known.name!r} calls no class out of distribution",
            expected="a schema that says which ids are anomalies: ood",
            hint="pass the schema of a dataset with anomalies: schema='fishyscapes', or one with ood=(...)",
            command="--schema fishyscapes, say, or --schema FILE.yaml with a line 'ood: [anomaly]'",
        )
    anomalies = {known.id_of(own) for own in known.ood}
    found = _ids(dataset, known, name, limit, size_hw)
    for missing, ids in (
        ("anomalous", found & anomalies),
        ("in-distribution", found - anomalies - set(known.ignore)),
    ):
        if not ids:
            raise DatasetError(
                f"{name}: no pixel of its {count_of(_count(dataset, limit), 'frame')}{_at(size_hw)} is {missing}: "
                f"their ids are {sorted(found)}",
                expected=f"anomalies, ids {sorted(anomalies)}, and known classes",
                hint=f"take {_LARGER * (size_hw is not None)}more frames (limit), or the schema that fits these labels",
                command=f"{_LARGER_SIZE * (size_hw is not None)}raise --limit, or give the schema that fits these "
                "labels: --schema NAME|FILE.yaml",
            )


def check_classes(
    dataset: Any,
    classes: Sequence[str],
    *,
    name: str,
    schema: LabelSchema | str | None = None,
    limit: int | None = None,
    size_hw: tuple[int, int] | None = None,
) -> None:
    """Read all labels of a dataset with known classes, and check that they can be evaluated.

    Args:
        dataset: map-style, as in `poc_aug.evaluation.closed_set.evaluate_classes`.
        classes: the model's classes.
        name: its name in errors.
        schema: label schema, if the dataset's is not known.
        limit: check the first frames only.
        size_hw: size to which the labels are resized (nearest) first; ``None``: as they are.

    Raises:
        SchemaError: no schema, no class that is the model's, or an id that it does not know.
        DatasetError: an item that cannot be read, or no pixel of a class that counts.
    """
    known = _schema(dataset, schema, name)
    shared, class_of_id, _ = matched_classes(known, classes, {})
    found = _ids(dataset, known, name, limit, size_hw)
    if not any(int(class_of_id[label_id]) < len(shared) for label_id in found):
        raise DatasetError(
            f"{name}: no pixel of its {count_of(_count(dataset, limit), 'frame')}{_at(size_hw)} is of a class that "
            f"counts: their ids are {sorted(found)}",
            expected=f"labels of {', '.join(shared)}",
            command=f"{_LARGER_SIZE}or leave it out" if size_hw is not None else "",
        )


@torch.no_grad()
def check_model(
    model: nn.Module,
    dataset: Any,
    *,
    name: str,
    scores: Sequence[str] = (),
    void_index: int | None = None,
    classes: int = 0,
    size_hw: tuple[int, int] | None = None,
    device: str | torch.device = "cpu",
) -> None:
    """Run a model on the first frame of a dataset, and check that its logits can be used.

    Args:
        model: as in `poc_aug.evaluation.anomalies.evaluate`.
        dataset: map-style.
        name: the dataset's name in errors.
        scores: names of the scores that are computed of the logits.
        void_index: channel of a void class.
        classes: number of classes that the model's first channels are.
        size_hw: size of the frames; ``None``: their own.
        device: where the model runs.

    Raises:
        ModelError: it cannot take the frame, or does not return logits, or those of fewer channels than ``classes``.
        SettingError: a void channel that the model does not have.
        ItemFormatError: logits that no score can be computed of, such as NaN.
    """
    sample = next(_samples(dataset, name, 1))
    image, labels = resize_pair(sample.image, sample.labels.to(torch.uint8), size_hw)
    with evaluating(model.to(device)):
        try:
            logits = frame_logits(model, image.to(device), labels.shape[-2:])
            for score in scores:
                score_named(score, void_index=void_index)(logits)
        except PocAugError as error:
            raise _of(name, error) from error
    if logits.shape[1] < classes:
        raise ModelError(
            f"logits of {logits.shape[1]} channels for {classes} classes",
            expected="one channel per class, in the order of classes",
            command="give the model's classes in the order of its channels: --classes NAME|FILE.yaml",
        )


def _schema(dataset: Any, schema: LabelSchema | str | None, name: str) -> LabelSchema:
    try:
        return require_schema(dataset, schema)
    except SchemaError as error:
        raise _of(name, error) from error


def _ids(dataset: Any, schema: LabelSchema, name: str, limit: int | None, size_hw: tuple[int, int] | None) -> set[int]:
    """The ids that occur in a dataset's labels after they were resized; the schema knows them all."""
    found: set[int] = set()
    for index, sample in enumerate(_samples(dataset, name, limit)):
        ids = frozenset(np.unique(sample.labels.numpy()).tolist())
        try:
            schema.check_ids(ids, sample.key)
        except PocAugError as error:
            path = _label_path(dataset, index)
            raise _of(f"{name}, {path}" if path else name, error) from error
        found |= ids if size_hw is None else set(np.unique(_resized(sample.labels, size_hw)).tolist())
    return found


def _resized(labels: torch.Tensor, size_hw: tuple[int, int]) -> npt.NDArray[np.int64]:
    # As `resize_labels`, but of ids that 8 bits may not hold.
    return F.interpolate(labels[None, None].double(), size_hw, mode="nearest-exact").long().numpy()


def _at(size_hw: tuple[int, int] | None) -> str:
    return "" if size_hw is None else f" at {size_hw[0]}x{size_hw[1]} (h x w)"


def _samples(dataset: Any, name: str, limit: int | None) -> Iterator[Sample]:
    """The items of a dataset, which is the user's: it may raise anything, or end the process."""
    keys = _read(lambda: dataset_keys(dataset), f"{name}: its keys")
    for index, key in enumerate(keys[:limit]):
        yield _read(partial(_sample, dataset, index, key), f"{name}: sample {key!r}")


def _sample(dataset: Any, index: int, key: str) -> Sample:
    return open_item(dataset[index], key=key).sample()


def _read(read: Callable[[], _Read], what: str) -> _Read:
    try:
        return read()
    except (Exception, SystemExit) as error:
        if isinstance(error, PocAugError):
            raise _of(what.partition(":")[0], error) from error
        raise SampleReadError(
            f"{what} cannot be read: {in_one_line(error)}", expected="a dataset that returns each item"
        ) from error


def _label_path(dataset: Any, index: int) -> str | None:
    """The file of a sample's labels, if the dataset lists them."""
    for attribute in _LABEL_LISTS:
        paths = as_list(getattr(dataset, attribute, None))
        if paths is not None and len(paths) == len(dataset) and path_of(paths[index]) is not None:
            return path_of(paths[index])
    return None


def _count(dataset: Any, limit: int | None) -> int:
    return len(dataset) if limit is None else min(limit, len(dataset))


def _of(name: str, error: PocAugError) -> PocAugError:
    return type(error)(f"{name}: {error.problem}", expected=error.expected, hint=error.hint, command=error.command)
