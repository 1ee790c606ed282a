"""What ``--objects`` names: a preset, a recipe file, a folder of cut-outs or COCO instances -> recipe + inserter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from poc_aug.camera_spec import named_camera
from poc_aug.errors import RecipeError
from poc_aug.recipe import Recipe, read_yaml
from poc_aug.types import Inserter

if TYPE_CHECKING:
    from poc_aug.backends.bank import ObjectBank

_SOURCES = "rendered, a preset's name, a recipe .yaml, a folder of RGBA cut-outs, or a COCO instances .json"
_RECIPES = "the name of a preset, or a recipe .yaml"
_Made = TypeVar("_Made")
_FILE_FIELDS = {"recipe", "inserter"}
_RENDERED = "obstacles"  # the preset behind the source "rendered"


@dataclass(frozen=True)
class ObjectSource:
    """Changes that the command line makes to a recipe.

    Attributes:
        seed: the base seed; ``None``: the recipe's.
        camera: a camera's name, see `poc_aug.recipe.named_camera`; ``None``: the recipe's.
        location: class names that objects stand on; ``None``: the recipe's.
        per_variant: least and most objects in one variant; ``None``: the recipe's.
        images: folder of the images of a COCO source; ``None``: found beside it.
    """

    seed: int | None = None
    camera: str | None = None
    location: Sequence[str] | None = None
    per_variant: tuple[int, int] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    images: str | Path | None = None

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with these changes.

        Raises:
            RecipeError: an unknown camera, or a value that does not fit.
        """
        changes: dict[str, Any] = dict(self.extra)
        if self.seed is not None:
            changes["seed"] = self.seed
        if self.camera is not None:
            changes["camera"] = named_camera(self.camera).model_dump()
        if self.location is not None:
            changes["location"] = tuple(self.location)
        if self.per_variant is not None:
            changes["objects_per_variant"] = tuple(self.per_variant)
        return recipe.with_changes(**changes) if changes else recipe


def load_objects(source: str, changes: ObjectSource | None = None) -> tuple[Recipe, Inserter]:
    """Recipe and inserter of an object source.

    Args:
        source: "rendered", the name of a preset, a YAML file ``{recipe: {...}, inserter: {kind: ...}}``, a folder of
            RGBA cut-outs, or a COCO instances JSON (its images in ``changes.images``, else found near it).
        changes: changes to the recipe.

    Raises:
        RecipeError: an unknown source, a recipe that is not valid, or a preset whose objects cannot be rendered.
        ObjectBankError: a bank without a usable cut-out.
    """
    from poc_aug.presets import load_preset, preset_names

    changes = changes or ObjectSource()
    path = Path(source)
    if source == "rendered":
        source = _RENDERED
    if source in preset_names():
        recipe = load_preset(source)
        _check_rendered(source, recipe)
        _with_images({}, source, changes)
        return changes.apply(recipe), make_inserter({"kind": "rendered"})
    if path.is_dir() or path.suffix == ".json":
        settings = {"kind": "paste", "folder" if path.is_dir() else "coco": str(path)}
        return _paste(_with_images(settings, source, changes), changes)
    if path.suffix in (".yaml", ".yml"):
        data = read_yaml(path)
        if set(data) - _FILE_FIELDS or "inserter" not in data:
            raise RecipeError(
                f"{source}: fields {sorted(data)}",
                expected="recipe: {...} and inserter: {kind: rendered|paste, ...}",
                hint="a recipe alone says what, not how: choose a backend, --backend diffusion --model ID",
            )
        settings = _with_images(dict(data["inserter"]), source, changes)
        if "recipe" not in data and settings.get("kind") == "paste":
            return _paste(settings, changes)
        return changes.apply(Recipe.from_dict(data.get("recipe") or {})), make_inserter(settings)
    raise _unknown(source, _SOURCES)


def load_recipe(source: str, changes: ObjectSource | None = None, *, paper_sizes: bool = False) -> Recipe:
    """The recipe of an object source alone, for backends that are given separately.

    Args:
        source: the name of a preset, or a YAML file that holds a recipe, bare or as ``{recipe: {...}, ...}``; what a
            file says about an inserter is left out.
        changes: changes to the recipe.
        paper_sizes: see `poc_aug.presets.load_preset`.

    Raises:
        RecipeError: an unknown source, one without a recipe (cut-outs), one without paper sizes where they are asked
            for, or a recipe that is not valid.
    """
    from poc_aug.presets import load_preset, preset_names

    changes = changes or ObjectSource()
    _with_images({}, source, changes)
    path = Path(source)
    if source == "rendered":
        source = _RENDERED
    if source in preset_names():
        return changes.apply(load_preset(source, paper_sizes=paper_sizes))
    if path.is_dir() or path.suffix == ".json":
        raise RecipeError(
            f"{source}: cut-outs, not a recipe",
            expected=_RECIPES,
            hint="leave --backend out to paste cut-outs",
        )
    if path.suffix not in (".yaml", ".yml"):
        raise _unknown(source, _RECIPES)
    if paper_sizes:
        raise RecipeError(
            f"{source}: no paper sizes",
            expected="a preset of a paper, such as poc-alt",
            hint="leave --paper-sizes out, and give sizes in the recipe: {kind: pixels, min_px: 200, max_px: 500}",
        )
    data = read_yaml(path)
    if not set(data) & _FILE_FIELDS:
        return changes.apply(Recipe.from_dict(data))
    recipe = data.get("recipe")
    if set(data) - _FILE_FIELDS or not isinstance(recipe, dict):
        raise RecipeError(
            f"{source}: fields {sorted(data)}, recipe of type {type(recipe).__name__}",
            expected="a recipe's fields, or recipe: {...} with inserter: {...} beside it",
        )
    return changes.apply(Recipe.from_dict(recipe))


def _unknown(source: str, expected: str) -> RecipeError:
    from poc_aug.presets import preset_names

    presets = ", ".join(preset_names())
    return RecipeError(f"no objects {source!r}", expected=expected, hint=f"presets are: {presets}; else check the path")


def _with_images(settings: dict[str, Any], source: str, changes: ObjectSource) -> dict[str, Any]:
    """The settings of an inserter, with the folder of images that was given; only COCO has one."""
    if changes.images is None:
        return settings
    if "coco" not in settings:
        raise RecipeError(
            f"images = {str(changes.images)!r} (--images) with objects {source!r}",
            expected="a COCO instances .json, whose images they are",
            hint="leave it out; a folder of cut-outs is given as --objects itself",
        )
    return {**settings, "images": str(changes.images)}


def _check_rendered(source: str, recipe: Recipe) -> None:
    """Check that the rendered inserter can draw every object."""
    from poc_aug.render.catalogue import KINDS

    unknown = [spec.name for spec in recipe.objects if spec.name not in KINDS]
    if unknown:
        raise RecipeError(
            f"preset {source!r}: {len(unknown)} of its objects cannot be rendered: {', '.join(unknown[:5])}"
            f"{', ...' if len(unknown) > 5 else ''}",
            expected="a backend that paints objects by name",
            hint="choose one: --backend diffusion --model ID; or take --objects rendered",
        )


def make_inserter(settings: Mapping[str, Any]) -> Inserter:
    """An inserter from its settings: ``{kind: rendered, ...}`` or ``{kind: paste, folder: ...}``.

    The paste inserter takes ``folder`` (RGBA cut-outs) or ``coco`` (instances JSON, with ``images``, ``exclude`` and
    ``exif``, see `ObjectBank.from_coco`).
    All other settings are the inserter's own keyword arguments.

    Raises:
        RecipeError: an unknown kind or setting.
        ObjectBankError: a bank without a usable cut-out.
    """
    from poc_aug.backends.paste import PasteInserter
    from poc_aug.backends.rendered import RenderedInserter

    own = dict(settings)
    kind = own.pop("kind", None)
    if kind == "rendered":
        return build(RenderedInserter, own, f"inserter {dict(settings)!r}")
    if kind == "paste":
        bank = _bank(own, settings)
        return build(PasteInserter, {"bank": bank, **own}, f"inserter {dict(settings)!r}")
    raise RecipeError(f"inserter kind {kind!r}", expected="rendered or paste")


def _bank(own: dict[str, Any], settings: Mapping[str, Any]) -> ObjectBank:
    """The bank that the settings name; its settings are taken out of ``own``."""
    from poc_aug.backends.bank import CITYSCAPES_COCO_CLASSES, ObjectBank

    folder, coco = own.pop("folder", None), own.pop("coco", None)
    if (folder is None) == (coco is None):
        raise RecipeError(f"paste inserter {dict(settings)!r}", expected="one of folder: PATH and coco: INSTANCES.json")
    if folder is not None:
        return ObjectBank.from_folder(folder)
    images, exif = own.pop("images", None), own.pop("exif", "auto")
    return ObjectBank.from_coco(coco, images, exclude=tuple(own.pop("exclude", CITYSCAPES_COCO_CLASSES)), exif=exif)


def _paste(settings: dict[str, Any], changes: ObjectSource) -> tuple[Recipe, Inserter]:
    from poc_aug.backends.paste import PasteInserter
    from poc_aug.backends.paste_recipe import paste_recipe

    own = {name: value for name, value in settings.items() if name != "kind"}
    bank = _bank(own, settings)
    return changes.apply(paste_recipe(bank)), build(
        PasteInserter, {"bank": bank, **own}, f"inserter {dict(settings)!r}"
    )


def build(make: Callable[..., _Made], arguments: Mapping[str, Any], told: str) -> _Made:
    """Call a class with arguments that a user named; ``told`` is what the error calls them.

    Raises:
        RecipeError: they are not its arguments; and whatever the class itself raises.
    """
    try:
        return make(**arguments)
    except TypeError as error:
        raise RecipeError(f"{told}: {error}", expected=f"the arguments of {getattr(make, '__name__', make)}") from error
