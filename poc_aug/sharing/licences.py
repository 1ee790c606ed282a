"""Licences of what a cache was made with: of its models and of its cut-outs. What nobody states is unknown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from poc_aug.backends.known_models import known_models

Terms: TypeAlias = Literal["non-commercial", "share-alike", "no derivatives"]

UNKNOWN = "unknown"

_WORD = re.compile(r"[A-Z]+")
_TERMS: Mapping[Terms, tuple[str, str]] = {
    "non-commercial": ("NC", "NONCOMMERCIAL"),
    "share-alike": ("SA", "SHAREALIKE"),
    "no derivatives": ("ND", "NODERIV"),
}
_MODEL_FIELDS = ("model", "lora", "vae", "checkpoint", "controlnet", "text_encoder")
_ORIGINS = {
    "rendered": "none needed: drawn by poc_aug itself",
    "diffusion": "that of the model",
    "text-to-image": "that of the model",
}


@dataclass(frozen=True, slots=True)
class ModelLicence:
    """A model that a cache was made with.

    Attributes:
        role: what it was used for, as the manifest names it.
        model: its hub id, or the name of its file.
        licence: as its authors state it, from `poc_aug.backends.known_models`; `UNKNOWN` for others.
        non_commercial: whether that licence bans commercial use; ``None`` if it is not known.
    """

    role: str
    model: str
    licence: str
    non_commercial: bool | None


def model_licences(backends: Mapping[str, Any]) -> tuple[ModelLicence, ...]:
    """The models that a manifest's backends name.

    Example:
        >>> model_licences({"annotator": {"detector": {"model": "IDEA-Research/grounding-dino-tiny"}}})[0].licence
        'Apache-2.0'
        >>> model_licences({"inserter": {"model": "someone/their-own"}})[0].licence
        'unknown'
    """
    known = {model.id: model for model in known_models()}
    found: dict[tuple[str, str], ModelLicence] = {}
    for role, name in _models(backends, ()):
        row = known.get(name.partition("#")[0])
        stated = row is not None and not row.licence.startswith("not checked")
        licence = row.licence if row is not None and stated else UNKNOWN
        non_commercial = row.non_commercial if row is not None and stated else None
        found[role, name] = ModelLicence(role, name, licence, non_commercial)
    return tuple(found.values())


def licence_terms(licence: str) -> tuple[Terms, ...]:
    """What a Creative Commons licence asks for in addition to naming the author.

    Args:
        licence: its SPDX id, or its name as people write it, such as "CC BY-NC 2.0" or "Attribution-NonCommercial".

    Example:
        >>> licence_terms("CC-BY-NC-SA-2.0"), licence_terms("CC BY-NC 2.0"), licence_terms("CC-BY-2.0")
        (('non-commercial', 'share-alike'), ('non-commercial',), ())
    """
    words = _WORD.findall(licence.upper())
    text = "".join(words)
    by_id, by_name = words[:1] == ["CC"], text.startswith(("CREATIVECOMMONS", "ATTRIBUTION"))
    return tuple(
        term for term, (short, name) in _TERMS.items() if (by_id and short in words) or (by_name and name in text)
    )


def licence_of_object(provenance: Mapping[str, Any], inserter: Mapping[str, Any]) -> str:
    """The licence of an insertion's picture: as recorded with it, else what follows from its inserter.

    Args:
        provenance: of the insertion.
        inserter: what the manifest says of the inserter.

    Example:
        >>> licence_of_object({"licence": "CC-BY-2.0"}, {}), licence_of_object({}, {"inserter": "paste"})
        ('CC-BY-2.0', 'unknown')
    """
    stated = provenance.get("licence")
    if isinstance(stated, str) and stated:
        return stated
    kind, bank = inserter.get("inserter"), inserter.get("bank")
    if isinstance(bank, Mapping) and bank.get("kind") == "dataset":
        return "that of the dataset they were cut from"
    return _ORIGINS.get(kind, UNKNOWN) if isinstance(kind, str) else UNKNOWN


def _models(value: Any, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in _MODEL_FIELDS and isinstance(inner, str):
                role = (*place, name) if name != "model" else place
                yield " ".join(role) or name, inner
            else:
                yield from _models(inner, (*place, str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _models(inner, place)
