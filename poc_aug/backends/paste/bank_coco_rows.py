"""The rows of a COCO file as various tools write them, converted to reliable values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from poc_aug.backends.paste.bank_left_out import Unusable

Id: TypeAlias = tuple[str, int | str]
"""An id that can be compared: ("number", 12) or ("text", "12")."""

_MOST_DIGITS = 30
_Row = TypeVar("_Row")
_NO = frozenset({"", "0", "0.0", "false", "no", "none", "null"})


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image as the file describes it.

    Attributes:
        file_name: its file; possibly a path on another machine.
        size_wh: width and height; ``None`` if the file gives no usable size.
    """

    file_name: str
    size_wh: tuple[float, float] | None


class RowsById(Generic[_Row]):
    """Rows by id: by the id itself, otherwise by its value ("12" for 12) if only one row has that.

    Args:
        what: "image" or "category", for reasons.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._exact: dict[Id, _Row | None] = {}
        self._by_value: dict[Id, set[Id]] = {}

    def add(self, value: Any, row: _Row) -> None:
        """Add a row; a row without a usable id is ignored, because no annotation can name it."""
        row_id = comparable_id(value)
        if row_id is None:
            return
        if row_id in self._exact and self._exact[row_id] != row:
            self._exact[row_id] = None  # two different rows: it is unknown which one is meant
            return
        self._exact[row_id] = row
        self._by_value.setdefault(_by_value(row_id), set()).add(row_id)

    def find(self, value: Any) -> _Row:
        """The row of an id.

        Raises:
            Unusable: there is none, or more than one.
        """
        wanted = comparable_id(value)
        if wanted is None:
            raise Unusable(f"without {_with_article(self._what)} id")
        if wanted not in self._exact:
            alike = self._by_value.get(_by_value(wanted), set())
            if not alike:
                raise Unusable(
                    f"of {_with_article(self._what)} that the file does not list", f"{self._what}_id {value!r}"
                )
            if len(alike) > 1:
                raise Unusable(f"whose {self._what} id fits several rows", f"{self._what}_id {value!r}")
            (wanted,) = alike
        row = self._exact[wanted]
        if row is None:
            raise Unusable(f"whose {self._what} id is given to different rows", f"{self._what}_id {value!r}")
        return row

    def rows(self) -> list[_Row]:
        """All rows that can be found."""
        return [row for row in self._exact.values() if row is not None]


def image_rows(rows: Iterable[Any]) -> RowsById[ImageRow]:
    """Images by id."""
    by_id: RowsById[ImageRow] = RowsById("image")
    for row in rows:
        if isinstance(row, Mapping):
            width, height = finite_number(row.get("width")), finite_number(row.get("height"))
            size = (width, height) if width and height and width > 0 and height > 0 else None
            by_id.add(row.get("id"), ImageRow(image_file_name(row), size))
    return by_id


def category_rows(rows: Iterable[Any]) -> RowsById[str]:
    """Class names by id; "" for a category without a name."""
    by_id: RowsById[str] = RowsById("category")
    for row in rows:
        if isinstance(row, Mapping):
            name = row.get("name")
            usable = isinstance(name, str | int | float) and not isinstance(name, bool)
            by_id.add(row.get("id"), str(name).strip() if usable else "")
    return by_id


def finite_number(value: Any) -> float | None:
    """A finite number, possibly written as text; otherwise ``None``."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        converted = float(value)
    except (ValueError, OverflowError):
        return None
    return converted if math.isfinite(converted) else None


def is_crowd(value: Any) -> bool:
    """Whether ``iscrowd`` marks a crowd; missing, ``null`` and "0" do not."""
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def parse_bbox(bbox: Any) -> tuple[float, float, float, float] | None:
    """``bbox`` as x, y, w, h; ``None`` if it is not four numbers of a box with an inside."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    x, y, w, h = (finite_number(value) for value in bbox)
    if x is None or y is None or w is None or h is None or w <= 0 or h <= 0:
        return None
    return x, y, w, h


def comparable_id(value: Any) -> Id | None:
    """An id that can be compared; ``None`` for anything else (null, NaN, a list)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, float):
        return ("number", int(value)) if value.is_integer() else None
    return ("number", value)


def _by_value(row_id: Id) -> Id:
    kind, value = row_id
    if isinstance(value, str):
        text = value.strip()
        if text.removeprefix("-").isdecimal() and len(text) <= _MOST_DIGITS:
            return ("number", int(text))
        return (kind, text)
    return row_id


def image_file_name(row: Mapping[str, Any]) -> str:
    """``file_name``, or the URL that LVIS gives instead; "" if there is neither."""
    for field in ("file_name", "coco_url"):
        name = row.get(field)
        if isinstance(name, str) and name.strip():
            return name
    return ""


def _with_article(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"
