"""Kinds of surfaces by class name: what weather needs to know of a class."""

from __future__ import annotations

from enum import IntEnum

import torch

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


_NAMES: dict[SurfaceKind, str] = {
    SurfaceKind.SKY: "sky",
    SurfaceKind.GROUND: "road,sidewalk,pavement,parking,rail track,ground,drivable,non-drivable,lane marking,"
    "lane marking general,crosswalk,crosswalk plain,bike lane,service lane,curb cut,path,floor",
    SurfaceKind.TERRAIN: "terrain,grass,sand,earth,field,soil,snow,water",
    SurfaceKind.VEGETATION: "vegetation,tree,plant,bush,hedge",
    SurfaceKind.STRUCTURE: "building,wall,fence,guard rail,bridge,tunnel,house,barrier,roadside,far,billboard",
    SurfaceKind.POST: "pole,polegroup,traffic light,traffic sign,sign,street light,column",
    SurfaceKind.PERSON: "person,rider,pedestrian,bicyclist,motorcyclist,living",
    SurfaceKind.VEHICLE: "car,truck,bus,caravan,trailer,train,motorcycle,bicycle,vehicle,autorickshaw,van,motorbike",
    SurfaceKind.EGO: "ego vehicle,ego-vehicle,car mount",
    SurfaceKind.UNKNOWN: "unlabeled,unlabelled,rectification border,out of roi,void,ignore",
}
KIND_OF_CLASS: dict[str, SurfaceKind] = {
    class_key(name): kind for kind, names in _NAMES.items() for name in names.split(",")
}
"""The kind of each known class name."""


def surface_kinds(labels: torch.Tensor, schema: LabelSchema) -> torch.Tensor:
    """The kind of surface of each pixel: uint8 ``[H, W]``, values of `SurfaceKind`.

    Ids that the schema does not name are `SurfaceKind.UNKNOWN` if it ignores them, otherwise `SurfaceKind.OBJECT`:
    inserted objects, and anomalies.
    """
    known = {label_id: KIND_OF_CLASS.get(class_key(name), SurfaceKind.OBJECT) for name, label_id in schema.ids.items()}
    for label_id in schema.ignore:
        known.setdefault(label_id, SurfaceKind.UNKNOWN)
    least, most = int(labels.min()), int(labels.max())
    table = torch.full((most - least + 1,), int(SurfaceKind.OBJECT), dtype=torch.uint8)
    for label_id, kind in known.items():
        if least <= label_id <= most:
            table[label_id - least] = int(kind)
    return table.to(labels.device)[(labels.long() - least)]
