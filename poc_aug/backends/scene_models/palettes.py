"""Palettes: label maps as the pictures that a ControlNet was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
import yaml

from poc_aug.errors import SchemaError, SettingError
from poc_aug.files.yaml_files import read_yaml
from poc_aug.labels.schema import LabelSchema, class_key
from poc_aug.types import Json

PaletteName = Literal["ade20k", "one-hot", "one-channel"]
Colour: TypeAlias = tuple[int, int, int]
ClassColours: TypeAlias = Mapping[str, str | Sequence[int]]
"""Our class names, each with a class of ADE20K or a colour (three values from 0 to 255)."""


@cache
def ade20k_colours() -> Mapping[str, Colour]:
    """The colours of ADE20K's 150 classes, in their order.

    Example:
        >>> len(ade20k_colours()), ade20k_colours()["road"]
        (150, (140, 140, 140))
    """
    return {name: (r, g, b) for name, (r, g, b) in _table()["colours"].items()}


@cache
def _table() -> dict[str, Any]:
    file = resources.files("poc_aug.backends.scene_models") / "ade20k.yaml"
    table: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return table


class Palette:
    """Turns label maps into the condition of a ControlNet: one float picture in 0 to 1 per map.

    Pixels of ignored ids, of anomalies, and of ids that the schema does not know are 0 in all channels, unless the
    table names their class.

    Args:
        name: ``"ade20k"``: three channels, the colours of ADE20K's 150 classes, as for
            ``lllyasviel/control_v11p_sd15_seg``; ``"one-hot"``: one channel per class that is not ignored, by
            ascending id; ``"one-channel"``: (id + 1) / (largest id + 1), which is GenVal's (id + 1) / 34 for
            Cityscapes' labelIds.
        classes: for ADE20K: class names, each with the class of ADE20K that stands for it, or with a colour; a
            mapping, or a YAML file that holds one. They are used before those of the built-in table.

    Raises:
        SettingError: not a palette, a class that ADE20K does not have, or not a colour.

    Example:
        >>> schema = LabelSchema("mine", {"road": 0, "tree": 1}, ignore=(255,))
        >>> labels = torch.tensor([[0, 1, 255]], dtype=torch.uint8)
        >>> (Palette("ade20k", {"tree": "palm"}).encode(labels, schema) * 255).int()[:, 0].T.tolist()
        [[140, 140, 140], [0, 82, 255], [0, 0, 0]]
        >>> Palette("one-hot").encode(labels, schema)[:, 0].tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        >>> Palette("one-channel").encode(labels, schema)[:, 0].tolist()
        [[0.5, 1.0, 0.0]]
    """

    def __init__(self, name: PaletteName = "ade20k", classes: ClassColours | str | Path | None = None) -> None:
        if name not in get_args(PaletteName):
            raise SettingError(f"palette {name!r}", expected=f"one of: {', '.join(get_args(PaletteName))}")
        if classes is not None and name != "ade20k":
            raise SettingError(
                f"palette {name!r} with a table of classes",
                expected="a table for 'ade20k' only",
                hint="leave it out: the channels come from the label schema",
            )
        self.name: PaletteName = name
        given = read_yaml(classes, SettingError) if isinstance(classes, str | Path) else dict(classes or {})
        self._given = {class_key(str(key)): _colour(str(key), value) for key, value in given.items()}
        self._colours = {class_key(key): ade20k_colours()[value] for key, value in _table()["classes"].items()}
        self._colours |= self._given

    def __repr__(self) -> str:
        return f"Palette({self.name!r})"

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides the condition, next to the label schema."""
        if self.name != "ade20k":
            return {"palette": self.name}
        return {"palette": self.name, "colours": {key: list(self._colours[key]) for key in sorted(self._colours)}}

    def channels(self, schema: LabelSchema | None) -> int | None:
        """Channels of the condition; ``None`` if only the schema tells, and there is none."""
        if self.name == "one-hot":
            return None if schema is None else len(_class_ids(schema))
        return 3 if self.name == "ade20k" else 1

    def check(self, schema: LabelSchema | None) -> LabelSchema:
        """Check that every class of a schema that is not ignored has its place in the condition.

        Raises:
            SchemaError: no schema, or classes without a colour; the message lists them.
        """
        if schema is None:
            raise SchemaError(
                "the label schema of the frames is not known",
                expected="a schema: the condition of a ControlNet is made from class names and ids",
                hint="pass schema=",
                command="give it: --schema NAME|FILE.yaml",
            )
        if self.name == "ade20k":
            names = _names(schema)
            lacking = [
                names[label_id][0] for label_id in _class_ids(schema) if self._colour_of(names[label_id]) is None
            ]
            if lacking:
                raise SchemaError(
                    f"the palette 'ade20k' has no colour for {len(lacking)} classes of schema {schema.name!r}: "
                    f"{', '.join(lacking)}",
                    expected="a class of ADE20K, or a colour, for every class that is not ignored",
                    hint=f"name them: classes={{{lacking[0]!r}: 'box'}}, or in a YAML file; ADE20K's names: "
                    "poc_aug.backends.scene_models.palettes.ade20k_colours()",
                    command=f"name them in a YAML file ({lacking[0]}: box): --backend-arg classes=FILE.yaml",
                )
        return schema

    def encode(self, labels: torch.Tensor, schema: LabelSchema | None) -> torch.Tensor:
        """The condition of label maps: integer ``[..., H, W]`` to float32 ``[..., channels, H, W]`` in 0 to 1.

        Raises:
            SchemaError: see `check`.
        """
        schema = self.check(schema)
        values = self._values(schema)
        least, most = min(values), max(values)
        table = torch.zeros(most - least + 2, len(values[most]))  # the last row: ids outside
        for label_id, row in values.items():
            table[label_id - least] = torch.tensor(row)
        wide = labels.long()
        rows = torch.where((wide >= least) & (wide <= most), wide - least, most - least + 1)
        return table.to(labels.device)[rows].movedim(-1, -3).contiguous()

    def _values(self, schema: LabelSchema) -> dict[int, list[float]]:
        ids = _class_ids(schema)
        if self.name == "one-hot":
            return {label_id: [float(label_id == other) for other in ids] for label_id in ids}
        if self.name == "one-channel":
            # Ids between them that are ignored keep their values, as in GenVal; "255" is outside and gets none.
            named = {label_id for label_id in schema.ids.values() if 0 <= label_id <= max(ids)}
            return {label_id: [(label_id + 1) / (max(ids) + 1)] for label_id in named}
        colours = {label_id: self._colour_of(names) for label_id, names in _names(schema).items()}
        return {label_id: [value / 255 for value in colour or (0, 0, 0)] for label_id, colour in colours.items()}

    def _colour_of(self, names: Sequence[str]) -> Colour | None:
        keys = [class_key(name) for name in names]
        # What the user has written wins over an alias that the built-in table knows.
        for colours in (self._given, self._colours):
            for key in keys:
                if key in colours:
                    return colours[key]
        return None


def _colour(name: str, value: Any) -> Colour:
    if isinstance(value, str):
        known = {class_key(other): colour for other, colour in ade20k_colours().items()}
        if class_key(value) not in known:
            raise SettingError(
                f"the palette's class {name!r} is {value!r}, which ADE20K does not have",
                expected="one of ADE20K's 150 classes, such as road, tree, signboard, minibike; or a colour",
                hint="list them: poc_aug.backends.scene_models.palettes.ade20k_colours()",
            )
        return known[class_key(value)]
    whole = isinstance(value, Sequence) and all(isinstance(v, int) and 0 <= v <= 255 for v in value)
    if not whole or len(value) != 3:
        raise SettingError(
            f"the palette's class {name!r} is {value!r}",
            expected="the name of a class of ADE20K, or a colour: three values from 0 to 255",
        )
    return value[0], value[1], value[2]


def _names(schema: LabelSchema) -> dict[int, list[str]]:
    names: dict[int, list[str]] = {}
    for name, label_id in schema.ids.items():
        names.setdefault(label_id, []).append(name)
    return names


def _class_ids(schema: LabelSchema) -> list[int]:
    """Ids of the classes that are neither ignored nor anomalies, ascending."""
    left_out = {*schema.ignore, *(schema.id_of(name) for name in schema.ood)}
    return sorted(set(schema.ids.values()) - left_out)
