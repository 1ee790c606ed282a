"""What a decision about insertions is about: those of a class, of a sample, of a variant, or one of them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple

from poc_aug.recipe import IGNORED
from poc_aug.types import Variant

_MAX_TEXT_CHARS = {"recipe": 1 << 10, "class_name": 1 << 10, "key": 1 << 16, "keys": 1 << 10}
_MAX_STARS = 20
_MAX_NUMBER = 1 << 32
_STORED_NAMES = {"class_name": "class"}  # a field's name in a journal, if it is another


class StoredThings(NamedTuple):
    """The insertions of a variant, or its frame, as far as a selection asks for them.

    Attributes:
        keys: the variant's key; in a cache of frames the key of its sample, too.
        variant: number of the variant.
        names: for each insertion the names of its object and its parts; for a frame its domain.
        parts: for each insertion the names of its labelled parts, in order; for a frame none.
    """

    keys: tuple[str, ...]
    variant: int
    names: tuple[frozenset[str], ...]
    parts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects insertions, or whole frames of a cache of frames: those that fit every field that is given.

    Attributes:
        recipe: fingerprint of the recipe that made them.
        class_name: name of the object or of one of its parts; in a cache of frames, the domain.
        key: key of the sample; of a frame its own key (``KEY@DOMAIN-SEVERITY``) or that of its sample.
        keys: pattern that the key fits: ``*`` is any text, ``?`` any character, ``[ab]`` one of them.
        variant: number of the variant.
        insertion: number of the insertion in its stored variant, from 0.

    Example:
        >>> things = StoredThings(("aachen/1.png",), 0, (frozenset({"cow"}), frozenset({"dog"})), (("cow",), ("dog",)))
        >>> [selection.of(things) for selection in (Selection(class_name="dog"), Selection(keys="aachen/*"))]
        [[1], [0, 1]]
    """

    recipe: str | None = None
    class_name: str | None = None
    key: str | None = None
    keys: str | None = None
    variant: int | None = None
    insertion: int | None = None

    def of(self, things: StoredThings) -> list[int]:
        """Numbers of the selected insertions of a variant; a frame has number 0."""
        if self.variant is not None and self.variant != things.variant:
            return []
        if self.key is not None and self.key not in things.keys:
            return []
        if self.keys is not None and not any(map(_matcher(self.keys), things.keys)):
            return []
        return [
            number
            for number, names in enumerate(things.names)
            if self.insertion in (None, number) and (self.class_name is None or self.class_name in names)
        ]

    def to_dict(self) -> dict[str, str | int]:
        """The fields that are given, as a journal stores them."""
        given = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {_STORED_NAMES.get(name, name): value for name, value in given if value is not None}

    @classmethod
    def from_dict(cls, data: object) -> Selection:
        """The selection of a journal's line.

        Raises:
            ValueError: a field of a wrong type or out of its range.
            LookupError: a field that this version does not know, without which it would select more.

        Example:
            >>> Selection.from_dict({"class": "cow", "variant": 2})
            Selection(recipe=None, class_name='cow', key=None, keys=None, variant=2, insertion=None)
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"it selects by {type(data).__name__}, not by named fields")
        try:
            values = {_FIELDS_BY_NAME[name]: value for name, value in data.items()}
        except KeyError as error:
            raise LookupError(f"it selects by {str(error.args[0])[:60]!a}") from None
        for name, value in values.items():
            _check_field(name, value)
        return cls(**values)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value!r}" for name, value in self.to_dict().items()) or "everything"


_FIELDS_BY_NAME = {_STORED_NAMES.get(field.name, field.name): field.name for field in fields(Selection)}


def things_of(variant: Variant) -> StoredThings:
    """What a variant holds, as selections ask for it.

    Example:
        >>> things_of(Variant("a.png", 0, digest=b"", insertions=()))
        StoredThings(keys=('a.png',), variant=0, names=(), parts=())
    """
    if variant.frame is not None:
        return _frame_things(variant.key, variant.index, variant.frame.domain)
    parts = (tuple(part.name for part in insertion.parts) for insertion in variant.insertions)
    return _insertion_things(variant.key, variant.index, [one.object_name for one in variant.insertions], parts)


def things_in_header(header: Mapping[str, Any]) -> StoredThings:
    """As `things_of`, from the checked header of a record; see `poc_aug.cache.record.split_record`."""
    key, index, insertions = header["key"], header["index"], header["insertions"]
    if "frame" in header:
        return _frame_things(key, index, header["frame"]["domain"])
    parts = (tuple(part[0] for part in item["parts"]) for item in insertions)
    return _insertion_things(key, index, [item["name"] for item in insertions], parts)


def _frame_things(key: str, index: int, domain: str) -> StoredThings:
    return StoredThings(_keys_of_frame(key), index, (frozenset({domain}),), ((),))


def _insertion_things(key: str, index: int, objects: Iterable[str], parts: Iterable[tuple[str, ...]]) -> StoredThings:
    labelled = tuple(tuple(name for name in names if name != IGNORED) for names in parts)
    names = (frozenset({name, *own}) - {IGNORED} for name, own in zip(objects, labelled, strict=True))
    return StoredThings((key,), index, tuple(names), labelled)


def _keys_of_frame(key: str) -> tuple[str, str]:
    return key, key.rpartition("@")[0]


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Any:
    return re.compile(fnmatch.translate(pattern)).match


def _check_field(name: str, value: object) -> None:
    shown = _STORED_NAMES.get(name, name)
    if name in ("variant", "insertion"):
        if type(value) is not int or not 0 <= value < _MAX_NUMBER:
            raise ValueError(f"its {shown} is {str(value)[:60]!a}, not a number from 0")
    elif type(value) is not str or len(value) > _MAX_TEXT_CHARS[name]:
        raise ValueError(
            f"its {shown} is {str(value)[:60]!a}, not a text of at most {_MAX_TEXT_CHARS[name]} characters"
        )
    elif name == "keys" and value.count("*") > _MAX_STARS:
        raise ValueError(f"its pattern has {value.count('*')} stars, more than {_MAX_STARS}")
