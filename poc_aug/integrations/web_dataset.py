"""WebDataset's shards: label ids are decoded as they are stored."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from poc_aug.errors import SettingError
from poc_aug.items.container import WEB_LABEL_FIELDS


class _DecodeIds:
    def __init__(self, fields: frozenset[str]) -> None:
        self.fields = fields

    def __call__(self, key: str, data: bytes) -> Any:
        if key.lstrip(".") not in self.fields:
            return None  # for the next handler
        with io.BytesIO(data) as stream:
            picture = Image.open(stream)
            picture.load()
            return picture


def decode_ids(*fields: str) -> Callable[[str, bytes], Any]:
    """A handler for ``WebDataset.decode`` that opens label pictures without converting them.

    WebDataset's ``"pil"`` makes RGB of every picture, also of a map of ids: of a palette it then shows the colours, not
    the ids. Give this one first: ``.decode(decode_ids(), "pil")``.

    Args:
        fields: names of the label pictures, such as ``"seg.png"``; none: those that a `Composer` knows.

    Raises:
        SettingError: a name that is no text.

    Example:
        >>> handler = decode_ids()
        >>> with io.BytesIO() as file:
        ...     Image.new("L", (4, 2), 13).save(file, "PNG")
        ...     picture = handler(".seg.png", file.getvalue())
        >>> picture.mode, picture.getextrema(), handler(".jpg", b"")
        ('L', (13, 13), None)
    """
    if not all(isinstance(field, str) and field for field in fields):
        raise SettingError(f"decode_ids{fields!r}", expected="names of fields", hint="decode_ids('seg.png')")
    return _DecodeIds(frozenset(field.lstrip(".") for field in fields or WEB_LABEL_FIELDS))
