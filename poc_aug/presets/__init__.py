"""Recipes that ship with the package, by name: YAML files beside this one."""

from __future__ import annotations

from pathlib import Path

from poc_aug.errors import RecipeError
from poc_aug.recipe import Recipe

_FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """Names of the recipes that ship with the package, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_preset(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        RecipeError: no such preset; the message lists the known ones.
    """
    known = preset_names()
    if name not in known:
        raise RecipeError(
            f"no preset {name!r}",
            expected=f"one of: {', '.join(known)}",
            hint="to read a recipe of your own, use Recipe.from_yaml(path)",
        )
    return Recipe.from_yaml(_FOLDER / f"{name}.yaml")
