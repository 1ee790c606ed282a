"""Recipes that ship with the package, by name: the YAML files in ``recipes/``.

A file holds the fields of `poc_aug.recipe.Recipe`, and besides:

- ``real_sizes``: every object without a size of its own gets its real size in metres from ``sizes.yaml``, looked up by
  its name, or by the name given here (``{truck: european semi-truck}``), and the shape of its box if ``sizes.yaml`` has
  one. Without this field sizes stay as they are.
- ``paper``: fields that replace those of the recipe when the paper's sizes in pixels are requested. Objects then have
  no size of their own except those under ``paper: {objects: {name: {size: ...}}}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poc_aug.errors import RecipeError, SettingError
from poc_aug.files.yaml_files import read_yaml
from poc_aug.labels.schema import SCHEMAS
from poc_aug.presets.object_sizes import known_aspects, real_size
from poc_aug.recipe import Recipe

_FOLDER = Path(__file__).parent / "recipes"


def preset_names() -> list[str]:
    """Names of the recipes that ship with the package, sorted.

    Example:
        >>> preset_names()
        ['genval', 'obstacles', 'poc-alt', 'poc-animals', 'poc-coco', 'poc-cs-animals']
    """
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_preset(name: str, *, paper_sizes: bool = False) -> Recipe:
    """The recipe of that name.

    Args:
        name: one of `preset_names`.
        paper_sizes: sizes in pixels, margin and fallbacks as in the paper (made for frames of 2048x1024), instead
            of sizes in metres, which depend on where an object stands.

    Raises:
        RecipeError: no such preset, the message lists the known ones; or ``paper_sizes`` for a preset without them.

    Example:
        >>> recipe = load_preset("poc-animals")
        >>> recipe.objects[-1].name, recipe.objects[-1].size.size_m
        ('sheep', 0.85)
        >>> load_preset("poc-animals", paper_sizes=True).size
        PixelSize(kind='pixels', min_px=200, max_px=500)
    """
    fields = _read(name)
    paper = fields.pop("paper", None)
    real_sizes = fields.pop("real_sizes", None)
    if paper_sizes:
        if paper is None:
            known = [other for other in preset_names() if "paper" in _read(other)]
            raise RecipeError(
                f"preset {name!r} has no paper sizes",
                expected=f"one of: {', '.join(known)}",
                hint="leave paper_sizes out: its objects have their real size",
                command="leave --paper-sizes out: its objects have their real size",
            )
        return Recipe.from_dict(_as_in_paper(fields, paper))
    if real_sizes is not None:
        fields["objects"] = [_in_metres(spec, fields["size"], real_sizes) for spec in fields["objects"]]
    return Recipe.from_dict(fields)


def preset_ids(name: str, start: int = 19) -> dict[str, int]:
    """Label ids of a preset's new classes, for `poc_aug.labels.policies.NewClassLabels`.

    Ids are numbered in the recipe's order, which is the paper's. Classes of Cityscapes are left out, since they keep
    the ids of the dataset's schema; so the number of COCO's "train" stays unused.

    Args:
        name: one of `preset_names`.
        start: the first id: 19 follows Cityscapes' trainIds; POC's test set on labelIds (ACDC) starts at 100.

    Returns:
        Label id by class name.

    Raises:
        RecipeError: no such preset.
        SettingError: a negative start.

    Example:
        >>> preset_ids("poc-animals")
        {'bird flying': 19, 'cat': 20, 'cow': 21, 'dog': 22, 'horse': 23, 'sheep': 24}
    """
    if start < 0:
        raise SettingError(f"start={start}", expected="a label id, 0 or more", hint="use 19, or 100 on labelIds")
    known = SCHEMAS["cityscapes-trainIds"]
    # The last part, which every object has, is the class of the whole.
    classes = [spec.parts[-1] for spec in load_preset(name).objects]
    return {name: label_id for label_id, name in enumerate(classes, start) if name not in known}


def _read(name: str) -> dict[str, Any]:
    known = preset_names()
    if name not in known:
        raise RecipeError(
            f"no preset {name!r}",
            expected=f"one of: {', '.join(known)}",
            hint="to read a recipe of your own, use Recipe.from_yaml(path)",
            command="for a recipe of your own give its file: --objects FILE.yaml",
        )
    return read_yaml(_FOLDER / f"{name}.yaml")


def _in_metres(spec: Any, rule: dict[str, Any], real_sizes: dict[str, str]) -> dict[str, Any]:
    if "size" in spec:
        return {**spec}
    name = real_sizes.get(spec["name"], spec["name"])
    known = real_size(name)
    shape = {"aspect": known_aspects()[name]} if name in known_aspects() else {}
    return {**shape, **spec, "size": {**rule, "size_m": known.size_m, "measure": known.measure}}


def _as_in_paper(fields: dict[str, Any], paper: dict[str, Any]) -> dict[str, Any]:
    own = paper.get("objects", {})
    unknown = sorted(set(own) - {spec["name"] for spec in fields["objects"]})
    if unknown:
        raise RecipeError(f"paper.objects names {unknown}", expected="names of the preset's objects")
    objects = [
        {**{key: value for key, value in spec.items() if key != "size"}, **own.get(spec["name"], {})}
        for spec in fields["objects"]
    ]
    return {**fields, **paper, "objects": objects}
