"""Kinds of surfaces by class name: what weather needs to know of a class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum

import numpy as np
import torch

from poc_aug.errors import SchemaError
from poc_aug.labels.schema import LabelSchema, class_key


class SurfaceKind(IntEnum):
    """What weather needs to know of a class."""

    UNKNOWN = 0
    """Not labelled, or ignored without a name: depth and look come from what is around it."""
    SKY = 1
    GROUND = 2
    """Paved and level: road, sidewalk, parking; depth by row."""
    TERRAIN = 3
    """Unpaved and level: grass, sand; depth by row."""
    VEGETATION = 4
    STRUCTURE = 5
    """Buildings, walls, fences, bridges: upright."""
    POST = 6
    """Poles, signs, traffic lights: thin and upright."""
    PERSON = 7
    VEHICLE = 8
    OBJECT = 9
    """Any other class, inserted objects and anomalies among them: stands on its foot row."""
    EGO = 10
    """The camera's own car: nearest of all, outside the weather."""


# Class names of Cityscapes, CamVid (11 and 32 classes), IDD (all levels), Mapillary Vistas, ADE20K and COCO-Stuff.
_NAMES: dict[SurfaceKind, str] = {
    SurfaceKind.SKY: "sky,sky other,sky other merged,clouds",
    SurfaceKind.GROUND: "road,sidewalk,pavement,pavement merged,pavement other merged,parking,rail track,railroad,"
    "platform,ground,ground other,floor,drivable,non drivable,drivable fallback,non drivable fallback,lane marking,"
    "lane marking general,lane marking crosswalk,lanemkgsdriv,lanemkgsnondriv,roadshoulder,parkingblock,crosswalk,"
    "crosswalk plain,bike lane,service lane,curb,curb cut,path,pedestrian area,runway,catch basin,manhole,pothole,pier",
    SurfaceKind.TERRAIN: "terrain,grass,grass merged,sand,earth,dirt,dirt merged,dirt track,mud,gravel,field,"
    "playingfield,soil,land,snow,water,water other,water merged,river,sea,lake,swimming pool",
    SurfaceKind.VEGETATION: "vegetation,vegetationmisc,tree,tree merged,plant,plant other,bush,hedge,palm,flower,"
    "leaves,branch,straw,moss,wood",
    SurfaceKind.STRUCTURE: "building,building other,building other merged,wall,wall brick,wall brick merged,"
    "wall concrete,wall stone,wall stone merged,wall wood,wall wood merged,wall panel,wall tile,wall other,"
    "wall other merged,fence,fence merged,guard rail,bridge,tunnel,archway,house,skyscraper,tower,hovel,grandstand,"
    "barrier,railing,bannister,cage,roadside,far,fallback background,obs str bar fallback,billboard,banner,awning,"
    "canopy,door,windowpane,window other,roof,roof merged,stairs,stairway,structural other,mountain,mountain merged,"
    "hill,rock,rock merged,tent,ceiling",
    SurfaceKind.POST: "pole,polegroup,utility pole,column pole,column,traffic light,trafficlight,traffic sign,"
    "traffic sign front,traffic sign back,traffic sign frame,sign,signsymbol,signboard,stop sign,misc text,"
    "street light,streetlight,street sign,parking meter,cctv camera,flag,light",
    SurfaceKind.PERSON: "person,child,rider,other rider,pedestrian,bicyclist,motorcyclist,living,animal,ground animal",
    SurfaceKind.VEHICLE: "car,truck,bus,caravan,trailer,train,on rails,motorcycle,bicycle,vehicle,vehicle fallback,"
    "other vehicle,autorickshaw,van,motorbike,minibike,motorcyclescooter,suvpickuptruck,truck bus,wheeled slow,"
    "license plate,boat,ship",
    SurfaceKind.OBJECT: "object,static,dynamic",
    SurfaceKind.EGO: "ego vehicle,car mount",
    SurfaceKind.UNKNOWN: "unlabeled,unlabelled,rectification border,out of roi,void,ignore,other",
}
KIND_OF_CLASS: dict[str, SurfaceKind] = {
    class_key(name): kind for kind, names in _NAMES.items() for name in names.split(",")
}
"""The kind of each known class name."""
_LEVEL = (SurfaceKind.GROUND, SurfaceKind.TERRAIN)
_LARGEST_TABLE = 1 << 16


def kind_of_class(name: str, kinds: Mapping[str, SurfaceKind] | None = None) -> SurfaceKind:
    """The kind of a class by its name; of names such as ADE20K's "road, route", the first word that is known.

    Args:
        name: as in a `LabelSchema`.
        kinds: kinds of further class names, or other ones than those of `KIND_OF_CLASS`.

    Returns:
        Its kind, `SurfaceKind.OBJECT` if the name is not known.

    Example:
        >>> kind_of_class("Lane Marking - General").name, kind_of_class("earth;ground").name
        ('GROUND', 'TERRAIN')
        >>> kind_of_class("lava").name, kind_of_class("lava", {"lava": SurfaceKind.GROUND}).name
        ('OBJECT', 'GROUND')
    """
    own = {class_key(other): kind for other, kind in (kinds or {}).items()}
    for part in (name, *re.split(r"[;,(]", name)):
        key = class_key(part.strip(" )"))
        if key in own or key in KIND_OF_CLASS:
            return own[key] if key in own else KIND_OF_CLASS[key]
    return SurfaceKind.OBJECT


def schema_with_kinds(schema: LabelSchema, kinds: Mapping[str, SurfaceKind]) -> LabelSchema:
    """A schema of the same ids, whose class names say what kind of surface some classes are.

    Args:
        schema: of the labels.
        kinds: kinds of some of its class names; other names are left out.

    Example:
        >>> schema = LabelSchema("planet", {"lava": 0, "sky": 1})
        >>> schema_with_kinds(schema, {"lava": SurfaceKind.GROUND}).ids
        {'road (lava)': 0, 'sky': 1}
    """
    own = {class_key(name): kind for name, kind in kinds.items()}
    renamed = {
        name: f"{_NAMES[own[class_key(name)]].split(',')[0]} ({name})" for name in schema.ids if class_key(name) in own
    }
    ids = {renamed[name]: schema.ids[name] for name in renamed}  # first: the first known name of an id counts
    ids |= {name: label_id for name, label_id in schema.ids.items() if name not in renamed}
    keys = {class_key(name): new for name, new in renamed.items()}
    level = [new for name, new in renamed.items() if own[class_key(name)] is SurfaceKind.GROUND]
    ground = [*(keys.get(class_key(name), name) for name in schema.ground), *level]
    ood = [keys.get(class_key(name), name) for name in schema.ood]
    return LabelSchema(schema.name, ids, schema.ignore, tuple(dict.fromkeys(ground)), tuple(ood))


def check_surfaces(schema: LabelSchema | None, kinds: Mapping[str, SurfaceKind] | None = None) -> None:
    """Check that labels of this schema give a depth: that it names a class of the ground.

    Raises:
        SchemaError: no schema, or one without ground.

    Example:
        >>> check_surfaces(LabelSchema("rooms", {"bed": 0, "lamp": 1}))
        Traceback (most recent call last):
        ...
        poc_aug.errors.SchemaError: schema 'rooms' names no class of the ground: bed, lamp
        Expected: road, sidewalk, floor, grass, ...: weather takes its depth from where things stand on the ground
        Next step: say which class is ground: WeatherShifter(..., kinds={"bed": SurfaceKind.GROUND})
    """
    if schema is None:
        raise SchemaError(
            "the label schema is not known",
            expected="a schema: weather takes depth and kinds of surfaces from the classes' names",
            hint="pass the schema of these labels: schema=",
            command="give the schema of these labels: --schema NAME|FILE.yaml",
        )
    if not any(kind_of_class(name, kinds) in _LEVEL for name in schema.ids):
        names = ", ".join(list(schema.ids)[:10]) + ", ..." * (len(schema.ids) > 10)
        raise SchemaError(
            f"schema {schema.name!r} names no class of the ground: {names}",
            expected="road, sidewalk, floor, grass, ...: weather takes its depth from where things stand on the ground",
            hint=f"say which class is ground: WeatherShifter(..., kinds={{{_quoted(schema)}: SurfaceKind.GROUND}})",
            command="give the schema that names them: --schema NAME|FILE.yaml",
        )


def _quoted(schema: LabelSchema) -> str:
    return f'"{next(iter(schema.ids))}"'


def kind_by_id(schema: LabelSchema, kinds: Mapping[str, SurfaceKind] | None = None) -> dict[int, SurfaceKind]:
    """The kind of each id that a schema knows; of an id with several names, that of the first one that is known.

    Example:
        >>> {i: kind.name for i, kind in kind_by_id(LabelSchema("street", {"road": 0, "thing": 1})).items()}
        {0: 'GROUND', 1: 'OBJECT', 255: 'UNKNOWN'}
    """
    known: dict[int, SurfaceKind] = {}
    for name, label_id in schema.ids.items():
        kind = kind_of_class(name, kinds)
        if known.get(label_id, SurfaceKind.OBJECT) is SurfaceKind.OBJECT:
            known[label_id] = kind
    for label_id in schema.ignore:
        known.setdefault(label_id, SurfaceKind.UNKNOWN)
    return known


def mapped_ids(labels: torch.Tensor, values: Mapping[int, int], default: int) -> torch.Tensor:
    """Replace each id by a small number: uint8, of the shape of ``labels``, on its device.

    Args:
        labels: integer, any shape.
        values: number of each known id, 0 to 255.
        default: number of all other ids.
    """
    if labels.dtype != torch.uint8:
        labels = labels.long()  # torch has no min of uint16
    whole = labels.dtype == torch.uint8 or not labels.numel()
    least, most = (0, 255) if whole else (int(labels.min()), int(labels.max()))
    if most - least >= _LARGEST_TABLE:  # ids such as 2 ** 31 - 1
        found, places = torch.unique(labels, return_inverse=True)
        small = torch.tensor([values.get(int(i), default) for i in found], dtype=torch.uint8)
        return small.to(labels.device)[places]
    table = np.full(most - least + 1, default, dtype=np.uint8)
    for label_id, value in values.items():
        if least <= label_id <= most:
            table[label_id - least] = value
    if labels.device.type == "cpu":  # NumPy: 2 ms for 2048x1024, torch's indexing needs 64-bit ids: 12 ms
        return torch.from_numpy(table.take(labels.numpy() - least if least else labels.numpy()))
    return torch.from_numpy(table).to(labels.device)[labels.long() - least]


def surface_kinds(
    labels: torch.Tensor, schema: LabelSchema, kinds: Mapping[str, SurfaceKind] | None = None
) -> torch.Tensor:
    """The kind of surface of each pixel: uint8 ``[H, W]``, values of `SurfaceKind`.

    Ids that the schema does not name are `SurfaceKind.UNKNOWN` if it ignores them, otherwise `SurfaceKind.OBJECT`:
    inserted objects, and anomalies.

    Args:
        labels: integer ``[H, W]``.
        schema: names their classes.
        kinds: see `kind_of_class`.

    Example:
        >>> surface_kinds(torch.tensor([[0, 1, 254]]), LabelSchema("street", {"road": 0, "sky": 1}))
        tensor([[2, 1, 9]], dtype=torch.uint8)
    """
    return mapped_ids(labels, kind_by_id(schema, kinds), int(SurfaceKind.OBJECT))
