"""Presets: the recipes of the papers by name, and the sizes of objects.

In it: recipes as YAML files, real sizes in metres, and what `--sizes` means.
May import: errors, labels, recipe.
Gives: `load_preset`, `preset_names`, `RealSizes`.

A file holds the fields of `poc_aug.recipe.Recipe`, and beside them:

- ``real_sizes``: every object without a size of its own gets its real one in metres from ``sizes.yaml``, by its name,
  or by the name given here (``{truck: european semi-truck}``), and the shape of its box where that is told there.
  Without this field sizes stay as they are.
- ``paper``: fields that replace the recipe's where the paper's own sizes in pixels are asked for. Objects then keep no
  size of their own but those under ``paper: {objects: {name: {size: ...}}}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poc_aug.errors import RecipeError, SettingError
from poc_aug.labels.schema import SCHEMAS
from poc_aug.presets.object_sizes import known_aspects, real_size
from poc_aug.recipe import Recipe, read_yaml

_FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """Names of the recipes that ship with the package, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_preset(name: str, *, paper_sizes: bool = False) -> Recipe:
    """The recipe of that name.

    Args:
        name: one of `preset_names`.
        paper_sizes: sizes in pixels, margin and fallbacks as in the paper (made for frames of 2048x1024), instead
            of sizes in metres, which follow from where an object stands.

    Raises:
        RecipeError: no such preset, the message lists the known ones; or ``paper_sizes`` of a preset of no paper.
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
                hint="leave paper_sizes out: its objects come in their real size",
                command="leave --paper-sizes out: its objects come in their real size",
            )
        return Recipe.from_dict(_as_in_paper(fields, paper))
    if real_sizes is not None:
        fields["objects"] = [_in_metres(spec, fields["size"], real_sizes) for spec in fields["objects"]]
    return Recipe.from_dict(fields)


def preset_ids(name: str, start: int = 19) -> dict[str, int]:
    """Label ids of a preset's new classes, for `poc_aug.labels.policies.NewClassLabels`.

    Ids count up in the recipe's order, which is the paper's. Classes that Cityscapes has are left out, since they
    keep the ids of the dataset's schema; COCO's "train" leaves its number unused, as it is Cityscapes' train.

    Args:
        name: one of `preset_names`.
        start: the first id: 19 follows Cityscapes' trainIds; POC's test set on labelIds (ACDC) starts at 100.

    Returns:
        Label id by class name, for example ``{"stroller": 19, "trolley": 20, ...}``.

    Raises:
        RecipeError: no such preset.
        SettingError: a negative start.
    """
    if start < 0:
        raise SettingError(f"start={start}", expected="a label id, 0 or more", hint="use 19, or 100 on labelIds")
    known = SCHEMAS["cityscapes-trainIds"]
    # The last part is the one that has to be there: the class of the whole.
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
    strange = sorted(set(own) - {spec["name"] for spec in fields["objects"]})
    if strange:
        raise RecipeError(f"paper.objects names {strange}", expected="names of the preset's objects")
    objects = [
        {**{key: value for key, value in spec.items() if key != "size"}, **own.get(spec["name"], {})}
        for spec in fields["objects"]
    ]
    return {**fields, **paper, "objects": objects}
