"""``--set NAME``, ``--data`` and ``--dry-run`` of ``warm-cache``: one of the papers' sets in place of its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from poc_aug.cli.arguments import config_value
from poc_aug.cli.command_options import CliOption
from poc_aug.cli.generation_options import INSERTERS, LENIENT, GenerationOptions
from poc_aug.errors import SettingError
from poc_aug.labels.schema import class_key
from poc_aug.paper_sets import PaperSet, load_set
from poc_aug.presets import preset_names

_PANEL = "The papers' sets"
_OTHER_DATA = {"dataset": "--dataset", "keys": "--keys", "schema": "--schema"}
_OF_MODELS = ("model", "detector", "segmenter", "backend_args", "annotator_args")
_OF_ANNOTATOR = ("detector", "segmenter", "annotator_args")


class SetOptions(GenerationOptions):
    """What names a set of the papers, and what it takes to fill it."""

    paper_set: Annotated[
        str | None,
        CliOption(
            help="A set of the papers, see poc-aug sets: its dataset, objects, models, variants and seed. --set NAME "
            "is the same.",
            takes="the name of a set",
            panel=_PANEL,
        ),
    ] = None
    data: Annotated[
        Path | None, LENIENT, CliOption(help="Folder of the set's dataset.", takes="a folder", panel=_PANEL)
    ] = None
    dry_run: Annotated[
        bool,
        CliOption(
            help="Only show how much there is to do: counts, label ids, first keys, disk, hours of a GPU. Nothing is "
            "written, and no model is loaded.",
            takes="true or false",
            panel=_PANEL,
        ),
    ] = False
    rate: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False),
        CliOption(
            help="With --dry-run: seconds of your GPU per attempt at an object.",
            takes="seconds, more than 0",
            default="what was measured",
            panel=_PANEL,
        ),
    ] = None


def name_of_set(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a command line, ``--set NAME`` (one without ``=``) as ``--paper-set NAME``.

    Raises:
        SettingError: two sets are named.

    Example:
        >>> name_of_set({"set": ["cs-poc", "attempts=5"], "paper_set": None})
        {'set': ['attempts=5'], 'paper_set': 'cs-poc'}
    """
    listed = list(given.get("set") or ())
    names = [value for value in listed if "=" not in value]
    if not names:
        return dict(given)
    named = [*names, *([given["paper_set"]] if given.get("paper_set") else [])]
    if len(named) > 1:
        raise SettingError(f"--set {' --set '.join(named)}", expected="one set", hint="fill one cache for each set")
    return {**given, "set": [value for value in listed if "=" in value] or None, "paper_set": names[0]}


def with_paper_set(values: Mapping[str, Any], arguments: Sequence[str] | None) -> dict[str, Any]:
    """The options of a command by their names in YAML, those of the named set in place of what is not given.

    Args:
        values: the options that are given.
        arguments: arguments of the dataset, as ``key=value``.

    Raises:
        SettingError: no such set; ``--data`` is missing; or options that contradict the set.

    Example:
        >>> values = with_paper_set({"paper_set": "poc-a", "data": "city", "workers": 4}, None)
        >>> values["objects"], values["num_variants"], values["dataset"]["args"]
        ('poc-animals', 3, {'name': 'poc-a', 'root': 'city'})
    """
    own = {name: value for name, value in values.items() if value is not None}
    if "paper_set" not in own:
        if "data" in own:
            raise SettingError(
                "--data without --set NAME", expected="a set: --set cs-poc", hint="poc-aug sets lists them"
            )
        return dict(values)
    paper_set = load_set(own["paper_set"])
    _check_data(paper_set, own, arguments)
    root = str(own["data"])
    if not isinstance(config_value(root), str):  # a folder called "1,2", which would be read as numbers
        root = f"./{root}"
    dataset = {"type": "poc_aug.paper_sets:set_dataset", "args": {"name": paper_set.name, "root": root}}
    common = {"dataset": dataset, "num_variants": paper_set.variants, "seed": paper_set.seed}
    if "objects" in own:
        _check_stand_ins(paper_set, own)
        if "objects_per_variant" not in own.get("set", {}):
            common["per_variant"] = list(paper_set.recipe().objects_per_variant)
        return {**common, **own}
    return {**common, **_of_models(paper_set, own)}


def _check_data(paper_set: PaperSet, own: Mapping[str, Any], arguments: Sequence[str] | None) -> None:
    """Check that nothing but the folder is said of the dataset, which the set names."""
    title, page = paper_set.base.title, paper_set.base.page
    given = [option for name, option in _OTHER_DATA.items() if name in own] + list(arguments or ())
    if given:
        raise SettingError(
            f"{given[0]} with --set {paper_set.name}",
            expected="the set's own dataset, split, keys and labels",
            hint=f"leave it out, and give the folder of {title}: --data ROOT",
        )
    if "data" not in own:
        raise SettingError(
            f"--data is missing for --set {paper_set.name}",
            expected=f"the folder of {title}: --data ROOT",
            hint=f"{title} can be downloaded from {page} after registration",
        )


def _check_stand_ins(paper_set: PaperSet, own: Mapping[str, Any]) -> None:
    """Check that objects that need no model can take the place of a set's."""
    name, objects = paper_set.name, own["objects"]
    if own.get("backend") is not None:
        raise SettingError(
            f"--objects {objects} and --backend {own['backend']} with --set {name}",
            expected="one of the two: nothing of the set would be left",
            hint="leave --set out",
        )
    if objects in preset_names():
        raise SettingError(
            f"--objects {objects} with --set {name}, whose objects are those of {paper_set.preset!r}",
            expected="rendered, a folder of RGBA cut-outs, or a COCO instances .json, in place of a diffusion model",
            hint="leave --objects out; for another preset leave --set out",
        )
    if paper_set.labels != "ids":
        return
    classes = [spec.name for spec in paper_set.recipe().objects]
    included = own.get("include")
    listed = included.split(",") if isinstance(included, str) else list(included or ())
    other = [text.strip() for text in listed if class_key(text.strip()) not in map(class_key, classes)]
    if objects == "rendered" or not listed or other:
        problem = f": {', '.join(other)}" if other else ""
        raise SettingError(
            f"--objects {objects} with --set {name}, in which each class has a label id{problem}",
            expected=f"objects of its classes: {', '.join(classes)}",
            hint="give cut-outs of them and choose these: --objects instances.json --include "
            + ",".join(text for text in ("cat", "cow", "dog", "horse", "sheep") if text in classes),
        )


def _of_models(paper_set: PaperSet, own: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a set's objects and models, and what is given in place of some of them."""
    models = paper_set.models
    backend = own.get("backend", models.backend)
    if backend in INSERTERS and backend != models.backend:
        raise SettingError(
            f"--backend {backend} with --set {paper_set.name}",
            expected=f"{models.backend}, or a backend of your own: package.module:callable",
            hint="leave it out; the baselines of poc-a and poc-cs-a have sets of their own: poc-aug sets",
        )
    standard: dict[str, Any] = {
        "objects": paper_set.preset,
        "paper_sizes": paper_set.paper_sizes,
        "backend": models.backend,
        "model": models.model,
        "backend_args": {**models.backend_args, **own.get("backend_args", {})},
        "detector": models.detector,
        "segmenter": models.segmenter,
        "annotator_args": {**models.annotator_args, **own.get("annotator_args", {})},
        "set": {**_kept_changes(paper_set, own), **own.get("set", {})},
    }
    dropped: list[str] = []
    if backend != models.backend:
        dropped += _OF_MODELS
    if own.get("annotator", "transformers") != "transformers":
        dropped += _OF_ANNOTATOR
    if "sizes" in own or "sizes_file" in own:
        dropped.append("paper_sizes")
    merged = {"backend_args", "annotator_args", "set"}
    kept = {name: value for name, value in standard.items() if name not in dropped}
    return {**kept, **{name: value for name, value in own.items() if name not in merged & set(kept)}}


def _kept_changes(paper_set: PaperSet, own: Mapping[str, Any]) -> dict[str, Any]:
    """A set's changes to its recipe, without those that an option of the command line sets."""
    replaced = {"locate_by"} if own.get("locator", "auto") != "auto" else set()
    return {name: value for name, value in paper_set.changes.items() if name not in replaced}
