"""The papers' sets by name: the YAML files of this folder."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
from torch.utils.data import Dataset

from poc_aug.errors import SettingError
from poc_aug.files.yaml_files import parse_yaml
from poc_aug.paper_sets.paper_set import PaperSet

_ORDER = ("cs-poc", "idd-poc", "acdc-poc", "poc-alt", "poc-coco", "poc-a", "poc-cs-a", "genval")


def set_names() -> list[str]:
    """Names of the sets, in the papers' order; baselines follow the sets that they are of.

    Example:
        >>> from poc_aug.paper_sets import set_names
        >>> set_names()[:6]
        ['cs-poc', 'idd-poc', 'acdc-poc', 'poc-alt', 'poc-coco', 'poc-a']
    """
    folder = resources.files("poc_aug.paper_sets")
    names = [file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")]

    def place(name: str) -> tuple[int, str]:
        of = [number for number, known in enumerate(_ORDER) if name == known or name.startswith(f"{known}-t2i-")]
        return (of[0] if of else len(_ORDER)), name

    return sorted(names, key=place)


@cache
def load_set(name: str) -> PaperSet:
    """The set of that name.

    Raises:
        SettingError: no such set; the message lists those that there are, the closest ones first.

    Example:
        >>> from poc_aug.paper_sets import load_set
        >>> paper_set = load_set("poc-coco")
        >>> paper_set.variants, paper_set.data.splits, paper_set.new_classes["airplane"]
        (3, ('train',), 19)
    """
    known = set_names()
    if name not in known:
        close = get_close_matches(name.lower().replace("_", "-"), known, n=3, cutoff=0.5)
        raise SettingError(
            f"no set {name!r}",
            expected=f"one of: {', '.join(known)}",
            hint=f"did you mean {' or '.join(close)}?" if close else "set_names() lists them",
            command="" if close else "poc-aug sets lists them",
        )
    text = resources.files("poc_aug.paper_sets").joinpath(f"{name}.yaml").read_text("utf-8")
    return set_from_yaml(text, name)


def set_from_yaml(text: str, name: str) -> PaperSet:
    r"""A set from the text of its YAML file.

    Raises:
        SettingError: not YAML, an unknown field, or a value that does not fit; names each of them.

    Example:
        >>> set_from_yaml("title: mine\nvariant: 3", "mine")
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: set 'mine':
          variant = 3: Extra inputs are not permitted...
    """
    values = parse_yaml(text, f"set {name!r}", SettingError)
    if not isinstance(values, dict):
        raise SettingError(
            f"set {name!r} is a {type(values).__name__}", expected="a YAML mapping of a PaperSet's fields"
        )
    try:
        return PaperSet.model_validate({"name": name, **values})
    except pydantic.ValidationError as error:
        # Fields that are not known come first: of a misspelt one, the right one is missing.
        found = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        lines = [f"  {'.'.join(map(str, item['loc']))} = {item['input']!r:.80}: {item['msg']}" for item in found]
        raise SettingError(
            f"set {name!r}:\n" + "\n".join(lines), expected="the fields of poc_aug.paper_sets.PaperSet"
        ) from error


def set_dataset(name: str, root: str | Path) -> Dataset[Any]:
    """The frames of a set, for commands that take a dataset: ``--dataset poc_aug.paper_sets:set_dataset name=cs-poc``.

    Args:
        name: the set.
        root: the folder of its dataset.

    Raises:
        SettingError: no such set.
        DatasetError: the folder does not hold its dataset.
    """
    return load_set(name).dataset(root)
