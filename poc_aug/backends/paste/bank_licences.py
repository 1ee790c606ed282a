"""Licences of cut-outs: read from where a bank's files state them, never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from poc_aug.backends.paste.bank_coco_rows import comparable_id, image_file_name
from poc_aug.backends.paste.bank_left_out import printable

_CC_URL = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/([0-9.]+)", re.IGNORECASE)
_FOLDER = re.compile(r"(?:CC-BY(?:-NC)?(?:-(?:SA|ND))?-[1-4]\.[0-9]|CC0-1\.0|No-known-restrictions)", re.IGNORECASE)
_FIELDS = ("licence", "license")
_SOURCES = ("attribution", "flickr_url", "url", "coco_url")
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class ObjectLicence:
    """What is known of a picture's licence; "" what is not.

    Attributes:
        name: the licence, as an SPDX id if its text or address says which, such as "CC-BY-2.0".
        attribution: whom to name, or where the picture was published.
    """

    name: str = ""
    attribution: str = ""

    def provenance(self) -> dict[str, str]:
        """The fields for an insertion's provenance: those that are known.

        Example:
            >>> ObjectLicence("CC-BY-2.0").provenance()
            {'licence': 'CC-BY-2.0'}
        """
        fields = {"licence": self.name, "attribution": self.attribution}
        return {name: value for name, value in fields.items() if value}


NO_LICENCE = ObjectLicence()
"""Nothing is known."""


def licence_id(name: str, url: str = "") -> str:
    """A short name of a licence: its SPDX id if the address is that of a Creative Commons licence, else its name.

    Example:
        >>> licence_id("Attribution License", "http://creativecommons.org/licenses/by/2.0/")
        'CC-BY-2.0'
        >>> licence_id("No known copyright restrictions", "http://flickr.com/commons/usage/")
        'No known copyright restrictions'
    """
    found = _CC_URL.search(f"{url} {name}".replace("\\", ""))
    if found is None:
        return printable(name.strip()[:_LONGEST])
    kind = found[2].upper()
    return "CC0-1.0" if kind == "ZERO" else f"CC-PDM-{found[3]}" if kind == "MARK" else f"CC-{kind}-{found[3]}"


def coco_licences(images: Iterable[Any], licences: Any) -> dict[str, ObjectLicence]:
    """The licences of a COCO file's images, by file name.

    Args:
        images: its rows of images.
        licences: its rows of licences, if it has any.

    Example:
        >>> rows = [{"id": 4, "name": "Attribution License", "url": "creativecommons.org/licenses/by/2.0/"}]
        >>> coco_licences([{"file_name": "a.jpg", "license": 4}], rows)["a.jpg"].name
        'CC-BY-2.0'
    """
    named: dict[Any, str] = {}
    for row in licences if isinstance(licences, list) else []:
        if isinstance(row, Mapping) and (row_id := comparable_id(row.get("id"))) is not None:
            name = licence_id(_text(row, ("name",)), _text(row, ("url",)))
            named[row_id] = name if named.get(row_id, name) == name else ""  # two of one id: unknown which is meant
    found: dict[str, ObjectLicence] = {}
    for row in images:
        if isinstance(row, Mapping) and (file := image_file_name(row)):
            licence = licence_of_row(row, named)
            found[file] = licence if found.get(file, licence) == licence else ObjectLicence()
    return found


def licence_of_row(row: Mapping[str, Any], named: Mapping[Any, str] | None = None) -> ObjectLicence:
    """The licence of a picture, from its row in a COCO file or in an index of cut-outs.

    Args:
        row: the row.
        named: licences by id, if rows name them so.
    """
    value = next((row[field] for field in _FIELDS if row.get(field) is not None), None)
    name = "" if named is None or (row_id := comparable_id(value)) is None else named.get(row_id, "")
    if not name and isinstance(value, str) and not value.strip().isdecimal():
        name = licence_id(value)
    return ObjectLicence(name, _text(row, _SOURCES))


def licence_of_path(path: PurePath) -> ObjectLicence:
    """The licence that a folder in a path is named after.

    Example:
        >>> licence_of_path(PurePath("CC-BY-SA-2.0/cow.png")).name, licence_of_path(PurePath("cow/1.png")).name
        ('CC-BY-SA-2.0', '')
    """
    named = (part for part in reversed(path.parts[:-1]) if _FOLDER.fullmatch(part))
    return ObjectLicence(next(named, ""))


def _text(row: Mapping[str, Any], fields: Iterable[str]) -> str:
    values = (row.get(field) for field in fields)
    return printable(
        next((value.strip()[:_LONGEST] for value in values if isinstance(value, str) and value.strip()), "")
    )
