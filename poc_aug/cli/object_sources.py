"""What ``--objects`` names: a preset, a recipe file, a folder of cut-outs or COCO instances -> recipe + inserter."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from poc_aug.cli.object_choice import ObjectChoice, choose
from poc_aug.errors import ObjectBankError, PocAugError, RecipeError, SettingError
from poc_aug.files.yaml_files import read_yaml
from poc_aug.labels.schema import LabelSchema, class_key
from poc_aug.presets.size_choice import sizes_text
from poc_aug.protocols import Inserter
from poc_aug.recipe import FrameSize, PixelSize, Recipe

if TYPE_CHECKING:
    from poc_aug.backends.paste.bank import ObjectBank

__all__ = ["ObjectChoice", "construct", "load_objects", "load_recipe", "make_inserter"]

_SOURCES = "rendered, a preset's name, a recipe .yaml, a folder of RGBA cut-outs, or a COCO instances .json"
_RECIPES = "the name of a preset, or a recipe .yaml"
_Made = TypeVar("_Made")
_FILE_FIELDS = {"recipe", "inserter"}
_RENDERED = "obstacles"  # the preset behind the source "rendered"
_STREET = "road"  # a schema with this class is one of streets


def load_objects(
    source: str,
    changes: ObjectChoice | None = None,
    *,
    schema: LabelSchema | None = None,
    paper_sizes: bool = False,
    say: Callable[[str], None] | None = None,
) -> tuple[Recipe, Inserter]:
    """Recipe and inserter of an object source.

    Args:
        source: "rendered", the name of a preset, a YAML file ``{recipe: {...}, inserter: {kind: ...}}``, a folder of
            RGBA cut-outs, or a COCO instances JSON (its images in ``changes.images``, otherwise found near it).
        changes: which objects, and changes to the recipe.
        schema: the dataset's label schema. For streets (it has a "road") the classes of Cityscapes are left out of a
            COCO file, unless they are included by name: they are no anomalies there.
        paper_sizes: see `poc_aug.presets.load_preset`.
        say: called with a message if classes are left out.

    Raises:
        SettingError: an unknown source.
        RecipeError: a recipe that is not valid, a preset whose objects cannot be rendered, or paper sizes for objects
            that are of no paper.
        ObjectBankError: a bank without a usable cut-out.

    Example:
        >>> from poc_aug.cli.object_sources import ObjectChoice, load_objects
        >>> recipe, inserter = load_objects("rendered", ObjectChoice(include=["ball", "barrel"], seed=3))
        >>> [spec.name for spec in recipe.objects], recipe.seed, type(inserter).__name__
        (['ball', 'barrel'], 3, 'RenderedInserter')
    """
    from poc_aug.presets import load_preset, preset_names

    changes = changes or ObjectChoice()
    path = Path(source)
    if source == "rendered":
        source = _RENDERED
    if source in preset_names():
        recipe = load_preset(source, paper_sizes=paper_sizes)
        _check_rendered(source, recipe)
        _with_images({}, source, changes)
        return _rendered(recipe, changes), make_inserter({"kind": "rendered"})
    if os.path.isdir(path) or path.suffix == ".json":
        if paper_sizes:
            raise _no_paper_sizes(f"{source}: cut-outs")
        settings = {"kind": "paste", "folder" if os.path.isdir(path) else "coco": str(path)}
        return _paste(_with_images(settings, source, changes), changes, schema, say)
    if path.suffix in (".yaml", ".yml"):
        data = read_yaml(path)
        if set(data) - _FILE_FIELDS or "inserter" not in data:
            raise RecipeError(
                f"{source}: fields {sorted(data)}",
                expected="recipe: {...} and inserter: {kind: rendered|paste, ...}",
                hint="a recipe alone does not say what draws the objects: add an inserter, or read it with load_recipe",
                command="a recipe alone does not say what draws the objects: choose a backend, --backend diffusion "
                "--model ID",
            )
        if paper_sizes:
            raise _no_paper_sizes(source)
        if not isinstance(data["inserter"], dict) or not isinstance(data.get("recipe", {}), dict | None):
            wrong = "inserter" if not isinstance(data["inserter"], dict) else "recipe"
            raise RecipeError(
                f"{source}: {wrong} is of type {type(data[wrong]).__name__}",
                expected="recipe: {...} and inserter: {kind: rendered|paste, ...}",
            )
        settings = _with_images(dict(data["inserter"]), source, changes)
        if "recipe" not in data and settings.get("kind") == "paste":
            return _paste(settings, changes, schema, say)
        recipe = Recipe.from_dict(data.get("recipe") or {})
        if settings.get("kind") == "rendered":
            return _rendered(recipe, changes), make_inserter(settings)
        recipe = changes.apply(recipe)
        return recipe, make_inserter(settings, recipe)
    raise _unknown(source, _SOURCES)


def load_recipe(source: str, changes: ObjectChoice | None = None, *, paper_sizes: bool = False) -> Recipe:
    """The recipe of an object source alone, for backends that are given separately.

    Args:
        source: the name of a preset, or a YAML file that contains a recipe, bare or as ``{recipe: {...}, ...}``; an
            inserter in the file is ignored.
        changes: which objects, and changes to the recipe.
        paper_sizes: see `poc_aug.presets.load_preset`.

    Raises:
        SettingError: an unknown source, or paper sizes for one that has none.
        RecipeError: a source without a recipe (cut-outs), or a recipe that is not valid.

    Example:
        >>> from poc_aug.cli.object_sources import ObjectChoice, load_recipe
        >>> load_recipe("poc-alt", ObjectChoice(include=["dog", "cat"], location=["road"])).location
        ('road',)
    """
    from poc_aug.presets import load_preset, preset_names

    changes = changes or ObjectChoice()
    _with_images({}, source, changes)
    path = Path(source)
    if source == "rendered":
        source = _RENDERED
    if source in preset_names():
        return changes.apply(load_preset(source, paper_sizes=paper_sizes))
    if os.path.isdir(path) or path.suffix == ".json":
        raise RecipeError(
            f"{source}: cut-outs, not a recipe",
            expected=_RECIPES,
            hint="load_objects reads cut-outs",
            command="leave --backend out to paste cut-outs",
        )
    if path.suffix not in (".yaml", ".yml"):
        raise _unknown(source, _RECIPES)
    if paper_sizes:
        raise _no_paper_sizes(source)
    data = read_yaml(path)
    if not set(data) & _FILE_FIELDS:
        return changes.apply(Recipe.from_dict(data))
    recipe = data.get("recipe")
    if set(data) - _FILE_FIELDS or not isinstance(recipe, dict):
        raise RecipeError(
            f"{source}: fields {sorted(data)}, recipe of type {type(recipe).__name__}",
            expected="a recipe's fields, or recipe: {...} and, if needed, inserter: {...}",
        )
    return changes.apply(Recipe.from_dict(recipe))


def _rendered(recipe: Recipe, changes: ObjectChoice) -> Recipe:
    """The recipe of rendered objects, which are drawn true to scale: their sizes cannot be in pixels."""
    if isinstance(changes.sizes, PixelSize | FrameSize):
        raise SettingError(
            f"rendered objects in sizes of {sizes_text(changes.sizes)}",
            expected="sizes in metres: they are drawn in the scene's perspective, true to scale, and need its camera",
            hint="leave sizes= out; for sizes in pixels paste cut-outs",
            command="leave --sizes out (or --sizes metres) and give the camera, --camera NAME or "
            "--set 'camera={horizon: 0.45}'; for sizes in pixels paste cut-outs: --objects FOLDER",
        )
    return changes.apply(recipe, inherent=True)


def _no_paper_sizes(source: str) -> SettingError:
    return SettingError(
        f"{source}: no paper sizes",
        expected="a preset of a paper, such as poc-alt",
        hint="leave paper_sizes out, and choose sizes: ObjectChoice(sizes=PixelSize(min_px=200, max_px=500))",
        command="leave --paper-sizes out, and choose sizes: --sizes 200:500px",
    )


def _unknown(source: str, expected: str) -> SettingError:
    from poc_aug.presets import preset_names

    presets = ", ".join(preset_names())
    return SettingError(
        f"no objects {source!r}",
        expected=expected,
        hint=f"presets are: {presets}; for a file or folder check the path",
    )


def _with_images(settings: dict[str, Any], source: str, changes: ObjectChoice) -> dict[str, Any]:
    """The settings of an inserter, with the folder of images if one is given; only COCO files have one."""
    if changes.images is None:
        return settings
    if "coco" not in settings:
        raise SettingError(
            f"images = {str(changes.images)!r} (--images) with objects {source!r}",
            expected="a COCO instances .json, whose images they are",
            hint="leave it out; a folder of cut-outs is given as --objects itself",
        )
    return {**settings, "images": str(changes.images)}


def _check_rendered(source: str, recipe: Recipe) -> None:
    """Check that the rendered inserter can draw every object."""
    from poc_aug.backends.rendered.catalogue import CATALOGUE

    unknown = [spec.name for spec in recipe.objects if spec.name not in CATALOGUE]
    if unknown:
        raise RecipeError(
            f"preset {source!r}: {len(unknown)} of its objects cannot be rendered: {', '.join(unknown[:5])}"
            f"{', ...' if len(unknown) > 5 else ''}",
            expected="a backend that paints objects by name",
            hint="pass its recipe, load_recipe(...), to one such as DiffusionInserter; or load 'rendered'",
            command="choose one: --backend diffusion --model ID; or take --objects rendered",
        )


def make_inserter(settings: Mapping[str, Any], recipe: Recipe | None = None) -> Inserter:
    """An inserter from its settings: ``{kind: rendered, ...}`` or ``{kind: paste, folder: ...}``.

    The paste inserter takes ``folder`` (RGBA cut-outs) or ``coco`` (instances JSON, with ``images`` and ``exif``, see
    `ObjectBank.from_coco`), and ``include`` and ``exclude`` for its classes (if neither is given, the classes of
    Cityscapes are left out of a COCO file, except those that the recipe names). All other settings are the inserter's
    own keyword arguments.

    Raises:
        SettingError: an unknown kind, setting or class.
        ObjectBankError: a bank without a usable cut-out.

    Example:
        >>> from poc_aug.cli.object_sources import make_inserter
        >>> type(make_inserter({"kind": "rendered", "supersample": 2})).__name__
        'RenderedInserter'
    """
    from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES
    from poc_aug.backends.paste.paste_inserter import PasteInserter
    from poc_aug.backends.rendered.rendered_inserter import RenderedInserter

    own = dict(settings)
    kind = own.pop("kind", None)
    if kind == "rendered":
        return construct(RenderedInserter, own, f"inserter {dict(settings)!r}")
    if kind == "paste":
        named = {spec.name for spec in recipe.objects} if recipe is not None else set()
        bank = _bank(own, settings, [name for name in CITYSCAPES_COCO_CLASSES if name not in named])
        return construct(PasteInserter, {"bank": bank, **own}, f"inserter {dict(settings)!r}")
    raise SettingError(f"inserter kind {kind!r}", expected="rendered or paste")


def _bank(
    own: dict[str, Any],
    settings: Mapping[str, Any],
    left_out: Sequence[str],
    changes: ObjectChoice | None = None,
    say: Callable[[str], None] | None = None,
) -> ObjectBank:
    """The bank that the settings name, with the chosen classes; its settings are removed from ``own``.

    Args:
        own: the settings that are not read yet.
        settings: all of them, for errors.
        left_out: classes to leave out of a COCO file unless classes are chosen by name.
        changes: classes that are chosen in addition to those of the settings.
        say: called with a message if classes are left out.
    """
    from poc_aug.backends.paste.bank import ObjectBank

    folder, coco = own.pop("folder", None), own.pop("coco", None)
    if (folder is None) == (coco is None):
        raise SettingError(
            f"paste inserter {dict(settings)!r}", expected="one of folder: PATH and coco: INSTANCES.json"
        )
    for field, path in (("folder", folder), ("coco", coco), ("images", own.get("images"))):
        if path is not None and not isinstance(path, str | os.PathLike):
            raise SettingError(f"paste inserter: {field} = {path!r}", expected="a path")
    include, exclude = _names(own, "include"), _names(own, "exclude")
    if folder is not None:
        bank = ObjectBank.from_folder(folder)
    else:
        images, exif = own.pop("images", None), own.pop("exif", "auto")
        bank = ObjectBank.from_coco(coco, images, exclude=(), exif=exif)
    changes = changes or ObjectChoice()
    where = str(folder or coco)
    chosen = choose(bank.classes(), include, exclude or (), where)
    chosen = choose(chosen, changes.include, changes.exclude, where)
    if coco is not None and include is None and exclude is None and changes.include is None:
        known = {class_key(name) for name in left_out}
        dropped = [name for name in chosen if class_key(name) in known]
        names = ", ".join(dropped)
        if len(dropped) == len(chosen):
            raise ObjectBankError(
                f"{where}: all of its classes are labelled in street datasets: {names}",
                expected="objects that are not labelled there",
                hint=f"include them by name: include=({dropped[0]!r},)",
                command=f"include them by name: --include {','.join(dropped[:3])}",
            )
        chosen = [name for name in chosen if name not in dropped]
        if dropped and say is not None:
            say(f"left out, since street datasets label them already: {names} (--include chooses classes by name)")
    return bank if len(chosen) == len(bank.classes()) else bank.keep(chosen)


def _names(own: dict[str, Any], field: str) -> list[str] | None:
    """A list of class names from the settings; ``None``: not given."""
    given = own.pop(field, None)
    if given is None:
        return None
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise SettingError(f"paste inserter: {field} = {given!r}", expected="class names: [car, dog]")
    return list(names)


def _paste(
    settings: dict[str, Any], changes: ObjectChoice, schema: LabelSchema | None, say: Callable[[str], None] | None
) -> tuple[Recipe, Inserter]:
    from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES
    from poc_aug.backends.paste.paste_inserter import PasteInserter

    own = {name: value for name, value in settings.items() if name != "kind"}
    street = schema is not None and _STREET in schema
    bank = _bank(own, settings, CITYSCAPES_COCO_CLASSES if street else (), changes, say)
    return changes.paste(bank), construct(PasteInserter, {"bank": bank, **own}, f"inserter {dict(settings)!r}")


def construct(make: Callable[..., _Made], arguments: Mapping[str, Any], name: str) -> _Made:
    """Call a class with arguments that a user wrote; errors call it ``name``.

    Raises:
        SettingError: they are not its arguments; and whatever the class itself raises.
    """
    try:
        return make(**arguments)
    # AttributeError and ValueError: an argument of a kind that the class does not check.
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, PocAugError):
            raise
        raise SettingError(
            f"{name}: {error}", expected=f"the arguments of {getattr(make, '__name__', make)}"
        ) from error
