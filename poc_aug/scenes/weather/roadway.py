"""Where cars drive: the paved ground without its footways."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from poc_aug.labels.schema import LabelSchema, class_key
from poc_aug.scenes.weather.surface_kinds import SurfaceKind, kind_by_id, mapped_ids

_FOOTWAYS = {
    class_key(name)
    for name in "sidewalk,pavement,pavement merged,pavement other merged,platform,floor,path,pedestrian area,curb,"
    "curb cut,non drivable,non drivable fallback,lanemkgsnondriv,rail track,railroad,pier".split(",")
}


def roadway(labels: torch.Tensor, schema: LabelSchema, kinds: Mapping[str, SurfaceKind] | None = None) -> torch.Tensor:
    """The pixels of paved ground that is not a footway by its name: bool, of the shape of ``labels``.

    Args:
        labels: integer ``[H, W]``.
        schema: names their classes.
        kinds: kinds of class names, as in `scene_geometry`.

    Example:
        >>> schema = LabelSchema("street", {"road": 0, "sidewalk": 1, "lane marking": 2, "grass": 3})
        >>> roadway(torch.tensor([[0, 1, 2, 3]]), schema)
        tensor([[ True, False,  True, False]])
    """
    footways = {schema.ids[name] for name in schema.ids if _is_footway(name)}
    paved = {i for i, kind in kind_by_id(schema, kinds).items() if kind is SurfaceKind.GROUND}
    return mapped_ids(labels, dict.fromkeys(paved - footways, 1), 0).bool()


def _is_footway(name: str) -> bool:
    return any(class_key(part.strip(" )")) in _FOOTWAYS for part in (name, *re.split(r"[;,(]", name)))
