"""Hugging Face's `Trainer` with Segformer's processor: composed before labels are reduced, drawn anew each epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug import Composer, OodLabels, POCAugmentedDataset
from poc_aug.errors import SchemaError
from poc_aug.integrations.hugging_face import ComposeRows
from tests.helpers.client_cases import LENGTH, OOD, frame, shown
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.tiny_segmenters import save_segmenter

transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_segmenter("segformer", tmp_path_factory.mktemp("segformer"))


@pytest.fixture(scope="module")
def processor() -> Any:
    plain = {"do_resize": False, "do_normalize": False, "rescale_factor": 1.0}
    return transformers.SegformerImageProcessor(**plain, do_reduce_labels=True)


class Prepare:
    """What the Trainer's examples do to images and labels, for one item or columns."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.seen: list[dict[str, torch.Tensor]] = []

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        images = [image.convert("RGB") for image in batch["image"]]
        inputs = self.processor(images, list(batch["label"]), return_tensors="pt")
        rows = [{"pixel_values": pixels, "labels": labels} for pixels, labels in zip(*inputs.values(), strict=True)]
        self.seen += rows
        return dict(inputs)

    def one(self, image: Any, labels: Any) -> dict[str, Any]:
        return {name: values[0] for name, values in self({"image": [image], "label": [labels]}).items()}


def rows() -> Any:
    pairs = [Frames(LENGTH)[i] for i in range(LENGTH)]
    names = [f"frame-{i:03d}" for i in range(LENGTH)]
    columns = {"image": [image for image, _ in pairs], "label": [labels for _, labels in pairs], "name": names}
    kinds = {"image": datasets.Image(), "label": datasets.Image(), "name": datasets.Value("string")}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


def wrapped(cache: Path, prepare: Prepare) -> Any:
    ds = POCAugmentedDataset(
        Frames(LENGTH), cache, OodLabels(OOD), p=0.5, schema=SCHEMA, transforms=prepare.one, check_transforms=False
    )
    return ds


def transformed(cache: Path, prepare: Prepare) -> Any:
    compose = Composer(cache, OodLabels(OOD), schema=SCHEMA, key="name", p=0.5, redraw="read")
    return rows().with_transform(ComposeRows(compose, then=prepare))


def streamed(cache: Path, prepare: Prepare) -> Any:
    compose = Composer(cache, OodLabels(OOD), schema=SCHEMA, key="name", p=0.5, redraw="read")
    stream = rows().to_iterable_dataset().map(compose)
    return stream.map(prepare, batched=True, batch_size=2, remove_columns=["image", "label", "name"])


def trained(folder: Path, model_folder: Path, dataset: Any, epochs: int) -> float:
    steps = epochs * LENGTH // 2
    arguments = transformers.TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=2, use_cpu=True, report_to=[], save_strategy="no",
        remove_unused_columns=False, disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    model = transformers.SegformerForSemanticSegmentation.from_pretrained(model_folder)
    model.config.semantic_loss_ignore_index = 255
    return float(transformers.Trainer(model, arguments, train_dataset=dataset).train().training_loss)


def reduced(labels: np.ndarray) -> np.ndarray:
    """What ``do_reduce_labels`` makes of ids: 0 is void, all others are one less."""
    return np.where((labels == 0) | (labels == 255), 255, labels - 1)


def variant_of(cache: Path, row: dict[str, torch.Tensor]) -> tuple[int, int | None]:
    """The frame and the variant that a row shows: its labels are those of the cache, reduced."""
    pixels = row["pixel_values"].numpy().transpose(1, 2, 0)
    number = int(np.argmin([np.count_nonzero(frame(number)[0] != pixels) for number in range(LENGTH)]))
    after = (pixels, row["labels"].numpy())
    return number, shown(cache, f"frame-{number:03d}", frame(number), after, ids_as=reduced)


class FewClasses(Prepare):
    """For a model of four classes: the OOD id becomes void after it was checked."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        inputs = super().__call__(batch)
        inputs["labels"] = inputs["labels"].where(inputs["labels"] < 4, 255)
        return inputs


@pytest.mark.parametrize("make", [wrapped, transformed, streamed])
def test_a_training_draws_anew_each_epoch(
    frames_cache: Path, tmp_path: Path, model_folder: Path, processor: Any, make: Callable[..., Any]
) -> None:
    prepare = FewClasses(processor)
    dataset = make(frames_cache, prepare)
    epochs = 6
    assert np.isfinite(trained(tmp_path, model_folder, dataset, epochs))
    draws = [variant_of(frames_cache, row) for row in prepare.seen]
    assert len(draws) >= epochs * LENGTH
    by_epoch = [tuple(sorted(draws[first : first + LENGTH], key=str)) for first in range(0, epochs * LENGTH, LENGTH)]
    assert all([number for number, _ in sorted(epoch)] == list(range(LENGTH)) for epoch in by_epoch)
    assert len(set(by_epoch)) > 3
    shown_share = sum(variant is not None for _, variant in draws) / len(draws)
    assert 0.2 < shown_share < 0.8
    if make is wrapped:
        assert dataset.epoch == epochs - 1  # the Trainer announces them


def test_reduced_before_composing_is_refused(frames_cache: Path) -> None:
    """Ids that were reduced name other classes: the labels are compared, by class, with the cache's."""
    compose = Composer(frames_cache, OodLabels(OOD), schema=SCHEMA, key="name", p=1.0)
    image, labels = Frames(LENGTH)[0]
    wrong = reduced(np.asarray(labels).astype(np.int64)).astype(np.uint8)
    with pytest.raises(SchemaError, match="labels"):
        compose({"image": image, "label": wrong, "name": "frame-000"})
