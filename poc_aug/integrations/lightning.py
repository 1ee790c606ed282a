"""Lightning: a callback that announces each epoch to the datasets of the training."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from poc_aug.errors import SettingError
from poc_aug.keys.drawn_datasets import drawn_in

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
elif (
    "pytorch_lightning" in sys.modules and "lightning" not in sys.modules
):  # the older package, with classes of its own
    from pytorch_lightning import Callback, LightningModule, Trainer
else:
    from lightning.pytorch import Callback, LightningModule, Trainer


class AugmentationEpochs(Callback):
    """Sets the epoch of all augmented datasets and composers in the training's loaders, also when it is resumed.

    They are found through `CombinedLoader`, lists and mappings of loaders, and wrapped datasets. Those of a validation
    are left alone.

    Attributes:
        found: the datasets and composers of the current epoch, for ``stats()``.

    Raises:
        SettingError: when the training starts: there is none in its loaders.

    Example:
        >>> AugmentationEpochs().found  # Trainer(callbacks=[AugmentationEpochs()])
        []
    """

    def __init__(self) -> None:
        self.found: list[Any] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning has made the first epoch's iterator by now, and workers have read ahead: with the epoch 0."""
        late = [each for each in self._announce(trainer) if each != trainer.current_epoch]
        if late:  # a checkpoint was resumed
            iter(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the iterators of all further epochs are made."""
        self._announce(trainer)

    def _announce(self, trainer: Trainer) -> list[int]:
        """Set the epoch; returns those that were set before."""
        self.found = drawn_in(trainer.train_dataloader)
        if not self.found:
            raise SettingError(
                f"AugmentationEpochs found nothing that is drawn anew in {type(trainer.train_dataloader).__name__}",
                expected="loaders with a POCAugmentedDataset, a SceneShiftDataset or a Composer in them",
                hint="pass redraw='read' to the dataset instead, and leave the callback out",
            )
        before = [each.epoch for each in self.found]
        for each in self.found:
            if (warns := getattr(each, "_warn_again", None)) is not None:
                # Every epoch is announced; what workers read too early when a training is resumed is read again.
                warns.values[0] = False
            each.set_epoch(trainer.current_epoch)
        return before
