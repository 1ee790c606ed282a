"""Hugging Face's `datasets`: its transforms get columns, a `Composer` gets rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from poc_aug.composer import Composer
from poc_aug.errors import ItemFormatError


class ComposeRows:
    """A `Composer` for what gets a batch as columns: ``Dataset.with_transform``, ``map(..., batched=True)``.

    ``IterableDataset.map(composer)`` needs none: it passes one row at a time.

    Args:
        composer: composes each row.
        then: your own transform of columns, which sees the composed ones.

    Raises:
        ItemFormatError: when called: not columns of equal length.

    Example:
        >>> import tempfile
        >>> from poc_aug import InsertionPipeline, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.presets import load_preset
        >>> base, folder = SyntheticStreet(size=(64, 128), length=2), tempfile.TemporaryDirectory()
        >>> cache = f"{folder.name}/street.cache"
        >>> _ = warm_cache(base, cache, InsertionPipeline(load_preset("obstacles"), RenderedInserter()), workers=0)
        >>> composer = Composer(cache, schema=base.schema, key="file_name", p=1.0)
        >>> images, labels = zip(*(base[i] for i in range(2)))
        >>> batch = {"image": list(images), "label": list(labels), "file_name": base.keys()}
        >>> composed = ComposeRows(composer)(batch)
        >>> [picture.getextrema()[1] for picture in composed["label"]], composed["file_name"] == base.keys()
        ([254, 254], True)
        >>> folder.cleanup()
    """

    def __init__(self, composer: Composer, then: Callable[[dict[str, Any]], Any] | None = None) -> None:
        self.composer, self.then = composer, then

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        """The batch with composed rows, and transformed by ``then``."""
        lengths = {name: len(column) if hasattr(column, "__len__") else None for name, column in batch.items()}
        if None in lengths.values() or len(set(lengths.values())) > 1 or not batch:
            raise ItemFormatError(
                f"ComposeRows was given columns of the lengths {lengths}",
                expected="a batch: for each column the values of all its rows",
                hint="map(composer) for single rows; map(ComposeRows(composer), batched=True) or "
                "with_transform(ComposeRows(composer)) for batches",
            )
        count = next(iter(lengths.values())) or 0
        rows = [self.composer({name: column[number] for name, column in batch.items()}) for number in range(count)]
        names = dict.fromkeys([*batch, *(name for row in rows for name in row)])  # instances= adds some
        columns = {name: [row[name] for row in rows] for name in names}
        return columns if self.then is None else self.then(columns)
