"""`set_epoch`: one call that reaches every augmented dataset, however it is wrapped."""

from __future__ import annotations

from typing import Any

from poc_aug.errors import SettingError
from poc_aug.keys.drawn_datasets import drawn_in
from poc_aug.reading.parameters import check_epoch


def set_epoch(target: Any, epoch: int) -> None:
    """Set the epoch of every augmented dataset and `Composer` in a loader or dataset; before its iterator is made.

    They are found through `DataLoader`, `Subset`, `ConcatDataset` and other wrappers, in lists and mappings of them,
    and in the transforms of a dataset, also of Hugging Face's, WebDataset's and LitData's. Persistent workers see it.

    Args:
        target: a dataset, a loader, or several in a list or mapping.
        epoch: number of the epoch, from 0.

    Raises:
        SettingError: nothing was found, or ``epoch`` is not an integer of 0 or more.

    Example:
        >>> import tempfile
        >>> from torch.utils.data import ConcatDataset, DataLoader
        >>> from poc_aug import InsertionPipeline, POCAugmentedDataset, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.presets import load_preset
        >>> base = SyntheticStreet(size=(64, 128), length=1)
        >>> folder = tempfile.TemporaryDirectory()
        >>> cache = f"{folder.name}/street.cache"
        >>> _ = warm_cache(base, cache, InsertionPipeline(load_preset("obstacles"), RenderedInserter()), workers=0)
        >>> train = POCAugmentedDataset(base, cache)
        >>> loader = DataLoader(ConcatDataset([train, base]), batch_size=2)
        >>> set_epoch(loader, 3)
        >>> train.epoch
        3
        >>> folder.cleanup()
    """
    epoch = check_epoch(epoch)
    found = drawn_in(target)
    if not found:
        raise SettingError(
            f"set_epoch found nothing that is drawn anew in a {type(target).__name__}",
            expected="a dataset or loader with a POCAugmentedDataset, a SceneShiftDataset or a Composer in it",
            hint="call set_epoch of that dataset itself, or pass redraw='read' when it is made",
        )
    for each in found:
        each.set_epoch(epoch)
