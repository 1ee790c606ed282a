"""`IdConversion`: labels of one schema in the ids of another, by class name."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.errors import ExportError
from poc_aug.labels.schema import LabelSchema


@dataclass(frozen=True)
class IdConversion:
    """Converts label maps from one schema to another: each class to the one of its name, ignored ids to the ignore id.

    Args:
        source: schema of the labels.
        target: schema that they are converted to.

    Raises:
        ExportError: a class of ``source`` that ``target`` does not have, or that it has several of.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> to_train = IdConversion(SCHEMAS["cityscapes-labelIds"], SCHEMAS["cityscapes-trainIds"])
        >>> to_train.convert(torch.tensor([[7, 26, 0, -1]]))
        tensor([[  0,  13, 255, 255]], dtype=torch.uint8)
    """

    source: LabelSchema
    target: LabelSchema
    _table: npt.NDArray[np.uint8] = field(init=False, repr=False, compare=False)
    _lowest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ignore = self.target.ignore[0]
        ids: dict[int, int] = dict.fromkeys(self.source.ignore, ignore)
        unknown = []
        for label_id in sorted(set(self.source.ids.values()) - set(self.source.ignore)):
            names = [name for name, other in self.source.ids.items() if other == label_id]
            found = {other for name in names if (other := self.target.known_id(name)) is not None}
            if len(found) > 1:
                raise ExportError(
                    f"{names} have id {label_id} in schema {self.source.name!r}, and ids {sorted(found)} in "
                    f"{self.target.name!r}",
                    expected="one class for each id",
                    hint="name the class once in a schema of your own, or keep_ids=True",
                    command="name the class once in a schema of your own, or --keep-ids",
                )
            if not found:
                unknown.append(names[0])
            ids[label_id] = next(iter(found), ignore)
        if unknown:
            raise ExportError(
                f"schema {self.target.name!r}, whose ids the layout's readers expect, has no classes {unknown} of "
                f"schema {self.source.name!r}",
                expected=f"classes among: {', '.join(self.target.ids)}",
                hint="write the ids as they are, for readers that know them: keep_ids=True",
                command="write the ids as they are, for readers that know them: --keep-ids",
            )
        lowest = min(0, *ids)
        table = np.full(max(*ids, 255) - lowest + 1, ignore, np.uint8)
        for label_id, converted in ids.items():
            table[label_id - lowest] = converted
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_lowest", lowest)

    @property
    def changes_nothing(self) -> bool:
        """Whether labels of the source already hold the ids of the target."""
        return all(int(self._table[label_id - self._lowest]) == label_id for label_id in self.source.known_ids)

    def convert(self, labels: torch.Tensor) -> torch.Tensor:
        """A label map, integer ``[H, W]`` with ids of the source (checked), in ids of the target, uint8."""
        values = labels.numpy(force=True)
        if self._lowest:
            values = values.astype(np.int64) - self._lowest
        return torch.from_numpy(self._table[values])
