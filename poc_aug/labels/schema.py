"""Label schemas: which id means which class, known or given, never guessed."""

from __future__ import annotations

import operator
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, SupportsIndex

import numpy as np
import torch

from poc_aug.errors import SchemaError
from poc_aug.files.yaml_files import read_yaml
from poc_aug.items.label_ids import distinct_ids, no_classes
from poc_aug.notebook import ShownAsHtml

_IGNORE_BY_DEFAULT = tuple([255])  # a given (255,) is another object


@dataclass(frozen=True)
class LabelSchema(ShownAsHtml):
    """A dataset's label ids by class name; case does not matter, nor whether words are parted by " ", "_" or "-".

    Attributes:
        name: name of the schema, as in ``--schema``.
        ids: label id of each class name. Several names may share an id.
        ignore: ids that mean "not labelled" or "do not evaluate". The first one is written when an ignore id is
            needed. The default is 255, or nothing if 255 is a class. Given explicitly, they may be ids of classes, such
            as Cityscapes' "parking" (labelIds), which is then ignored.
        ground: class names of the ground, on which the objects stand that the horizon is estimated from, see
            `poc_aug.camera`.
        ood: class names that are out of distribution: the anomalies of an anomaly segmentation test set.

    Raises:
        SchemaError: ids that are not integers; one class with two ids; an id out of distribution that is also an ignore
            id or that of a known class; ground or known classes that are all ignored.

    Example:
        >>> schema = LabelSchema("street", {"road": 0, "traffic light": 1, "car": 2}, ground=("road",))
        >>> schema.id_of("Traffic_Light"), schema.class_of(2), schema.ignore
        (1, 'car', (255,))
        >>> schema.mask(torch.tensor([[0, 2, 255]]), ["car"])
        tensor([[False,  True, False]])
        >>> schema.check(torch.tensor([[0, 7]]), key="frame 3")
        Traceback (most recent call last):
        ...
        poc_aug.errors.SchemaError: labels of 'frame 3' hold ids [7] that schema 'street' does not know
        Expected: ids of [0, 1, 2, 255]
        Next step: pass the schema that fits these labels: schema=
    """

    name: str
    ids: Mapping[str, int]
    ignore: tuple[int, ...] = _IGNORE_BY_DEFAULT
    ground: tuple[str, ...] = field(default=())
    ood: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not isinstance(self.ids, Mapping) or not self.ids:
            self._refuse(f"ids {self.ids!r}", "{class name: label id, ...}, at least one class")
        ids = {self._name(name): self._id(f"id of {name!r}", label_id) for name, label_id in self.ids.items()}
        by_default = self.ignore is _IGNORE_BY_DEFAULT
        for what in ("ignore", "ground", "ood"):
            value = getattr(self, what)
            if isinstance(value, str | Mapping) or not isinstance(value, Collection):
                self._refuse(f"{what} {value!r}", "a tuple or list")
            object.__setattr__(self, what, tuple(value))
        ignore = tuple(self._id("ignore", label_id) for label_id in self.ignore)
        if by_default and set(ignore) & set(ids.values()):
            ignore = ()
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "ignore", ignore)
        self._check_names()
        self._check_overlaps()

    def _name(self, name: object) -> str:
        if not isinstance(name, str) or not class_key(name):
            self._refuse(
                f"class name {name!r}", "a string that is not empty; in YAML, quote names such as 'on' and '1'"
            )
        return name

    def _id(self, what: str, label_id: object) -> int:
        if isinstance(label_id, bool) or not isinstance(label_id, SupportsIndex):
            self._refuse(f"{what}: {label_id!r}", "an integer label id")
        return operator.index(label_id)

    def _refuse(self, problem: str, expected: str, hint: str = "") -> NoReturn:
        raise SchemaError(f"label schema {self.name!r}: {problem}", expected=expected, hint=hint)

    def _check_names(self) -> None:
        spelt: dict[str, str] = {}
        for name, label_id in self.ids.items():
            other = spelt.setdefault(class_key(name), name)
            if self.ids[other] != label_id:
                self._refuse(f"{other!r} has id {self.ids[other]}, {name!r} has id {label_id}", "one id per class")
        for what, names in (("ground", self.ground), ("ood", self.ood)):
            unknown = [name for name in names if name not in self]
            if unknown:
                raise SchemaError(
                    f"{what} classes {unknown} of schema {self.name!r} have no id",
                    expected=f"names of {list(self.ids)}",
                )

    def _check_overlaps(self) -> None:
        ood = {self.id_of(name): name for name in self.ood}
        named = {class_key(name) for name in self.ood}
        for name, label_id in self.ids.items():
            if label_id in ood and class_key(name) not in named:
                self._refuse(
                    f"{name!r} has the id of {ood[label_id]!r}, which is out of distribution",
                    "other ids for known classes than for those in ood",
                    f"give them ids of their own, or name both in ood: ({ood[label_id]!r}, {name!r})",
                )
        for label_id in self.ignore:
            if label_id in ood:
                self._refuse(
                    f"id {label_id} of {ood[label_id]!r} is both in ood and in ignore",
                    "an anomaly that is evaluated, or an id that is ignored",
                    f"leave {label_id} out of ignore, or {ood[label_id]!r} out of ood",
                )
        for what, names in (("all classes", self.ids), ("all ground classes", self.ground)):
            ignored = [name for name in names if self.id_of(name) in self.ignore]
            if names and len(ignored) == len(names):
                self._refuse(
                    f"{what} are ignored: {ignored}, ignore={list(self.ignore)}",
                    "ignore ids that are not those of all of them",
                    "leave ignore out: it is then 255, or nothing if 255 is a class",
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
        label_id = self._by_key.get(class_key(name))
        if label_id is None:
            raise SchemaError(
                f"class {name!r} is not in label schema {self.name!r}",
                expected=f"one of: {', '.join(self.ids)}",
                hint="correct the class name in the recipe, or pass the schema of this dataset",
                command="correct the class name, or give the schema of this dataset: --schema NAME|FILE.yaml",
            )
        return label_id

    def known_id(self, name: str) -> int | None:
        """Label id of an in-distribution class; ``None`` for an unknown, an ignored or an OOD one."""
        label_id = self._by_key.get(class_key(name))
        excluded = {*self.ignore, *(self.id_of(other) for other in self.ood)}
        return None if label_id in excluded else label_id

    def has(self, name: str) -> bool:
        """Whether the schema knows a class."""
        try:
            self.id_of(name)
        except SchemaError:
            return False
        return True

    def mask(self, labels: torch.Tensor, names: Iterable[str]) -> torch.Tensor:
        """The pixels of ``labels`` (integer ``[H, W]``) that show one of the classes: bool ``[H, W]``."""
        return is_any(labels, {self.id_of(name) for name in names})

    def ignored(self, labels: torch.Tensor) -> torch.Tensor:
        """The pixels of ``labels`` that hold an ignore id: bool, of the same shape."""
        return is_any(labels, self.ignore)

    @cached_property
    def known_ids(self) -> frozenset[int]:
        """Ids that labels may hold: those of classes, and ignore ids."""
        return frozenset((*self.ids.values(), *self.ignore))

    def class_of(self, label_id: int) -> str | None:
        """The first name of an id, also of an ignored one; ``None`` if no class has it."""
        return next((name for name, other in self.ids.items() if other == label_id), None)

    def check(self, labels: torch.Tensor, key: str) -> None:
        """Check that ``labels`` holds only ids of this schema; takes 0.5 ms for a 2048×1024 frame in uint8.

        Raises:
            SchemaError: an id that the schema does not know, with the sample's key.
        """
        self.check_ids(distinct_ids(labels.numpy(force=True)), key)

    def check_ids(self, ids: frozenset[int], key: str) -> None:
        """As `check`, for labels whose ids are known already (`poc_aug.items.label_ids.distinct_ids`).

        Raises:
            SchemaError: see `check`.
        """
        if ids <= self.known_ids:
            return
        unknown = sorted(ids - self.known_ids)
        kind, hint = no_classes(ids, self.known_ids) or ("", "")
        raise SchemaError(
            f"labels of {key!r} hold ids {unknown[:10]}{' and more' * (len(unknown) > 10)} that schema {self.name!r} "
            f"does not know{f'; they {kind}' if kind else ''}",
            expected=f"ids of {sorted(self.known_ids)}",
            hint=hint or "pass the schema that fits these labels: schema=",
            command="" if hint else "give the schema that fits these labels: --schema NAME|FILE.yaml",
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSchema:
        """Build from ``{"name": ..., "ids": {...}, "ignore": [...], "ground": [...], "ood": [...]}``.

        Raises:
            SchemaError: a missing, unknown or wrong field; see also the class.
        """
        unknown = set(data) - {"name", "ids", "ignore", "ground", "ood"}
        lists = {name: data[name] for name in ("ignore", "ground", "ood") if name in data}
        if unknown or "ids" not in data or not all(isinstance(value, list | tuple) for value in lists.values()):
            raise SchemaError(
                f"not a label schema: unknown fields {sorted(map(str, unknown))}, ids {data.get('ids')!r}, {lists}",
                expected="name: str, ids: {class name: integer}, ignore: [integer], ground: [name], ood: [name]",
            )
        return cls(str(data.get("name", "custom")), data["ids"], **lists)

    @classmethod
    def load(cls, name_or_file: str | Path) -> LabelSchema:
        """A schema by its known name, or from a YAML file.

        Raises:
            SchemaError: neither a known name nor a file that holds a schema; the message lists the known names.
        """
        if str(name_or_file) in SCHEMAS:
            return SCHEMAS[str(name_or_file)]
        if os.path.isfile(name_or_file):
            try:
                return cls.from_dict({"name": Path(name_or_file).stem, **read_yaml(name_or_file, SchemaError)})
            except SchemaError as error:
                raise SchemaError(
                    f"{str(name_or_file)!r}: {error.problem}", expected=error.expected, hint=error.hint
                ) from error
        name = str(name_or_file)
        folded = {known.casefold(): known for known in SCHEMAS}
        begun = [known for known in SCHEMAS if name and known.casefold().startswith(name.casefold())]
        close = begun or [folded[match] for match in get_close_matches(name.casefold(), folded, n=2)]
        raise SchemaError(
            f"no file {name!r} with a label schema" if Path(name).suffix else f"no label schema {name!r}",
            expected=f"a YAML file, or one of: {', '.join(SCHEMAS)}",
            hint=f"did you mean {' or '.join(close)}?" if close else "check the name or the path",
        )


def check_label_ids(ids: frozenset[int], schema: LabelSchema | None, key: str) -> None:
    """Check the ids of a label map by its schema, or, if that is not known, whether they can be classes at all.

    Args:
        ids: all that the map holds (`poc_aug.items.label_ids.distinct_ids`).
        schema: the schema of the labels, or ``None``.
        key: the sample's key.

    Raises:
        SchemaError: an id that the schema does not know; instance ids, segments or depth instead of classes.
    """
    if schema is not None:
        schema.check_ids(ids, key)
    elif (verdict := no_classes(ids)) is not None:
        kind, hint = verdict
        raise SchemaError(
            f"labels of {key!r} {kind}",
            expected="class ids",
            hint=f"{hint}. If they are classes nevertheless, pass their schema (schema=...)",
        )


def class_key(name: str) -> str:
    """What two spellings of one class have in common: "Traffic-Light" and "traffic_light" are "traffic light"."""
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def is_any(labels: torch.Tensor, ids: Iterable[int]) -> torch.Tensor:
    """The pixels of integer ``labels`` that hold one of ``ids``: bool; ids that the dtype cannot hold match nothing."""
    limits = torch.iinfo(labels.dtype)
    wanted = [label_id for label_id in ids if limits.min <= label_id <= limits.max]
    # A table takes one pass over the pixels, whatever the number of ids. On a large frame it takes as long as 40
    # comparisons.
    if labels.dtype == torch.uint8 and len(wanted) > 16:
        table = np.zeros(256, np.bool_)
        table[wanted] = True
        return torch.from_numpy(table[labels.numpy()])
    matches = torch.zeros(labels.shape, dtype=torch.bool)
    for label_id in wanted:
        matches |= labels == label_id
    return matches


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
        # Ground truths of anomalies: only the anomaly is named.
        LabelSchema("fishyscapes", {"in-distribution": 0, "anomaly": 1}, ignore=(255,), ood=("anomaly",)),
        LabelSchema("segment-me-if-you-can", {"in-distribution": 0, "anomaly": 1}, ignore=(255,), ood=("anomaly",)),
        LabelSchema("road-anomaly", {"in-distribution": 0, "anomaly": 2}, ignore=(255,), ood=("anomaly",)),
    )
}
"""The known schemas by name."""
