"""A recipe from an object bank: one object per class, at its real size, standing on the road."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.errors import SettingError
from poc_aug.presets.object_sizes import RealSizes, known_real_sizes
from poc_aug.presets.size_choice import parse_sizes
from poc_aug.recipe import FrameSize, PerspectiveSize, PixelSize, Recipe, Rung

OneSize: TypeAlias = PixelSize | FrameSize | PerspectiveSize

_METRES = ("perspective", "metres", "meters")


def paste_recipe(
    bank: ObjectBank,
    *,
    seed: int = 0,
    sizes: str | OneSize | RealSizes | Mapping[str, OneSize | float] = "perspective",
    **overrides: Any,
) -> Recipe:
    """The recipe that pastes every class of a bank.

    Args:
        bank: the cut-outs.
        seed: the recipe's seed.
        sizes: ``"perspective"`` (or ``"metres"``): real sizes from ``sizes.yaml``; `RealSizes`: those, and the sizes
            of ``sizes.yaml`` for other classes; one size rule for all classes, or its text: ``"40:120px"`` (pixels),
            ``"0.05:0.2"`` (fractions of the frame's longer side); or a mapping from some classes to rules or heights
            in metres, with real sizes for the others. Sizes in pixels or fractions need neither camera nor horizon.
        overrides: other fields of `Recipe`, such as ``location=("table",)``, or ``location=()`` for anywhere.

    Raises:
        SettingError: the real size of a class is not known, or rules for classes that the bank does not have.
        RecipeError: overrides that are not valid.

    Example:
        >>> import torch
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> image = torch.full((3, 64, 96), 90, dtype=torch.uint8)
        >>> labels = torch.zeros(64, 96, dtype=torch.uint8)  # all road
        >>> labels[12:52, 24:72] = 13  # a car
        >>> bank = ObjectBank.from_dataset([(image, labels)], SCHEMAS["cityscapes-trainIds"], ["car"])
        >>> recipe = paste_recipe(bank, sizes="40:120px", location=())
        >>> recipe.objects[0].name, recipe.objects[0].size.max_px
        ('car', 120)
    """
    if not isinstance(bank, ObjectBank):
        raise SettingError(
            f"bank={bank!r}", expected="an ObjectBank", hint=f"pass ObjectBank.from_folder({bank!r}), or from_coco"
        )
    rules = _rules(bank, sizes)
    fields: dict[str, Any] = {
        "objects": [{"name": name, "size": rules[name].model_dump()} for name in bank.classes()],
        "objects_per_variant": (1, 3),
        "location": ("road",),
        "ladder": (Rung(min_overlap=0.9).model_dump(),),
        "overlap_on": "foot",
        "crop_scale": 1.6,
        "seed": seed,
    }
    return Recipe.from_dict({**fields, **overrides})


def _rules(bank: ObjectBank, sizes: str | OneSize | RealSizes | Mapping[str, OneSize | float]) -> dict[str, OneSize]:
    """The size rule of each class of the bank."""
    if isinstance(sizes, str):
        parsed = "metres" if sizes in _METRES else parse_sizes(sizes)
        sizes = {} if isinstance(parsed, str) else parsed
    if isinstance(sizes, PixelSize | FrameSize | PerspectiveSize):
        return dict.fromkeys(bank.classes(), sizes)
    if isinstance(sizes, RealSizes):
        table = sizes.over(known_real_sizes())
        table.check(bank.classes())
        return {name: table.rule(name) for name in bank.classes()}
    unknown = sorted(set(sizes) - set(bank.classes()))
    if unknown:
        raise SettingError(f"sizes for {unknown}, which the bank does not have", expected=f"{list(bank.classes())}")
    metres = {
        name: size for name, size in sizes.items() if not isinstance(size, PixelSize | FrameSize | PerspectiveSize)
    }
    table = (RealSizes.from_dict(metres) if metres else RealSizes({})).over(known_real_sizes())
    rules: dict[str, OneSize] = {}
    table.check(name for name in bank.classes() if name not in sizes or name in metres)
    for name in bank.classes():
        given = sizes.get(name)
        rules[name] = given if isinstance(given, PixelSize | FrameSize | PerspectiveSize) else table.rule(name)
    return rules
