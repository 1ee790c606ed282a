"""``--sizes``: pixels, fractions of the frame, or metres; and a recipe's objects in those sizes."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

from poc_aug.errors import SettingError
from poc_aug.presets.object_sizes import RealSizes, known_real_sizes
from poc_aug.recipe import FrameSize, ObjectSpec, PerspectiveSize, PixelSize, Recipe

SizeChoice: TypeAlias = "PixelSize | FrameSize | Literal['metres']"

_FORMS = "40:120px (pixels), 0.05:0.2 (fractions of the frame's longer side) or metres (real sizes, by perspective)"
_LEAST_PX = 4
_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_LIMITS = re.compile(rf"({_NUMBER}):({_NUMBER})(px)?", re.ASCII)


def parse_sizes(text: str) -> SizeChoice:
    """Parse sizes as given on the command line: ``"40:120px"``, ``"0.05:0.2"`` or ``"metres"``.

    Returns:
        `PixelSize`, `FrameSize`, or ``"metres"``: each object's real size.

    Raises:
        SettingError: another form, or limits that are out of order or range.

    Example:
        >>> parse_sizes("40:120px")
        PixelSize(kind='pixels', min_px=40, max_px=120)
    """
    stripped = text.strip()
    if stripped in ("metres", "meters"):
        return "metres"
    limits = _LIMITS.fullmatch(stripped)
    if limits is None:
        one = re.fullmatch(rf"(?:{_NUMBER})(?:px)?", stripped)
        raise _wrong(text, "one limit" if one else "", "give the smallest and the largest" if one else "")
    low, high = float(limits[1]), float(limits[2])
    if limits[3]:
        if "." in limits[1] + limits[2]:
            raise _wrong(text, "fractions of a pixel", f"{round(low)}:{round(high)}px")
        if low < _LEAST_PX:
            raise _wrong(text, f"less than {_LEAST_PX} pixels")
        if high <= low:
            raise _wrong(text, "the largest is not larger than the smallest", _ordered(limits[1], limits[2], "px"))
        return PixelSize(min_px=int(low), max_px=int(high))
    if high > 1:
        pixels = "." not in limits[1] + limits[2] and low < high
        raise _wrong(text, "more than the whole frame", f"for pixels: {limits[1]}:{limits[2]}px" if pixels else "")
    if low <= 0:
        raise _wrong(text, "a size of 0")
    if high <= low:
        raise _wrong(text, "the largest is not larger than the smallest", _ordered(limits[1], limits[2], ""))
    return FrameSize(min_fraction=low, max_fraction=high)


def sizes_text(choice: SizeChoice) -> str:
    """The text that `parse_sizes` reads as this choice.

    Example:
        >>> sizes_text(FrameSize(min_fraction=0.05, max_fraction=0.2))
        '0.05:0.2'
    """
    if isinstance(choice, PixelSize):
        return f"{choice.min_px}:{choice.max_px}px"
    return choice if isinstance(choice, str) else f"{choice.min_fraction:g}:{choice.max_fraction:g}"


def _ordered(low: str, high: str, unit: str) -> str:
    return f"{high}:{low}{unit}" if low != high else "the limits must differ a little"


def _wrong(text: str, why: str, hint: str = "") -> SettingError:
    return SettingError(f"sizes {text!r}" + (f": {why}" if why else ""), expected=_FORMS, hint=hint)


def with_sizes(recipe: Recipe, choice: SizeChoice, own: RealSizes | None = None, *, inherent: bool = False) -> Recipe:
    """A recipe whose objects all have the chosen sizes.

    Args:
        recipe: the recipe.
        choice: one rule for all objects that replaces theirs; or "metres": objects without a size in metres get their
            real size, except those that have a size of their own and may be anywhere (a bird flying).
        own: real sizes that take precedence over the recipe's and the known ones; for "metres".
        inherent: whether the inserter knows the real size of objects that have none in the recipe (rendered ones do).

    Raises:
        SettingError: the real size of an object is not known.

    Example:
        >>> recipe = Recipe(objects=["person"])
        >>> with_sizes(recipe, parse_sizes("metres")).objects[0].size.size_m
        1.72
    """
    if choice != "metres":
        objects = [{**spec.model_dump(), "size": None} for spec in recipe.objects]
        return recipe.with_changes(objects=objects, size=choice.model_dump())
    return recipe.with_changes(objects=[_in_metres(spec, recipe, own, inherent) for spec in recipe.objects])


def _in_metres(spec: ObjectSpec, recipe: Recipe, own: RealSizes | None, inherent: bool) -> dict[str, Any]:
    rule = spec.size or recipe.size
    fields = spec.model_dump()
    named = own is not None and spec.name in own
    real: PixelSize | FrameSize | PerspectiveSize
    if spec.size is not None and spec.location == () and not named:
        real = rule  # what flies has no foot on the ground, from whose row its metres could be converted
    elif isinstance(rule, PerspectiveSize) and not named and (inherent or rule.size_m is not None):
        real = rule
    else:
        table = known_real_sizes() if own is None else own.over(known_real_sizes())
        known = table.rule(spec.name)
        metres = {"size_m": known.size_m, "measure": known.measure}
        real = rule.model_copy(update=metres) if isinstance(rule, PerspectiveSize) else known
        fields["aspect"] = (own.aspect(spec.name) if own else None) or spec.aspect or table.aspect(spec.name)
    if real is not recipe.size:
        fields["size"] = real.model_dump()
    return fields
