"""What is left out of a packed cache: prompts, provenance, absolute paths. Pixels, masks, classes and digests stay.

What reads records uses few fields of their provenance: `KEPT_PROVENANCE` lists them; they stay when provenance is left
out. Prompts are also in the manifest, in the recipe and in what backends say of themselves. They are replaced there,
and with them the fingerprint: a cache without its prompts cannot be continued by the recipe that made it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal, TypeAlias, get_args

from poc_aug.cache.manifest import Manifest
from poc_aug.errors import SettingError
from poc_aug.recipe import fingerprint

Leavable: TypeAlias = Literal["prompts", "provenance"]

KEPT_PROVENANCE = ("horizon_from", "agreement", "agreement_by_class", "licence", "attribution")
"""Fields that stay: ``poc-aug info`` counts ``horizon_from`` and the agreements, and licences ask for the rest."""

LEFT_OUT = "(left out)"
"""What stands in a recipe where a prompt was."""

_PROMPTS = ("prompt", "prompts", "object_prompt", "negative_prompt", "caption", "detect", "instruction", "phrase")
_TEMPLATES = ("prompt_template",)
_NONE_INSTEAD = ("negative_prompt",)
_POSIX_PATH = re.compile(r"(?:file://|(?<![\w.:/~)\]}-]))~?/(?:[^/\s'\":;,()<>]+/)+[^/\s'\":;,()<>]*")
_WINDOWS_PATH = re.compile(r"(?<!\w)(?:[A-Za-z]:[\\/]|\\\\)(?:[^\\/\s'\":;,()<>]+[\\/])+[^\\/\s'\":;,()<>]*")

# In quotation marks, or as all of a text, a path may hold spaces.
_QUOTED = re.compile(r"(['\"])((?:file://)?(?:~?/|[A-Za-z]:[\\/]|\\\\)[^'\"\n]*[\\/][^'\"\n]*)\1")
_WHOLE = re.compile(r"(?:file://)?(?:~?/|[A-Za-z]:[\\/]|\\\\)[^\n]*[\\/][^\n:]*")


@dataclass(frozen=True)
class Redaction:
    """What to leave out of the records and the manifest of a cache.

    Attributes:
        prompts: texts that models were given.
        provenance: all of the records' provenance but `KEPT_PROVENANCE`, and the details of rejections.

    Example:
        >>> header = {"insertions": [{"provenance": {"prompt": "a cow", "seed": 3}}], "rejections": []}
        >>> Redaction(prompts=True).record(header)
        {'insertions': [{'provenance': {'seed': 3}}], 'rejections': []}
    """

    prompts: bool = False
    provenance: bool = False

    @classmethod
    def of(cls, left_out: Collection[str]) -> Redaction:
        """From names.

        Raises:
            SettingError: an unknown name.
        """
        known = get_args(Leavable)
        if isinstance(left_out, str) or (unknown := [name for name in left_out if name not in known]):
            wrong = left_out if isinstance(left_out, str) else unknown[0]
            raise SettingError(
                f"leave_out: {wrong!r}",
                expected=f"any of: {', '.join(known)}",
                hint="pass a tuple of these names",
                command="name them with commas in between: --leave-out prompts,provenance",
            )
        return cls("prompts" in left_out, "provenance" in left_out)

    def record(self, header: dict[str, Any]) -> dict[str, Any]:
        """A record's header without what is left out."""
        changed = dict(header)
        changed["insertions"] = [self._item(item) for item in header["insertions"]]
        if "frame" in header:
            changed["frame"] = self._item(header["frame"])
        changed["rejections"] = [[*head, self._detail(head[0], detail)] for *head, detail in header["rejections"]]
        return changed

    def manifest(self, manifest: Manifest) -> Manifest:
        """A manifest without prompts, if they are left out, and without absolute paths; else the same one.

        Its fingerprint is the hash of what it holds then, if it was before.
        """
        recipe, backends = self._of_manifest(manifest.recipe), self._of_manifest(manifest.backends)
        changed = replace(manifest, recipe=recipe, backends=backends, dataset=without_paths(manifest.dataset))
        if (recipe, backends) == (manifest.recipe, manifest.backends) or not manifest.has_own_fingerprint():
            return changed
        made = fingerprint({"recipe": recipe, **backends})
        if manifest.fingerprint != fingerprint({"recipe": manifest.recipe, **manifest.backends}):
            made = fingerprint({"recipe": recipe, "backends": backends})
        return replace(changed, fingerprint=made)

    def _detail(self, reason: str, detail: str) -> str:
        # That of what was dropped is the name of whoever dropped it.
        return "" if self.provenance or reason == "dropped" else str(without_paths(detail))

    def _item(self, item: Mapping[str, Any]) -> dict[str, Any]:
        provenance = item["provenance"]
        if self.provenance:
            provenance = {name: value for name, value in provenance.items() if name in KEPT_PROVENANCE}
        if self.prompts:
            provenance = _without_prompts(provenance)
        return {**item, "provenance": without_paths(provenance)}

    def _of_manifest(self, values: Mapping[str, Any]) -> Any:
        return without_paths(_redacted(values) if self.prompts else values)


def without_paths(value: Any) -> Any:
    r"""JSON values with the last part of each absolute path in their texts; names of fields stay.

    Example:
        >>> without_paths({"file": "/home/ada/objects/cow.png", "why": "cannot read 'C:\\data\\cow.png': empty"})
        {'file': 'cow.png', 'why': "cannot read 'cow.png': empty"}
        >>> without_paths("a cup and/or a mug, 3/4 full: https://example.org/a/b")
        'a cup and/or a mug, 3/4 full: https://example.org/a/b'
    """
    if isinstance(value, str):
        if _WHOLE.fullmatch(value):
            return PureWindowsPath(value).name  # takes both kinds of slashes
        text = _QUOTED.sub(lambda found: found[1] + PureWindowsPath(found[2]).name + found[1], value)
        text = _WINDOWS_PATH.sub(lambda found: PureWindowsPath(found[0]).name, text)
        return _POSIX_PATH.sub(lambda found: PurePosixPath(found[0]).name, text)
    if isinstance(value, Mapping):
        return {name: without_paths(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner) for inner in value]
    return value


def holds_path(text: str) -> bool:
    """Whether a text holds an absolute path.

    Example:
        >>> holds_path("/home/ada/frames/0001.png"), holds_path("aachen/0001.png")
        (True, False)
    """
    return any(form.search(text) for form in (_POSIX_PATH, _WINDOWS_PATH, _QUOTED)) or bool(_WHOLE.fullmatch(text))


def _without_prompts(value: Any) -> Any:
    """Provenance without the fields that hold prompts."""
    if isinstance(value, Mapping):
        hidden = (*_PROMPTS, *_TEMPLATES)
        return {name: _without_prompts(inner) for name, inner in value.items() if name not in hidden}
    return [_without_prompts(inner) for inner in value] if isinstance(value, list | tuple) else value


def _redacted(value: Any, name: str = "") -> Any:
    """Values of a manifest with the prompts replaced, so that it stays a valid recipe."""
    if isinstance(value, Mapping):
        return {inner: _redacted(item, inner) for inner, item in value.items()}
    if name in _NONE_INSTEAD:
        return None
    if name in _TEMPLATES:
        return "{object}"
    if name == "prompts":
        return [LEFT_OUT] if value else value
    if isinstance(value, list | tuple):
        return [_redacted(item, name) for item in value]
    if name in _PROMPTS and isinstance(value, str):
        placeholders = "".join(dict.fromkeys(re.findall(r"\{\w+\}", value)))
        return f"{LEFT_OUT} {placeholders}".strip()
    return value
