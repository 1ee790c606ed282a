"""Lightning: the callback reaches all training datasets, in workers, wrapped, combined, and in a resumed run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset

from poc_aug import POCAugmentedDataset
from poc_aug.errors import SettingError
from tests.helpers.client_cases import LENGTH, POLICY, check_frames, frame
from tests.helpers.fakes import SCHEMA, Frames

L = pytest.importorskip("lightning")
lightning = pytest.importorskip("poc_aug.integrations.lightning")

# Advice of Lightning's about loaders and devices.
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::UserWarning:lightning", "ignore::UserWarning:torch", "ignore::DeprecationWarning"
)
EPOCHS = 5


def numbered(image: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(labels))


def dataset(cache: Path, seed: int = 0, **options: Any) -> POCAugmentedDataset:
    return POCAugmentedDataset(
        Frames(LENGTH), cache, POLICY, p=0.5, schema=SCHEMA, seed=seed, transforms=numbered, **options
    )


def drawn(dataset: Any, epochs: Any) -> list[Any]:
    shown = []
    for epoch in epochs:
        dataset.set_epoch(epoch)
        shown.append(sorted(image.numpy().tobytes() for image, _ in (dataset[i] for i in range(len(dataset)))))
    return shown


class Module(L.LightningModule):  # type: ignore[misc, name-defined]
    """Trains one number, and keeps what it was shown, by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[int, list[Any]] = {}

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        for images, labels in batch.values() if isinstance(batch, dict) else [batch]:
            self.seen.setdefault(self.trainer.current_epoch, []).extend(zip(images, labels, strict=True))
        return self.weight**2

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)

    def shown(self) -> list[Any]:
        return [sorted(image.numpy().tobytes() for image, _ in self.seen[epoch]) for epoch in sorted(self.seen)]


class Data(L.LightningDataModule):  # type: ignore[misc, name-defined]
    def __init__(self, train: Any, validation: Any = None) -> None:
        super().__init__()
        self.train, self.validation = train, validation

    def train_dataloader(self) -> Any:
        return self.train() if callable(self.train) else self.train

    def val_dataloader(self) -> Any:
        return [] if self.validation is None else DataLoader(self.validation, 2)


def fit(data: Any, *callbacks: Any, epochs: int = EPOCHS, resume: str | None = None, **options: Any) -> Any:
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks), **options,
    )  # fmt: skip
    module = Module()
    given = {"datamodule" if isinstance(data, L.LightningDataModule) else "train_dataloaders": data}
    trainer.fit(module, **given, ckpt_path=resume)
    return module, trainer


def check(cache: Path, module: Any) -> None:
    """Every item that was shown, to the pixel."""
    items = [item for epoch in module.seen.values() for item in epoch]
    numbers = [
        int(np.argmin([np.count_nonzero(frame(n)[0] != image.numpy()) for n in range(LENGTH)])) for image, _ in items
    ]
    shown = check_frames(cache, ((n, image, labels) for n, (image, labels) in zip(numbers, items, strict=True)))
    assert 0 < sum(number is None for number in shown) < len(shown)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_epoch_is_announced_and_the_validation_is_left_alone(frames_cache: Path, workers: int) -> None:
    train, validation = dataset(frames_cache), dataset(frames_cache, redraw="epoch")
    expected = drawn(dataset(frames_cache), range(EPOCHS))
    assert len({tuple(epoch) for epoch in expected}) > 2
    loader = DataLoader(train, 2, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    callback = lightning.AugmentationEpochs()
    module, _ = fit(Data(loader, validation), callback)
    assert module.shown() == expected
    assert callback.found == [train]
    assert (train.epoch, validation.epoch) == (EPOCHS - 1, 0)
    check(frames_cache, module)


def test_combined_and_wrapped_loaders(frames_cache: Path) -> None:
    first, second = dataset(frames_cache), dataset(frames_cache, seed=5)
    loaders: Any = {
        "a": DataLoader(Subset(ConcatDataset([first, first]), range(LENGTH)), 2),
        "b": DataLoader(ConcatDataset([second]), 2),
    }
    expected = [
        sorted(a + b)
        for a, b in zip(
            drawn(dataset(frames_cache), range(EPOCHS)), drawn(dataset(frames_cache, 5), range(EPOCHS)), strict=True
        )
    ]
    callback = lightning.AugmentationEpochs()
    module, _ = fit(loaders, callback)
    assert module.shown() == expected
    assert {*map(id, callback.found)} == {id(first), id(second)}


def test_loaders_that_are_made_anew(frames_cache: Path) -> None:
    made = []

    def loader() -> Any:
        made.append(dataset(frames_cache))
        return DataLoader(made[-1], 2)

    module, _ = fit(Data(loader), lightning.AugmentationEpochs(), reload_dataloaders_every_n_epochs=2)
    assert len(made) == 3
    assert module.shown() == drawn(dataset(frames_cache), range(EPOCHS))


class Stream(IterableDataset[Any]):
    """Has no length, so that Lightning reads a batch as soon as the iterator is made, before any hook."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[Any]:
        return (self.dataset[i] for i in range(LENGTH))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_training_continues_with_its_epoch(frames_cache: Path, tmp_path: Path, workers: int) -> None:
    _, trainer = fit(Data(DataLoader(dataset(frames_cache), 2)), lightning.AugmentationEpochs(), epochs=2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    again = dataset(frames_cache)
    loader = DataLoader(Stream(again), 2, num_workers=workers, persistent_workers=workers > 0)
    module, _ = fit(Data(lambda: loader), lightning.AugmentationEpochs(), resume=str(tmp_path / "two.ckpt"))
    assert sorted(module.seen) == [2, 3, 4]
    assert module.shown() == drawn(dataset(frames_cache), range(2, EPOCHS))


def test_without_the_callback_each_read_draws_anew(frames_cache: Path) -> None:
    module, _ = fit(DataLoader(dataset(frames_cache, redraw="read"), 2))
    assert module.shown() == drawn(dataset(frames_cache), range(EPOCHS))
    with pytest.warns(UserWarning, match=r"Lightning(?s:.*)redraw=\"read\""):
        fit(Data(DataLoader(dataset(frames_cache), 2), dataset(frames_cache, redraw="epoch")))


def test_a_training_without_augmented_data_is_an_error() -> None:
    plain = [numbered(*Frames(LENGTH)[i]) for i in range(LENGTH)]
    with pytest.raises(SettingError, match=r"AugmentationEpochs found nothing(?s:.*)redraw='read'"):
        fit(DataLoader(plain, 2), lightning.AugmentationEpochs())  # type: ignore[arg-type]
