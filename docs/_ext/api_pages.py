"""The pages of the API reference: one per public class or function of `poc_aug`, one per further public module."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

# Public names by topic; a name that is in none of them is below "More".
TOPICS: dict[str, list[str]] = {
    "Reading": [
        "POCAugmentedDataset",
        "Composer",
        "Composed",
        "SceneShiftDataset",
        "compose_batch",
        "set_epoch",
        "Adapt",
        "InstanceMap",
        "LiveSettings",
        "ServerSettings",
    ],
    "Labels": ["OodLabels", "NewClassLabels", "AnomalyLabels", "LabelSchema"],
    "Generating": [
        "warm_cache",
        "InsertionPipeline",
        "ShiftPipeline",
        "RayEngine",
        "Recipe",
        "ObjectSpec",
        "SceneRecipe",
        "ObjectBank",
    ],
    "Inserters": ["PasteInserter", "RenderedInserter", "DiffusionInserter", "TextToImageInserter"],
    "Annotators and locators": ["GroundedSamAnnotator", "TransformersAnnotator", "Sam3Annotator", "PromptLocator"],
    "Caches and datasets": ["Cache", "PairedFolder", "SyntheticStreet"],
}
# Further public modules: all that is in `__all__`, or what the module itself defines.
MODULES = {
    "poc_aug.metrics": "Metrics",
    "poc_aug.scores": "Scores",
    "poc_aug.losses": "Losses",
    "poc_aug.datasets": "Datasets",
    "poc_aug.scenes": "Scenes",
    "poc_aug.presets": "Presets",
    "poc_aug.paper_sets": "The papers' sets",
    "poc_aug.exporting": "Exporting",
    "poc_aug.importing": "Importing",
    "poc_aug.upkeep": "Upkeep of caches",
    "poc_aug.keys": "Keys",
    "poc_aug.camera": "Cameras",
    "poc_aug.protocols": "Protocols of backends",
    "poc_aug.types": "Types",
    "poc_aug.errors": "Errors",
}
INTEGRATIONS = "poc_aug.integrations"


def unplaced(names: list[str]) -> list[str]:
    """Public names without a topic."""
    return sorted(set(names) - {name for topic in TOPICS.values() for name in topic})


def module_members(name: str) -> list[str]:
    """What a page of a module documents: its `__all__`, or its public classes and functions."""
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return [member for member in module.__all__ if not inspect.ismodule(getattr(module, member))]  # loads each
    here = [member for member, value in vars(module).items() if getattr(value, "__module__", None) == name]
    return [member for member in here if not member.startswith("_") and _documentable(getattr(module, member))]


def _documentable(value: object) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def directive(owner: str, name: str) -> str:
    """The autodoc directive for a public name, or an empty string for data without a docstring of its own."""
    value = getattr(importlib.import_module(owner), name)
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
    elif callable(value):
        kind = "autofunction"
    else:
        kind = "autodata"
    return f".. {kind}:: {owner}.{name}\n"


def _heading(text: str, mark: str = "=") -> str:
    return f"{text}\n{mark * len(text)}\n"


def _table(names: list[str]) -> str:
    return ".. autosummary::\n   :nosignatures:\n\n" + "".join(f"   ~{name}\n" for name in names)


def _toctree(pages: list[str]) -> str:
    return ".. toctree::\n   :hidden:\n\n" + "".join(f"   {page}\n" for page in pages)


def integrations(root: Path) -> dict[str, list[str]]:
    """What the integrations' folder says that it gives, by the module from which a user imports it."""
    found: dict[str, list[str]] = {}
    package = importlib.import_module(INTEGRATIONS)
    gives = (package.__doc__ or "").partition("Gives:")[2]
    for name in re.findall(r"`(\w+)`", gives):
        homes = [module for module in _integration_modules(root) if hasattr(module, name)]
        homes.sort(key=lambda module: (name not in getattr(module, "__all__", []), not _defines(module, name)))
        if homes:
            found.setdefault(homes[0].__name__, []).append(name)
    return found


def _defines(module: ModuleType, name: str) -> bool:
    return getattr(getattr(module, name), "__module__", None) == module.__name__


def _integration_modules(root: Path) -> list[ModuleType]:
    """The modules that can be imported: others need what is not installed, such as detectron2."""
    modules = []
    for path in sorted(root.joinpath(*INTEGRATIONS.split(".")).glob("[a-z]*.py")):
        try:
            modules.append(importlib.import_module(f"{INTEGRATIONS}.{path.stem}"))
        except ImportError as error:
            if (error.name or "poc_aug").partition(".")[0] == "poc_aug":
                raise
    return modules


def write_api(root: Path, folder: Path) -> set[Path]:
    """Writes the pages into `folder`, and returns their paths."""
    import poc_aug

    folder.mkdir(parents=True, exist_ok=True)
    parts = [_heading("API reference"), "The names that a program uses; all other modules may change at any time.\n"]
    pages: list[str] = []
    for topic, names in {**TOPICS, "More": unplaced(poc_aug.__all__)}.items():
        there = [name for name in names if name in poc_aug.__all__]
        if not there:
            continue
        parts += [_heading(topic, "-"), _table([f"poc_aug.{name}" for name in there])]
        for name in there:
            pages.append(name)
            _write(folder / f"{name}.rst", _heading(name) + "\n" + directive("poc_aug", name))
    modules = {module: module_members(module) for module in MODULES} | integrations(root)
    rows = []
    for module, members in modules.items():
        pages.append(module)
        rows.append(f"   * - :doc:`{module}`\n     - {', '.join(f'`{module}.{member}`' for member in members)}\n")
        _write(
            folder / f"{module}.rst",
            _module_page(module, MODULES.get(module, module.removeprefix("poc_aug.")), members),
        )
    listed = ".. list-table::\n   :widths: 30 70\n\n" + "".join(rows)
    parts += [_heading("Modules", "-"), listed, _toctree(pages)]
    _write(folder / "index.rst", "\n".join(parts))
    return {folder / f"{page}.rst" for page in (*pages, "index")}


def _module_page(module: str, title: str, members: list[str]) -> str:
    import poc_aug

    own = [member for member in members if member not in poc_aug.__all__]
    there = [member for member in members if member in poc_aug.__all__]
    doc = inspect.getdoc(importlib.import_module(module)) or ""
    # Folders say what they may import: that is for who changes the package.
    opening = doc.partition("\n\nIn it:")[0]
    parts = [_heading(title), f"``{module}``: {opening}\n"]
    if there:
        parts.append("Also in it: " + ", ".join(f"`poc_aug.{member}`" for member in there) + ".\n")
    parts += [directive(module, member) for member in own]
    return "\n".join(parts)


def _write(path: Path, text: str) -> None:
    """Only if it differs, so that Sphinx reads again only what changed."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
