"""Label schemas: which id means which class, known or given, never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poc_aug.errors import SchemaError
from poc_aug.recipe import read_yaml


@dataclass(frozen=True)
class LabelSchema:
    """A dataset's label ids by class name; capitals, "_" and "-" for a space make no difference.

    Attributes:
        name: name of the schema, as in ``--schema``.
        ids: label id of each class name. Several names may share an id.
        ignore: ids that mean "not labelled" or "do not evaluate". The first one is written where an ignore id
            is needed.
        ground: class names of the ground: what objects that tell the horizon stand on, see `poc_aug.camera`.
        ood: class names that are out of distribution already: the anomalies of an anomaly segmentation test set.
    """

    name: str
    ids: Mapping[str, int]
    ignore: tuple[int, ...] = (255,)
    ground: tuple[str, ...] = field(default=())
    ood: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for what, names in (("ground", self.ground), ("ood", self.ood)):
            unknown = [name for name in names if name not in self]
            if unknown:
                raise SchemaError(
                    f"{what} classes {unknown} of schema {self.name!r} have no id",
                    expected=f"names of {list(self.ids)}",
                )

    @cached_property
    def _by_key(self) -> dict[str, int]:
        return {class_key(name): label_id for name, label_id in self.ids.items()}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and class_key(name) in self._by_key

    def id_of(self, name: str) -> int:
        """Label id of a class.

        Raises:
            SchemaError: unknown class; the message lists the known ones.
        """
        found = self._by_key.get(class_key(name))
        if found is None:
            raise SchemaError(
                f"class {name!r} is not in label schema {self.name!r}",
                expected=f"one of: {', '.join(self.ids)}",
                hint="correct the class name in the recipe, or pass the schema of this dataset",
            )
        return found

    def known_id(self, name: str) -> int | None:
        """Label id of an in-distribution class; ``None`` for an unknown, an ignored or an OOD one."""
        found = self._by_key.get(class_key(name))
        outside = {*self.ignore, *(self.id_of(other) for other in self.ood)}
        return None if found in outside else found

    def has(self, name: str) -> bool:
        """Whether the schema knows a class."""
        try:
            self.id_of(name)
        except SchemaError:
            return False
        return True

    def mask(self, labels: torch.Tensor, names: Iterable[str]) -> torch.Tensor:
        """Where ``labels`` (integer ``[H, W]``) is one of the classes: bool ``[H, W]``."""
        return is_any(labels, {self.id_of(name) for name in names})

    def ignored(self, labels: torch.Tensor) -> torch.Tensor:
        """Where ``labels`` holds an ignore id: bool, the same shape."""
        return is_any(labels, self.ignore)

    def check(self, labels: torch.Tensor, key: str) -> None:
        """Check that ``labels`` holds only ids of this schema.

        Raises:
            SchemaError: an id that the schema does not know, with the sample's key.
        """
        known = set(self.ids.values()) | set(self.ignore)
        if labels.dtype == torch.uint8:  # counting needs no sorting
            found = torch.bincount(labels.reshape(-1)).nonzero()
        else:
            found = torch.unique(labels)
        strange = sorted(set(found.reshape(-1).tolist()) - known)
        if strange:
            raise SchemaError(
                f"labels of {key!r} hold ids {strange[:10]} that schema {self.name!r} does not know",
                expected=f"ids of {sorted(known)}",
                hint="pass the schema that fits these labels (schema=..., --schema NAME|FILE)",
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSchema:
        """Build from ``{"name": ..., "ids": {...}, "ignore": [...], "ground": [...]}``.

        Raises:
            SchemaError: a missing or wrong field.
        """
        unknown = set(data) - {"name", "ids", "ignore", "ground", "ood"}
        ids = data.get("ids")
        fits = isinstance(ids, Mapping) and ids and all(isinstance(i, int) for i in ids.values())
        lists = {name: data[name] for name in ("ignore", "ground", "ood") if name in data}
        fits = fits and all(isinstance(value, list | tuple) for value in lists.values())
        if unknown or not fits:
            raise SchemaError(
                f"not a label schema: unknown fields {sorted(unknown)}, ids {ids!r}, {lists}",
                expected="name: str, ids: {class name: integer}, ignore: [integer], ground: [name], ood: [name]",
            )
        assert isinstance(ids, Mapping)
        return cls(
            name=str(data.get("name", "custom")),
            ids={str(name): int(label_id) for name, label_id in ids.items()},
            ignore=tuple(int(label_id) for label_id in data.get("ignore", (255,))),
            ground=tuple(data.get("ground", ())),
            ood=tuple(data.get("ood", ())),
        )

    @classmethod
    def load(cls, name_or_file: str | Path) -> LabelSchema:
        """A schema by its known name, or from a YAML file.

        Raises:
            SchemaError: neither a known name nor a file that holds a schema; the message lists the known names.
        """
        if str(name_or_file) in SCHEMAS:
            return SCHEMAS[str(name_or_file)]
        if Path(name_or_file).is_file():
            return cls.from_dict({"name": Path(name_or_file).stem, **read_yaml(name_or_file)})
        raise SchemaError(
            f"no label schema {str(name_or_file)!r}",
            expected=f"a YAML file, or one of: {', '.join(SCHEMAS)}",
        )


def class_key(name: str) -> str:
    """What two spellings of one class have in common: "Traffic-Light" and "traffic_light" are "traffic light"."""
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def is_any(labels: torch.Tensor, ids: Iterable[int]) -> torch.Tensor:
    """Where ``labels`` (integer) is one of ``ids``: bool; ids that its dtype cannot hold are nowhere."""
    limits = torch.iinfo(labels.dtype)
    wanted = [label_id for label_id in ids if limits.min <= label_id <= limits.max]
    # A table takes one pass over the pixels, whatever the number of ids: as long as 40 comparisons of a large frame.
    if labels.dtype == torch.uint8 and len(wanted) > 16:
        table = np.zeros(256, np.bool_)
        table[wanted] = True
        return torch.from_numpy(table[labels.numpy()])
    found = torch.zeros(labels.shape, dtype=torch.bool)
    for label_id in wanted:
        found |= labels == label_id
    return found


# Cordts et al., "The Cityscapes Dataset" (CVPR 2016): labelIds and trainIds.
_CITYSCAPES = (
    "unlabeled ego_vehicle rectification_border out_of_roi static dynamic ground road sidewalk parking "
    "rail_track building wall fence guard_rail bridge tunnel pole polegroup traffic_light traffic_sign vegetation "
    "terrain sky person rider car truck bus caravan trailer train motorcycle bicycle"
).split()
_CITYSCAPES_NAMES = [name.replace("_", " ") for name in _CITYSCAPES]
_CITYSCAPES_IGNORE = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)
_TRAIN_NAMES = [name for i, name in enumerate(_CITYSCAPES_NAMES) if i not in _CITYSCAPES_IGNORE]
_VOC_NAMES = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,motorbike,person,"
    "potted plant,sheep,sofa,train,tv monitor"
).split(",")


# The same classes under COCO's names.
_VOC_COCO_NAMES = {"airplane": 1, "motorcycle": 14, "couch": 18, "tv": 20}


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


_GROUND = ("road", "sidewalk")

SCHEMAS: dict[str, LabelSchema] = {
    schema.name: schema
    for schema in (
        LabelSchema(
            "cityscapes-labelIds",
            {**_numbered(_CITYSCAPES_NAMES), "license plate": -1},
            ignore=(0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, -1),
            ground=(*_GROUND, "parking"),
        ),
        LabelSchema("cityscapes-trainIds", _numbered(_TRAIN_NAMES), ignore=(255,), ground=_GROUND),
        # Everingham et al., PASCAL VOC 2012.
        LabelSchema("voc", {**_numbered(_VOC_NAMES), **_VOC_COCO_NAMES}, ignore=(255,)),
        # CamVid in the 11 classes of SegNet (Badrinarayanan et al. 2017).
        LabelSchema(
            "camvid",
            {
                **_numbered("sky,building,pole,road,sidewalk,tree,sign,fence,car,pedestrian,bicyclist".split(",")),
                **{"pavement": 4, "vegetation": 5, "traffic sign": 6, "person": 9, "rider": 10},
            },
            ignore=(11,),
            ground=_GROUND,
        ),
        # IDD-Lite: the level-1 classes of Varma et al., "IDD" (WACV 2019).
        LabelSchema(
            "idd-lite",
            {
                "drivable": 0,
                "road": 0,
                "non-drivable": 1,
                "sidewalk": 1,
                "living": 2,
                "vehicle": 3,
                "roadside": 4,
                "far": 5,
                "sky": 6,
            },
            ignore=(255,),
            ground=("drivable", "non-drivable"),
        ),
        # Anomaly ground truths: no class but the anomaly is named.
        LabelSchema("fishyscapes", {"in-distribution": 0, "anomaly": 1}, ignore=(255,), ood=("anomaly",)),
        LabelSchema("segment-me-if-you-can", {"in-distribution": 0, "anomaly": 1}, ignore=(255,), ood=("anomaly",)),
        LabelSchema("road-anomaly", {"in-distribution": 0, "anomaly": 2}, ignore=(255,), ood=("anomaly",)),
    )
}
"""The known schemas by name."""
